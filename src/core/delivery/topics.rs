//! A shard's own topic table: the streams of each topic. A pattern is a topic here like any other.

use smallvec::SmallVec;

use crate::core::history::SlowConsumerPolicy;
use crate::core::history::{SelectorId, Wanted};
use crate::core::table::{Arena, PartTable};

/// Marks a topic without an event in this turn.
const CLEAN: u32 = u32::MAX;

/// A topic or pattern with at least one stream on this shard.
#[derive(Debug)]
pub(crate) struct LocalTopic {
    pub(crate) id: SelectorId,
    /// Number of its entry in the turn's list of dirty topics, or [`CLEAN`].
    pub(crate) dirty: u32,
    pub(crate) policy: SlowConsumerPolicy,
    /// Slots of its streams. Four fit without an allocation: a topic of one user has one or two.
    pub(crate) members: SmallVec<[u32; 4]>,
}

const _: () = assert!(size_of::<LocalTopic>() <= 40);

impl LocalTopic {
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty != CLEAN
    }

    pub(crate) fn clean(&mut self) {
        self.dirty = CLEAN;
    }

    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            selector: self.id,
            policy: self.policy,
        }
    }
}

/// A topic of a stream, and the stream's position in the topic's member list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) topic: u32,
    pub(crate) position: u32,
}

/// The topics by number and by the store's id, and the topic sets of the streams with several
/// topics.
#[derive(Debug, Default)]
pub(crate) struct LocalTopics {
    slots: Arena<LocalTopic>,
    by_id: PartTable<u32>,
    sets: Arena<Box<[Membership]>>,
    /// Rises when a stream with a pattern is added or removed.
    version: u64,
}

impl LocalTopics {
    /// Rises when a stream with a pattern is added or removed.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    fn note_change(&mut self, id: SelectorId) {
        self.version += u64::from(id.is_pattern());
    }

    pub(crate) fn get(&self, index: u32) -> Option<&LocalTopic> {
        self.slots.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut LocalTopic> {
        self.slots.get_mut(index)
    }

    pub(crate) fn find(&self, id: SelectorId) -> Option<u32> {
        self.by_id
            .find(hash(id), |index| {
                self.get(*index).is_some_and(|topic| topic.id == id)
            })
            .copied()
    }

    /// Adds `slot` to the members of a topic; returns the topic's number and the position in its
    /// list.
    pub(crate) fn join(&mut self, wanted: Wanted, slot: u32) -> Membership {
        self.note_change(wanted.selector);
        let index = self
            .find(wanted.selector)
            .unwrap_or_else(|| self.add(wanted));
        let mut position = 0;
        if let Some(topic) = self.get_mut(index) {
            position = topic.members.len() as u32;
            topic.members.push(slot);
        }
        Membership {
            topic: index,
            position,
        }
    }

    fn add(&mut self, wanted: Wanted) -> u32 {
        let topic = LocalTopic {
            id: wanted.selector,
            dirty: CLEAN,
            policy: wanted.policy,
            members: SmallVec::new(),
        };
        let index = self.slots.insert(topic);
        let slots = &self.slots;
        self.by_id
            .insert_unique(hash(wanted.selector), index, |other| hash_of(slots, *other));
        index
    }

    /// Removes a member from a topic's list. The last member moves into its position: returns the
    /// slot of the member that moved, if any.
    pub(crate) fn leave(&mut self, at: Membership) -> Option<u32> {
        self.note_change(self.get(at.topic)?.id);
        let topic = self.get_mut(at.topic)?;
        topic.members.swap_remove(at.position as usize);
        let moved = topic.members.get(at.position as usize).copied();
        if topic.members.is_empty() && !topic.is_dirty() {
            self.remove(at.topic);
        } else if topic.members.spilled() && topic.members.len() * 4 < topic.members.capacity() {
            // Room for as many again is kept, so that a topic whose streams come and go is not
            // reallocated each time.
            let mut smaller = SmallVec::with_capacity(topic.members.len() * 2);
            smaller.extend_from_slice(&topic.members);
            topic.members = smaller;
        }
        moved
    }

    /// Removes a topic without members, unless it is dirty: the turn's list of dirty entries refers
    /// to it by number.
    pub(crate) fn remove_if_empty(&mut self, index: u32) {
        if self
            .get(index)
            .is_some_and(|topic| topic.members.is_empty() && !topic.is_dirty())
        {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: u32) {
        let slots = &self.slots;
        let hash = hash_of(slots, index);
        self.by_id.remove(
            hash,
            |other| *other == index,
            |other| hash_of(slots, *other),
        );
        self.slots.remove(index);
    }

    pub(crate) fn add_set(&mut self, set: Box<[Membership]>) -> u32 {
        self.sets.insert(set)
    }

    pub(crate) fn set(&self, index: u32) -> &[Membership] {
        self.sets.get(index).map_or(&[], |set| set)
    }

    pub(crate) fn set_mut(&mut self, index: u32) -> &mut [Membership] {
        self.sets.get_mut(index).map_or(&mut [], |set| set)
    }

    pub(crate) fn remove_set(&mut self, index: u32) -> Box<[Membership]> {
        self.sets.remove(index).unwrap_or_default()
    }

    /// Bytes that its tables have allocated.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.slots.allocated_bytes() + self.by_id.allocated_bytes() + self.sets.allocated_bytes()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

/// The hash of the id of the topic in a slot.
fn hash_of(slots: &Arena<LocalTopic>, index: u32) -> u64 {
    slots.get(index).map_or(0, |topic| hash(topic.id))
}

/// Fibonacci hashing: the ids are the node's own small numbers, so clients cannot choose ids that
/// collide.
fn hash(SelectorId(id): SelectorId) -> u64 {
    u64::from(id)
        .wrapping_add(1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(32)
}
