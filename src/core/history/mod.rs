//! The history of a node: its topics, the latest events of each, and the places of returning
//! streams.
//!
//! One [`Store`] holds every topic of the node; the hub writes to it under its lock and shards read
//! from it under the same one. It knows neither threads nor sockets nor the clock: time comes in
//! with each call.
//!
//! **Invariant:** of every topic, all events with an id above `evicted_through` are kept, and none
//! at or below it. So a reader with cursor `c` has missed something exactly when `evicted_through >
//! c`, or when a hole is above `c`: a range of ids whose events were lost in a crash (`hole`).
//!
//! **Invariant:** a topic with no event, no subscriber and no grant that names it does not exist.
//! What it had evicted is folded into one number for the whole node (`forgotten`). So a million
//! short-lived topics leave two ids behind and nothing else: their slots, names and notes are given
//! back (see `core/table`).
//!
//! **Invariant:** no call moves more than some thousand table entries, whatever the number of
//! topics, patterns and events.

mod address;
mod append;
mod audience;
mod break_off;
mod changes;
mod erase;
mod event_topics;
mod evict;
mod evicted;
mod expiry;
mod found;
mod grants;
mod heard;
mod hole;
mod introspect;
mod keys;
mod last;
mod listeners;
mod log;
mod match_set;
mod matches;
mod name_users;
mod newest;
mod order;
mod own_ids;
mod pattern_index;
mod pattern_ref;
mod patterns;
mod pins;
mod policy;
mod read;
mod record;
mod references;
mod release;
mod resume;
mod revive;
mod same;
mod scan;
mod selector_id;
mod shard_set;
mod snapshot;
mod stamp;
mod sweep;
mod topic_info;
mod topics;
mod walk;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::core::event::{EventId, OrderMark};
use crate::core::idempotency::Keys;
use crate::core::limits::KeptMax;
use crate::core::sse::Frame;

use break_off::Doubts;
use event_topics::Lines;
use evicted::Evicted;
use expiry::Expiry;
use grants::GrantTable;
use hole::Holes;
use name_users::NameUsers;
use order::Order;
use own_ids::OwnIds;
use patterns::PatternTable;
use sweep::Sweep;
use topics::TopicTable;

pub use audience::{Audience, MatchSets};
pub use event_topics::EventTopics;
pub(crate) use event_topics::Numbers;
pub use grants::Grant;
pub use hole::{Hole, HoleCause};
pub use last::LastSearch;
pub use match_set::MatchSet;
pub use name_users::NameUser;
pub use newest::Newest;
pub use pins::{RecordNeeded, Rights};
pub use policy::{SlowConsumerPolicies, SlowConsumerPolicy, SlowConsumerRule};
pub use read::{Position, ReadBudget, ReadOutcome, Wanted};
pub use record::{EvictedRecord, ListenersRecord, OrderRecord, Record, RestoreError};
pub use release::Released;
pub use resume::{EARLIEST, LastEventId, Start};
pub use revive::{Ending, Revival, Revived};
pub use selector_id::{SelectorId, SelectorIds};
pub use shard_set::ShardSet;
pub use snapshot::SnapshotCursor;
pub use stamp::{IdFell, Stamp};
pub use topic_info::{PatternCount, TopicInfo, TopicWalk};
pub use walk::{HistoryEvent, HistoryHead, HistoryRecord, HistoryWalk};
pub use work::{HoldLimits, Work};

/// What one topic without history costs beside its name, measured: its slots in the tables of the
/// store and of a shard.
const BARE_TOPIC_BYTES: usize = 144;

/// Bounds on the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Most events of one topic.
    pub events: usize,
    /// Most bytes of frames of one topic.
    pub bytes: usize,
    /// Oldest event, in milliseconds of event time.
    pub age_ms: u64,
    /// Most bytes of all topics together, overhead included.
    pub budget_bytes: usize,
}

impl HistoryLimits {
    /// What can be kept of one event; no bound where none is kept.
    #[must_use]
    pub fn kept_max(&self) -> KeptMax {
        if self.events == 0 || self.bytes == 0 || self.budget_bytes == 0 {
            return KeptMax::default();
        }
        KeptMax {
            frame_bytes: self.bytes,
            bytes: self.budget_bytes,
        }
    }
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            events: 1_000,
            bytes: 1 << 20,
            age_ms: 3_600_000,
            budget_bytes: 256 << 20,
        }
    }
}

/// Current size of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistorySize {
    /// Topics that exist: with an event, a subscriber or both.
    pub topics: usize,
    /// Patterns that streams or grants hold.
    pub patterns: usize,
    /// Events kept; one with several topics counts once in each.
    pub events: usize,
    /// Bytes held, overhead included.
    pub bytes: usize,
}

/// The result of appending one event.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The event, encoded.
    pub frame: Frame,
    /// Those of its topics, and of the few patterns that match one of them, that somebody listens
    /// to; each once.
    pub listened: SelectorIds,
    /// The patterns that match one of its topics, where they are many and somebody listens to one
    /// of them.
    pub sets: MatchSets,
    /// For a private event that somebody listens to: who may hear it.
    pub audience: Option<Arc<Audience>>,
    /// Its topics by name, if a stream listens and some stream is told names.
    pub topics: Option<Arc<EventTopics>>,
    /// Subscriptions to those, added up; of a private event, those of streams that have a grant at
    /// all.
    pub subscribers: u64,
    /// Shards that may hold one of those subscribers, as a bit set.
    pub shards: ShardSet,
}

