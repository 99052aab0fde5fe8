//! Reading on from a cursor: one topic or many, merged by id.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::config::SlowConsumerPolicy;
use crate::event::EventId;
use crate::sse::Frame;

use super::log::{Entry, Log};
use super::{SelectorId, Store};

/// A topic or pattern that a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The topic or pattern.
    pub selector: SelectorId,
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
    /// The read ended before the position's end for having looked at as many events as it may: there is nothing to read up to here, but what
    /// was found.
    pub looked_through: Option<EventId>,
}

impl ReadOutcome {
    pub(super) fn lose(&mut self, id: EventId) {
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
    /// Appends to `out` the kept events with `cursor < id <= until` of what is wanted that a reader with this grant may hear, by id, each once.
    pub fn read(
        &mut self,
        wanted: &[Wanted],
        grant: Option<&[SelectorId]>,
        position: Position,
        budget: ReadBudget,
        out: &mut Vec<(EventId, Frame)>,
    ) -> ReadOutcome {
        let mut outcome = ReadOutcome::default();
        let seen = position.cursor.max(position.told_through);
        let mut by_pattern = false;
        for one in wanted {
            let evicted = self.evicted_from(one.selector, seen);
            if evicted > seen {
                outcome.lose(evicted);
                outcome.disconnect |= one.policy == SlowConsumerPolicy::Disconnect;
            }
            match one.selector.topic_index() {
                // What is asked of a topic's matches below is only whether they meet a grant.
                Some(index) if grant.is_some() => self.look_at(index),
                Some(_) => {}
                None => by_pattern = true,
            }
        }
        let mut room = Room::new(budget);
        if by_pattern {
            self.scan(wanted, grant, position, &mut room, out, &mut outcome);
        } else if let [one] = wanted {
            if let Some((index, log, mut at)) = self.open(*one, grant, position, &mut outcome) {
                while let Some(entry) = log.get(at)
                    && entry.id <= position.until
                    && (!self.may_hear(index, entry, grant)
                        || room.take(entry.id, &entry.frame, out))
                {
                    at += 1;
                }
            }
        } else {
            self.merge(wanted, grant, position, &mut room, out, &mut outcome);
        }
        outcome
    }

    /// Whether a reader with this grant may hear an event that it meets in a topic's log. The topic's matches must be up to date if there is a grant.
    pub(super) fn may_hear(&self, index: u32, entry: &Entry, grant: Option<&[SelectorId]>) -> bool {
        if !entry.frame.is_private() {
            return true;
        }
        let Some(grant) = grant else { return false };
        match entry.private_topics() {
            None => self.is_among(index, grant),
            Some(names) => names.iter().any(|name| self.is_granted(name, grant)),
        }
    }

    /// Whether a grant names a topic that need not exist any longer.
    fn is_granted(&self, name: &str, grant: &[SelectorId]) -> bool {
        let found = self.topics.find(name);
        if let Some(index) = found
            && self.is_looked_at(index)
        {
            return self.is_among(index, grant);
        }
        // A topic that a grant names exactly exists, for the grant holds it.
        let by_name = found.map(SelectorId::topic);
        by_name.is_some_and(|id| grant.binary_search(&id).is_ok())
            || grant
                .iter()
                .filter_map(|id| self.patterns.get(id.pattern_slot()?))
                .any(|pattern| pattern.selector.matches(name))
    }

    fn merge(
        &self,
        wanted: &[Wanted],
        grant: Option<&[SelectorId]>,
        position: Position,
        room: &mut Room,
        out: &mut Vec<(EventId, Frame)>,
        outcome: &mut ReadOutcome,
    ) {
        let mut logs = Vec::with_capacity(wanted.len());
        let mut next = BinaryHeap::with_capacity(wanted.len());
        for one in wanted {
            let Some((index, log, at)) = self.open(*one, grant, position, outcome) else {
                continue;
            };
            if let Some(entry) = log.get(at) {
                next.push(Reverse((entry.id, logs.len(), at)));
                logs.push((index, log));
            }
        }
        let mut previous = None;
        while let Some(Reverse((id, which, at))) = next.pop() {
            if id > position.until {
                break;
            }
            // An event with several of the topics is met once in each.
            let (index, log) = logs[which];
            if previous.replace(id) != Some(id)
                && let Some(entry) = log.get(at)
                && self.may_hear(index, entry, grant)
                && !room.take(id, &entry.frame, out)
            {
                break;
            }
            if let Some(entry) = log.get(at + 1) {
                next.push(Reverse((entry.id, which, at + 1)));
            }
        }
    }

    /// One topic's log and the position to read from; notes what conflation loses on the way.
    fn open(
        &self,
        wanted: Wanted,
        grant: Option<&[SelectorId]>,
        position: Position,
        outcome: &mut ReadOutcome,
    ) -> Option<(u32, &Log, usize)> {
        let index = wanted.selector.topic_index()?;
        let log = self.topics.get(index).log.as_deref()?;
        let mut at = log.position_after(position.cursor);
        if position.conflate && wanted.policy == SlowConsumerPolicy::Latest {
            let mut back = self.heard_backwards(index, log, at, position.until, grant);
            if let Some((newest, _)) = back.next()
                && let Some((_, skipped)) = back.next()
            {
                if skipped > position.told_through {
                    outcome.lose(skipped);
                }
                at = newest;
            }
        }
        Some((index, log, at))
    }

    /// Positions and ids of a topic's events up to `until`, down to position `at`, that a reader with this grant may hear, newest first: what it
    /// may not hear is neither its newest event nor missing.
    pub(super) fn heard_backwards<'a>(
        &'a self,
        index: u32,
        log: &'a Log,
        at: usize,
        until: EventId,
        grant: Option<&'a [SelectorId]>,
    ) -> impl Iterator<Item = (usize, EventId)> + 'a {
        let back = (at..log.position_after(until)).rev();
        back.filter_map(move |at| {
            let entry = log.get(at)?;
            self.may_hear(index, entry, grant).then_some((at, entry.id))
        })
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
pub(super) struct Room {
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

    /// Takes an event unless the budget is spent.
    pub(super) fn take(
        &mut self,
        id: EventId,
        frame: &Frame,
        out: &mut Vec<(EventId, Frame)>,
    ) -> bool {
        if self.events == 0 || self.bytes == 0 {
            return false;
        }
        self.events -= 1;
        self.bytes = self.bytes.saturating_sub(frame.len());
        out.push((id, frame.clone()));
        true
    }
}
