//! The decisions of a shard: which streams get which bytes, in which order, and which streams end.
//!
//! Sans I/O: everything comes in through `Core::turn`, bytes go out through `Io`, and the same code
//! runs under sockets and under the simulator. The protocol between the core and its caller is
//! documented at `Core::turn`.
//!
//! A stream is in one of two states. *Caught up*: it has seen every event of its topics up to the
//! shard's `last_id`, and new events are written to it as they come. *Behind*: it has an entry in
//! `lagging` and reads on from history, when its wire lets it, until nothing is left up to
//! `last_id`. Live delivery passes over a stream that is behind, so no event is written twice or
//! out of order.
//!
//! **Invariant:** a stream's cursor only rises, and every byte of an event at or below it was
//! either accepted by its wire or is in its remainder.

mod attach;
mod break_off;
mod budget;
mod close;
mod farewell;
mod find;
mod freeze;
mod guard;
mod held;
mod identity;
mod info;
mod io;
mod live;
mod log;
mod named;
mod named_run;
mod naming;
mod park;
pub mod query;
mod replay;
mod run;
mod run_event;
mod sets;
mod several;
mod signal;
mod stream;
mod stream_record;
mod subscriber;
mod sweep;
mod taken;
mod tickets;
mod topics;
mod turn;

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::core::event::{EventId, OrderMark};
use crate::core::history::Released;
use crate::core::table::Arena;
use crate::metrics::Cell;

pub use budget::{FindLimits, TurnBudget};
pub(crate) use farewell::farewell_retry_ms;
pub use guard::{Guard, GuardRecord, PatternsRecord, StreamGuard};
pub use identity::Identity;
pub(crate) use io::{Io, NotAdopted, Room, Sent, WireKind};
pub use park::Parked;
pub use replay::LaggingRecord;
pub use sets::SetLimits;
pub(crate) use signal::Signal;
pub use stream::{Attach, Counters, GAP_SPREAD_MS, ShardConfig, Shared, StreamInfo};
pub use stream_record::{StreamRecord, StreamRestoreError};
pub(crate) use subscriber::Key;
pub use subscriber::StreamKey;
pub use turn::Message;
pub(crate) use turn::{Input, Next, Now};

use break_off::Spread;
use farewell::Drain;
use held::Held;
use identity::Identities;
use live::Live;
use naming::Naming;
use replay::{Lagging, Outgoing};
use subscriber::{Flags, Subscriber};
use sweep::Sweep;
use taken::Taken;
use tickets::Tickets;
use topics::LocalTopics;

/// The time on a shard's clock at its start: 34 years. So a stream that is older than its shard
/// keeps its age, and the time for which its wire accepted nothing.
const CLOCK_START_MS: u64 = 1 << 40;

/// The state of one shard.
pub(crate) struct Core<I: Io> {
    config: ShardConfig,
    shared: Shared,
    counters: Counters,
    subscribers: Arena<Subscriber<I::Wire>>,
    topics: LocalTopics,
    tickets: Tickets,
    identities: Identities,
    /// Guards, which are dropped with their streams.
    guards: HashMap<u32, Guard>,
    /// Streams that are behind.
    lagging: HashMap<u32, Lagging>,
    /// What they hold, in the node's account.
    held: Held,
    /// Those of them that fell behind with more than the account has room for.
    unaffordable: Vec<Key>,
    /// Number of those of them that wait with their farewell.
    leaving: usize,
    /// The newest events of each topic that they may have missed.
    taken: Taken,
    /// Streams that are behind and whose wire has room: the run queue.
    ready: VecDeque<u32>,
    /// Every event up to here that concerns a stream of this shard has been taken from the mailbox.
    last_id: EventId,
    naming: Naming,
    /// Of the ids that streams are sent.
    mark: OrderMark,
    live: Live,
    outgoing: Outgoing,
    sweep: Sweep,
    drain: Option<Drain>,
    /// Streams that are told of a break, over time.
    spread: Option<Spread>,
    /// Streams that were caught up at the last break have seen everything up to here.
    break_at: EventId,
    /// References of closed streams that are still to be released.
    released: Released,
    serial: u32,
    now_ms: u64,
    unix_ms: u64,
    random: fastrand::Rng,
}

