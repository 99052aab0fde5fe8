//! What the node remembers: the topics that exist, the latest events of each, and where a returning stream goes on.
//!
//! One [`Store`] holds every topic of the node; the hub writes to it under its lock and shards read from it under the same one. It knows
//! neither threads nor sockets nor the clock: time comes in with each call.
//!
//! **Invariant:** of every topic, all events with an id above `evicted_through` are kept, and none at or below it.
//! So a reader with cursor `c` has missed something exactly when `evicted_through > c`.
//!
//! **Invariant:** a topic with no event, no subscriber and no grant that names it does not exist. What it had evicted is folded into one number for the
//! whole node (`forgotten_through`), so a million short-lived topics leave eight bytes behind.

mod address;
mod erase;
mod evicted;
mod expiry;
mod grants;
mod introspect;
mod listeners;
mod log;
mod matches;
mod newest;
mod order;
mod own_ids;
mod pattern_index;
mod pattern_ref;
mod patterns;
mod pins;
mod policy;
mod read;
mod references;
mod release;
mod resume;
mod same;
mod scan;
mod stamp;
mod topic_info;
mod topics;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::core::event::{EventId, OrderMark};
use crate::core::limits::KeptMax;
use crate::core::sse::{Draft, Frame};

use evicted::Evicted;
use expiry::Expiry;
use grants::GrantTable;
use log::{Entry, Log, More};
use order::Order;
use own_ids::{OwnIds, Place};
use patterns::{Pattern, PatternTable};
use smallvec::SmallVec;
use topics::TopicTable;

pub use grants::Grant;
pub(crate) use grants::meet;
pub use newest::Newest;
pub use pins::{RecordNeeded, Rights};
pub use policy::{SlowConsumerPolicies, SlowConsumerPolicy, SlowConsumerRule};
pub use read::{Position, ReadBudget, ReadOutcome, Wanted};
pub use release::Released;
pub use resume::{LastEventId, Start};
pub use stamp::{IdFell, Stamp};
pub use topic_info::{PatternCount, TopicInfo, TopicWalk};
pub use work::Work;

/// What one topic without history costs beside its name, measured: its slots in the tables of the store and of a shard.
const BARE_TOPIC_BYTES: usize = 136;

/// Bounds on what is remembered.
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

/// The place of a topic or a pattern in the store's tables, valid while a stream or a grant holds it (a topic: also while it has an event).
///
/// Topics sort before patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectorId(pub(crate) u32);

impl SelectorId {
    /// Set in a pattern's id.
    const PATTERN: u32 = 1 << 31;

    const fn topic(index: u32) -> Self {
        Self(index)
    }

    const fn pattern(slot: u32) -> Self {
        Self(slot | Self::PATTERN)
    }

    /// The slot of a topic; `None` for a pattern.
    const fn topic_index(self) -> Option<u32> {
        if self.0 & Self::PATTERN == 0 {
            Some(self.0)
        } else {
            None
        }
    }

    /// The slot of a pattern; `None` for a topic.
    const fn pattern_slot(self) -> Option<u32> {
        if self.0 & Self::PATTERN == 0 {
            None
        } else {
            Some(self.0 & !Self::PATTERN)
        }
    }
}

/// The topics and patterns of one event or stream; one is by far the most common number.
pub type SelectorIds = SmallVec<[SelectorId; 2]>;

/// How much is remembered now.
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

/// What became of one event that was appended.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The event, encoded.
    pub frame: Frame,
    /// Those of its topics, and of the patterns that match one of them, that somebody listens to; each once.
    pub listened: SelectorIds,
    /// For a private event that somebody listens to: all its topics, and all patterns that match one of them, sorted. Whoever was granted none
    /// of them must not hear it.
    pub audience: Option<Arc<[SelectorId]>>,
    /// Subscriptions to those, added up; of a private event, those of streams that have a grant at all.
    pub subscribers: u64,
    /// Shards that may hold one of those subscribers, as a bit set.
    pub shards: ShardSet,
}

