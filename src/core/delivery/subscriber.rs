//! The record of one stream, and the slab that holds a shard's streams.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::str::FromStr;

use crate::core::event::EventId;
use crate::core::places::ClientKey;
use crate::core::sse::Framing;

/// Where a stream's record is in its shard, and which of the streams that the slot has held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Slot of the slab.
    pub(crate) slot: u32,
    /// Number of the attach, so that a late event for a closed stream cannot meet its successor.
    pub(crate) serial: u32,
}

/// A stream of this node: its shard and its key there, written `<shard>-<slot>-<serial>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    pub(crate) shard: u32,
    pub(crate) key: Key,
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.key.slot, self.key.serial)
    }
}

impl FromStr for StreamKey {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '-').map(str::parse);
        let mut next = || parts.next().unwrap_or_else(|| "".parse());
        Ok(Self {
            shard: next()?,
            key: Key {
                slot: next()?,
                serial: next()?,
            },
        })
    }
}

/// What is true of a stream, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// It has several topics: `topic` is the number of its topic set.
    pub(crate) const MULTI: Self = Self(1);
    /// It is not at the head: it has a lagging entry and reads from history.
    pub(crate) const BEHIND: Self = Self(1 << 1);
    /// Its sink is full; the sink's owner tells when it is writable again.
    pub(crate) const BLOCKED: Self = Self(1 << 2);
    /// It waits in the run queue of streams that can read on.
    pub(crate) const QUEUED: Self = Self(1 << 3);
    /// Something was written to it since the last heartbeat sweep came by.
    pub(crate) const ACTIVE: Self = Self(1 << 4);
    /// It has a ticket.
    pub(crate) const TICKET: Self = Self(1 << 5);
    /// Something wants to be dropped with it.
    pub(crate) const GUARDED: Self = Self(1 << 6);
    /// It has an identity.
    pub(crate) const IDENTIFIED: Self = Self(1 << 7);

    pub(crate) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(crate) fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    pub(crate) fn clear(&mut self, flag: Self) {
        self.0 &= !flag.0;
    }
}

/// A stream: a cursor, not a task. All that a caught-up stream costs the process, beside four bytes in its topic's list.
#[derive(Debug)]
pub(crate) struct Subscriber<S> {
    /// It has seen all its events up to here.
    pub(crate) cursor: EventId,
    /// What its bytes are written to.
    pub(crate) sink: S,
    pub(crate) client: ClientKey,
    pub(crate) serial: u32,
    /// Its topic in the shard's table, or its topic set (see [`Flags::MULTI`]).
    pub(crate) topic: u32,
    /// Its place in its topic's member list (single topic only).
    pub(crate) position: u32,
    /// Seconds between the start of the shard and its own.
    pub(crate) opened_s: u32,
    bytes_low: u32,
    bytes_high: u16,
    pub(crate) flags: Flags,
    pub(crate) framing: Framing,
}

// The memory goals (docs/ARCHITECTURE.md) rest on this, with the four-byte sink of the reactor.
const _: () = assert!(size_of::<Option<Subscriber<Option<std::os::fd::OwnedFd>>>>() <= 40);

impl<S> Subscriber<S> {
    pub(crate) fn new(
        sink: S,
        client: ClientKey,
        framing: Framing,
        serial: u32,
        opened_s: u32,
    ) -> Self {
        Self {
            cursor: EventId::ZERO,
            sink,
            client,
            serial,
            topic: 0,
            position: 0,
            opened_s,
            bytes_low: 0,
            bytes_high: 0,
            flags: Flags::default(),
            framing,
        }
    }

    /// Bytes that its sink accepted; wraps at 256 TiB.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.bytes_high) << 32 | u64::from(self.bytes_low)
    }

    pub(crate) fn add_bytes(&mut self, n: usize) {
        let sum = self.bytes().wrapping_add(n as u64);
        self.bytes_low = sum as u32;
        self.bytes_high = (sum >> 32) as u16;
    }
}

/// Records a chunk of a [`Slab`]: growth allocates 40 KiB at a time and never moves a record, so a node that grows to a million
/// streams pauses for nothing and wastes at most one chunk.
const CHUNK: usize = 1024;

/// Slots with stable numbers. The lowest free slot is used first, so that the top empties and can be given back.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Box<[Option<T>]>>,
    /// Free slots; those above `used` are stale and skipped.
    free: BinaryHeap<Reverse<u32>>,
    /// All slots from here on are free.
    used: u32,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: BinaryHeap::new(),
            used: 0,
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Slots from 0 up to the highest that is taken.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        let (chunk, at) = split(slot);
        self.chunks.get(chunk)?[at].as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (chunk, at) = split(slot);
        self.chunks.get_mut(chunk)?[at].as_mut()
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let slot = self.next_slot();
        if slot == self.used {
            self.used += 1;
        } else {
            self.free.pop();
        }
        let (chunk, at) = split(slot);
        if chunk == self.chunks.len() {
            self.chunks.push((0..CHUNK).map(|_| None).collect());
        }
        debug_assert!(self.chunks[chunk][at].is_none());
        self.chunks[chunk][at] = Some(value);
        self.len += 1;
        slot
    }

    /// The slot that the next insert will take.
    pub(crate) fn next_slot(&mut self) -> u32 {
        while let Some(Reverse(slot)) = self.free.peek() {
            if *slot < self.used {
                return *slot;
            }
            self.free.pop();
        }
        self.used
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let (chunk, at) = split(slot);
        let value = self.chunks.get_mut(chunk)?[at].take()?;
        self.len -= 1;
        if self.len == 0 {
            self.used = 0;
            self.free = BinaryHeap::new();
        } else if slot + 1 == self.used {
            while self.used > 0 && self.get(self.used - 1).is_none() {
                self.used -= 1;
            }
        } else {
            self.free.push(Reverse(slot));
        }
        // One empty chunk is kept, so that a stream that comes and goes does not allocate each time.
        let needed = (self.used as usize).div_ceil(CHUNK) + 1;
        if self.chunks.len() > needed {
            self.chunks.truncate(needed);
        }
        Some(value)
    }
}

fn split(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK, slot as usize % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_slab_holds_what_was_put_in_and_gives_memory_back() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut slab = Slab::default();
        let mut model = HashMap::new();
        for round in 0..40_000_u32 {
            let growing = round < 15_000 || (25_000..30_000).contains(&round);
            if model.is_empty() || random.u8(..) < if growing { 200 } else { 60 } {
                let slot = slab.insert(round);
                assert!(model.insert(slot, round).is_none(), "slot {slot} was taken");
            } else {
                let slot = *model
                    .keys()
                    .nth(random.usize(..model.len().min(8)))
                    .expect("some");
                assert_eq!(slab.remove(slot), model.remove(&slot));
            }
            assert_eq!(slab.len(), model.len());
        }
        assert!(
            model
                .iter()
                .all(|(slot, value)| slab.get(*slot) == Some(value))
        );
        for slot in model.into_keys() {
            slab.remove(slot);
        }
        assert_eq!((slab.len(), slab.used(), slab.chunks.len()), (0, 0, 1));
    }

    #[test]
    fn a_stream_key_round_trips_and_refuses_the_rest() {
        let key = StreamKey {
            shard: 1,
            key: Key {
                slot: 20,
                serial: 300,
            },
        };
        assert_eq!(key.to_string().parse(), Ok(key));
        for bad in ["", "1", "1-2", "1-2-", "1-2-3-4", "a-2-3", "1-2-4294967296"] {
            assert!(bad.parse::<StreamKey>().is_err(), "{bad:?}");
        }
    }
}