impl<I: Io> Core<I> {
    pub(crate) fn new(config: ShardConfig, shared: Shared, counters: Counters, seed: u64) -> Self {
        let (last_id, mark) = {
            let desk = shared.desk.lock();
            (desk.head(), desk.store().mark())
        };
        Self {
            sweep: Sweep::new(config.heartbeat_ms, CLOCK_START_MS),
            held: Held::new(&shared.budget),
            unaffordable: Vec::new(),
            config,
            shared,
            counters,
            subscribers: Arena::default(),
            topics: LocalTopics::default(),
            tickets: Tickets::default(),
            identities: Identities::default(),
            guards: HashMap::new(),
            lagging: HashMap::new(),
            leaving: 0,
            taken: Taken::default(),
            ready: VecDeque::new(),
            last_id,
            naming: Naming::default(),
            mark,
            live: Live::default(),
            outgoing: Outgoing::default(),
            drain: None,
            spread: None,
            break_at: EventId::ZERO,
            released: Released::default(),
            serial: 0,
            now_ms: CLOCK_START_MS,
            unix_ms: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Number of open streams.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether an open stream is caught up.
    #[cfg(test)]
    pub(crate) fn is_live(&self, key: Key) -> bool {
        let subscriber = self.subscribers.get(key.slot);
        self.is_open(key) && subscriber.is_some_and(|it| !it.flags.has(Flags::BEHIND))
    }

    /// Runs that were joined so far.
    #[cfg(test)]
    pub(crate) fn runs_made(&self) -> usize {
        self.live.runs_made.get()
    }

    /// Sets of patterns that were looked up so far.
    #[cfg(test)]
    pub(crate) fn sets_looked_up(&self) -> usize {
        self.live.sets_looked_up()
    }

    /// Number of topics that the shard knows.
    #[cfg(test)]
    pub(crate) fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Bytes that the tables of streams and topics have allocated.
    #[cfg(test)]
    pub(crate) fn table_bytes(&self) -> usize {
        self.subscribers.allocated_bytes() + self.topics.allocated_bytes()
    }

    /// Whether no stream has a ticket, an identity or a guard.
    #[cfg(test)]
    pub(crate) fn has_no_tickets(&self) -> bool {
        self.tickets.is_empty() && self.identities.is_empty() && self.guards.is_empty()
    }

    /// The count of open streams on wires of one kind.
    fn open_streams(&self, kind: WireKind) -> &Cell {
        match kind {
            WireKind::Socket => &self.counters.streams_socket,
            WireKind::Body => &self.counters.streams_body,
        }
    }

    /// Counts one write of so many bytes to a stream.
    fn count_write(&mut self, slot: u32, bytes: usize) {
        self.counters.writes.add(1);
        self.counters.bytes.add(bytes as u64);
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            subscriber.add_bytes(bytes);
            subscriber.flags.set(Flags::ACTIVE);
        }
    }

    /// The key of an open stream in `slot`.
    fn key_of(&self, slot: u32) -> Option<Key> {
        let subscriber = self.subscribers.get(slot)?;
        Some(Key {
            slot,
            serial: subscriber.serial,
        })
    }

    /// Whether the stream that this key names is still open.
    fn is_open(&self, key: Key) -> bool {
        self.key_of(key.slot) == Some(key)
    }

    /// The wire of an open stream.
    fn wire(&self, key: Key) -> Option<&I::Wire> {
        let subscriber = self.subscribers.get(key.slot)?;
        (subscriber.serial == key.serial).then_some(&subscriber.wire)
    }
}
