//! The lock around the [desk](crate::core::desk), the mailboxes of the shards, and the waiting for
//! room in them.
//!
//! Everything that needs one common order happens under one short lock, the desk's: an event is
//! stamped, appended to its topics and posted to the shards; a stream is counted and posted. Each
//! shard's mailbox is first in, first out. So all shards and all histories see one order, and a
//! stream that attaches misses nothing and gets nothing twice.
//!
//! **Invariant:** no caller waits while it holds the lock. A publisher that finds a mailbox full
//! unlocks it, waits for room, and tries again.

mod announce;
mod append;
mod apply;
mod barrier;
mod config;
mod freeze;
mod gate;
mod guard;
mod history;
mod keys;
pub mod log;
mod look_up;
mod not_published;
mod operate;
mod past;
mod pattern_shares;
mod publish;
mod restore;
mod room;
mod shards;
mod subscribe;
mod totals;
mod traces;
#[cfg(test)]
pub(crate) mod turns;
mod upstream;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, watch};

use self::barrier::Newest;
use self::gate::Gate;
use self::log::Log;
use self::pattern_shares::PatternShares;
use self::room::{Place, Waiting};
use self::shards::Shards;
use crate::clock::unix_ms;
use crate::core::budget::Budget;
use crate::core::delivery::{ShardConfig, Shared};
use crate::core::desk::Desk;
use crate::core::event::{EventId, OrderMark};
use crate::core::history::{HistoryLimits, ShardSet, Store};
use crate::core::limits::EventLimits;
use crate::core::places::{Places, Share};
use crate::core::presence::Presence;
use crate::metrics::{NodeMetrics, ShardMetrics, Totals};
use crate::shard::mailbox::{Mailbox, Message};
use crate::shard::{Shard, StartError};

pub use crate::core::delivery::query::StreamQuery;
pub use crate::core::delivery::{Identity, StreamInfo};
pub use crate::core::desk::{Receipt, Watched};
pub use crate::core::history::{LastEventId, Start};
pub use crate::core::places::{Room, Shed, StreamPermit};
pub use crate::core::presence;
pub use crate::core::presence::Pending;
pub use crate::core::sse::{Encoding, Gap};
pub use config::{CATCH_UP_MAX, HubConfig, Order, TracesConfig};
pub use freeze::{Frozen, NotFrozen, ParkedStream};
pub use history::{HistoryRange, Stored, TopicInfo, TopicWalk};
pub use keys::KeyFigures;
pub use not_published::{NotPublished, Reused, Unlogged};
pub use past::{Portion, TopicReader};
pub use pattern_shares::PatternShare;
pub use restore::{RestoreError, Seating};
pub use subscribe::{Interest, Subscribe};
pub use traces::{TooManyTraces, Traces};

/// The node has ended its shards and accepts nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the node is shutting down")]
pub struct Closed;

/// The node's core, as the protocol layers use it. Cheap to clone. Dropping the last handle ends
/// the threads of its shards.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    config: HubConfig,
    budget: Arc<Budget>,
    shared: Shared,
    mailboxes: Vec<Mailbox>,
    counters: Vec<Arc<ShardMetrics>>,
    shards: Shards,
    node_metrics: NodeMetrics,
    waiting: Arc<Waiting>,
    /// The next stream's shard, modulo their number: streams are assigned to the shards in turn.
    next_shard: AtomicUsize,
    presence: Presence,
    /// Notified when a stream's start or end is to be announced, or when no more will follow.
    presence_changed: Arc<Notify>,
    pattern_shares: PatternShares,
    traces: Traces,
    /// Whether balancers may send clients here.
    ready: AtomicBool,
    gate: Gate,
    /// The newest id after each portion of the log that was applied.
    heads: watch::Sender<EventId>,
    /// The log that orders the events; none if this node does.
    log: OnceLock<Arc<dyn Log>>,
    newest: Newest,
    /// Held while changes of the registry are taken and published.
    announcing: Arc<tokio::sync::Mutex<()>>,
    /// Number of attempts to publish.
    #[cfg(test)]
    attempts: AtomicUsize,
}

