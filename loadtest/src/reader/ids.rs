//! The ids with which events came: each event has one id, the same byte for byte on every node and
//! on every stream.

use std::hash::{DefaultHasher, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wire::event_id::EventId;

/// Bytes of an event's id between processes.
const BYTES: usize = 32;

/// The ids of all events that came, topic by topic, by their numbers from one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids(Vec<Vec<Seen>>);

/// How an event came.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Its place in the order, if its id tells one.
    place: EventId,
    /// Hash of the id's bytes.
    print: u64,
    /// The nodes that it came from, a bit each; none if it never came.
    nodes: u64,
}

/// How the ids of all events compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Events that came with an id.
    pub(crate) events: u64,
    /// Those that came from every node.
    pub(crate) from_all: u64,
    /// Those whose publisher was told another id.
    pub(crate) unlike_receipts: u64,
}

impl Ids {
    /// An event came from a node with this id; whether it had no other id before.
    pub(crate) fn came(&mut self, topic: usize, number: u32, id: &str, node: usize) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(id.as_bytes());
        let seen = Seen {
            place: EventId::parse(id).unwrap_or_default(),
            print: hasher.finish(),
            nodes: 1 << (node % 64),
        };
        self.note(topic, number as usize - 1, seen)
    }

    fn note(&mut self, topic: usize, place: usize, seen: Seen) -> bool {
        if self.0.len() <= topic {
            self.0.resize_with(topic + 1, Vec::new);
        }
        let line = &mut self.0[topic];
        if line.len() <= place {
            line.resize(place + 1, Seen::default());
        }
        let known = &mut line[place];
        let is_same = known.nodes == 0 || known.print == seen.print;
        if known.nodes == 0 {
            *known = seen;
        }
        known.nodes |= seen.nodes;
        is_same
    }

    /// Adds the ids that another process saw; how many events had another id there.
    pub(crate) fn add(&mut self, others: &Self) -> u64 {
        let mut unlike = 0;
        for (topic, line) in others.0.iter().enumerate() {
            let seen = line.iter().enumerate().filter(|(_, seen)| seen.nodes > 0);
            for (place, seen) in seen {
                unlike += u64::from(!self.note(topic, place, *seen));
            }
        }
        unlike
    }

    /// Compares them with each other and with what publishers were told, over so many nodes.
    pub(crate) fn compare(&self, nodes: usize, receipts: &[Vec<EventId>]) -> Compared {
        let all = u64::MAX >> (64 - nodes.clamp(1, 64));
        let mut compared = Compared::default();
        for (topic, line) in self.0.iter().enumerate() {
            for (place, seen) in line.iter().enumerate().filter(|(_, seen)| seen.nodes > 0) {
                let told = receipts.get(topic).and_then(|line| line.get(place));
                let told = told.copied().unwrap_or_default();
                let unknown = told == EventId::default() || seen.place == EventId::default();
                compared.events += 1;
                compared.from_all += u64::from(seen.nodes & all == all);
                compared.unlike_receipts += u64::from(!unknown && told != seen.place);
            }
        }
        compared
    }

    /// The ids as text, for another process.
    pub(crate) fn to_texts(&self) -> Vec<String> {
        let bytes = |seen: &Seen| {
            let (milliseconds, number) = seen.place.parts();
            [milliseconds, number, seen.print, seen.nodes].map(u64::to_le_bytes)
        };
        let text = |line: &Vec<Seen>| {
            let bytes: Vec<u8> = line.iter().flat_map(bytes).flatten().collect();
            STANDARD.encode(bytes)
        };
        self.0.iter().map(text).collect()
    }

    /// The ids that another process sent as text; what cannot be read is none.
    pub(crate) fn from_texts(texts: &[String]) -> Self {
        let seen = |bytes: &[u8]| {
            let mut words = bytes.chunks_exact(8).map(|word| {
                word.iter()
                    .rev()
                    .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
            });
            let mut next = || words.next().unwrap_or_default();
            Seen {
                place: EventId::of_parts(next(), next()),
                print: next(),
                nodes: next(),
            }
        };
        let line = |text: &String| {
            let bytes = STANDARD.decode(text).unwrap_or_default();
            bytes.chunks_exact(BYTES).map(seen).collect()
        };
        Self(texts.iter().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_differs_in_one_byte_is_another() {
        let mut ids = Ids::default();
        assert!(ids.came(1, 3, "5-2.aaaaaa", 0) && ids.came(1, 3, "5-2.aaaaaa", 1));
        assert!(!ids.came(1, 3, "5-2.aaaaab", 1));
        // The mark is no part of what a publisher is told.
        let told = vec![Vec::new(), vec![EventId::default(); 3]];
        let mut receipts = told.clone();
        receipts[1][2] = EventId::parse("5-2").expect("an id");
        let compared = Compared {
            events: 1,
            from_all: 1,
            unlike_receipts: 0,
        };
        assert_eq!(ids.compare(2, &receipts), compared);
        assert_eq!(ids.compare(2, &told), compared);
        assert_eq!(ids.compare(3, &told).from_all, 0);
        receipts[1][2] = EventId::parse("5-3").expect("an id");
        assert_eq!(ids.compare(2, &receipts).unlike_receipts, 1);
    }

    #[test]
    fn processes_compare_what_each_of_them_saw() {
        let mut first = Ids::default();
        first.came(0, 1, "1-0", 0);
        first.came(0, 3, "3-0", 0);
        let mut second = Ids::default();
        second.came(0, 3, "3-0", 1);
        second.came(0, 2, "urn:uuid:2", 1);
        second.came(0, 1, "1-1", 1);
        let sent = Ids::from_texts(&second.to_texts());
        assert_eq!(first.add(&sent), 1);
        let compared = first.compare(2, &[]);
        assert_eq!((compared.events, compared.from_all), (3, 2));
    }
}
