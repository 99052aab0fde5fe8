//! The patterns of streams and grants.
//!
//! A topic and a pattern are compared once. [`PatternTable::younger`] finds the patterns that may
//! match a topic and were created after the last refresh of its matches (see `pattern_index.rs`).
//! Each topic stores the patterns that match it (see `matches.rs`).

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::core::event::EventId;
use crate::core::selector::Selector;
use crate::core::table::{Arena, PartTable};

use super::SelectorId;
use super::changes::{Change, Changes};
use super::evicted::Evicted;
use super::heard::Heard;
use super::listeners::Listeners;
use super::pattern_index::{BucketId, PatternIndex};
use super::pattern_ref::PatternRef;
use super::record::{EvictedRecord, Record, RestoreError};
use super::work::HoldLimits;

/// One pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) selector: Selector,
    /// Serial number: its rank among all patterns by creation.
    serial: u32,
    /// Its place in the index.
    bucket: BucketId,
    /// Streams that subscribe to it.
    pub(super) listeners: Listeners,
    /// Grants that name it.
    pins: u32,
    /// Evictions from its topics since its creation.
    evicted_since: Evicted,
    /// Upper bound of the evictions from its topics before its creation.
    evicted_before: Evicted,
    /// Upper bound of the evictions of deleted topics: of all that were deleted before its
    /// creation, and of those since that may match it. `None` once `evicted_before` has been made
    /// exact.
    forgotten_before: Option<Evicted>,
}

/// Bytes of a pattern in the index and in the table by selector.
const INDEXED_BYTES: usize = 64;

impl Pattern {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.selector.text().len() + INDEXED_BYTES
    }

    /// Upper bound of the evictions from its topics.
    pub(super) fn evicted(&self) -> Evicted {
        self.evicted_since.or(self.evicted_before)
    }

    /// `Some` while `evicted_before` is only a bound: the evictions that deleted topics had at
    /// most.
    pub(super) fn forgotten_before(&self) -> Option<Evicted> {
        self.forgotten_before
    }

    /// Makes `evicted_before` exact.
    pub(super) fn set_evicted_before(&mut self, evicted: Evicted) {
        self.evicted_before = evicted;
        self.forgotten_before = None;
    }

    /// Notes that a topic that may match it is about to be deleted. The topic had evicted this,
    /// perhaps before the pattern's creation.
    pub(super) fn forget(&mut self, evicted: Evicted) {
        self.forgotten_before = self.forgotten_before.map(|before| before.or(evicted));
    }

    pub(super) fn evict(&mut self, id: EventId, private: bool) {
        self.evicted_since.add(id, private);
    }

    /// Adds evictions from its topics.
    pub(super) fn evict_all(&mut self, evicted: Evicted) {
        self.evicted_since = self.evicted_since.or(evicted);
    }

    /// The reference that topics store.
    pub(super) fn reference(&self, slot: u32) -> PatternRef {
        PatternRef {
            slot,
            serial: self.serial,
        }
    }

    /// Its record in a snapshot. `untold` is what was evicted from its topics but not reported to
    /// it yet.
    pub(super) fn record(&self, slot: u32, untold: Evicted) -> Record {
        Record::Pattern {
            slot,
            serial: self.serial,
            selector: self.selector.clone(),
            listeners: self.listeners.into(),
            evicted_since: self.evicted_since.or(untold).into(),
            evicted_before: self.evicted_before.into(),
            forgotten_before: self.forgotten_before.map(EvictedRecord::from),
        }
    }

    /// A pattern of a snapshot. Restored grants pin it again.
    pub(super) fn restored(
        (selector, serial): (Selector, u32),
        listeners: Listeners,
        (evicted_since, evicted_before): (Evicted, Evicted),
        forgotten_before: Option<Evicted>,
    ) -> Self {
        Self {
            selector,
            serial,
            bucket: BucketId::default(),
            listeners,
            pins: 0,
            evicted_since,
            evicted_before,
            forgotten_before,
        }
    }
}

/// The evictions before the creation of a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth {
    /// From any topic.
    pub(super) evicted: Evicted,
    /// From deleted topics.
    pub(super) forgotten: Evicted,
}

/// Patterns by selector and by slot.
#[derive(Debug)]
pub(super) struct PatternTable {
    slots: Arena<Pattern>,
    by_selector: PartTable<u32>,
    index: PatternIndex,
    /// Patterns with at least one stream.
    subscribed: usize,
    /// Bytes of all patterns.
    bytes: usize,
    hasher: DefaultHashBuilder,
    /// Serial number of the newest pattern; 0 if no pattern was ever created.
    newest: u32,
    /// Number of patterns removed so far.
    removed: u64,
    changes: Changes,
    /// Most patterns of a topic that are a plain list.
    few: usize,
}

