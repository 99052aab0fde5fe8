//! The keys that the node remembers, each with the receipt of its event.
//!
//! ```text
//!  queue   oldest ─► newest, by rising ids       pushed at its end; forgotten from its start
//!  index   hash of a name ─► number in the queue
//! ```
//!
//! A key is forgotten when its event is older than the window, or when newer keys need its place:
//! the window is shorter then, and the number of such keys is counted. A publisher is never refused
//! for a lack of room for its key.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::core::event::EventId;
use crate::core::table::{Deque, PartTable};

use super::key::Key;

/// Bytes charged for a key: its entry, its place in the index, and what both have in reserve.
pub const KEY_MEMORY_BYTES: usize = 64;

/// Keys forgotten for each new one while the node's memory is short.
const FORGOTTEN_WHILE_SHORT: usize = 2;

/// Bounds on the remembered keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Time for which a key is remembered, in milliseconds; 0 = none is.
    pub window_ms: u64,
    /// Most keys; 0 = none.
    pub count: usize,
}

impl KeyLimits {
    /// Whether any key is remembered.
    #[must_use]
    pub fn are_on(&self) -> bool {
        self.window_ms > 0 && self.count > 0
    }

    /// Keys of events below this id are forgotten when the wall clock reads this many milliseconds
    /// since the unix epoch, if ids are times.
    #[must_use]
    pub fn cut_off(&self, now_unix_ms: u64) -> EventId {
        let oldest_ms = now_unix_ms.saturating_sub(self.window_ms);
        EventId::from_parts(oldest_ms, 0).unwrap_or(EventId::new(u64::MAX))
    }
}

impl Default for KeyLimits {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            window_ms: 600_000,
            count: 1_000_000,
        }
    }
}

/// A key with the receipt of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The key.
    pub key: Key,
    /// Id of its event.
    pub id: EventId,
    /// Number of subscriptions that its event was delivered to.
    pub subscribers: u64,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Nothing: its event is to be published.
    New,
    /// Its event was published.
    Repeat(Remembered),
    /// Another event was published with it.
    Reused,
}

/// The remembered keys.
#[derive(Debug, Default)]
pub struct Keys {
    limits: KeyLimits,
    queue: Deque<Remembered>,
    /// Number of the first entry. Numbers are never used again.
    first: u64,
    /// The numbers of the entries, modulo 2^32. There are never as many.
    index: PartTable<u32>,
    hasher: DefaultHashBuilder,
    /// The node's memory is short.
    is_short: bool,
    /// Keys that were forgotten before their time.
    dropped: u64,
}

impl Keys {
    /// Sets the bounds, and forgets what is beyond them. Not to be called while others wait for the
    /// lock: it may forget all keys.
    pub fn set_limits(&mut self, limits: KeyLimits) {
        self.limits = limits;
        let most = if limits.are_on() { limits.count } else { 0 };
        while self.len() > most {
            self.forget_first();
        }
    }

    /// Whether the node's memory is short: then fewer keys are remembered, and each new one makes
    /// two older ones go.
    pub fn set_short(&mut self, is_short: bool) {
        self.is_short = is_short;
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory of the keys.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len() * KEY_MEMORY_BYTES
    }

    /// Keys that were forgotten before their time, for lack of room, since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// What is known of a key.
    #[must_use]
    pub fn recall(&self, key: &Key) -> Recalled {
        self.recall_from(key, EventId::ZERO, 0)
    }

    /// The same for an event from whose window on `cut_off` is the oldest id: keys of events below
    /// it count as forgotten, whether they are yet or not. So do those that have to go for `newer`
    /// keys, which will be remembered before that event.
    #[must_use]
    pub fn recall_from(&self, key: &Key, cut_off: EventId, newer: usize) -> Recalled {
        let number = self.number_of(key);
        let place = number.map(|number| self.place_of(number));
        let keeps = |place: &usize| self.len() + newer <= place + self.limits.count;
        let entry = place.filter(keeps).and_then(|place| self.queue.get(place));
        match entry.filter(|entry| entry.id >= cut_off) {
            None => Recalled::New,
            Some(entry) if entry.key.content == key.content => Recalled::Repeat(*entry),
            Some(_) => Recalled::Reused,
        }
    }

    fn number_of(&self, key: &Key) -> Option<u32> {
        let is_it = |number: &u32| {
            let entry = self.queue.get(self.place_of(*number));
            entry.is_some_and(|entry| entry.key.name == key.name)
        };
        self.index.find(self.hash(key), is_it).copied()
    }

