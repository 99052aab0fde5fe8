//! The record of one stream.

use std::fmt;
use std::str::FromStr;

use crate::core::event::EventId;
use crate::core::places::ClientKey;
use crate::core::sse::Encoding;

/// The slot of a stream's record in its shard, and the serial number of the stream in that slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Slot of its record.
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

/// Properties of a stream, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// It has several topics: `topic` is the number of its topic set.
    pub(crate) const MULTI: Self = Self(1);
    /// It is not at the head: it has a lagging entry and reads from history.
    pub(crate) const BEHIND: Self = Self(1 << 1);
    /// Its wire is full; the wire's owner signals when it is writable again.
    pub(crate) const BLOCKED: Self = Self(1 << 2);
    /// It waits in the run queue of streams that can read on.
    pub(crate) const QUEUED: Self = Self(1 << 3);
    /// Bytes were written to it since the last heartbeat sweep.
    pub(crate) const ACTIVE: Self = Self(1 << 4);
    /// It has a ticket.
    pub(crate) const TICKET: Self = Self(1 << 5);
    /// It has a guard, which is dropped with it.
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

/// A stream: a cursor, not a task. This is the whole cost of a caught-up stream, beside four bytes
/// in its topic's list.
#[derive(Debug)]
pub(crate) struct Subscriber<S> {
    /// It has seen all its events up to here.
    pub(crate) cursor: EventId,
    /// The wire of its bytes.
    pub(crate) wire: S,
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
    pub(crate) encoding: Encoding,
}

// The memory goals (docs/ARCHITECTURE.md) depend on this. A wire has four bytes.
const _: () = assert!(size_of::<Option<Subscriber<u32>>>() == 40);

impl<S> Subscriber<S> {
    pub(crate) fn new(
        wire: S,
        client: ClientKey,
        encoding: Encoding,
        serial: u32,
        opened_s: u32,
    ) -> Self {
        Self {
            cursor: EventId::ZERO,
            wire,
            client,
            serial,
            topic: 0,
            position: 0,
            opened_s,
            bytes_low: 0,
            bytes_high: 0,
            flags: Flags::default(),
            encoding,
        }
    }

    /// Bytes that its wire accepted; wraps at 256 TiB.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.bytes_high) << 32 | u64::from(self.bytes_low)
    }

    pub(crate) fn add_bytes(&mut self, n: usize) {
        self.set_bytes(self.bytes().wrapping_add(n as u64));
    }

    pub(crate) fn set_bytes(&mut self, bytes: u64) {
        self.bytes_low = bytes as u32;
        self.bytes_high = (bytes >> 32) as u16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
