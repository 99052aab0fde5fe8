//! The history of a running node as plain values: what outlives the process.
//!
//! The walk is taken in portions, and the store changes between them. It keeps these promises:
//!
//! - Only events up to the head at its beginning are in it.
//! - Of each topic in it, all these events above the topic's bound are in it. The bound comes after
//!   the events, since events are evicted meanwhile.
//! - Of the idempotency keys, only those of events up to the head are in it: the event of a key
//!   that outlives a crash is in the history, too, or was evicted from it. A key that is in the
//!   history without its event would make the event's repeat a loss.
//! - The store's own record comes last, so that its bound covers topics that are deleted
//!   meanwhile. A topic that exists for its streams only counts as deleted: its streams end with
//!   the process.
//!
//! Streams, patterns, grants and slots are not in it. Topics are named.

use crate::core::event::{EventId, OrderMark};
use crate::core::idempotency::Remembered;
use crate::core::sse::Frame;

use super::evicted::Evicted;
use super::log::{Entry, Log};
use super::record::EvictedRecord;
use super::topics::Topic;
use super::{Hole, Store};

/// One value of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryRecord {
    /// A topic begins.
    Topic {
        /// Its name.
        name: Box<str>,
    },
    /// An event of the topic, the oldest first.
    Event(HistoryEvent),
    /// The topic ends.
    TopicEnd {
        /// Its evictions. Events up to here that came before are no longer kept.
        evicted: EvictedRecord,
        /// Whether it has evicted an event of its own.
        has_evicted: bool,
    },
    /// The topic was deleted meanwhile. The bound of the head covers its events.
    TopicGone,
    /// Idempotency keys, by rising ids of their events.
    Keys(Vec<Remembered>),
    /// The store itself. Comes last, once.
    Head(HistoryHead),
}

/// An event of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEvent {
    /// Its id.
    pub id: EventId,
    /// Its bytes, and whether it is private.
    pub frame: Frame,
    /// The publisher's own id.
    pub own_id: Option<Box<str>>,
    /// The names of all topics of a private event that has several.
    pub topics: Option<Vec<Box<str>>>,
}

/// The store's own record in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryHead {
    /// The id of the node's first start.
    pub birth: EventId,
    /// The newest id of the history.
    pub head: EventId,
    /// Of the ids that it has.
    pub mark: OrderMark,
    /// Latest bound on evictions of topics that do not exist.
    pub forgotten: EvictedRecord,
    /// Its holes, by rising ids.
    pub holes: Vec<Hole>,
}

/// A walk through the history of a store.
#[derive(Debug)]
pub struct HistoryWalk {
    /// The head when it began.
    through: EventId,
    /// The slot that comes next.
    slot: u32,
    /// Name of the topic in that slot, and its last event so far.
    within: Option<(Box<str>, EventId)>,
    /// Number of the idempotency key that comes next, once all topics were taken.
    key: u64,
    /// Evictions of topics that are left out.
    left_out: Evicted,
    is_done: bool,
}

impl HistoryWalk {
    /// Whether all records were taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Ids above the walk's end do not exist in its history.
    fn bound(&self, evicted: Evicted) -> Evicted {
        evicted.map(|bound| bound.min(self.through))
    }
}

impl Store {
    /// Begins a walk through the history up to the head.
    #[must_use]
    pub fn begin_walk(&self) -> HistoryWalk {
        HistoryWalk {
            through: self.head,
            slot: 0,
            within: None,
            key: 0,
            left_out: Evicted::default(),
            is_done: false,
        }
    }

    /// Whether nothing was published since a walk began.
    #[must_use]
    pub fn is_whole(&self, walk: &HistoryWalk) -> bool {
        self.head == walk.through
    }

    /// Appends the next records of a walk to `out`, after at most `steps` topics and events.
    pub fn walk(&self, walk: &mut HistoryWalk, steps: usize, out: &mut Vec<HistoryRecord>) {
        let mut left = steps.max(1);
        while left > 0 && !walk.is_done {
            left -= 1;
            match walk.within.take() {
                Some((name, after)) => self.walk_on(walk, name, after, &mut left, out),
                None => self.walk_to_topic(walk, &mut left, out),
            }
        }
    }

    /// Begins the next topic that has events, or is pinned. Behind the last one come the keys and
    /// the head.
    fn walk_to_topic(
        &self,
        walk: &mut HistoryWalk,
        left: &mut usize,
        out: &mut Vec<HistoryRecord>,
    ) {
        let Some((slot, topic)) = self.topics.next_from(walk.slot) else {
            let (keys, next) = self.keys.portion(walk.key, *left + 1, walk.through);
            if keys.is_empty() {
                out.push(HistoryRecord::Head(self.history_head(walk)));
                walk.is_done = true;
                return;
            }
            *left = left.saturating_sub(keys.len() - 1);
            walk.key = next;
            out.push(HistoryRecord::Keys(keys));
            return;
        };
        walk.slot = slot;
        let first = topic.log.as_deref().and_then(Log::first_id);
        // A private event may pin a topic that has no event of its own.
        if first.is_some_and(|first| first <= walk.through) || topic.pins.any() {
            let name = topic.name.clone();
            walk.within = Some((name.clone(), EventId::ZERO));
            out.push(HistoryRecord::Topic { name });
            return;
        }
        if topic.pins.has_evicted() {
            walk.left_out = walk.left_out.or(topic.evicted);
        }
        walk.slot += 1;
    }

    /// Takes further events of a topic, or its end.
    fn walk_on(
        &self,
        walk: &mut HistoryWalk,
        name: Box<str>,
        after: EventId,
        left: &mut usize,
        out: &mut Vec<HistoryRecord>,
    ) {
        let topic = self.topics.in_slot(walk.slot);
        let Some(topic) = topic.filter(|topic| topic.name == name) else {
            out.push(HistoryRecord::TopicGone);
            walk.slot += 1;
            return;
        };
        let mut last = after;
        if let Some(log) = topic.log.as_deref() {
            for at in log.position_after(after).. {
                let Some(entry) = log.get(at).filter(|entry| entry.id <= walk.through) else {
                    break;
                };
                if *left == 0 {
                    walk.within = Some((name, last));
                    return;
                }
                *left -= 1;
                last = entry.id;
                out.push(HistoryRecord::Event(self.history_event(entry)));
            }
        }
        out.push(topic_end(walk, topic));
        walk.slot += 1;
    }

    fn history_event(&self, entry: &Entry) -> HistoryEvent {
        let topics = entry.private_topics().map(|topics| {
            let names = topics.iter().filter_map(|id| id.topic_index());
            names
                .map(|index| self.topics.get(index).name.clone())
                .collect()
        });
        HistoryEvent {
            id: entry.id,
            frame: entry.frame.clone(),
            own_id: entry.own_id().map(Into::into),
            topics,
        }
    }

    fn history_head(&self, walk: &HistoryWalk) -> HistoryHead {
        HistoryHead {
            birth: self.birth,
            head: walk.through,
            mark: self.mark,
            forgotten: walk.bound(self.forgotten.or(walk.left_out)).into(),
            holes: self.holes.as_slice().to_vec(),
        }
    }
}

fn topic_end(walk: &HistoryWalk, topic: &Topic) -> HistoryRecord {
    HistoryRecord::TopicEnd {
        evicted: walk.bound(topic.evicted).into(),
        has_evicted: topic.pins.has_evicted(),
    }
}