    /// Remembers the key of an event that was just published. Its id must be above all others. It
    /// takes the place of an older event with the same key, which was too old for a repeat. Forgets
    /// older ones that have no place any more.
    pub fn remember(&mut self, new: Remembered) {
        if !self.limits.are_on() {
            return;
        }
        let cut_off = self.limits.cut_off(new.id.unix_ms());
        let mut spare = usize::from(self.len() >= self.limits.count);
        if self.is_short {
            spare = FORGOTTEN_WHILE_SHORT;
        }
        for _ in 0..spare {
            let forgotten = self.forget_first();
            self.dropped += u64::from(forgotten.is_some_and(|entry| entry.id >= cut_off));
        }
        self.push(new);
    }

    /// Forgets keys of events below `cut_off`, at most `steps` of them, and one at least. Returns
    /// whether it finished.
    pub fn expire(&mut self, cut_off: EventId, steps: usize) -> bool {
        for _ in 0..steps.max(1) {
            match self.queue.front() {
                Some(first) if first.id < cut_off => _ = self.forget_first(),
                _ => return true,
            }
        }
        false
    }

    /// At most `count` keys of events up to `through`, from the one with number `from` on, and the
    /// number to go on with. Keys may come and be forgotten between two portions.
    #[must_use]
    pub fn portion(&self, from: u64, count: usize, through: EventId) -> (Vec<Remembered>, u64) {
        let start = from.max(self.first);
        let places = ((start - self.first) as usize..).take(count);
        let entries = places.map_while(|place| self.queue.get(place));
        let entries: Vec<_> = entries
            .take_while(|entry| entry.id <= through)
            .copied()
            .collect();
        let next = start + entries.len() as u64;
        (entries, next)
    }

    /// Adds a key that an earlier process remembered. [`Keys::set_limits`] must follow the last
    /// one. Returns whether it fits behind those before it.
    #[must_use]
    pub fn restore(&mut self, entry: Remembered) -> bool {
        let fits = self.queue.back().is_none_or(|last| last.id < entry.id)
            && self.len() < u32::MAX as usize;
        if fits {
            self.push(entry);
        }
        fits
    }

    /// The newest id of an event with a key.
    #[must_use]
    pub fn newest(&self) -> Option<EventId> {
        self.queue.back().map(|entry| entry.id)
    }

    /// The oldest id of an event whose key is remembered.
    #[must_use]
    pub fn oldest(&self) -> Option<EventId> {
        self.queue.front().map(|entry| entry.id)
    }

    fn push(&mut self, entry: Remembered) {
        debug_assert!(self.newest().is_none_or(|last| last < entry.id), "ids rise");
        if let Some(older) = self.number_of(&entry.key) {
            self.unlist(&entry.key, older);
        }
        let number = (self.first + self.len() as u64) as u32;
        let hash = self.hash(&entry.key);
        self.queue.push_back(entry);
        let (queue, first, hasher) = (&self.queue, self.first, &self.hasher);
        self.index.insert_unique(hash, number, |number| {
            let entry = queue.get(number.wrapping_sub(first as u32) as usize);
            entry.map_or(0, |entry| hasher.hash_one(entry.key.name))
        });
    }

    fn forget_first(&mut self) -> Option<Remembered> {
        let key = self.queue.front()?.key;
        self.unlist(&key, self.first as u32);
        self.first += 1;
        self.queue.pop_front()
    }

    /// Removes the entry with this number from the index, if it is there.
    fn unlist(&mut self, key: &Key, number: u32) {
        let hash = self.hash(key);
        let (queue, first, hasher) = (&self.queue, self.first, &self.hasher);
        let hash_of = |number: &u32| {
            let entry = queue.get(number.wrapping_sub(first as u32) as usize);
            entry.map_or(0, |entry| hasher.hash_one(entry.key.name))
        };
        self.index.remove(hash, |listed| *listed == number, hash_of);
    }

    /// Forgets the keys of all events above `id`, which are lost: no key outlives its event.
    /// Otherwise the repeat of a lost event would be taken for a repeat, and be lost in silence.
    pub fn forget_above(&mut self, id: EventId) {
        if self.oldest().is_some_and(|oldest| oldest > id) {
            // One by one, a million would keep the lock for a good part of a second.
            self.first += self.len() as u64;
            self.queue = Deque::default();
            self.index = PartTable::default();
        }
        while let Some(last) = self.queue.back()
            && last.id > id
        {
            let (key, number) = (last.key, self.first + self.len() as u64 - 1);
            self.unlist(&key, number as u32);
            self.queue.pop_back();
        }
    }

    fn place_of(&self, number: u32) -> usize {
        number.wrapping_sub(self.first as u32) as usize
    }

    fn hash(&self, key: &Key) -> u64 {
        // Keyed: a publisher can look for keys whose digests have the same bits.
        self.hasher.hash_one(key.name)
    }

    /// Bytes that its tables have allocated.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.queue.allocated_bytes() + self.index.allocated_bytes()
    }
}

#[cfg(test)]
mod tests;
