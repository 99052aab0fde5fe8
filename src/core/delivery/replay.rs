//! Streams that are behind, because they resume or are slower than the events. They read on from
//! history until they are caught up.

use bytes::Bytes;

use crate::core::event::EventId;
use crate::core::history::{Position, Start, Wanted};
use crate::core::sse::{self, Encoding, Frame, Gap};
use crate::metrics::{CloseReason, GapReason};

use super::named_run::rest_of;
use super::subscriber::{Flags, Key};
use super::{Core, Io, Sent};

/// State that a stream has only while it is behind.
#[derive(Debug)]
pub(crate) struct Lagging {
    /// Bytes that must go out before anything else: the rest of a frame that was cut, or the
    /// greeting.
    pub(crate) remainder: Bytes,
    /// Length of the frame that the remainder is a piece of, and keeps in memory.
    frame_bytes: usize,
    /// The unsent part of its farewell. `None` = it is not leaving.
    pub(crate) farewell: Option<Bytes>,
    /// Losses up to this id were reported to it.
    pub(crate) told_through: EventId,
    /// A cursor that this node does not know, and that is still to be reported to its client.
    pub(crate) unknown: Option<Box<str>>,
    /// When its wire last accepted something, in the shard's milliseconds.
    pub(crate) progress_ms: u64,
    /// Set until it is sent its first event or gap after a resume. Until then its losses are
    /// reported as a gap, whatever the policy.
    pub(crate) resuming: bool,
    /// Its wire has been full: topics with the policy `latest` are conflated.
    pub(crate) conflate: bool,
    /// It waits for its turn to be told of a break.
    pub(crate) awaits_turn: bool,
}

/// A lagging entry as a plain value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaggingRecord {
    /// Bytes that must go out before anything else.
    pub remainder: Bytes,
    /// Length of the frame that the remainder is a piece of.
    pub frame_bytes: usize,
    /// The unsent part of its farewell. `None` = it is not leaving.
    pub farewell: Option<Bytes>,
    /// Losses up to this id were reported to it.
    pub told_through: EventId,
    /// An unknown cursor that is still to be reported to its client.
    pub unknown: Option<Box<str>>,
    /// Whether its losses are reported as those of a stream that resumes.
    pub resuming: bool,
    /// Whether topics with the policy `latest` are conflated.
    pub conflate: bool,
}

impl Lagging {
    /// The state of a stream that resumes from a cursor.
    pub(crate) fn resuming(greeting: Bytes, start: Start, now_ms: u64) -> Self {
        Self {
            frame_bytes: greeting.len(),
            remainder: greeting,
            farewell: None,
            told_through: start.told_through,
            unknown: start.unknown,
            progress_ms: now_ms,
            resuming: true,
            conflate: false,
            awaits_turn: false,
        }
    }

    /// The state of a stream that was caught up and is to be told of a break.
    pub(super) fn broken_off(now_ms: u64) -> Self {
        Self {
            awaits_turn: true,
            ..Self::resuming(Bytes::new(), Start::default(), now_ms)
        }
    }

    pub(super) fn blocked(remainder: Bytes, frame_bytes: usize, now_ms: u64) -> Self {
        Self {
            remainder,
            frame_bytes,
            farewell: None,
            told_through: EventId::ZERO,
            unknown: None,
            progress_ms: now_ms,
            resuming: false,
            conflate: true,
            awaits_turn: false,
        }
    }

    /// The entry as a plain value, without the time of the last progress.
    pub(super) fn record(&self) -> LaggingRecord {
        LaggingRecord {
            remainder: self.remainder.clone(),
            frame_bytes: self.frame_bytes,
            farewell: self.farewell.clone(),
            told_through: self.told_through,
            unknown: self.unknown.clone(),
            resuming: self.resuming,
            conflate: self.conflate,
        }
    }

    pub(super) fn restored(record: LaggingRecord) -> Self {
        Self {
            // A frame is at least as long as a piece of it.
            frame_bytes: record.frame_bytes.max(record.remainder.len()),
            remainder: record.remainder,
            farewell: record.farewell,
            told_through: record.told_through,
            unknown: record.unknown,
            progress_ms: 0,
            resuming: record.resuming,
            conflate: record.conflate,
            awaits_turn: false,
        }
    }

    /// Length of its unknown cursor, which it keeps beside the remainder.
    pub(super) fn text_bytes(&self) -> usize {
        self.unknown.as_ref().map_or(0, |text| text.len())
    }

    /// The bytes that are still to be sent to a leaving stream: its remainder, then its farewell.
    pub(super) fn last_parts(&self) -> Vec<Bytes> {
        let parts = [Some(&self.remainder), self.farewell.as_ref()];
        let parts = parts.into_iter().flatten();
        parts.filter(|part| !part.is_empty()).cloned().collect()
    }
}