impl Appended {
    /// Whether any stream listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        !self.listened.is_empty() || !self.sets.is_empty()
    }
}

/// All topics of a node, with their latest events.
#[derive(Debug)]
pub struct Store {
    limits: HistoryLimits,
    hold: HoldLimits,
    topics: TopicTable,
    patterns: PatternTable,
    grants: GrantTable,
    order: Order,
    own_ids: OwnIds,
    expiry: Expiry,
    /// The idempotency keys of the last events. The desk asks them and adds to them.
    keys: Keys,
    /// The node's birth. No id that it gives is below, except [`EventId::ZERO`].
    birth: EventId,
    /// Newest id given, or the node's start.
    head: EventId,
    /// Highest id ever evicted from a topic that has since been deleted. Starts at the node's start
    /// time, because nothing earlier is known.
    forgotten: Evicted,
    /// The newest events that were evicted from any topic.
    evicted: Evicted,
    /// What was lost with processes that ended without a snapshot, or by a log.
    holes: Holes,
    /// Events above this id up to the last hole are to be removed: the log has lost them.
    retracting: Option<EventId>,
    /// The lowest id of the order. A cursor from there up to the birth is known, and evicted.
    order_from: Option<EventId>,
    /// Ids strictly between the two are no places, except that of an event.
    doubts: Doubts,
    events: usize,
    bytes: usize,
    /// Topics of whose evictions their many patterns have not been told, the oldest first.
    untold: SmallVec<[u32; HoldLimits::DEFAULT.untold_topics + 1]>,
    sweep: Sweep,
    /// Of the ids that it gives.
    mark: OrderMark,
    /// Streams that are told the topics of their events.
    name_users: NameUsers,
    lines: Lines,
    /// What may still be matched for what is evicted and forgotten, until the next event is
    /// appended or time is taken for what is too old: streams may end, and events be evicted, by
    /// the thousand under one hold of the lock.
    upkeep: Work,
    /// Events that may still be evicted to make room for others, and entries of `expiry` that may
    /// be mended, under this hold of the lock.
    evictions_left: usize,
}

impl Store {
    /// An empty store of a node that is born at `now_unix_ms`.
    #[must_use]
    pub fn new(limits: HistoryLimits, now_unix_ms: u64) -> Self {
        let birth = EventId::ZERO.next(now_unix_ms);
        Self {
            limits,
            hold: HoldLimits::default(),
            topics: TopicTable::default(),
            patterns: PatternTable::new(HoldLimits::default()),
            grants: GrantTable::default(),
            order: Order::default(),
            own_ids: OwnIds::default(),
            expiry: Expiry::default(),
            keys: Keys::default(),
            birth,
            head: birth,
            forgotten: Evicted::through(birth),
            evicted: Evicted::through(birth),
            holes: Holes::default(),
            retracting: None,
            order_from: None,
            doubts: Doubts::default(),
            events: 0,
            bytes: 0,
            untold: SmallVec::new(),
            sweep: Sweep::default(),
            mark: OrderMark::default(),
            name_users: NameUsers::default(),
            lines: Lines::default(),
            upkeep: Work::default(),
            evictions_left: evict::EVICTIONS_MAX,
        }
    }

    /// Sets the mark of the order that begins with the store.
    #[must_use]
    pub fn with_mark(mut self, mark: OrderMark) -> Self {
        self.mark = mark;
        self
    }

    /// Sets the bounds on one hold of the lock.
    #[must_use]
    pub fn with_hold(mut self, hold: HoldLimits) -> Self {
        self.hold = hold;
        self.patterns.set_limits(hold);
        self.upkeep = self.work();
        self
    }

    /// From now on, and while the result exists, events are posted with the names of their topics.
    #[must_use]
    pub fn name_user(&self) -> NameUser {
        self.name_users.add()
    }

    /// The work of one hold of the lock.
    #[must_use]
    pub fn work(&self) -> Work {
        Work::new(self.hold)
    }

    /// The mark of the ids that it gives.
    #[must_use]
    pub fn mark(&self) -> OrderMark {
        self.mark
    }

    /// The newest id given; the node's start if there was no event yet.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.head
    }

    /// Highest id ever evicted from a topic that has since been deleted.
    #[cfg(test)]
    pub(crate) fn forgotten_through(&self) -> EventId {
        self.forgotten.for_reader(true)
    }

    /// Whether nothing is held beside topics.
    #[cfg(test)]
    pub(crate) fn is_bare(&self) -> bool {
        self.patterns.len() == 0
            && self.grants.len() == 0
            && self.own_ids.len() == 0
            && self.order.last_id().is_none()
    }

    /// Bytes that its tables have allocated.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.topics.allocated_bytes()
            + self.patterns.allocated_bytes()
            + self.grants.allocated_bytes()
            + self.own_ids.allocated_bytes()
            + self.order.allocated_bytes()
            + self.expiry.allocated_bytes()
    }

    /// Current size of the history.
    #[must_use]
    pub fn size(&self) -> HistorySize {
        HistorySize {
            topics: self.topics.len(),
            patterns: self.patterns.len(),
            events: self.events,
            bytes: self.bytes,
        }
    }

    /// Bytes of patterns, and of the topics that exist without events: streams subscribe to them.
    #[must_use]
    pub fn bare_topic_bytes(&self) -> usize {
        self.topics.bare_bytes() + self.patterns.bytes()
    }
}
