//! A stream as it arrives at a shard, and as an operator sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use crate::core::budget::Budget;
use crate::core::desk::{Desk, Seat};
use crate::core::event::{EventId, MarkedId};
use crate::core::history::{Grant, NameUser, Released, Start, Store, Wanted};
use crate::core::places::{ClientKey, Places};
use crate::core::sse::Encoding;
use crate::metrics::ShardMetrics;

use super::{Guard, Identity, TurnBudget};

/// Default of [`ShardConfig::gap_spread_ms`].
pub const GAP_SPREAD_MS: u64 = 5_000;

/// The settings of a shard.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Number of this shard.
    pub index: usize,
    /// Longest silence of a healthy stream, in milliseconds.
    pub heartbeat_ms: u64,
    /// Longest time that a socket may accept nothing while something waits for it, in milliseconds.
    pub write_timeout_ms: u64,
    /// Time over which all streams are told of a loss that concerns everybody, in milliseconds.
    pub gap_spread_ms: u64,
    /// Reconnection delay told at the start of a stream.
    pub retry_ms: Option<u64>,
    /// Most batches in the mailbox.
    pub mailbox_batches: usize,
    /// Most bytes of frames in the mailbox.
    pub mailbox_bytes: usize,
    /// Bounds on one turn.
    pub budget: TurnBudget,
}

/// The state that a shard shares with the rest of the node.
#[derive(Clone)]
pub struct Shared {
    /// Topics, history and rights; locked briefly to read on from a cursor, and once a turn to
    /// release topics.
    pub desk: Arc<Mutex<Desk>>,
    /// The count of open streams; the desk's own, reached without its lock.
    pub places: Arc<Places>,
    /// The account of the memory that clients make the node hold.
    pub budget: Arc<Budget>,
}

impl Shared {
    /// A desk, ready to be shared, and an account without a bound.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self {
            places: Arc::clone(desk.places()),
            desk: Arc::new(Mutex::new(desk)),
            budget: Budget::new(usize::MAX),
        }
    }

    /// The same with an account that others charge, too.
    #[must_use]
    pub fn with_budget(mut self, budget: &Arc<Budget>) -> Self {
        self.budget = Arc::clone(budget);
        self
    }

    /// Locks the desk for its topics and history alone.
    pub(crate) fn store(&self) -> MappedMutexGuard<'_, Store> {
        MutexGuard::map(self.desk.lock(), |desk| &mut desk.store)
    }
}

/// A stream to adopt.
#[derive(Debug)]
pub struct Attach<T> {
    /// The wire of its bytes.
    pub wire: T,
    /// Its place among the open streams.
    pub client: ClientKey,
    /// How its frames are wrapped.
    pub encoding: Encoding,
    /// Written before everything else: the HTTP response head, or nothing.
    pub head: Bytes,
    /// Its owner, for operators.
    pub identity: Identity,
    /// Dropped when the stream has ended.
    pub guard: Option<Guard>,
    /// Its topics and patterns, retained in the store; without doubles, at least one.
    pub wanted: Box<[Wanted]>,
    /// Its right to private events; `None` = none.
    pub grant: Option<Grant>,
    /// Its end, in milliseconds since the unix epoch.
    pub ends_unix_ms: Option<u64>,
    /// The node's newest event when it was attached: from here on it is live.
    pub live_from: EventId,
    /// Its start.
    pub start: Start,
    /// If it is told topics, events are posted with their names from now on.
    pub name_user: Option<NameUser>,
}

impl<T> Attach<T> {
    /// A stream that the desk has given a seat, without a response head, an identity, an end or a
    /// guard.
    pub fn new(seat: Seat, wire: T, encoding: Encoding) -> Self {
        Self {
            wire,
            client: seat.client,
            encoding,
            head: Bytes::new(),
            identity: Identity::default(),
            guard: seat.announced.map(|announced| Box::new(announced) as Guard),
            wanted: seat.wanted,
            grant: seat.grant,
            ends_unix_ms: None,
            live_from: seat.live_from,
            start: seat.start,
            name_user: encoding.has_topics().then_some(seat.name_user),
        }
    }

    /// Gives up a stream that no shard adopted.
    pub(crate) fn give_up(self, released: &mut Released, places: &Places) {
        released.add_stream(&self.wanted, self.grant);
        places.release(self.client);
    }
}

/// One stream as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its key, unique while it is open, in the form that [`super::StreamKey`] parses.
    pub id: String,
    /// Client address, while the system knows it; if a trusted proxy reported one, that.
    pub client: Option<IpAddr>,
    /// The subject of its token.
    pub subject: Option<Arc<str>>,
    /// Its first topics.
    pub topics: Vec<String>,
    /// Number of its topics.
    pub topic_count: usize,
    /// Time since it was opened, in whole seconds.
    pub age: Duration,
    /// Its position.
    pub cursor: MarkedId,
    /// Event time between its cursor and the newest event; zero for a stream that is caught up.
    pub lag: Duration,
    /// Bytes that its wire accepted.
    pub bytes: u64,
}

/// Counters of one shard, shared with whoever reads them.
pub type Counters = Arc<ShardMetrics>;