impl PatternTable {
    pub(super) fn new(limits: HoldLimits) -> Self {
        Self {
            slots: Arena::default(),
            by_selector: PartTable::default(),
            index: PatternIndex::default(),
            subscribed: 0,
            bytes: 0,
            hasher: DefaultHashBuilder::default(),
            newest: 0,
            removed: 0,
            changes: Changes::new(limits.kept_changes),
            few: limits.listed_patterns,
        }
    }

    pub(super) fn set_limits(&mut self, limits: HoldLimits) {
        self.changes.set_max(limits.kept_changes);
        self.few = limits.listed_patterns;
    }

    /// Most patterns of a topic that are a plain list.
    pub(super) fn few(&self) -> usize {
        self.few
    }

    /// Bytes of all patterns, for the node's account.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Serial number of the newest pattern. A topic that was refreshed up to this one knows all its
    /// patterns.
    pub(super) fn newest(&self) -> u32 {
        self.newest
    }

    /// Sets the serial number of the newest pattern of a snapshot.
    pub(super) fn set_newest(&mut self, newest: u32) {
        self.newest = newest;
    }

    /// The first pattern from slot `from` on.
    pub(super) fn next_from(&self, from: u32) -> Option<(u32, &Pattern)> {
        self.slots.next_from(from)
    }

