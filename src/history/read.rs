//! Reading on from a cursor: one topic or many, merged by id.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::config::SlowConsumerPolicy;
use crate::event::EventId;
use crate::sse::Frame;

use super::log::Log;
use super::{Store, TopicId};

/// A topic that a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The topic.
    pub topic: TopicId,
    /// What happens when events of it were lost to the reader.
    pub policy: SlowConsumerPolicy,
}

/// Bounds on one read, so that the lock is held briefly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBudget {
    /// Most events.
    pub events: usize,
    /// Bytes after which no further event is added.
    pub bytes: usize,
}

/// What a read found beside the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOutcome {
    /// The last event above the cursor that the reader will not see; `None` when nothing is missing.
    pub lost_through: Option<EventId>,
    /// An event was evicted from a topic whose policy is to disconnect.
    pub disconnect: bool,
}

impl ReadOutcome {
    fn lose(&mut self, id: EventId) {
        self.lost_through = self.lost_through.max(Some(id));
    }
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// It has seen everything up to here.
    pub cursor: EventId,
    /// It was told of losses up to here.
    pub told_through: EventId,
    /// It reads up to here; what comes later is delivered live.
    pub until: EventId,
    /// Topics with the policy `latest` are conflated (not for a stream that resumes: it asked for what it missed).
    pub conflate: bool,
}

impl Store {
    /// Appends to `out` the kept public events with `cursor < id <= until` of the wanted topics, by id, each once.
    pub fn read(
        &self,
        wanted: &[Wanted],
        position: Position,
        budget: ReadBudget,
        out: &mut Vec<(EventId, Frame)>,
    ) -> ReadOutcome {
        let mut outcome = ReadOutcome::default();
        if let [one] = wanted {
            if let Some((log, mut at)) = self.open(*one, position, &mut outcome) {
                let mut room = Room::new(budget);
                while let Some(entry) = log.get(at)
                    && entry.id <= position.until
                    && room.take(entry.id, &entry.frame, out)
                {
                    at += 1;
                }
            }
        } else {
            self.merge(wanted, position, budget, out, &mut outcome);
        }
        outcome
    }

    fn merge(
        &self,
        wanted: &[Wanted],
        position: Position,
        budget: ReadBudget,
        out: &mut Vec<(EventId, Frame)>,
        outcome: &mut ReadOutcome,
    ) {
        let mut logs = Vec::with_capacity(wanted.len());
        let mut next = BinaryHeap::with_capacity(wanted.len());
        for one in wanted {
            let Some((log, at)) = self.open(*one, position, outcome) else {
                continue;
            };
            if let Some(entry) = log.get(at) {
                next.push(Reverse((entry.id, logs.len(), at)));
                logs.push(log);
            }
        }
        let mut room = Room::new(budget);
        let mut previous = None;
        while let Some(Reverse((id, which, at))) = next.pop() {
            if id > position.until {
                break;
            }
            // An event with several of the topics is met once in each.
            if previous.replace(id) != Some(id)
                && let Some(entry) = logs[which].get(at)
                && !room.take(id, &entry.frame, out)
            {
                break;
            }
            if let Some(entry) = logs[which].get(at + 1) {
                next.push(Reverse((entry.id, which, at + 1)));
            }
        }
    }

    /// One topic's log and the position to read from; notes what is lost on the way.
    fn open(
        &self,
        wanted: Wanted,
        position: Position,
        outcome: &mut ReadOutcome,
    ) -> Option<(&Log, usize)> {
        let topic = self.topics.get(wanted.topic.0);
        if topic.evicted_through > position.cursor.max(position.told_through) {
            outcome.lose(topic.evicted_through);
            outcome.disconnect |= wanted.policy == SlowConsumerPolicy::Disconnect;
        }
        let log = topic.log.as_deref()?;
        let mut at = log.position_after(position.cursor);
        if position.conflate && wanted.policy == SlowConsumerPolicy::Latest {
            // What the reader may not see is neither its newest event nor missing.
            let seen = |at: &usize| log.get(*at).is_some_and(|entry| !entry.frame.is_private());
            let mut back = (at..log.position_after(position.until)).rev().filter(seen);
            if let Some(newest) = back.next()
                && let Some(skipped) = back.next().and_then(|skipped| log.get(skipped))
            {
                if skipped.id > position.told_through {
                    outcome.lose(skipped.id);
                }
                at = newest;
            }
        }
        Some((log, at))
    }

    /// Kept events of `name` with `first <= id <= last`, oldest first, or newest first when `newest_first`; at most `count`.
    /// Private ones are included: this is for operators, not for streams.
    #[must_use]
    pub fn range(
        &self,
        name: &str,
        (first, last): (EventId, EventId),
        count: usize,
        newest_first: bool,
    ) -> Vec<(EventId, Frame)> {
        let Some(log) = self.log_of(name) else {
            return Vec::new();
        };
        let start = if first == EventId::ZERO {
            0
        } else {
            log.position_after(first.before())
        };
        let end = log.position_after(last).max(start);
        let event = |at| log.get(at).map(|entry| (entry.id, entry.frame.clone()));
        if newest_first {
            (start..end).rev().take(count).filter_map(event).collect()
        } else {
            (start..end).take(count).filter_map(event).collect()
        }
    }

    /// Number of events kept of `name`.
    #[must_use]
    pub fn len_of(&self, name: &str) -> usize {
        self.log_of(name).map_or(0, Log::len)
    }

    /// The newest id kept of `name`.
    #[must_use]
    pub fn last_of(&self, name: &str) -> Option<EventId> {
        self.log_of(name).and_then(Log::last_id)
    }

    fn log_of(&self, name: &str) -> Option<&Log> {
        self.topics.get(self.topics.find(name)?).log.as_deref()
    }
}

/// What is left of a [`ReadBudget`].
struct Room {
    events: usize,
    bytes: usize,
}

impl Room {
    fn new(budget: ReadBudget) -> Self {
        Self {
            events: budget.events,
            bytes: budget.bytes,
        }
    }

    /// Takes an event unless the budget is spent; an event that nobody may see costs nothing.
    fn take(&mut self, id: EventId, frame: &Frame, out: &mut Vec<(EventId, Frame)>) -> bool {
        if frame.is_private() {
            return true;
        }
        if self.events == 0 || self.bytes == 0 {
            return false;
        }
        self.events -= 1;
        self.bytes = self.bytes.saturating_sub(frame.len());
        out.push((id, frame.clone()));
        true
    }
}