/// One write to a stream that is behind. Kept between writes for its allocations.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    events: Vec<(EventId, Frame)>,
    /// For a stream that is told topics, the line of each event.
    lines: Vec<Option<Frame>>,
    wanted: Vec<Wanted>,
    parts: Vec<Bytes>,
    pieces: Vec<Piece>,
}

/// A part of a write that is cut as a whole, or the line of an event with its frame: two parts.
#[derive(Clone, Copy, Debug)]
struct Piece {
    has_line: bool,
    /// The stream's cursor once a byte of it has been accepted.
    cursor: EventId,
}

impl Outgoing {
    fn clear(&mut self) {
        self.events.clear();
        self.lines.clear();
        self.wanted.clear();
        self.parts.clear();
        self.pieces.clear();
    }

    /// Adds a part without a line.
    fn add(&mut self, part: Bytes, cursor: EventId) {
        self.parts.push(part);
        self.pieces.push(Piece {
            has_line: false,
            cursor,
        });
    }

    /// Adds the events, each behind its line if it has one.
    fn add_events(&mut self, encoding: Encoding) {
        for (number, (id, frame)) in self.events.iter().enumerate() {
            let line = self.lines.get(number).and_then(Option::as_ref);
            self.parts.extend(line.map(|line| line.rendition(encoding)));
            self.parts.push(frame.rendition(encoding));
            self.pieces.push(Piece {
                has_line: line.is_some(),
                cursor: *id,
            });
        }
    }
}

/// A gap among the parts of a write.
#[derive(Clone, Copy)]
struct Told {
    /// Number of the piece that reports it.
    piece: usize,
    lost_through: EventId,
    reason: GapReason,
}

/// The result of a read for the stream.
enum Plan {
    /// Parts to write, perhaps with a gap among them.
    Write(Option<Told>),
    /// Everything up to this id was examined and is not for the stream. More is left to examine.
    Pass(EventId),
    /// Nothing is left to read.
    CaughtUp,
    /// It is in a hole that its shard has not been told of. [`Message::Break`](super::Message) is
    /// in the mailbox, and lets it read on.
    AwaitBreak,
    /// Events that it missed were evicted, under the policy `disconnect`.
    Disconnect,
}

