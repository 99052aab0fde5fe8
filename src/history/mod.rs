//! What the node remembers: the topics that exist, the latest events of each, and where a returning stream goes on.
//!
//! One [`Store`] holds every topic of the node; the hub writes to it under its lock and shards read from it under the same one. It knows
//! neither threads nor sockets nor the clock: time comes in with each call.
//!
//! **Invariant:** of every topic, all events with an id above `evicted_through` are kept, and none at or below it.
//! So a reader with cursor `c` has missed something exactly when `evicted_through > c`.
//!
//! **Invariant:** a topic with no event and no subscriber does not exist. What it had evicted is folded into one number for the
//! whole node (`forgotten_through`), so a million short-lived topics leave eight bytes behind.

mod expiry;
mod log;
mod read;
mod resume;
mod topics;

#[cfg(test)]
mod tests;

use crate::event::EventId;
use crate::sse::{Draft, Frame};

use expiry::Expiry;
use log::Log;
use smallvec::SmallVec;
use topics::TopicTable;

pub use read::{Position, ReadBudget, ReadOutcome, Wanted};
pub use resume::{LastEventId, Start};

/// What one kept event costs beside its bytes: its entry, the shared header of its `Bytes`, and the allocator's rounding.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// What one topic with history costs beside its events: table slot, name, ring and expiry entry.
const TOPIC_OVERHEAD_BYTES: usize = 256;

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

/// A topic's place in the store's table, valid while the topic has a subscriber or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub(crate) u32);

/// The topic ids of one event or stream; one is by far the most common number.
pub type TopicIds = SmallVec<[TopicId; 2]>;

/// How much is remembered now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistorySize {
    /// Topics that exist: with an event, a subscriber or both.
    pub topics: usize,
    /// Events kept; one with several topics counts once in each.
    pub events: usize,
    /// Bytes held, overhead included.
    pub bytes: usize,
}

/// What is known of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: Box<str>,
    /// Streams that subscribe to it by name.
    pub streams: u64,
    /// Streams that subscribe to it by a pattern.
    pub streams_by_pattern: u64,
    /// Events kept of it.
    pub events: usize,
    /// The oldest of them.
    pub first_id: Option<EventId>,
    /// The newest of them.
    pub last_id: Option<EventId>,
}

/// What became of one event that was appended.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The event, encoded.
    pub frame: Frame,
    /// Its topics that somebody listens to.
    pub listened: TopicIds,
    /// Subscriptions to its topics, added up.
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
        self.0 |= 1 << (n % 64);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether shard `n` may be in it.
    #[must_use]
    pub fn contains(self, n: usize) -> bool {
        self.0 & 1 << (n % 64) != 0
    }
}

/// All topics of a node, with their latest events.
#[derive(Debug)]
pub struct Store {
    limits: HistoryLimits,
    topics: TopicTable,
    expiry: Expiry,
    /// Newest id given, or the node's birth.
    head: EventId,
    /// No topic that exists no longer had evicted anything above this. Starts at the node's birth: nothing is known of before.
    forgotten_through: EventId,
    events: usize,
    bytes: usize,
    /// Tells this node's URNs from others'.
    node: u64,
}

impl Store {
    /// An empty store of a node that is born at `now_unix_ms`.
    #[must_use]
    pub fn new(limits: HistoryLimits, now_unix_ms: u64) -> Self {
        let birth = EventId::ZERO.next(now_unix_ms);
        Self {
            limits,
            topics: TopicTable::default(),
            expiry: Expiry::default(),
            head: birth,
            forgotten_through: birth,
            events: 0,
            bytes: 0,
            node: 0,
        }
    }

    /// Sets the bits by which the node's ids differ from other nodes' where they are written as URNs.
    #[must_use]
    pub fn with_node(mut self, node: u64) -> Self {
        self.node = node;
        self
    }

    /// An id in the form of a URN.
    #[must_use]
    pub fn urn(&self, id: EventId) -> String {
        id.urn(self.node)
    }