/// A set of shards; shard `n` is bit `n mod 64`, so beyond 64 shards it may name a few too many, never too few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

impl ShardSet {
    /// Adds shard `n`.
    pub fn insert(&mut self, n: usize) {
        self.0 |= 1 << Self::bit(n);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The bit of shard `n`.
    #[must_use]
    pub fn bit(n: usize) -> u32 {
        (n % 64) as u32
    }

    /// The bits of its shards, the lowest first.
    pub fn bits(self) -> impl Iterator<Item = u32> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros();
            // Takes the lowest bit away; of nothing, nothing.
            left &= left.wrapping_sub(1);
            (bit < u64::BITS).then_some(bit)
        })
    }

    /// The shards that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The shards that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no shard is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether shard `n` may be in it.
    #[must_use]
    pub fn contains(self, n: usize) -> bool {
        self.0 & 1 << Self::bit(n) != 0
    }
}

/// All topics of a node, with their latest events.
#[derive(Debug)]
pub struct Store {
    limits: HistoryLimits,
    topics: TopicTable,
    patterns: PatternTable,
    grants: GrantTable,
    order: Order,
    own_ids: OwnIds,
    expiry: Expiry,
    /// Newest id given, or the node's birth.
    head: EventId,
    /// Highest id ever evicted from a topic that has since been deleted. Starts at the node's start
    /// time, because nothing earlier is known.
    forgotten: Evicted,
    /// The newest events that were evicted from any topic.
    evicted: Evicted,
    events: usize,
    bytes: usize,
    /// Of the ids that it gives.
    mark: OrderMark,
    /// What may still be matched for what is evicted and forgotten, until the next event is appended or time is taken for what is too old:
    /// streams may end, and events be evicted, by the thousand under one hold of the lock.
    upkeep: Work,
}

impl Store {
    /// An empty store of a node that is born at `now_unix_ms`.
    #[must_use]
    pub fn new(limits: HistoryLimits, now_unix_ms: u64) -> Self {
        let birth = EventId::ZERO.next(now_unix_ms);
        Self {
            limits,
            topics: TopicTable::default(),
            patterns: PatternTable::default(),
            grants: GrantTable::default(),
            order: Order::default(),
            own_ids: OwnIds::default(),
            expiry: Expiry::default(),
            head: birth,
            forgotten: Evicted::through(birth),
            evicted: Evicted::through(birth),
            events: 0,
            bytes: 0,
            mark: OrderMark::default(),
            upkeep: Work::default(),
        }
    }

    /// Sets the mark of the order that begins with the store.
    #[must_use]
    pub fn with_mark(mut self, mark: OrderMark) -> Self {
        self.mark = mark;
        self
    }

    /// The mark of the ids that it gives.
    #[must_use]
    pub fn mark(&self) -> OrderMark {
        self.mark
    }

