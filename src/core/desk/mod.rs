//! The desk: everything that happens under the node's one lock, without the lock, the posting and
//! the waiting themselves.
//!
//! An event is stamped, appended to its topics and addressed to shards ([`Desk::publish`]). A
//! stream is counted in its topics and gets the cursor from which it is live ([`Desk::attach`]),
//! and is uncounted at its end ([`Desk::release`]). The hub, the simulator and the benches hold the
//! desk's lock for each of these and post the result to the shards under the same lock. So all
//! shards and all histories see one order, and a stream that attaches misses nothing and gets
//! nothing twice.
//!
//! Sans I/O: each call passes the time in. Nothing here waits.

mod attach;
mod batch;
mod break_off;
mod line;
mod publish;
mod recall;
mod release;
mod reseat;
mod snapshot;
mod stamps;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::core::event::{EventId, OrderMark};
use crate::core::history::{HistoryLimits, HoldLimits, SlowConsumerPolicies, Store};
use crate::core::idempotency::{KeyLimits, Keys};
use crate::core::places::Places;
use crate::core::presence::Presence;

pub use attach::{Arrival, Pinned, Seat};
pub use batch::{Batch, Delivery, Trace, TraceReport};
pub use break_off::Break;
pub use line::{Line, Ticket, Woken};
pub use publish::{Publication, Published, Receipt, Refusal, Stamped, Tracing, Untraced, Watched};
pub use reseat::Reseat;
pub use snapshot::{DeskCursor, DeskRecord};
pub use stamps::Stamps;

/// The bounds and rules of a desk.
#[derive(Clone, Debug, Default)]
pub struct DeskConfig {
    /// Bounds on the history.
    pub history: HistoryLimits,
    /// Bounds on one hold of the lock.
    pub hold: HoldLimits,
    /// Policies for streams that are too slow.
    pub slow_consumer: SlowConsumerPolicies,
    /// Distinguishes the node's ids from those of others.
    pub mark: OrderMark,
    /// Bounds on the idempotency keys.
    pub keys: KeyLimits,
}

/// Topics, history, open places and announced streams of a node.
pub struct Desk {
    pub(crate) store: Store,
    slow_consumer: SlowConsumerPolicies,
    history: HistoryLimits,
    keys: KeyLimits,
    places: Arc<Places>,
    presence: Presence,
}

impl Desk {
    /// The desk of a node that starts at `now_unix_ms`, with an empty history.
    #[must_use]
    pub fn new(
        config: DeskConfig,
        places: Arc<Places>,
        presence: Presence,
        now_unix_ms: u64,
    ) -> Self {
        let mut store = Store::new(config.history, now_unix_ms)
            .with_mark(config.mark)
            .with_hold(config.hold);
        store.keys_mut().set_limits(config.keys);
        Self {
            store,
            keys: config.keys,
            slow_consumer: config.slow_consumer,
            history: config.history,
            places,
            presence,
        }
    }

    /// The same with the history of an earlier process. The order of its ids continues.
    #[must_use]
    pub fn with_store(self, mut store: Store) -> Self {
        store.keys_mut().set_limits(self.keys);
        Self { store, ..self }
    }

    /// Topics and history.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The idempotency keys.
    pub fn keys_mut(&mut self) -> &mut Keys {
        self.store.keys_mut()
    }

    /// The count of open streams.
    #[must_use]
    pub fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The announced streams.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// The newest id given; the node's start if there was no event yet.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.store.head()
    }

    /// Evicts events that are too old at `now_unix_ms`, examining at most `steps` of them, and
    /// forgets as many idempotency keys. Returns whether it finished.
    ///
    /// These two are the only places that turn a time into an id. If ids are given from outside and are
    /// not times, their source knows the cut-off: see [`Desk::expire_below`].
    pub fn expire(&mut self, now_unix_ms: u64, steps: usize) -> bool {
        let keys = self.keys.cut_off(now_unix_ms);
        self.expire_keys_below(keys, now_unix_ms, steps)
    }

    /// The same where a log gives the ids: it forgets the keys that are too old for whatever follows
    /// the newest id. By a clock, a node that is behind would forget keys that the next entries need.
    pub fn expire_with_log(&mut self, now_unix_ms: u64, steps: usize) -> bool {
        let keys = self.keys.cut_off(self.head().unix_ms());
        self.expire_keys_below(keys, now_unix_ms, steps)
    }

    fn expire_keys_below(&mut self, keys: EventId, now_unix_ms: u64, steps: usize) -> bool {
        let keys_done = self.store.keys_mut().expire(keys, steps);
        self.expire_below(self.history.cut_off(now_unix_ms), steps) && keys_done
    }

    /// Evicts events below `cut_off`, examining at most `steps` of them. Returns whether it
    /// finished.
    pub fn expire_below(&mut self, cut_off: EventId, steps: usize) -> bool {
        self.store.expire(cut_off, steps)
    }
}
