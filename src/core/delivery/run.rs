//! Events that are written together, joined once for each encoding in use.

use bytes::{Bytes, BytesMut};

use crate::core::event::EventId;
use crate::core::sse::Encoding;

use super::named_run::{Choice, NamedRun};
use super::run_event::RunEvent;

/// Most choices of topics kept for a run. One above this limit replaces the last one.
const CHOICES_MAX: usize = 16;

/// Events that are written together.
#[derive(Debug)]
pub(super) struct Run {
    /// The events, at least one.
    pub(super) events: Vec<RunEvent>,
    pub(super) first_id: EventId,
    pub(super) last_id: EventId,
    /// Their bytes in the last selected encoding. Streams of a topic mostly have the same.
    pub(super) joined: Joined,
    /// Their bytes in the other encodings in use.
    others: Vec<Joined>,
    /// Their bytes for streams that are told topics.
    pub(super) named: Vec<NamedRun>,
}

/// The bytes of a run in one piece, and where each event ends.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) encoding: Encoding,
    pub(super) bytes: Bytes,
    pub(super) ends: Vec<usize>,
}

impl Joined {
    fn new(events: &[RunEvent], encoding: Encoding) -> Self {
        if let [event] = events {
            let bytes = event.frame.rendition(encoding);
            let ends = vec![bytes.len()];
            return Self {
                encoding,
                bytes,
                ends,
            };
        }
        let mut bytes = BytesMut::with_capacity(events.iter().map(|event| event.frame.len()).sum());
        let mut ends = Vec::with_capacity(events.len());
        for event in events {
            bytes.extend_from_slice(&event.frame.rendition(encoding));
            ends.push(bytes.len());
        }
        Self {
            encoding,
            bytes: bytes.freeze(),
            ends,
        }
    }

    /// Nothing was joined: so far, all streams are told topics.
    fn none() -> Self {
        Self {
            encoding: Encoding::NONE,
            bytes: Bytes::new(),
            ends: Vec::new(),
        }
    }

    /// Start of event `number`.
    pub(super) fn start(&self, number: usize) -> usize {
        number.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

impl Run {
    /// A run whose first stream has this encoding.
    pub(super) fn new(events: Vec<RunEvent>, encoding: Encoding) -> Self {
        let id = |event: Option<&RunEvent>| event.map(|event| event.id).unwrap_or_default();
        let joined = if encoding.has_topics() {
            Joined::none()
        } else {
            Joined::new(&events, encoding.of_frames())
        };
        Self {
            first_id: id(events.first()),
            last_id: id(events.last()),
            joined,
            others: Vec::new(),
            named: Vec::new(),
            events,
        }
    }

    /// Number of the first event above `id`.
    pub(super) fn first_after(&self, id: EventId) -> usize {
        self.events.partition_point(|event| event.id <= id)
    }

    /// Puts the bytes in `encoding` into `joined`.
    pub(super) fn select(&mut self, encoding: Encoding) {
        if self.joined.encoding == encoding {
            return;
        }
        let mut others = self.others.iter_mut();
        if let Some(other) = others.find(|other| other.encoding == encoding) {
            std::mem::swap(other, &mut self.joined);
            return;
        }
        let joined = Joined::new(&self.events, encoding);
        let before = std::mem::replace(&mut self.joined, joined);
        if before.encoding != Encoding::NONE {
            self.others.push(before);
        }
    }

    /// Number of the bytes in `named` of the events from number `first` on, with these topics.
    pub(super) fn name(&mut self, first: usize, choice: Choice, encoding: Encoding) -> usize {
        let mut known = self.named.iter();
        if let Some(number) = known.position(|it| it.is(first, &choice, encoding)) {
            return number;
        }
        self.named.truncate(CHOICES_MAX - 1);
        let named = NamedRun::new(&self.events, first, choice, encoding);
        self.named.push(named);
        self.named.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Event, OrderMark};
    use crate::core::limits::EventLimits;
    use crate::core::sse::Draft;

    #[test]
    fn a_run_joins_its_events_once_for_each_encoding() {
        let events = (1..4).map(|number| {
            let event = Event::new("t", "data");
            let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
            let id = EventId::new(number);
            RunEvent {
                id,
                frame: draft.stamp(id.marked(OrderMark::default())),
                topics: None,
            }
        });
        let events: Vec<_> = events.collect();
        let mut run = Run::new(events.clone(), Encoding::CHUNKED);
        let mut bytes = Vec::new();
        for encoding in [
            Encoding::CHUNKED,
            Encoding::BARE,
            Encoding::CHUNKED,
            Encoding::BARE,
        ] {
            run.select(encoding);
            let frames = events.iter().map(|event| event.frame.rendition(encoding));
            assert_eq!(run.joined.bytes, frames.collect::<Vec<_>>().concat());
            let third = run.joined.start(2);
            assert_eq!(
                run.joined.bytes.slice(third..),
                events[2].frame.rendition(encoding)
            );
            bytes.push(run.joined.bytes.as_ptr());
        }
        assert_eq!(bytes[..2], bytes[2..], "the same bytes, not made again");
        assert_eq!(run.others.len(), 1);
    }
}
