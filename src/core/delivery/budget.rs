//! Bounds on one turn of a shard.

use crate::core::history::{ReadBudget, Work};

use super::query::FindLimits;

/// What one turn may do at most. What is left over waits for the next turn, so that no kind of work holds up the others.
#[derive(Clone, Debug)]
pub struct TurnBudget {
    /// Signals taken.
    pub signals: usize,
    /// Messages taken: some 100 µs of attaches, so that a storm of connects does not hold events up.
    pub messages: usize,
    /// Bytes of events taken: what is joined for one write, and what a socket's send buffer takes in one go.
    pub event_bytes: usize,
    /// Streams that read on from history: some 2 ms of writes, so that replay never starves live delivery.
    pub replay_streams: usize,
    /// Bytes that one stream may read on before others get theirs.
    pub replay_bytes: usize,
    /// One read from history: the store's lock is held for some microseconds, and one `writev` takes all of it.
    pub read: ReadBudget,
    /// What a read that found nothing counts, as bytes: about the time that writing so much would take.
    pub pass_bytes: usize,
    /// Streams ended on the node's own account, so that events still flow to those that remain.
    pub ends: usize,
    /// Slots swept in one slice: at some 5 µs a write, a slice holds events up by a millisecond or so.
    pub sweep_slots: u32,
    /// Slices of the sweep that may be made up for when turns are long.
    pub sweep_slices: u32,
    /// One portion of a query for streams.
    pub find: FindLimits,
    /// References of closed streams that may wait for later turns: 8 MiB. A turn that ends with more gives back several
    /// portions, so that streams that come and go faster than portions do not pile them up.
    pub released_max: usize,
    /// What one portion gives back to the store of what closed streams had.
    pub release: Work,
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
        }
    }
}
