//! Reading on from a cursor: one topic or many, merged by id.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::core::event::EventId;
use crate::core::history::SlowConsumerPolicy;
use crate::core::sse::Frame;

use super::log::Entry;
use super::work::Work;
use super::{Hole, SelectorId, Store};

/// A topic or pattern that a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The topic or pattern.
    pub selector: SelectorId,
    /// The policy if events of it were lost to the reader.
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

/// The result of a read, beside the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOutcome {
    /// The last event above the cursor that the reader will not see; `None` if none is missing.
    pub lost_through: Option<EventId>,
    /// An event was evicted from a topic whose policy is to disconnect.
    pub disconnect: bool,
    /// The reader lost the events of this hole, whatever its speed.
    pub hole: Option<Hole>,
    /// The reader is in a hole that ends beyond [`Position::until`]. It is told of it when its
    /// shard has been; nothing was read.
    pub awaits_break: bool,
    /// Set when the read stopped at its scan limit. Everything up to this id was examined; all
    /// matches are in `out`.
    pub examined_through: Option<EventId>,
}

impl ReadOutcome {
    pub(super) fn lose(&mut self, id: EventId) {
        self.lost_through = self.lost_through.max(Some(id));
    }
}

/// A reader's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// It has seen everything up to here.
    pub cursor: EventId,
    /// It was told of losses up to here.
    pub told_through: EventId,
    /// It reads up to here; later events are delivered live.
    pub until: EventId,
    /// Topics with the policy `latest` are conflated (not for a stream that resumes: it asked for
    /// the missed events).
    pub conflate: bool,
}

/// Whether a reader may hear an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hears {
    Yes,
    No,
    /// Undecided within the bounds on one hold of the lock; the next call continues.
    Later,
}

/// A reader's place in one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) topic: u32,
    /// Position in the topic's log.
    pub(super) at: usize,
}

/// A reader, and its bounds.
pub(super) struct Reader<'r> {
    pub(super) grant: Option<&'r [SelectorId]>,
    pub(super) position: Position,
    /// What the reader reads up to, without regard to holes.
    shard_until: EventId,
    room: Room,
    pub(super) work: Work,
    /// For reading ahead, which must not use up the work of the read itself.
    ahead: Work,
    pub(super) out: &'r mut Vec<(EventId, Frame)>,
    pub(super) outcome: ReadOutcome,
}

impl Reader<'_> {
    /// Charges one examined event; at the limit, the read ends before it. The first event is always
    /// examined, so that a read makes progress.
    pub(super) fn is_at_scan_limit(&mut self, id: EventId) -> bool {
        let enough = !self.work.charge_event() && id.before() > self.position.cursor;
        if enough {
            self.outcome.examined_through = Some(id.before());
        }
        enough
    }

    /// Ends a read that was to end before a hole. If nothing is left before it, a gap of evicted
    /// events covers the hole, too.
    fn end_before(&mut self, hole: Hole) {
        if !self.out.is_empty() || self.outcome.examined_through.is_some() {
            return;
        }
        let ends_here = hole.through <= self.shard_until;
        if self.outcome.lost_through.is_some() && self.outcome.hole.is_none() && ends_here {
            self.outcome.lose(hole.through);
            self.outcome.hole = Some(hole);
            self.outcome.examined_through = Some(hole.through);
        } else {
            self.outcome.examined_through = Some(hole.after);
        }
    }
}

impl Store {
    /// Appends to `out` the kept events of `wanted` with `cursor < id <= until` that a reader with
    /// this grant may hear, by id, each once.
    ///
    /// `newest` returns the newest event of a topic up to `until`. It is called if the topic has
    /// evicted events beyond `until`: the reader's losses so far end there.
    pub fn read(
        &mut self,
        wanted: &[Wanted],
        grant: Option<&[SelectorId]>,
        position: Position,
        budget: ReadBudget,
        newest: impl Fn(SelectorId) -> EventId,
        out: &mut Vec<(EventId, Frame)>,
    ) -> ReadOutcome {
        let mut outcome = ReadOutcome::default();
        // Separate work: the read must make progress, whatever this costs.
        let mut work = self.work();
        let seen = position.cursor.max(position.told_through);
        let mut by_pattern = false;
        let holes = self.holes_before(position.cursor, position.told_through, position.until);
        if holes
            .around
            .is_some_and(|hole| hole.through > position.until)
        {
            outcome.awaits_break = true;
            return outcome;
        }
        for wish in wanted {
            let mut lost = self.evicted_from(wish.selector, grant.is_some(), seen, &mut work);
            if lost > position.until {
                // None of its events up to there is kept, and later ones are on their way to the
                // reader.
                lost = newest(wish.selector).min(position.until);
            }
            // What was evicted within a hole was lost anyway: the gap has all of the hole, or
            // nothing of it if the shard has not been told of it yet.
            if let Some(hole) = self.holes.around_bound(lost).filter(|_| lost > seen) {
                lost = hole.after.max(seen);
                if hole.through <= position.until {
                    lost = hole.through;
                    outcome.hole = Some(hole);
                }
            }
            if lost > seen {
                outcome.lose(lost);
                outcome.disconnect |= wish.policy == SlowConsumerPolicy::Disconnect;
            }
            by_pattern |= wish.selector.pattern_slot().is_some();
        }
        if let Some(hole) = holes.around {
            outcome.lose(hole.through);
            outcome.hole = Some(hole);
        }
        let until = holes.beyond.map_or(position.until, |hole| hole.after);
        let mut reader = Reader {
            grant,
            // Nothing in a hole is read, though events that a log has lost may still be there.
            position: Position {
                cursor: self.holes.out_of(position.cursor),
                until,
                ..position
            },
            shard_until: position.until,
            room: Room::new(budget),
            work: self.work(),
            ahead: self.work(),
            out,
            outcome,
        };
        match wanted {
            _ if by_pattern => self.scan(wanted, &mut reader),
            [wish] => self.read_one(*wish, &mut reader),
            _ => self.merge(wanted, &mut reader),
        }
        if let Some(hole) = holes.beyond {
            reader.end_before(hole);
        }
        reader.outcome
    }

