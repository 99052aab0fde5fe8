//! Events that are written together, joined once for each encoding in use.

use bytes::{Bytes, BytesMut};

use crate::core::event::EventId;
use crate::core::sse::{Encoding, Frame};

/// Events that are written together.
#[derive(Debug)]
pub(super) struct Run {
    /// The events, at least one.
    pub(super) events: Vec<(EventId, Frame)>,
    pub(super) first_id: EventId,
    pub(super) last_id: EventId,
    /// Their bytes in the last selected encoding. Streams of a topic mostly have the same.
    pub(super) joined: Joined,
    /// Their bytes in the other encodings in use.
    others: Vec<Joined>,
}

/// The bytes of a run in one piece, and where each event ends.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) encoding: Encoding,
    pub(super) bytes: Bytes,
    pub(super) ends: Vec<usize>,
}

impl Joined {
    fn new(events: &[(EventId, Frame)], encoding: Encoding) -> Self {
        if let [(_, frame)] = events {
            let bytes = frame.rendition(encoding);
            let ends = vec![bytes.len()];
            return Self {
                encoding,
                bytes,
                ends,
            };
        }
        let mut bytes = BytesMut::with_capacity(events.iter().map(|(_, frame)| frame.len()).sum());
        let mut ends = Vec::with_capacity(events.len());
        for (_, frame) in events {
            bytes.extend_from_slice(&frame.rendition(encoding));
            ends.push(bytes.len());
        }
        Self {
            encoding,
            bytes: bytes.freeze(),
            ends,
        }
    }

    /// Start of event `number`.
    pub(super) fn start(&self, number: usize) -> usize {
        number.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

impl Run {
    pub(super) fn new(events: Vec<(EventId, Frame)>, encoding: Encoding) -> Self {
        let id = |event: Option<&(EventId, Frame)>| event.map(|(id, _)| *id).unwrap_or_default();
        Self {
            first_id: id(events.first()),
            last_id: id(events.last()),
            joined: Joined::new(&events, encoding),
            others: Vec::new(),
            events,
        }
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
        self.others
            .push(std::mem::replace(&mut self.joined, joined));
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
            (id, draft.stamp(id.marked(OrderMark::default())))
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
            let frames = events.iter().map(|(_, frame)| frame.rendition(encoding));
            assert_eq!(run.joined.bytes, frames.collect::<Vec<_>>().concat());
            let third = run.joined.start(2);
            assert_eq!(
                run.joined.bytes.slice(third..),
                events[2].1.rendition(encoding)
            );
            bytes.push(run.joined.bytes.as_ptr());
        }
        assert_eq!(bytes[..2], bytes[2..], "the same bytes, not made again");
        assert_eq!(run.others.len(), 1);
    }
}
