//! The table of topics that exist: by name, and by a small number that stays put.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use crate::core::event::EventId;

use super::evicted::Evicted;
use super::log::Log;
use super::matches::Matches;
use super::own_ids::Place;
use super::{ShardSet, TOPIC_OVERHEAD_BYTES};

/// One topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    /// Empty in a slot that is free.
    pub(super) name: Box<str>,
    /// Its latest events; `None` when it has none.
    pub(super) log: Option<Box<Log>>,
    /// The last events that were evicted; see the invariant in the parent module.
    pub(super) evicted: Evicted,
    /// Streams subscribed to it by name.
    pub(super) subscribers: u32,
    /// Those of them that have a grant, and so may hear private events.
    pub(super) granted: u32,
    pub(super) pins: Pins,
    /// The patterns that match it, as far as they are known.
    pub(super) matches: Matches,
    /// Serial number of the youngest pattern that `matches` accounts for.
    pub(super) matched_through: u32,
    /// Shards that may hold one of the subscribers.
    pub(super) shards: ShardSet,
}

// A node may have as many topics as streams; see the memory goals in docs/ARCHITECTURE.md.
const _: () = assert!(size_of::<Topic>() <= 72);

impl Topic {
    /// What it costs beside its events, as long as it has any.
    pub(super) fn overhead_bytes(&self) -> usize {
        TOPIC_OVERHEAD_BYTES + self.name.len() + self.matches_bytes()
    }
}

/// Reference count (grants and in-flight publishes). The top bit is `HAS_EVICTED`, packed here to keep
/// [`Topic`] at 72 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pins(u32);

impl Pins {
    const HAS_EVICTED: u32 = 1 << 31;

    pub(super) fn add(&mut self) {
        self.0 += 1;
    }

    pub(super) fn remove(&mut self) {
        debug_assert!(self.any(), "unpinned once for each pin");
        self.0 -= 1;
    }

    pub(super) fn any(self) -> bool {
        self.0 & !Self::HAS_EVICTED != 0
    }

    /// The topic has evicted an event of its own; until then, it only knows what topics before it had.
    pub(super) fn set_has_evicted(&mut self) {
        self.0 |= Self::HAS_EVICTED;
    }

    pub(super) fn has_evicted(self) -> bool {
        self.0 & Self::HAS_EVICTED != 0
    }
}

/// Topics by name and by slot.
#[derive(Debug, Default)]
pub(super) struct TopicTable {
    slots: Vec<Topic>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl TopicTable {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Number of slots, free ones included.
    pub(super) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(super) fn get(&self, index: u32) -> &Topic {
        &self.slots[index as usize]
    }

    pub(super) fn get_mut(&mut self, index: u32) -> &mut Topic {
        &mut self.slots[index as usize]
    }

    /// Whether a topic slot keeps this event. Ids rise, and a topic's oldest events go first, so that a slot that was given to another topic
    /// since has only events above.
    pub(super) fn keeps(&self, index: u32, id: EventId) -> bool {
        let log = self.get(index).log.as_ref();
        log.and_then(|log| log.first_id())
            .is_some_and(|first| first <= id)
    }

    /// Whether the event at this place was given this id by its publisher.
    pub(super) fn has_own_id(&self, place: Place, own_id: &str) -> bool {
        let log = self.get(place.topic).log.as_ref();
        log.and_then(|log| log.find(place.id))
            .is_some_and(|entry| entry.own_id() == Some(own_id))
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.by_name
            .find(hash, |index| &*self.slots[*index as usize].name == name)
            .copied()
    }

    /// The topic of this name; a new one takes over what is forgotten of its former lives.
    pub(super) fn intern(&mut self, name: &str, forgotten: Evicted) -> u32 {
        let hash = self.hasher.hash_one(name);
        let slots = &self.slots;
        if let Some(index) = self
            .by_name
            .find(hash, |index| &*slots[*index as usize].name == name)
        {
            return *index;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Topic::default());
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 topics fit in memory")
        });
        let topic = &mut self.slots[index as usize];
        topic.name = name.into();
        topic.evicted = forgotten;
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_name.insert_unique(hash, index, |other| {
            hasher.hash_one(&*slots[*other as usize].name)
        });
        index
    }

    pub(super) fn remove(&mut self, index: u32) {
        let topic = &mut self.slots[index as usize];
        let name = std::mem::take(&mut topic.name);
        *topic = Topic::default();
        let hash = self.hasher.hash_one(&*name);
        if let Ok(entry) = self.by_name.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
        self.free.push(index);
        self.shrink();
    }

    /// Serial numbers of patterns have been given anew: every topic has to be looked at again. Returns the bytes that topics with events held.
    pub(super) fn forget_matches(&mut self) -> usize {
        let mut freed = 0;
        for topic in &mut self.slots {
            if topic.log.is_some() {
                freed += topic.matches_bytes();
            }
            topic.forget_matches();
        }
        freed
    }

    /// Gives memory back after a flood of short-lived topics; the factor keeps this from happening often.
    fn shrink(&mut self) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        if self.by_name.capacity() > 1024 && self.by_name.len() * 8 < self.by_name.capacity() {
            self.by_name.shrink_to(self.by_name.len() * 2, |other| {
                hasher.hash_one(&*slots[*other as usize].name)
            });
        }
    }
}