    fn read_one(&mut self, wanted: Wanted, reader: &mut Reader<'_>) {
        let Some(mut reading) = self.open(wanted, reader) else {
            return;
        };
        while let Some(entry) = self.entry(reading)
            && entry.id <= reader.position.until
            && self.take(reading, reader)
        {
            reading.at += 1;
        }
    }

    fn merge(&mut self, wanted: &[Wanted], reader: &mut Reader<'_>) {
        let mut next = BinaryHeap::with_capacity(wanted.len());
        for wish in wanted {
            if let Some(reading) = self.open(*wish, reader)
                && let Some(entry) = self.entry(reading)
            {
                next.push(Reverse((entry.id, reading.topic, reading.at)));
            }
        }
        let mut previous = None;
        while let Some(Reverse((id, topic, at))) = next.pop() {
            let mut reading = Reading { topic, at };
            // An event with several of the topics is met once in each.
            if id > reader.position.until
                || (previous.replace(id) != Some(id) && !self.take(reading, reader))
            {
                break;
            }
            reading.at += 1;
            if let Some(entry) = self.entry(reading) {
                next.push(Reverse((entry.id, reading.topic, reading.at)));
            }
        }
    }

    pub(super) fn entry(&self, reading: Reading) -> Option<&Entry> {
        let log = self.topics.get(reading.topic).log.as_deref()?;
        log.get(reading.at)
    }

    /// Adds an event if the reader may hear it; returns whether to read on.
    pub(super) fn take(&mut self, reading: Reading, reader: &mut Reader<'_>) -> bool {
        let Some(entry) = self.entry(reading) else {
            return false;
        };
        if !entry.frame.is_private() {
            return reader.room.take(entry.id, &entry.frame, reader.out);
        }
        let id = entry.id;
        if reader.is_at_scan_limit(id) {
            return false;
        }
        match self.hears(reading, reader.grant, &mut reader.work) {
            Hears::Yes => self
                .entry(reading)
                .is_some_and(|entry| reader.room.take(id, &entry.frame, reader.out)),
            Hears::No => true,
            Hears::Later => {
                reader.outcome.examined_through = Some(id.before());
                false
            }
        }
    }

    /// Whether a reader with this grant may hear an event of a topic's log.
    pub(super) fn hears(
        &mut self,
        reading: Reading,
        grant: Option<&[SelectorId]>,
        work: &mut Work,
    ) -> Hears {
        let Some(entry) = self.entry(reading) else {
            return Hears::No;
        };
        if !entry.frame.is_private() {
            return Hears::Yes;
        }
        let Some(grant) = grant else {
            return Hears::No;
        };
        let several = entry.private_topics().cloned();
        let single = [SelectorId::topic(reading.topic)];
        let topics = several.as_ref().map_or(&single[..], |several| several);
        for index in topics.iter().filter_map(|id| id.topic_index()) {
            if !self.refresh_matches(index, work) {
                return Hears::Later;
            }
            if self.is_among(index, grant) {
                return Hears::Yes;
            }
        }
        Hears::No
    }

    /// The place at which a reader of one topic begins; notes the losses of conflation on the way.
    fn open(&mut self, wanted: Wanted, reader: &mut Reader<'_>) -> Option<Reading> {
        let topic = wanted.selector.topic_index()?;
        let log = self.topics.get(topic).log.as_deref()?;
        let mut first = Reading {
            topic,
            at: log.position_after(reader.position.cursor),
        };
        if reader.position.conflate && wanted.policy == SlowConsumerPolicy::Latest {
            let end = log.position_after(reader.position.until);
            if let Some((newest, _)) = self.newest_heard(first, end, reader)
                && let Some((_, skipped)) = self.newest_heard(first, newest, reader)
            {
                if skipped > reader.position.told_through {
                    reader.outcome.lose(skipped);
                }
                first.at = newest;
            }
        }
        Some(first)
    }

    /// Position and id of the newest event from `first` on and before position `end` that a reader
    /// may hear. Events that it may not hear are neither its newest event nor missing. `None` also
    /// if deciding is too much work: nothing is skipped then.
    pub(super) fn newest_heard(
        &mut self,
        first: Reading,
        end: usize,
        reader: &mut Reader<'_>,
    ) -> Option<(usize, EventId)> {
        for at in (first.at..end).rev() {
            let reading = Reading { at, ..first };
            let private = self
                .entry(reading)
                .is_some_and(|entry| entry.frame.is_private());
            if private && !reader.ahead.charge_event() {
                return None;
            }
            match self.hears(reading, reader.grant, &mut reader.ahead) {
                Hears::Yes => return Some((at, self.entry(reading)?.id)),
                Hears::No => {}
                Hears::Later => return None,
            }
        }
        None
    }
}

/// The rest of a [`ReadBudget`].
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

    /// Adds an event unless the budget is spent.
    fn take(&mut self, id: EventId, frame: &Frame, out: &mut Vec<(EventId, Frame)>) -> bool {
        if self.events == 0 || self.bytes == 0 {
            return false;
        }
        self.events -= 1;
        self.bytes = self.bytes.saturating_sub(frame.len());
        out.push((id, frame.clone()));
        true
    }
}