/// Notifies of a change of the registry.
fn notifier(changed: &Arc<Notify>) -> impl Fn() + Send + Sync + 'static {
    let changed = Arc::clone(changed);
    move || changed.notify_one()
}

impl Hub {
    /// Starts the shards, with room for the given number of streams and sockets.
    ///
    /// # Errors
    /// If the system refuses a shard its poller or its thread.
    pub fn start(config: HubConfig, room: impl Into<Room>) -> Result<Self, StartError> {
        Self::start_with(config, room, None)
    }

    /// The same with the history of an earlier process, whose order of ids continues.
    ///
    /// # Errors
    /// If the system refuses a shard its poller or its thread.
    pub fn start_with(
        config: HubConfig,
        room: impl Into<Room>,
        past: Option<Store>,
    ) -> Result<Self, StartError> {
        let changed = Arc::new(Notify::new());
        let on_change = notifier(&changed);
        let presence = Presence::new(&config.history, config.clients.clone(), on_change);
        // From the system's randomness: two nodes that start at the same instant must not have the
        // same mark.
        let fresh = || OrderMark::new(RandomState::new().hash_one(unix_ms()));
        let (mark, floor) = match (config.order, &past) {
            (Order::Log { birth, floor }, _) => (OrderMark::of_birth(birth), Some(floor)),
            (Order::Local, Some(store)) => (store.mark(), None),
            (Order::Local, None) => (fresh(), None),
        };
        let places = Places::new(room, config.clients.clone());
        let desk = Desk::new(config.desk(mark), places, presence, unix_ms());
        let desk = match (floor, past) {
            // The log is the history.
            (Some(floor), _) => desk.begun_above(floor),
            (None, Some(store)) => desk.with_store(store),
            (None, None) => desk,
        };
        Self::launch(config, desk, changed, &Totals::default())
    }

    /// Starts the shards of a desk, which go on from these totals.
    fn launch(
        mut config: HubConfig,
        desk: Desk,
        presence_changed: Arc<Notify>,
        totals: &Totals,
    ) -> Result<Self, StartError> {
        config.event_limits.mark = desk.store().mark();
        config.event_limits.kept = config.history.kept_max();
        config.event_limits.remembers_keys = config.keys.are_on();
        let presence = desk.presence().clone();
        let budget = Budget::new(config.memory_bytes);
        let shared = Shared::new(desk).with_budget(&budget);
        let waiting = Arc::new(Waiting::default());
        let count = config.shards.get();
        let shards = (0..count)
            .map(|index| {
                let config = ShardConfig {
                    index,
                    ..config.shard.clone()
                };
                let waiting = Arc::clone(&waiting);
                let counters = Arc::new(totals.for_shard(index, count));
                let on_room = move || waiting.room_in(index);
                Shard::start_with(config, shared.clone(), counters, on_room)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let clients = config.clients.clone();
        Ok(Self(Arc::new(Inner {
            presence,
            presence_changed,
            pattern_shares: PatternShares::new(config.patterns_per_address_max, clients),
            budget,
            traces: Traces::new(config.traces.clone()),
            config,
            mailboxes: shards.iter().map(|shard| shard.mailbox.clone()).collect(),
            counters: shards
                .iter()
                .map(|shard| Arc::clone(&shard.counters))
                .collect(),
            shards: Shards::new(shards, shared.clone()),
            shared,
            node_metrics: NodeMetrics::default(),
            waiting,
            next_shard: AtomicUsize::new(0),
            ready: AtomicBool::new(true),
            gate: Gate::default(),
            heads: watch::Sender::new(EventId::ZERO),
            log: OnceLock::new(),
            newest: Newest::default(),
            announcing: Arc::default(),
            #[cfg(test)]
            attempts: AtomicUsize::new(0),
        })))
    }

    /// The definition of a client, and the networks of proxies.
    #[must_use]
    pub fn clients(&self) -> &Share {
        &self.0.config.clients
    }

    /// Time over which a drain ends the open streams.
    #[must_use]
    pub fn drain_period(&self) -> Duration {
        self.0.config.drain_period
    }

    /// Limits of the history.
    #[must_use]
    pub fn history_limits(&self) -> &HistoryLimits {
        &self.0.config.history
    }

    /// The account of the memory used for clients, without the history.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.0.budget
    }

    /// Limits on a publisher's event.
    #[must_use]
    pub fn event_limits(&self) -> &EventLimits {
        &self.0.config.event_limits
    }

    /// The mark of the node's ids.
    #[must_use]
    pub fn mark(&self) -> OrderMark {
        self.0.config.event_limits.mark
    }

    /// Sets the log that orders the events. To be called once, before anything is published or
    /// served; entries may have been applied before.
    pub fn set_log(&self, log: Arc<dyn Log>) {
        let is_first = self.0.log.set(log).is_ok();
        debug_assert!(is_first, "a hub has one log");
    }

    /// The log that orders the events, if this node does not.
    #[must_use]
    pub fn log(&self) -> Option<&Arc<dyn Log>> {
        self.0.log.get()
    }

    /// The announced streams.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.0.presence
    }

