//! The table of existing topics, by name and by slot. A topic's slot number does not change.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::core::event::EventId;
use crate::core::table::{Arena, PartTable};

use super::BARE_TOPIC_BYTES;
use super::RestoreError;
use super::SelectorId;
use super::ShardSet;
use super::evicted::Evicted;
use super::found::Matches;
use super::log::Log;
use super::own_ids::Place;
use crate::core::limits::TOPIC_OVERHEAD_BYTES;

/// One topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    pub(super) name: Box<str>,
    /// Its latest events; `None` if it has none.
    pub(super) log: Option<Box<Log>>,
    /// The ids of the last evicted events; see the invariant in the parent module.
    pub(super) evicted: Evicted,
    /// Number of streams subscribed to it by name.
    pub(super) subscribers: u32,
    /// Number of those that have a grant, and so may hear private events.
    pub(super) granted: u32,
    pub(super) pins: Pins,
    /// The patterns that match it, as far as they are known.
    pub(super) matches: Matches,
    /// Serial number of the newest pattern that `matches` accounts for.
    pub(super) matched_through: u32,
    /// Shards that may have one of the subscribers.
    pub(super) shards: ShardSet,
}

// A node may have as many topics as streams; see the memory goals in docs/ARCHITECTURE.md.
const _: () = assert!(size_of::<Topic>() <= 72);

impl Topic {
    /// Whether nothing refers to it, so that it is to be removed.
    pub(super) fn is_unused(&self) -> bool {
        self.log.is_none() && self.subscribers == 0 && !self.pins.any()
    }

    /// Its bytes while it has no events.
    fn bare_bytes(&self) -> usize {
        BARE_TOPIC_BYTES + self.name.len() + self.matches_bytes()
    }

    /// Its bytes while it has events, without those of the events.
    pub(super) fn overhead_bytes(&self) -> usize {
        TOPIC_OVERHEAD_BYTES + self.name.len() + self.matches_bytes()
    }
}

/// Reference count (grants and in-flight publishes). The top bit is `HAS_EVICTED`, packed here to
/// keep [`Topic`] at 72 bytes.
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

    /// Notes that the topic has evicted an event of its own. Until then, its `evicted` is only the
    /// bound that it got at its creation.
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
    slots: Arena<Topic>,
    by_name: PartTable<NamedSlot>,
    hasher: DefaultHashBuilder,
    /// The slot of the topic that was found last: a publisher has many events for one.
    recent: u32,
    /// Bytes of topics without events, which the history's budget does not count.
    bare_bytes: usize,
}

impl TopicTable {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of topics without events, including their places in tables.
    pub(super) fn bare_bytes(&self) -> usize {
        self.bare_bytes
    }

    /// Notes that a topic got its first event, so that its bytes are charged to the history from
    /// now on; or that it lost its last event.
    pub(super) fn note_events(&mut self, index: u32, has_events: bool) {
        let bytes = self.get(index).bare_bytes();
        if has_events {
            self.bare_bytes -= bytes;
        } else {
            self.bare_bytes += bytes;
        }
    }

    /// Notes that the matches of a topic without events took `before` bytes and now take `after`.
    pub(super) fn note_bare_matches(&mut self, before: usize, after: usize) {
        self.bare_bytes = self.bare_bytes + after - before;
    }

    /// The first slot after all topics.
    pub(super) fn end(&self) -> u32 {
        self.slots.end()
    }

    /// The first topic from slot `from` on.
    pub(super) fn next_from(&self, from: u32) -> Option<(u32, &Topic)> {
        self.slots.next_from(from)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Topic)> {
        self.slots.iter()
    }

    /// The topic in a slot that is in use.
    pub(super) fn get(&self, index: u32) -> &Topic {
        self.in_slot(index)
            .expect("a topic that is referenced exists")
    }

    pub(super) fn get_mut(&mut self, index: u32) -> &mut Topic {
        let topic = self.slots.get_mut(index);
        topic.expect("a topic that is referenced exists")
    }

    pub(super) fn in_slot_mut(&mut self, index: u32) -> Option<&mut Topic> {
        self.slots.get_mut(index)
    }

    /// Puts a topic of a snapshot into its slot, by rising slots.
    pub(super) fn insert_at(&mut self, slot: u32, topic: Topic) -> Result<(), RestoreError> {
        let is_in_order = slot >= self.slots.end() && !SelectorId(slot).is_pattern();
        if !is_in_order || self.find(&topic.name).is_some() {
            return Err(RestoreError::Order);
        }
        let name_hash = self.hash_of(&topic.name);
        self.bare_bytes += topic.bare_bytes();
        self.slots.insert_at(slot, topic);
        self.insert_name(name_hash, slot);
        Ok(())
    }

