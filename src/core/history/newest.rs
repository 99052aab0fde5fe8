//! The newest event of a topic, as two kinds of readers see it.

use crate::core::event::EventId;

use super::evicted::Evicted;
use super::work::Work;
use super::{SelectorId, Store};

/// Most kept events that are tried to find the newest one of a topic or pattern.
const NEWEST_LOOKS: usize = 64;

/// Ids of the newest event of a topic or pattern: of all events, and of public ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest(Evicted);

impl Newest {
    /// There is an event with this id.
    pub(crate) fn add(&mut self, id: EventId, private: bool) {
        self.0.add(id, private);
    }

    /// The newer of both.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    /// The newest event that concerns a reader with a grant, or without.
    pub(crate) fn for_reader(self, granted: bool) -> EventId {
        self.0.for_reader(granted)
    }
}

impl Store {
    /// The newest event of each of these topics and patterns.
    pub(crate) fn newest(&mut self, ids: &[SelectorId]) -> Box<[Newest]> {
        let mut work = self.work();
        let newest = ids.iter().map(|id| self.newest_of(*id, &mut work));
        newest.collect()
    }

    /// The newest event of a topic or pattern, kept or evicted. Where there is much to try, a newer
    /// id that is no event's.
    fn newest_of(&mut self, id: SelectorId, work: &mut Work) -> Newest {
        let mut newest = Newest::default();
        if let Some(index) = id.topic_index() {
            let topic = self.topics.get(index);
            newest.0 = topic.evicted;
            let entries = topic
                .log
                .as_deref()
                .into_iter()
                .flat_map(|log| log.newest_first());
            for (tried, entry) in entries.enumerate() {
                newest.add(entry.id, entry.is_private() && tried < NEWEST_LOOKS);
                if !entry.is_private() || tried >= NEWEST_LOOKS {
                    break;
                }
            }
            return newest;
        }
        if let Some(slot) = id.pattern_slot()
            && let Some(pattern) = self.patterns.get(slot)
        {
            newest.0 = pattern
                .evicted()
                .or(self.untold_of(pattern.reference(slot)));
        }
        let mut notes: Vec<_> = self.order.newest_first().take(NEWEST_LOOKS + 1).collect();
        let beyond = (notes.len() > NEWEST_LOOKS).then(|| notes.pop()).flatten();
        for (event, index) in notes {
            let is_tried = work.charge_references(1);
            if is_tried && !self.topics.keeps(index, event) {
                continue;
            }
            if !is_tried || !self.refresh_matches(index, work) {
                newest.add(event, false);
                return newest;
            }
            if !self.is_among(index, &[id]) {
                continue;
            }
            let log = self.topics.get(index).log.as_deref();
            let private = log
                .and_then(|log| log.find(event))
                .is_some_and(|entry| entry.is_private());
            newest.add(event, private);
            if !private {
                return newest;
            }
        }
        if let Some((event, _)) = beyond {
            newest.add(event, false);
        }
        newest
    }
}
