//! Bounds on one turn of a shard.

use crate::core::history::{ReadBudget, Work};

use super::sets::SetLimits;

/// Bounds on one turn. The rest waits for the next turn, so that no kind of work holds up the
/// others.
#[derive(Clone, Debug)]
pub struct TurnBudget {
    /// Most signals handled.
    pub signals: usize,
    /// Most messages handled: some 100 µs of attaches, so that a storm of connects does not hold
    /// events up.
    pub messages: usize,
    /// Most bytes of events: as many as are joined for one write, and as a socket's send buffer
    /// accepts at once.
    pub event_bytes: usize,
    /// Streams that read on from history: some 2 ms of writes, so that replay never starves live
    /// delivery.
    pub replay_streams: usize,
    /// Bytes that one stream may read on before others get theirs.
    pub replay_bytes: usize,
    /// One read from history: the store's lock is held for some microseconds, and one `writev`
    /// accepts all of it.
    pub read: ReadBudget,
    /// Bytes charged for a read that returned nothing: about the time that writing this many would
    /// take.
    pub pass_bytes: usize,
    /// Streams ended on the node's own account, so that events still flow to those that remain.
    pub ends: usize,
    /// Slots swept in one slice: at some 5 µs a write, a slice holds events up by a millisecond or
    /// so.
    pub sweep_slots: u32,
    /// Slices of the sweep that may be caught up on when turns are long.
    pub sweep_slices: u32,
    /// One portion of a query for streams.
    pub find: FindLimits,
    /// References of closed streams that may wait for later turns: 8 MiB. A turn that ends with
    /// more releases several portions, so that streams that come and go faster than portions do not
    /// pile them up.
    pub released_max: usize,
    /// Work of one portion of releasing what closed streams had in the store.
    pub release: Work,
    /// Looking up sets of many patterns.
    pub sets: SetLimits,
}

impl Default for TurnBudget {
    fn default() -> Self {
        Self {
            signals: 2_048,
            messages: 256,
            event_bytes: 64 * 1024,
            replay_streams: 256,
            replay_bytes: 256 * 1024,
            read: ReadBudget {
                events: 60,
                bytes: 64 * 1024,
            },
            pass_bytes: 64 * 1024,
            ends: 256,
            sweep_slots: 256,
            sweep_slices: 8,
            find: FindLimits::default(),
            released_max: 1 << 20,
            release: Work::default(),
            sets: SetLimits::default(),
        }
    }
}

/// Bounds on one portion of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindLimits {
    /// Slots examined: some 200 µs.
    pub slots: u32,
    /// Most streams described or ended.
    pub found: usize,
    /// Most steps of matching: some 200 µs, and at most as much again for the match that exceeds
    /// them.
    pub steps: usize,
    /// Topics of streams examined.
    pub topics: usize,
}

impl Default for FindLimits {
    fn default() -> Self {
        Self {
            slots: 1_024,
            found: 256,
            steps: 200_000,
            topics: 8_192,
        }
    }
}