    /// The newest id given; the node's birth when there was no event yet.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.head
    }

    /// What topics that exist no longer had evicted at most.
    #[cfg(test)]
    pub(crate) fn forgotten_through(&self) -> EventId {
        self.forgotten_through
    }

    /// How much is remembered now.
    #[must_use]
    pub fn size(&self) -> HistorySize {
        HistorySize {
            topics: self.topics.len(),
            events: self.events,
            bytes: self.bytes,
        }
    }

    /// Stamps `draft` with the next id, appends it to each of its topics and evicts what no longer fits.
    pub fn append(&mut self, draft: &mut Draft<'_>, now_unix_ms: u64) -> (EventId, Appended) {
        let id = self.head.next(now_unix_ms);
        self.head = id;
        let mut appended = Appended {
            frame: draft.stamp(id, self.node),
            listened: TopicIds::new(),
            subscribers: 0,
            shards: ShardSet::default(),
        };
        for name in draft.topics() {
            let index = self.topics.intern(name, self.forgotten_through);
            let topic = self.topics.get(index);
            if topic.subscribers > 0 && !appended.listened.contains(&TopicId(index)) {
                appended.listened.push(TopicId(index));
                appended.subscribers += u64::from(topic.subscribers);
                appended.shards.extend(topic.shards);
            }
            self.remember(index, id, &appended.frame, draft.own_id());
            self.evict_within(index, now_unix_ms);
        }
        self.evict_over_budget();
        (id, appended)
    }

    /// Adds the event to one topic's log; a topic that is named twice keeps it once.
    fn remember(&mut self, index: u32, id: EventId, frame: &Frame, own_id: Option<&str>) {
        let topic = self.topics.get_mut(index);
        let log = topic.log.get_or_insert_with(|| {
            self.bytes += TOPIC_OVERHEAD_BYTES;
            Box::new(Log::default())
        });
        if log.last_id() == Some(id) {
            return;
        }
        self.events += 1;
        self.bytes += log.push(id, frame.clone(), own_id);
        if !std::mem::replace(&mut topic.expires, true) {
            self.expiry.add(id, index);
        }
    }

    /// Keeps one topic within its own bounds.
    fn evict_within(&mut self, index: u32, now_unix_ms: u64) {
        let limits = self.limits;
        while let Some(log) = &self.topics.get(index).log {
            let too_old = |id: EventId| id.unix_ms() + limits.age_ms < now_unix_ms;
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

    /// Evicts events older than the age limit; looks at no more than `steps` of them. Returns whether it finished.
    pub fn expire(&mut self, now_unix_ms: u64, steps: usize) -> bool {
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
            if oldest.is_none_or(|id| id.unix_ms() + self.limits.age_ms >= now_unix_ms) {
                return true;
            }
            self.evict_oldest(index);
        }
        false
    }

    /// The topic that holds the node's oldest event.
    fn oldest_topic(&mut self) -> Option<u32> {
        let topics = &mut self.topics;
        self.expiry.oldest(|index| {
            let topic = topics.get_mut(index);
            let first = topic.log.as_ref().and_then(|log| log.first_id());
            topic.expires = first.is_some();
            first
        })
    }

    fn evict_oldest(&mut self, index: u32) {
        let topic = self.topics.get_mut(index);
        let Some(log) = &mut topic.log else { return };
        if let Some((id, freed)) = log.pop() {
            topic.evicted_through = id;
            self.events -= 1;
            self.bytes -= freed;
        }
        if log.len() == 0 {
            topic.log = None;
            self.bytes -= TOPIC_OVERHEAD_BYTES;
        }
        self.forget_if_unused(index);
    }

    fn forget_if_unused(&mut self, index: u32) {
        let topic = self.topics.get(index);
        if topic.log.is_none() && topic.subscribers == 0 {
            self.forgotten_through = self.forgotten_through.max(topic.evicted_through);
            self.topics.remove(index);
        }
    }

    /// Counts one more subscriber of `name`, on shard `shard`; the id is valid until the matching [`Store::release`].
    pub fn retain(&mut self, name: &str, shard: usize) -> TopicId {
        let index = self.topics.intern(name, self.forgotten_through);
        let topic = self.topics.get_mut(index);
        topic.subscribers += 1;
        topic.shards.insert(shard);
        TopicId(index)
    }

    /// Counts one subscriber less.
    pub fn release(&mut self, TopicId(index): TopicId) {
        let topic = self.topics.get_mut(index);
        debug_assert!(topic.subscribers > 0, "released once for each retain");
        topic.subscribers -= 1;
        if topic.subscribers == 0 {
            topic.shards = ShardSet::default();
            self.forget_if_unused(index);
        }
    }

    /// Name of a topic that has a subscriber.
    #[must_use]
    pub fn name(&self, TopicId(index): TopicId) -> &str {
        &self.topics.get(index).name
    }

    /// Subscribers of `name`.
    #[must_use]
    pub fn subscribers(&self, name: &str) -> u64 {
        self.topics
            .find(name)
            .map_or(0, |index| u64::from(self.topics.get(index).subscribers))
    }

    /// What is known of a topic; of one that does not exist, nothing but its name.
    #[must_use]
    pub fn info(&self, name: &str) -> TopicInfo {
        match self.topics.find(name) {
            Some(index) => self.info_of(index),
            None => TopicInfo {
                name: name.into(),
                streams: 0,
                streams_by_pattern: 0,
                events: 0,
                first_id: None,
                last_id: None,
            },
        }
    }

    fn info_of(&self, index: u32) -> TopicInfo {
        let topic = self.topics.get(index);
        let log = topic.log.as_deref();
        TopicInfo {
            name: topic.name.clone(),
            streams: u64::from(topic.subscribers),
            streams_by_pattern: 0,
            events: log.map_or(0, Log::len),
            first_id: log.and_then(Log::first_id),
            last_id: log.and_then(Log::last_id),
        }
    }

    /// Topics that exist among the table's slots from `from` on, at most `slots` of them, and where to go on (`None` at the end).
    #[must_use]
    pub fn infos(&self, from: u32, slots: u32) -> (Vec<TopicInfo>, Option<u32>) {
        let end = from.saturating_add(slots).min(self.topics.slots());
        let found = (from..end)
            .filter(|index| !self.topics.get(*index).name.is_empty())
            .map(|index| self.info_of(index))
            .collect();
        (found, (end < self.topics.slots()).then_some(end))
    }

    /// Topics with subscribers among the table's slots from `from` on, at most `slots` of them: names, counts and where to go on
    /// (`None` at the end).
    #[must_use]
    pub fn channels(&self, from: u32, slots: u32) -> (Vec<(Box<str>, u64)>, Option<u32>) {
        let end = from.saturating_add(slots).min(self.topics.slots());
        let found = (from..end)
            .map(|index| self.topics.get(index))
            .filter(|topic| topic.subscribers > 0)
            .map(|topic| (topic.name.clone(), u64::from(topic.subscribers)))
            .collect();
        (found, (end < self.topics.slots()).then_some(end))
    }
}