    /// All patterns with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Pattern)> {
        self.slots.iter()
    }

    /// Puts a pattern of a snapshot into its slot, by rising slots.
    pub(super) fn insert_at(&mut self, slot: u32, pattern: Pattern) -> Result<(), RestoreError> {
        let is_in_order = slot >= self.slots.end() && !SelectorId(slot).is_pattern();
        if !is_in_order || self.find(&pattern.selector).is_some() {
            return Err(RestoreError::Order);
        }
        self.subscribed += usize::from(pattern.listeners.subscribers > 0);
        self.bytes += pattern.bytes();
        self.slots.insert_at(slot, pattern);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_selector
            .insert_unique(hash_of(slots, hasher, slot), slot, |slot| {
                hash_of(slots, hasher, *slot)
            });
        Ok(())
    }

    /// Adds the patterns of a snapshot to the index.
    pub(super) fn finish_restore(&mut self) {
        let patterns = self.slots.iter();
        let mut by_age: Vec<_> = patterns
            .map(|(slot, pattern)| (pattern.serial, slot))
            .collect();
        by_age.sort_unstable();
        for (serial, slot) in by_age {
            if let Some(pattern) = self.slots.get_mut(slot) {
                pattern.bucket = self.index.add(&pattern.selector, serial, slot);
            }
        }
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Pattern> {
        self.slots.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Pattern> {
        self.slots.get_mut(slot)
    }

    /// The pattern that a topic refers to, if it still exists.
    pub(super) fn find_ref(&mut self, found: PatternRef) -> Option<&mut Pattern> {
        self.get_mut(found.slot)
            .filter(|pattern| pattern.serial == found.serial)
    }

    pub(super) fn is_current(&self, found: PatternRef) -> bool {
        self.get(found.slot)
            .is_some_and(|pattern| pattern.serial == found.serial)
    }

    pub(super) fn find(&self, selector: &Selector) -> Option<u32> {
        let hash = self.hasher.hash_one(selector);
        self.by_selector
            .find(hash, |slot| self.is(*slot, selector))
            .copied()
    }

    fn is(&self, slot: u32, selector: &Selector) -> bool {
        self.get(slot)
            .is_some_and(|pattern| pattern.selector == *selector)
    }

    /// The slot of a pattern, which is created if necessary. `None` if the serial numbers have run
    /// out: see [`PatternTable::renumber`].
    pub(super) fn intern(&mut self, selector: &Selector, birth: Birth) -> Option<u32> {
        if let Some(slot) = self.find(selector) {
            return Some(slot);
        }
        let serial = self.newest.checked_add(1)?;
        self.newest = serial;
        let slot = self.slots.next_slot();
        let bucket = self.index.add(selector, serial, slot);
        let pattern = Pattern {
            selector: selector.clone(),
            serial,
            bucket,
            listeners: Listeners::default(),
            pins: 0,
            evicted_since: Evicted::default(),
            evicted_before: birth.evicted.or(birth.forgotten),
            forgotten_before: Some(birth.forgotten),
        };
        self.bytes += pattern.bytes();
        self.slots.insert(pattern);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_selector
            .insert_unique(hash_of(slots, hasher, slot), slot, |slot| {
                hash_of(slots, hasher, *slot)
            });
        Some(slot)
    }

    /// Renumbers all patterns from 1 on. Every topic has to be matched again.
    pub(super) fn renumber(&mut self) {
        let patterns = self.slots.iter();
        let mut order: Vec<_> = patterns
            .map(|(slot, pattern)| (pattern.serial, slot))
            .collect();
        order.sort_unstable();
        self.newest = 0;
        self.index = PatternIndex::default();
        for (_, slot) in order {
            self.newest += 1;
            if let Some(pattern) = self.slots.get_mut(slot) {
                pattern.serial = self.newest;
                pattern.bucket = self.index.add(&pattern.selector, self.newest, slot);
            }
        }
    }

    /// Number of patterns removed so far.
    pub(super) fn removed(&self) -> u64 {
        self.removed
    }

    /// The latest changes of subscriptions.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The sum of the listeners of these patterns, without those that have been removed.
    pub(super) fn heard(&self, patterns: &[PatternRef]) -> Heard {
        let mut heard = Heard::default();
        for known in patterns {
            let pattern = self.get(known.slot);
            if let Some(pattern) = pattern.filter(|pattern| pattern.serial == known.serial) {
                heard.add(&pattern.listeners);
            }
        }
        heard
    }

    /// Changes the listeners of a pattern.
    fn change(&mut self, slot: u32, change: impl FnOnce(&mut Listeners)) {
        let has_many = self.slots.len() > self.few;
        let Some(pattern) = self.slots.get_mut(slot) else {
            return;
        };
        let before = pattern.listeners;
        change(&mut pattern.listeners);
        let after = pattern.listeners;
        let (was_heard, is_heard) = (before.subscribers > 0, after.subscribers > 0);
        self.subscribed += usize::from(is_heard && !was_heard);
        self.subscribed -= usize::from(was_heard && !is_heard);
        if !has_many {
            self.changes.skip();
        } else if before != after {
            let pattern = pattern.reference(slot);
            self.changes.push(Change {
                pattern,
                before,
                after,
            });
        }
    }

    /// Counts one more stream.
    pub(super) fn subscribe(&mut self, slot: u32, shard: usize, granted: bool) {
        self.change(slot, |listeners| {
            listeners.subscribers += 1;
            listeners.granted += u32::from(granted);
            listeners.shards.insert(shard);
        });
    }

    /// Notes that one of its streams has moved to shard `shard`.
    pub(super) fn follow(&mut self, slot: u32, shard: usize) {
        self.change(slot, |listeners| listeners.shards.insert(shard));
    }

    /// Counts one stream less. Removes the pattern if this was its last reference.
    pub(super) fn unsubscribe(&mut self, slot: u32, granted: bool) {
        self.change(slot, |listeners| {
            debug_assert!(
                listeners.subscribers > 0,
                "unsubscribed once for each subscribe"
            );
            listeners.subscribers -= 1;
            listeners.granted -= u32::from(granted);
            if listeners.subscribers == 0 {
                *listeners = Listeners::default();
            }
        });
        self.remove_unheld(slot);
    }

    /// Adds a pin.
    pub(super) fn pin(&mut self, slot: u32) {
        if let Some(pattern) = self.get_mut(slot) {
            pattern.pins += 1;
        }
    }

    /// Releases a pin. Removes the pattern if this was its last reference.
    pub(super) fn unpin(&mut self, slot: u32) {
        if let Some(pattern) = self.get_mut(slot) {
            debug_assert!(pattern.pins > 0, "unpinned once for each pin");
            pattern.pins -= 1;
        }
        self.remove_unheld(slot);
    }

    /// Removes the pattern if it has no reference.
    pub(super) fn remove_unheld(&mut self, slot: u32) {
        if self
            .get(slot)
            .is_none_or(|pattern| pattern.listeners.subscribers > 0 || pattern.pins > 0)
        {
            return;
        }
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash = hash_of(slots, hasher, slot);
        self.by_selector.remove(
            hash,
            |other| *other == slot,
            |other| hash_of(slots, hasher, *other),
        );
        if let Some(pattern) = self.slots.remove(slot) {
            self.bytes -= pattern.bytes();
            self.index.remove(pattern.bucket, pattern.serial);
            self.removed += 1;
        }
        if self.slots.len() <= self.few {
            self.changes.clear();
        }
    }

    /// The patterns that may match `topic` and have a serial number above `seen`, the oldest first.
    pub(super) fn younger(&self, topic: &str, seen: u32) -> Vec<PatternRef> {
        self.index.younger(topic, seen)
    }

    /// Patterns with at least one stream.
    pub(super) fn subscribed(&self) -> usize {
        self.subscribed
    }

    /// Bytes allocated by its tables.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.slots.allocated_bytes()
            + self.by_selector.allocated_bytes()
            + self.index.allocated_bytes()
            + self.changes.allocated_bytes()
    }

    #[cfg(test)]
    pub(super) fn run_out_of_serials(&mut self) {
        self.newest = u32::MAX;
    }
}

/// The hash of the selector of the pattern in a slot.
fn hash_of(slots: &Arena<Pattern>, hasher: &DefaultHashBuilder, slot: u32) -> u64 {
    let pattern = slots.get(slot);
    pattern.map_or(0, |pattern| hasher.hash_one(&pattern.selector))
}