    /// The newest id given; the node's birth when there was no event yet.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.head
    }

    /// What topics that exist no longer had evicted at most.
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

    /// How much is remembered now.
    #[must_use]
    pub fn size(&self) -> HistorySize {
        HistorySize {
            topics: self.topics.len(),
            patterns: self.patterns.len(),
            events: self.events,
            bytes: self.bytes,
        }
    }

    /// Bytes of the topics that exist without events: streams subscribe to them.
    #[must_use]
    pub fn bare_topic_bytes(&self) -> usize {
        self.topics.bare_bytes()
    }

    /// Stamps `draft`, appends it to each of its topics and evicts what no longer fits.
    ///
    /// # Errors
    /// [`IdFell`] for a given id that is not above the newest one; then nothing has changed.
    pub fn append(
        &mut self,
        draft: &mut Draft<'_>,
        stamp: Stamp,
    ) -> Result<(EventId, Appended), IdFell> {
        self.upkeep = Work::default();
        let id = stamp.after(self.head)?;
        self.head = id;
        let frame = draft.stamp(id.marked(self.mark));
        let mut found = SelectorIds::new();
        for name in draft.topics() {
            let index = self.topics.intern(name, self.forgotten);
            self.refresh_matches(index, &mut Work::unbounded());
            found.extend(self.addressees(index));
        }
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
        self.remember_all(&found, id, &frame, draft.own_id());
        let cut_off = match stamp {
            Stamp::Local(now_unix_ms) => self.limits.cut_off(now_unix_ms),
            // Only the caller of `expire` knows the time of an id that was given.
            Stamp::Given(_) => EventId::ZERO,
        };
        for index in found.iter().filter_map(|id| id.topic_index()) {
            self.evict_within(index, cut_off);
        }
        self.evict_over_budget();
        Ok((id, self.addressed(frame, &found)))
    }

    /// Adds the event to the logs of its topics.
    fn remember_all(
        &mut self,
        found: &[SelectorId],
        id: EventId,
        frame: &Frame,
        own_id: Option<&str>,
    ) {
        // Topics sort first.
        let topics = found.partition_point(|id| id.topic_index().is_some());
        let topics = &found[..topics];
        let several = frame.is_private() && topics.len() > 1;
        let more = (own_id.is_some() || several).then(|| More {
            own_id: own_id.map(Into::into),
            topics: several.then(|| Arc::new(topics.into())),
        });
        for index in topics.iter().filter_map(|id| id.topic_index()) {
            if several {
                self.topics.get_mut(index).pins.add();
            }
            self.remember(index, id, frame, more.as_ref());
        }
    }

    /// Adds the event to one topic's log.
    fn remember(&mut self, index: u32, id: EventId, frame: &Frame, more: Option<&More>) {
        if self.topics.get(index).log.is_none() {
            self.topics.note_events(index, true);
        }
        let topic = self.topics.get_mut(index);
        let overhead = topic.overhead_bytes();
        let log = topic.log.get_or_insert_with(|| {
            self.bytes += overhead;
            Box::new(Log::default())
        });
        self.events += 1;
        self.bytes += log.push(id, frame.clone(), more.cloned());
        self.expiry.add(id, index);
        self.order.push(id, index);
        self.tidy_order();
        let topics = &self.topics;
        if let Some(own_id) = more.and_then(|more| more.own_id.as_deref()) {
            let is = |place| topics.has_own_id(place, own_id);
            self.own_ids.insert(own_id, Place { id, topic: index }, is);
        }
    }

    /// Keeps one topic within its own bounds.
    fn evict_within(&mut self, index: u32, cut_off: EventId) {
        let limits = self.limits;
        while let Some(log) = self
            .topics
            .in_slot(index)
            .and_then(|topic| topic.log.as_ref())
        {
            let too_old = |id: EventId| id < cut_off;
            if log.len() <= limits.events
                && log.frame_bytes() <= limits.bytes
                && !log.first_id().is_some_and(too_old)
            {
                return;
            }
            self.evict_oldest(index);
        }
    }

    /// Evicts the oldest events of the node until it is within its budget.
    fn evict_over_budget(&mut self) {
        while self.bytes > self.limits.budget_bytes {
            let Some(index) = self.oldest_topic() else {
                return;
            };
            self.evict_oldest(index);
        }
    }

    /// Evicts events below `cut_off`; looks at no more than `steps` of them, and matches and tells no more patterns than one hold of the lock
    /// is for. Returns whether it finished.
    pub fn expire(&mut self, cut_off: EventId, steps: usize) -> bool {
        self.upkeep = Work::default();
        let mut work = Work::default();
        for _ in 0..steps {
            let Some(index) = self.oldest_topic() else {
                return true;
            };
            let oldest = self
                .topics
                .get(index)
                .log
                .as_ref()
                .and_then(|log| log.first_id());
            if oldest.is_none_or(|id| id >= cut_off) {
                return true;
            }
            if work.is_spent() || !self.keep_up(index) {
                return false;
            }
            self.spend_on_telling(index, &mut work);
            self.evict_oldest(index);
        }
        false
    }

    /// Counts the patterns that are told when an event of a topic is evicted; the topic's matches must be up to date.
    fn spend_on_telling(&self, index: u32, work: &mut Work) {
        let told = self.topics.get(index).matches().len();
        if told > 0 {
            work.spend(told);
        }
    }

    /// Brings a topic's matches up to date for what it is about to lose; returns whether they are.
    fn keep_up(&mut self, index: u32) -> bool {
        let mut work = self.upkeep;
        let all_known = self.refresh_matches(index, &mut work);
        self.upkeep = work;
        all_known
    }

    /// The topic that holds the node's oldest event.
    fn oldest_topic(&mut self) -> Option<u32> {
        let topics = &self.topics;
        self.expiry.oldest(|index| {
            let topic = topics.in_slot(index)?;
            topic.log.as_ref()?.first_id()
        })
    }

    /// Throws some stale notes out of the node's order; to be called for each event that comes or goes.
    fn tidy_order(&mut self) {
        let topics = &self.topics;
        self.order
            .tidy(self.events, |id, topic| topics.keeps(topic, id));
    }

    fn evict_oldest(&mut self, index: u32) {
        let all_known = self.keep_up(index);
        let topic = self.topics.get_mut(index);
        let Some(log) = &mut topic.log else { return };
        let popped = log.pop();
        if log.len() == 0 {
            topic.log = None;
            self.bytes -= topic.overhead_bytes();
            self.topics.note_events(index, false);
        }
        let topic = self.topics.get_mut(index);
        if let Some((entry, freed)) = popped {
            let private = entry.frame.is_private();
            topic.evicted.add(entry.id, private);
            topic.pins.set_has_evicted();
            self.evicted.add(entry.id, private);
            self.events -= 1;
            self.bytes -= freed;
            self.each_pattern_of(index, all_known, |pattern| pattern.evict(entry.id, private));
            if let Some(own_id) = entry.own_id() {
                let place = Place {
                    id: entry.id,
                    topic: index,
                };
                self.own_ids.remove(own_id, place);
            }
            self.unpin_topics_of(entry);
        }
        if self.events == 0 {
            self.order.clear();
        } else {
            self.tidy_order();
        }
        self.forget_if_unused(index);
    }

    /// An event was evicted from one of its topics; with the last, its hold on all of them goes.
    fn unpin_topics_of(&mut self, entry: Entry) {
        if let Some(topics) = entry.into_private_topics().and_then(Arc::into_inner) {
            for id in topics {
                self.unpin(id);
            }
        }
    }

    fn forget_if_unused(&mut self, index: u32) {
        let Some(topic) = self.topics.in_slot(index) else {
            return;
        };
        if topic.log.is_none() && topic.subscribers == 0 && !topic.pins.any() {
            let evicted = topic.evicted;
            // Of what topics before it had, patterns have been told when those went.
            if topic.pins.has_evicted() {
                let all_known = self.keep_up(index);
                self.each_pattern_of(index, all_known, |pattern| pattern.forget(evicted));
            }
            self.forgotten = self.forgotten.or(evicted);
            self.topics.remove(index);
        }
    }

    /// Calls `each` with the patterns that match a topic; where not all are known yet, also with those that only may.
    fn each_pattern_of(&mut self, index: u32, all_known: bool, each: impl Fn(&mut Pattern)) {
        let topic = self.topics.get(index);
        let unknown = if all_known {
            Vec::new()
        } else {
            self.patterns.younger(&topic.name, topic.matched_through)
        };
        for known in topic.matches().iter().chain(&unknown) {
            if let Some(pattern) = self.patterns.find_ref(*known) {
                each(pattern);
            }
        }
    }
}