    /// The topic in a slot; `None` if the slot is free.
    pub(super) fn in_slot(&self, index: u32) -> Option<&Topic> {
        self.slots.get(index)
    }

    /// Whether the topic in a slot keeps this event. Ids rise and a topic evicts its oldest events
    /// first. So if the slot has been reused by another topic, all its events are above this id.
    pub(super) fn keeps(&self, index: u32, id: EventId) -> bool {
        let log = self.in_slot(index).and_then(|topic| topic.log.as_ref());
        log.and_then(|log| log.first_id())
            .is_some_and(|first| first <= id)
    }

    /// Whether the publisher gave this id to the event at this place.
    pub(super) fn has_own_id(&self, place: Place, own_id: &str) -> bool {
        let log = self
            .in_slot(place.topic)
            .and_then(|topic| topic.log.as_ref());
        log.and_then(|log| log.find(place.id))
            .is_some_and(|entry| entry.own_id() == Some(own_id))
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        if self.is_recent(name) {
            return Some(self.recent);
        }
        self.find_hashed(name, self.hash_of(name))
    }

    fn is_recent(&self, name: &str) -> bool {
        let recent = self.in_slot(self.recent);
        recent.is_some_and(|topic| &*topic.name == name)
    }

    fn find_hashed(&self, name: &str, name_hash: u32) -> Option<u32> {
        let has_name =
            |it: &NamedSlot| it.name_hash == name_hash && &*self.get(it.slot).name == name;
        let found = self.by_name.find(spread(name_hash), has_name)?;
        Some(found.slot)
    }

    fn insert_name(&mut self, name_hash: u32, slot: u32) {
        let entry = NamedSlot { name_hash, slot };
        self.by_name
            .insert_unique(spread(name_hash), entry, NamedSlot::hash);
    }

    fn hash_of(&self, name: &str) -> u32 {
        self.hasher.hash_one(name) as u32
    }

    /// The slot of the topic of this name, which is created if necessary. A new topic starts with
    /// `forgotten` as its evictions, because a deleted topic may have had its name.
    pub(super) fn intern(&mut self, name: &str, forgotten: Evicted) -> u32 {
        if self.is_recent(name) {
            return self.recent;
        }
        let name_hash = self.hash_of(name);
        if let Some(index) = self.find_hashed(name, name_hash) {
            self.recent = index;
            return index;
        }
        let index = self.slots.insert(Topic {
            name: name.into(),
            evicted: forgotten,
            ..Topic::default()
        });
        self.bare_bytes += self.get(index).bare_bytes();
        self.insert_name(name_hash, index);
        index
    }

    pub(super) fn remove(&mut self, index: u32) {
        debug_assert!(
            self.get(index).log.is_none(),
            "only unused topics are removed"
        );
        self.bare_bytes -= self.get(index).bare_bytes();
        let hash = spread(self.hash_of(&self.get(index).name));
        self.by_name
            .remove(hash, |entry| entry.slot == index, NamedSlot::hash);
        self.slots.remove(index);
    }

    /// Forgets the matches of all topics, because the serial numbers of patterns have changed.
    /// Every topic has to be matched again. Returns the bytes that the matches of topics with
    /// events had.
    pub(super) fn forget_matches(&mut self) -> usize {
        let (mut freed, mut from) = (0, 0);
        while let Some((index, _)) = self.slots.next_from(from) {
            from = index + 1;
            let topic = self.get_mut(index);
            let bytes = topic.matches_bytes();
            topic.forget_matches();
            if topic.log.is_some() {
                freed += bytes;
            } else {
                self.bare_bytes -= bytes;
            }
        }
        freed
    }

    /// Bytes allocated by its tables.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.slots.allocated_bytes() + self.by_name.allocated_bytes()
    }
}

/// A topic's slot, found by its name. The hash is stored: computing it again when a part is moved
/// would read the topic and its name, which are seldom in the cache.
#[derive(Clone, Copy, Debug)]
struct NamedSlot {
    name_hash: u32,
    slot: u32,
}

impl NamedSlot {
    fn hash(&self) -> u64 {
        spread(self.name_hash)
    }
}

/// Spreads a 32-bit hash over 64 bits, because the table uses upper and lower bits.
fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