impl<I: Io> Core<I> {
    /// Records that a caught-up stream's wire is full. From here on the stream reads from history,
    /// after `remainder`, a piece of a frame of `frame_bytes` bytes.
    pub(super) fn block(&mut self, slot: u32, remainder: Bytes, frame_bytes: usize) {
        let lagging = Lagging::blocked(remainder, frame_bytes, self.now_ms);
        self.fall_behind(slot, lagging);
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            subscriber.flags.set(Flags::BLOCKED);
        }
    }

    pub(super) fn fall_behind(&mut self, slot: u32, lagging: Lagging) {
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            subscriber.flags.set(Flags::BEHIND);
            let fits = self.held.add(&lagging.remainder, lagging.frame_bytes);
            let fits = self.held.add_text(lagging.text_bytes()) && fits;
            if !fits {
                self.unaffordable.push(Key {
                    slot,
                    serial: subscriber.serial,
                });
            }
            self.lagging.insert(slot, lagging);
        }
    }

    /// Removes a stream's lagging entry, with its charge and its counts.
    pub(super) fn take_lagging(&mut self, slot: u32) -> Option<Lagging> {
        let lagging = self.lagging.remove(&slot)?;
        self.held.remove_all_of(&lagging);
        self.leaving -= usize::from(lagging.farewell.is_some());
        self.shrink_lagging();
        Some(lagging)
    }

    /// Shrinks the tables after a storm of slow streams.
    fn shrink_lagging(&mut self) {
        #[cfg(test)]
        assert!(!self.lagging.is_empty() || self.held.is_empty());
        if self.lagging.capacity() > 1_024 && self.lagging.len() * 8 < self.lagging.capacity() {
            self.lagging.shrink_to(self.lagging.len() * 2);
        }
        if self.ready.capacity() > 1_024 && self.ready.len() * 8 < self.ready.capacity() {
            self.ready.shrink_to(self.ready.len() * 2);
        }
    }

    /// Records that the wire of an open stream has room again.
    pub(super) fn unblock(&mut self, key: Key) {
        if let Some(subscriber) = self.subscribers.get_mut(key.slot)
            && subscriber.flags.has(Flags::BLOCKED)
        {
            subscriber.flags.clear(Flags::BLOCKED);
            self.make_ready(key.slot);
        }
    }

    /// Restarts the write timeout of an open stream whose wire is full but not stuck.
    pub(super) fn note_progress(&mut self, key: Key) {
        if let Some(lagging) = self.lagging.get_mut(&key.slot) {
            lagging.progress_ms = self.now_ms;
        }
    }

    pub(super) fn make_ready(&mut self, slot: u32) {
        if let Some(subscriber) = self.subscribers.get_mut(slot)
            && !subscriber.flags.has(Flags::QUEUED)
        {
            subscriber.flags.set(Flags::QUEUED);
            self.ready.push_back(slot);
        }
    }

    /// Serves the run queue within a turn's budget: its streams read on from history.
    pub(super) fn catch_up(&mut self, io: &mut I) {
        for _ in 0..self.ready.len().min(self.config.budget.replay_streams) {
            let Some(slot) = self.ready.pop_front() else {
                return;
            };
            // A slot in the queue may belong to a newer stream by now. The flags show whether that
            // stream is queued.
            let Some(key) = self.key_of(slot) else {
                continue;
            };
            if let Some(subscriber) = self.subscribers.get_mut(slot)
                && subscriber.flags.has(Flags::QUEUED)
            {
                subscriber.flags.clear(Flags::QUEUED);
                self.read_on(key, io);
            }
        }
    }

    fn read_on(&mut self, key: Key, io: &mut I) {
        let flags = self.subscribers.get(key.slot).map(|stream| stream.flags);
        if flags.is_some_and(|flags| self.is_expired(key.slot, flags)) {
            self.end_stream(key, CloseReason::Expired, io);
            return;
        }
        if self.is_leaving(key.slot) {
            self.send_farewell(key, io);
            return;
        }
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let mut budget = self.config.budget.replay_bytes;
        loop {
            match self.plan(key.slot, &mut outgoing) {
                Plan::CaughtUp => {
                    self.catch_up_done(key.slot);
                    break;
                }
                Plan::AwaitBreak => break,
                Plan::Pass(through) => {
                    self.advance(key.slot, through);
                    budget = budget.saturating_sub(self.config.budget.pass_bytes);
                }
                Plan::Disconnect => {
                    self.end_stream(key, CloseReason::Lagged, io);
                    break;
                }
                Plan::Write(told) => {
                    let written = self.write_outgoing(key, &outgoing, told, io);
                    let Some(written) = written else { break };
                    budget = budget.saturating_sub(written);
                }
            }
            if budget == 0 {
                self.make_ready(key.slot);
                break;
            }
        }
        outgoing.clear();
        self.outgoing = outgoing;
    }

    /// Plans the next write to a stream that is behind.
    fn plan(&mut self, slot: u32, out: &mut Outgoing) -> Plan {
        out.clear();
        let (Some(subscriber), Some(lagging)) =
            (self.subscribers.get(slot), self.lagging.get_mut(&slot))
        else {
            return Plan::CaughtUp;
        };
        if subscriber.flags.has(Flags::MULTI) {
            let set = self.topics.set(subscriber.topic);
            out.wanted.extend(
                set.iter()
                    .filter_map(|at| Some(self.topics.get(at.topic)?.wanted())),
            );
        } else {
            out.wanted.extend(
                self.topics
                    .get(subscriber.topic)
                    .map(|topic| topic.wanted()),
            );
        }
        let position = Position {
            cursor: subscriber.cursor,
            told_through: lagging.told_through,
            until: self.last_id,
            conflate: lagging.conflate,
        };
        let grant = self.tickets.grant(slot).map(|grant| &**grant);
        let newest = |id| self.taken.newest(id, grant.is_some());
        let mut store = self.shared.store();
        let outcome = store.read(
            &out.wanted,
            grant,
            position,
            self.config.budget.read,
            newest,
            &mut out.events,
        );
        let encoding = subscriber.encoding;
        let has_events = !out.events.is_empty();
        if has_events && encoding.has_topics() {
            store.topic_lines(&out.wanted, grant, &mut out.events, &mut out.lines);
        }
        drop(store);
        let resuming = lagging.resuming;
        if outcome.awaits_break {
            return Plan::AwaitBreak;
        }
        if outcome.disconnect && !resuming {
            return Plan::Disconnect;
        }
        if has_events && out.events.is_empty() {
            return Plan::Pass(subscriber.cursor);
        }
        if !lagging.remainder.is_empty() {
            out.add(lagging.remainder.clone(), subscriber.cursor);
        }
        let unknown = lagging.unknown.as_deref();
        let lost_through = match (outcome.lost_through, unknown) {
            (None, Some(_)) => Some(lagging.told_through),
            (lost, _) => lost,
        };
        let told = lost_through.map(|lost| {
            // Any event that was not examined yet may still be in the history.
            let examined_through = outcome.examined_through.unwrap_or(lost);
            let first_kept = out
                .events
                .first()
                .map_or(examined_through, |(id, _)| id.before());
            let first_kept = first_kept.min(lost);
            let safe_cursor = first_kept.max(subscriber.cursor);
            let reason = match (unknown, outcome.hole) {
                (Some(_), _) => GapReason::Unknown,
                (None, Some(hole)) => hole.cause.reason(),
                (None, None) if resuming => GapReason::Evicted,
                (None, None) => GapReason::Lagged,
            };
            let cursor = subscriber.cursor;
            let told_from = outcome.hole.map_or(cursor, |hole| hole.told_from(cursor));
            let from =
                unknown.map_or_else(|| told_from.marked(self.mark).to_string(), str::to_owned);
            let gap = Gap {
                from,
                to: lost.marked(self.mark),
                reason,
            };
            let gap = sse::gap(&gap, safe_cursor.marked(self.mark));
            out.add(gap.rendition(encoding), safe_cursor);
            Told {
                piece: out.pieces.len() - 1,
                lost_through: lost,
                reason,
            }
        });
        out.add_events(encoding);
        match outcome.examined_through {
            Some(through) if out.parts.is_empty() => Plan::Pass(through),
            None if out.parts.is_empty() => Plan::CaughtUp,
            _ => Plan::Write(told),
        }
    }

    /// Writes the planned parts. Returns their bytes if the wire has room for more.
    fn write_outgoing(
        &mut self,
        key: Key,
        out: &Outgoing,
        told: Option<Told>,
        io: &mut I,
    ) -> Option<usize> {
        let subscriber = self.subscribers.get(key.slot)?;
        let total = out.parts.iter().map(Bytes::len).sum();
        let (accepted, full) = match io.send(key, &subscriber.wire, &out.parts) {
            Sent::All => (total, false),
            Sent::Part(accepted) => (accepted, true),
            Sent::Gone(reason) => {
                self.close(key, reason, io);
                return None;
            }
        };
        self.settle_outgoing(key.slot, out, told, accepted);
        if full {
            if let Some(subscriber) = self.subscribers.get_mut(key.slot) {
                subscriber.flags.set(Flags::BLOCKED);
            }
            return None;
        }
        Some(total)
    }

    /// Advances the stream by the parts that its wire accepted, whole or cut.
    fn settle_outgoing(&mut self, slot: u32, out: &Outgoing, told: Option<Told>, accepted: usize) {
        let mut begun = 0;
        let mut left = accepted;
        let mut remainder = Bytes::new();
        let mut frame_bytes = 0;
        let mut parts = out.parts.iter();
        for piece in &out.pieces {
            let line = if piece.has_line { parts.next() } else { None };
            let Some(part) = parts.next().filter(|_| left > 0) else {
                break;
            };
            begun += 1;
            let total = line.map_or(0, Bytes::len) + part.len();
            if left < total {
                (remainder, frame_bytes) = rest_of(line, part, left);
                left = 0;
            } else {
                left -= total;
            }
        }
        let now_ms = self.now_ms;
        let Some(lagging) = self.lagging.get_mut(&slot) else {
            return;
        };
        let mut fits = true;
        if accepted > 0 {
            // The first part may be a remainder itself, and keep more than its own length in
            // memory.
            if !lagging.remainder.is_empty() && begun == 1 {
                frame_bytes = frame_bytes.max(lagging.frame_bytes);
            }
            fits = self.held.add(&remainder, frame_bytes);
            self.held.remove(&lagging.remainder);
            lagging.remainder = remainder;
            lagging.frame_bytes = frame_bytes;
            lagging.progress_ms = now_ms;
        }
        let first_event = out.pieces.len() - out.events.len();
        if let Some(told) = told.filter(|told| begun > told.piece) {
            lagging.told_through = told.lost_through.max(lagging.told_through);
            self.held.remove_text(lagging.text_bytes());
            lagging.unknown = None;
            lagging.resuming = false;
            self.counters.gaps[told.reason as usize].add(1);
        }
        if begun > first_event {
            lagging.resuming = false;
        }
        if accepted < out.parts.iter().map(Bytes::len).sum() {
            lagging.conflate = true;
        }
        if !fits {
            self.unaffordable.extend(self.key_of(slot));
        }
        let events = begun.saturating_sub(first_event) as u64;
        self.counters.deliveries.add(events);
        self.counters.replayed.add(events);
        self.count_write(slot, accepted);
        if begun > 0 {
            self.advance(slot, out.pieces[begun - 1].cursor);
        }
    }

    /// Makes a stream caught up: nothing is left for it up to the shard's last id.
    fn catch_up_done(&mut self, slot: u32) {
        self.take_lagging(slot);
        let last_id = self.last_id;
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            subscriber.flags.clear(Flags::BEHIND);
            subscriber.cursor = subscriber.cursor.max(last_id);
        }
    }
}
