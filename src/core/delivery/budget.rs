//! Bounds on one turn of a shard.

use crate::core::history::{ReadBudget, Work};

use super::sets::SetLimits;

/// Bounds on one turn. The rest waits for the next turn, so that no kind of work delays the others.
#[derive(Clone, Debug)]
pub struct TurnBudget {
    /// Most signals handled.
    pub signals: usize,
    /// Most messages handled: some 100 µs of attaches, so that a storm of connects does not delay
    /// events.
    pub messages: usize,
    /// Bytes of events after which no further message is taken: as many as are joined for one
    /// write, and as a socket's send buffer accepts at once.
    pub event_bytes: usize,
    /// Most streams that read on from history: some 2 ms of writes, so that replay never starves
    /// live delivery.
    pub replay_streams: usize,
    /// Bytes that one stream may read on before the next stream is served.
    pub replay_bytes: usize,
    /// Bounds on one read from history: it needs the store's lock for some microseconds, and one
    /// `writev` accepts all of its events.
    pub read: ReadBudget,
    /// Bytes charged for a read that returned nothing: writing this many would take about as long.
    pub pass_bytes: usize,
    /// Most expired streams ended, and most streams ended by a drain, so that events still flow to
    /// the streams that remain.
    pub ends: usize,
    /// Most slots whose streams are put behind at once after a break: some 500 µs.
    pub breaks: u32,
    /// Most slots swept in one slice: at some 5 µs a write, a slice delays events by about a
    /// millisecond.
    pub sweep_slots: u32,
    /// Most slices of the sweep that are made up for when turns are long.
    pub sweep_slices: u32,
    /// Bounds on one portion of a query for streams.
    pub find: FindLimits,
    /// Most references of closed streams that wait for later turns: 8 MiB. A turn that ends with
    /// more releases several portions, so that references do not pile up when streams come and go
    /// faster than single portions are released.
    pub released_max: usize,
    /// Work of releasing one portion of the references that closed streams had in the store.
    pub release: Work,
    /// Bounds on sets of many patterns.
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
            breaks: 2_048,
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
    /// Most slots examined: some 200 µs.
    pub slots: u32,
    /// Most streams described or ended.
    pub found: usize,
    /// Most steps of matching: some 200 µs, and at most as much again for the match that exceeds
    /// them.
    pub steps: usize,
    /// Topics after which no further stream is examined.
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
