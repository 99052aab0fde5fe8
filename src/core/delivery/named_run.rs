//! The bytes of a run for streams that are told the topics of their events.
//!
//! The lines with the topics go before the shared frame, as a part of their own. Which topics a
//! stream is told depends on its selectors and its grant, but only for events with several topics.
//! So the bytes of a run are joined once for each choice of topics.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::core::history::Numbers;
use crate::core::sse::Encoding;

use super::run_event::RunEvent;

/// For each event, the numbers of the topics that a stream is told.
pub(super) type Choice = SmallVec<[Numbers; 4]>;

/// The events of a run from one of them on, each behind the lines with its topics.
#[derive(Debug)]
pub(super) struct NamedRun {
    encoding: Encoding,
    /// Number of its first event in the run.
    pub(super) first: usize,
    choice: Choice,
    /// The lines of each event.
    lines: Vec<Option<Bytes>>,
    /// The line and the frame of a single event; several events joined.
    pub(super) parts: SmallVec<[Bytes; 2]>,
    /// Where each event ends.
    ends: Vec<usize>,
}

impl NamedRun {
    pub(super) fn new(
        events: &[RunEvent],
        first: usize,
        choice: Choice,
        encoding: Encoding,
    ) -> Self {
        let events = &events[first..];
        let chosen = std::iter::zip(events, &choice);
        let lines = chosen.map(|(event, numbers)| {
            let topics = event.topics.as_ref()?;
            let lines = numbers.iter().filter_map(|number| topics.line(*number));
            let mut lines: SmallVec<[Bytes; 2]> =
                lines.map(|line| line.rendition(encoding)).collect();
            match &mut lines[..] {
                [] => None,
                [one] => Some(std::mem::take(one)),
                several => Some(several.concat().into()),
            }
        });
        let lines: Vec<_> = lines.collect();
        let mut parts = SmallVec::new();
        let mut ends = Vec::with_capacity(events.len());
        if let ([event], [line]) = (events, &lines[..]) {
            parts.extend(line.clone());
            parts.push(event.frame.rendition(encoding));
            ends.push(parts.iter().map(Bytes::len).sum());
        } else {
            let mut bytes = BytesMut::new();
            for (event, line) in std::iter::zip(events, &lines) {
                bytes.extend_from_slice(line.as_deref().unwrap_or_default());
                bytes.extend_from_slice(&event.frame.rendition(encoding));
                ends.push(bytes.len());
            }
            parts.push(bytes.freeze());
        }
        Self {
            encoding,
            first,
            choice,
            lines,
            parts,
            ends,
        }
    }

    pub(super) fn is(&self, first: usize, choice: &Choice, encoding: Encoding) -> bool {
        self.first == first && self.encoding == encoding && self.choice == *choice
    }

    /// Number of its events that are among the first `accepted` bytes as a whole, and the rest of
    /// the next one if it was begun, with the bytes that this keeps in memory.
    pub(super) fn cut(
        &self,
        events: &[RunEvent],
        accepted: usize,
    ) -> (usize, Option<(Bytes, usize)>) {
        let whole = self.ends.partition_point(|end| *end <= accepted);
        let start = whole.checked_sub(1).map_or(0, |before| self.ends[before]);
        let is_begun = accepted > start;
        let rest = is_begun.then(|| {
            let frame = events[self.first + whole].frame.rendition(self.encoding);
            rest_of(self.lines[whole].as_ref(), &frame, accepted - start)
        });
        (whole, rest)
    }
}

/// The rest of the lines and their frame, of which a wire has accepted so many bytes, and the bytes that
/// this rest keeps in memory. The rest of a frame is a piece of it, which is shared.
pub(super) fn rest_of(line: Option<&Bytes>, frame: &Bytes, accepted: usize) -> (Bytes, usize) {
    match line.filter(|line| accepted < line.len()) {
        Some(line) => {
            let rest: Bytes = [&line[accepted..], frame].concat().into();
            let bytes = rest.len();
            (rest, bytes)
        }
        None => {
            let accepted = accepted - line.map_or(0, Bytes::len);
            (frame.slice(accepted..), frame.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_frame_is_shared_and_that_of_a_line_holds_its_frame() {
        let (line, frame) = (Bytes::from("topic: a\n"), Bytes::from("data: 1\n\n"));
        let all = [&line[..], &frame[..]].concat();
        for accepted in 1..all.len() {
            let (rest, bytes) = rest_of(Some(&line), &frame, accepted);
            assert_eq!(rest, all[accepted..]);
            let is_shared = rest.as_ptr_range().end == frame.as_ptr_range().end;
            assert_eq!(is_shared, accepted >= line.len());
            let kept = if is_shared { frame.len() } else { rest.len() };
            assert_eq!(bytes, kept);
        }
        assert_eq!(rest_of(None, &frame, 3), (frame.slice(3..), frame.len()));
    }
}
