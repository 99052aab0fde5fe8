//! What applications see of topics: the streams that subscribe, and the events that are kept.
//!
//! A topic may match as many patterns as the node holds. They are matched and counted in portions,
//! so an answer may take several holds of the lock, and its numbers may be of different moments.

use crate::core::event::EventId;

use super::log::Log;
use super::work::Work;
use super::{SelectorId, Store};

/// One topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: Box<str>,
    /// Streams that subscribe to it by name.
    pub streams: u64,
    /// Subscriptions to patterns that match it; a stream counts once for each.
    pub streams_by_pattern: u64,
    /// Events kept of it.
    pub events: usize,
    /// The oldest of them.
    pub first_id: Option<EventId>,
    /// The newest of them.
    pub last_id: Option<EventId>,
}

/// The subscriptions by pattern of one topic, as far as they have been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatternCount {
    /// Slot of the first pattern that is not counted yet.
    next_slot: u32,
    streams: u64,
}

/// A walk through the table of topics, in portions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicWalk {
    /// The slot that comes next.
    next: u32,
    /// What was counted of the topic there.
    count: PatternCount,
    is_done: bool,
}

impl TopicWalk {
    /// A walk from a slot on, 0 or what [`TopicWalk::next`] said.
    #[must_use]
    pub fn from(slot: u32) -> Self {
        Self {
            next: slot,
            ..Self::default()
        }
    }

    /// The slot from which another walk may go on; `None` at the end.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        (!self.is_done).then_some(self.next)
    }

    /// Whether a topic has been counted in part, which another walk would begin anew.
    #[must_use]
    pub fn is_within_topic(&self) -> bool {
        self.count != PatternCount::default()
    }
}

impl Store {
    /// A topic; of one that does not exist, nothing but its name. `None` where the work was not
    /// enough: what was done so far is kept, in `count` too, and the next call goes on there. With
    /// `known_only`, patterns that are not known to match are not matched any more.
    #[must_use]
    pub fn info(
        &mut self,
        name: &str,
        count: &mut PatternCount,
        known_only: bool,
        work: &mut Work,
    ) -> Option<TopicInfo> {
        let Some(index) = self.topics.find(name) else {
            return Some(TopicInfo {
                name: name.into(),
                ..TopicInfo::default()
            });
        };
        let is_ready = known_only || self.refresh_matches(index, work);
        let is_counted = is_ready && self.count(index, count, work);
        is_counted.then(|| self.info_of(index, *count))
    }

    /// Topics with an event or a subscriber among the next `slots` ones of the table, as far as the
    /// work goes; the walk goes on behind them.
    #[must_use]
    pub fn infos(&mut self, walk: &mut TopicWalk, slots: u32, work: &mut Work) -> Vec<TopicInfo> {
        let mut infos = Vec::new();
        for _ in 0..slots {
            let Some((index, topic)) = self.topics.next_from(walk.next) else {
                walk.is_done = true;
                return infos;
            };
            if index > walk.next {
                // The topic that was counted in part is gone.
                walk.count = PatternCount::default();
                walk.next = index;
            }
            // A topic that only a grant names is nobody's business.
            if topic.log.is_some() || topic.subscribers > 0 {
                if !self.refresh_matches(index, work) || !self.count(index, &mut walk.count, work) {
                    return infos;
                }
                infos.push(self.info_of(index, walk.count));
            }
            walk.next = index + 1;
            walk.count = PatternCount::default();
        }
        walk.is_done = walk.next >= self.topics.end();
        infos
    }

    /// Counts the subscriptions by pattern of a topic, as far as the work goes; returns whether all
    /// are counted. Its matches must be up to date.
    fn count(&self, index: u32, count: &mut PatternCount, work: &mut Work) -> bool {
        let matches = self.topics.get(index).matches();
        let first = matches.partition_point(|known| known.slot < count.next_slot);
        for known in &matches[first..] {
            if !work.charge_references(1) {
                return false;
            }
            count.next_slot = known.slot + 1;
            if self.patterns.is_current(*known) {
                let listeners = self.listeners(SelectorId::pattern(known.slot));
                count.streams += u64::from(listeners.subscribers);
            }
        }
        true
    }

    fn info_of(&self, index: u32, count: PatternCount) -> TopicInfo {
        let topic = self.topics.get(index);
        let log = topic.log.as_deref();
        TopicInfo {
            name: topic.name.clone(),
            streams: u64::from(topic.subscribers),
            streams_by_pattern: count.streams,
            events: log.map_or(0, Log::len),
            first_id: log.and_then(Log::first_id),
            last_id: log.and_then(Log::last_id),
        }
    }
}