    /// The traced topics.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.0.traces
    }

    /// A place in the line of waiters. It is entered when a mailbox is found full, and left when
    /// the place is dropped.
    fn place(&self) -> Place<'_> {
        Place::new(&self.0.waiting)
    }

    /// Repeats `attempt` until it finds room, and waits between attempts. `attempt` locks the desk
    /// itself. Under the lock, it finds no room if the hub is frozen, asks its place for the full
    /// shards, and enters the line if it needs one of them.
    async fn when_room<'h, T>(
        &'h self,
        place: &mut Place<'h>,
        mut attempt: impl FnMut(&mut Place<'h>) -> Option<T>,
    ) -> Result<T, Closed> {
        loop {
            if self.is_stopped() {
                return Err(Closed);
            }
            if let Some(done) = attempt(place) {
                return Ok(done);
            }
            // Checked again, because it is in line now: when the hub stops, it wakes all waiters in
            // line.
            if self.is_stopped() {
                return Err(Closed);
            }
            if self.is_frozen() {
                self.0.gate.passable().await;
                continue;
            }
            self.0.node_metrics.publish_waits.add(1);
            place.woken().await;
        }
    }

    fn is_stopped(&self) -> bool {
        self.0.gate.is_stopped()
    }

    /// Whether nothing is accepted for now. Read under the desk's lock, it stays so for the hold.
    fn is_frozen(&self) -> bool {
        self.0.gate.is_frozen()
    }

    /// Wakes every shard, so that it does the work of one turn.
    pub fn wake_shards(&self) {
        for mailbox in &self.0.mailboxes {
            mailbox.wake();
        }
    }

    /// Posts a message to one shard, as soon as there is room.
    async fn post(&self, shard: usize, message: Message) -> Result<(), Closed> {
        let mailbox = self.0.mailboxes.get(shard).ok_or(Closed)?;
        let mut message = Some(message);
        let mut place = self.place();
        let posted = self.when_room(&mut place, |place| {
            let _order = self.0.shared.desk.lock();
            if self.is_frozen() || !self.has_room(place, shard) {
                return None;
            }
            // A refusal means that the shard has ended. A caller that waits for a reply sees its
            // channel close.
            message.take().map(|message| drop(mailbox.post(message)))
        });
        posted.await?;
        mailbox.wake();
        Ok(())
    }

    /// Whether one message may be posted to a shard. If not, the place enters the line. Must be
    /// called under the desk's lock.
    fn has_room(&self, place: &mut Place<'_>, shard: usize) -> bool {
        let full = place.full_shards(&self.0.mailboxes);
        let is_full = full.contains(shard);
        if is_full {
            let mut needs = ShardSet::default();
            needs.insert(shard);
            place.wait_for(needs, &self.0.mailboxes);
        }
        !is_full
    }
}
