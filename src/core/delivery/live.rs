//! Writing new events to the streams that are caught up.
//!
//! A turn's events are noted by topic first. Then each dirty topic's *run* (its events of this
//! turn, in order) goes to its members: one event as it is, several joined into one buffer, so that
//! a delivery is one `send` either way. If more than one entry is dirty, streams that may be in
//! several are collected and served last, with their runs merged by id.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::core::desk::{Delivery, Trace};
use crate::core::event::EventId;
use crate::core::history::{Audience, EventTopics, Grant, Newest};
use crate::core::sse::{Encoding, Frame};

use super::run::Run;
use super::run_event::RunEvent;
use super::sets::{LocalSet, LocalSets, SetLimits};
use super::subscriber::{Flags, Key};
use super::topics::LocalTopics;
use super::{Core, Io, Sent};

/// Numbers of those events of a turn that one stream may hear.
pub(super) type FewIndices = SmallVec<[u32; 8]>;

/// The events of the turn, and their topics.
#[derive(Debug, Default)]
pub(crate) struct Live {
    events: Vec<LiveEvent>,
    dirty: Vec<Dirty>,
    /// Emptied event lists of finished dirty entries, kept for the next turn.
    spare: Vec<Vec<u32>>,
    /// Streams that may be in more than one dirty entry: (slot, number of the dirty entry).
    pub(super) several: Vec<(u32, u32)>,
    sets: LocalSets,
    /// Set if a dirty entry is a set of patterns. A stream with a single topic may then be in
    /// several dirty entries.
    has_sets: bool,
    /// Number of runs made so far.
    #[cfg(test)]
    pub(super) runs_made: std::cell::Cell<usize>,
}

#[derive(Debug)]
struct LiveEvent {
    id: EventId,
    frame: Frame,
    /// The audience of a private event.
    audience: Option<Arc<Audience>>,
    topics: Option<Arc<EventTopics>>,
    trace: Option<Arc<Trace>>,
    delivered: usize,
    behind: usize,
}

#[derive(Debug)]
struct Dirty {
    target: Target,
    /// Numbers of its events, in ascending order.
    events: Vec<u32>,
}

/// The streams that a dirty entry's events are written to.
#[derive(Clone, Debug)]
enum Target {
    /// The streams of the topic with this number.
    Topic(u32),
    /// The streams of a set with more patterns than are written to one by one. They were looked up
    /// when the event was noted. A stream that is attached later in the turn is not among them: it
    /// reads the event from history, or starts after it. None of their slots is reused before the
    /// flush, because streams are closed or parked only after it.
    Set(Arc<LocalSet>),
}

/// Most runs kept while an entry with private events is written, one for each selection of events.
/// A run above this limit replaces the last one.
const RUNS_MAX: usize = 16;

/// Number of the latest dirty entries that are searched for a set of patterns.
const SETS_TRIED: usize = 4;

/// Most spare lists kept between turns.
const SPARE_MAX: usize = 64;

impl Live {
    /// Notes an event under each of its topics and patterns that has streams on this shard.
    pub(crate) fn note(&mut self, event: &Delivery, topics: &mut LocalTopics, limits: SetLimits) {
        let number = self.events.len() as u32;
        let mut wanted = false;
        for id in &event.selectors {
            if let Some(index) = topics.find(*id) {
                wanted = true;
                self.mark(index, number, topics);
            }
        }
        for set in &event.sets {
            let local = self.sets.resolve(set, topics, limits);
            wanted |= !local.topics.is_empty();
            if local.is_few() {
                for index in &local.topics {
                    self.mark(*index, number, topics);
                }
            } else {
                self.mark_set(local, number);
            }
        }
        if wanted || event.trace.is_some() {
            self.events.push(LiveEvent {
                id: event.id,
                frame: event.frame.clone(),
                audience: event.audience.clone(),
                topics: event.topics.clone(),
                trace: event.trace.clone(),
                delivered: 0,
                behind: 0,
            });
        }
    }

    fn mark(&mut self, index: u32, number: u32, topics: &mut LocalTopics) {
        let Some(topic) = topics.get_mut(index) else {
            return;
        };
        if !topic.is_dirty() {
            topic.dirty = self.dirty.len() as u32;
            self.add_dirty(Target::Topic(index));
        }
        let events = &mut self.dirty[topic.dirty as usize].events;
        // Two sets of one event may have the same pattern.
        if events.last() != Some(&number) {
            events.push(number);
        }
    }

    fn mark_set(&mut self, set: Arc<LocalSet>, number: u32) {
        self.has_sets = true;
        let is_it = |dirty: &&mut Dirty| match &dirty.target {
            Target::Set(other) => Arc::ptr_eq(other, &set),
            Target::Topic(_) => false,
        };
        // Mostly one set is dirty. Two entries of the same set do no harm: their events are merged.
        let mut latest = self.dirty.iter_mut().rev().take(SETS_TRIED);
        if let Some(dirty) = latest.find(is_it) {
            // An event is noted once for each set.
            if dirty.events.last() != Some(&number) {
                dirty.events.push(number);
            }
            return;
        }
        self.add_dirty(Target::Set(set));
        if let Some(dirty) = self.dirty.last_mut() {
            dirty.events.push(number);
        }
    }

    fn add_dirty(&mut self, target: Target) {
        self.dirty.push(Dirty {
            target,
            events: self.spare.pop().unwrap_or_default(),
        });
    }

    /// Number of sets of patterns looked up so far.
    #[cfg(test)]
    pub(super) fn sets_looked_up(&self) -> usize {
        self.sets.looked_up
    }

    /// Whether a stream with this grant may hear an event of the turn.
    pub(super) fn may_hear(&self, number: u32, grant: Option<&Grant>) -> bool {
        match &self.events[number as usize].audience {
            None => true,
            Some(audience) => grant.is_some_and(|grant| audience.admits(grant)),
        }
    }

    fn is_private(&self, numbers: &[u32]) -> bool {
        let mut events = numbers.iter().map(|number| &self.events[*number as usize]);
        events.any(|event| event.audience.is_some())
    }

    pub(super) fn has_private(&self) -> bool {
        self.events.iter().any(|event| event.audience.is_some())
    }

    /// Numbers of the events of a dirty entry.
    pub(super) fn events_of(&self, dirty: u32) -> &[u32] {
        &self.dirty[dirty as usize].events
    }

    /// Counts these events as written to `streams` streams.
    pub(super) fn count_delivered(&mut self, numbers: &[u32], streams: usize) {
        for number in numbers {
            self.events[*number as usize].delivered += streams;
        }
    }

    pub(super) fn run(&self, numbers: &[u32], encoding: Encoding) -> Run {
        #[cfg(test)]
        self.runs_made.set(self.runs_made.get() + 1);
        let events = numbers.iter().map(|number| &self.events[*number as usize]);
        let events = events.map(|event| RunEvent {
            id: event.id,
            frame: event.frame.clone(),
            topics: event.topics.clone(),
        });
        Run::new(events.collect(), encoding)
    }
}

impl<I: Io> Core<I> {
    /// Writes the events noted since the last flush to all caught-up streams of their topics.
    pub(super) fn flush(&mut self, io: &mut I) {
        let mut live = std::mem::take(&mut self.live);
        let many_dirty = live.dirty.len() > 1;
        for number in 0..live.dirty.len() {
            self.flush_topic(&mut live, number, many_dirty, io);
        }
        if !live.several.is_empty() {
            self.flush_several(&mut live, io);
        }
        if self.lagging.is_empty() {
            self.taken.clear();
        } else {
            self.note_taken(&live);
        }
        live.has_sets = false;
        for Dirty { target, mut events } in live.dirty.drain(..) {
            if let Target::Topic(topic) = target {
                if let Some(topic) = self.topics.get_mut(topic) {
                    topic.clean();
                }
                self.topics.remove_if_empty(topic);
            }
            events.clear();
            if live.spare.len() < SPARE_MAX {
                live.spare.push(events);
            }
        }
        for event in live.events.drain(..) {
            if let Some(trace) = event.trace {
                trace.shard_done(event.delivered, event.behind);
            }
        }
        self.live = live;
    }

    /// Notes this turn's events for the streams that are behind: these read the events from history
    /// later, or are sent a gap.
    fn note_taken(&mut self, live: &Live) {
        for dirty in &live.dirty {
            let mut newest = Newest::default();
            for number in &dirty.events {
                let event = &live.events[*number as usize];
                newest.add(event.id, event.audience.is_some());
            }
            let topics = match &dirty.target {
                Target::Topic(topic) => std::slice::from_ref(topic),
                Target::Set(set) => &set.topics,
            };
            for index in topics {
                let topic = self.topics.get(*index);
                if let Some(topic) = topic.filter(|topic| !topic.members.is_empty()) {
                    self.taken.note(topic.id, newest);
                }
            }
        }
    }

    /// Number of streams of a dirty entry.
    fn members_of(&self, target: &Target) -> usize {
        match target {
            Target::Topic(index) => self
                .topics
                .get(*index)
                .map_or(0, |topic| topic.members.len()),
            Target::Set(set) => set.members.len(),
        }
    }

    /// The slot of the stream at a position in a dirty entry's list. A stream of a set may be
    /// closed by now.
    #[inline]
    fn member(&self, target: &Target, position: usize) -> Option<u32> {
        match target {
            Target::Topic(index) => self.topics.get(*index)?.members.get(position).copied(),
            Target::Set(set) => set.members.get(position).copied(),
        }
    }

    fn flush_topic(&mut self, live: &mut Live, number: usize, many_dirty: bool, io: &mut I) {
        if live.is_private(&live.dirty[number].events) {
            return self.flush_private(live, number, many_dirty, io);
        }
        let target = live.dirty[number].target.clone();
        let has_expired = self.has_expired();
        let mut run = None;
        let mut position = self.members_of(&target);
        let (mut delivered, mut behind) = (0, 0);
        // Backwards: a stream whose wire turns out to be gone leaves the list. The last member,
        // which is already served, moves into its position.
        while position > 0 {
            position -= 1;
            let Some(slot) = self.member(&target, position) else {
                continue;
            };
            let Some(subscriber) = self.subscribers.get(slot) else {
                continue;
            };
            let (flags, encoding) = (subscriber.flags, subscriber.encoding);
            if has_expired && self.is_expired(slot, flags) {
                continue;
            }
            if flags.has(Flags::BEHIND) {
                behind += 1;
            } else if many_dirty && (live.has_sets || flags.has(Flags::MULTI)) {
                live.several.push((slot, number as u32));
            } else {
                delivered += 1;
                let run = run.get_or_insert_with(|| live.run(&live.dirty[number].events, encoding));
                self.write_run(slot, run, io);
            }
        }
        for event in &live.dirty[number].events {
            let event = &mut live.events[*event as usize];
            event.delivered += delivered;
            event.behind += behind;
        }
    }

    /// `flush_topic` for an entry with private events: not all members may hear all of them. One
    /// run is made for each selection of events that some member may hear.
    #[cold]
    fn flush_private(&mut self, live: &mut Live, number: usize, many_dirty: bool, io: &mut I) {
        let target = live.dirty[number].target.clone();
        let events = std::mem::take(&mut live.dirty[number].events);
        let mut runs: Vec<(FewIndices, Run)> = Vec::new();
        let mut position = self.members_of(&target);
        while position > 0 {
            position -= 1;
            let Some(slot) = self.member(&target, position) else {
                continue;
            };
            let Some(subscriber) = self.subscribers.get(slot) else {
                continue;
            };
            let (flags, encoding) = (subscriber.flags, subscriber.encoding);
            if self.is_expired(slot, flags) {
                continue;
            }
            let may_be_several = live.has_sets || flags.has(Flags::MULTI);
            if many_dirty && may_be_several && !flags.has(Flags::BEHIND) {
                live.several.push((slot, number as u32));
                continue;
            }
            let grant = self.tickets.grant(slot);
            let heard = events.iter().copied();
            let heard: FewIndices = heard.filter(|one| live.may_hear(*one, grant)).collect();
            for event in &heard {
                let event = &mut live.events[*event as usize];
                event.behind += usize::from(flags.has(Flags::BEHIND));
                event.delivered += usize::from(!flags.has(Flags::BEHIND));
            }
            if flags.has(Flags::BEHIND) || heard.is_empty() {
                continue;
            }
            let known = runs.iter().position(|(of, _)| *of == heard);
            let known = known.unwrap_or_else(|| {
                runs.truncate(RUNS_MAX - 1);
                let run = live.run(&heard, encoding);
                runs.push((heard, run));
                runs.len() - 1
            });
            self.write_run(slot, &mut runs[known].1, io);
        }
        live.dirty[number].events = events;
    }

    /// Writes to a caught-up stream those events of a run that it has not seen.
    ///
    /// This function and [`Io::send`] are inlined into the loop over a topic's members, so that no
    /// function returns between one system call and the next while wires accept everything. The
    /// kernel leaves the processor's stack of return addresses overwritten, and a return right
    /// after a system call was measured to cost 7 % of a delivery (`benches/fanout.rs`).
    #[inline(always)]
    pub(super) fn write_run(&mut self, slot: u32, run: &mut Run, io: &mut I) {
        let Some(subscriber) = self.subscribers.get_mut(slot) else {
            return;
        };
        let encoding = subscriber.encoding.of_events();
        if subscriber.cursor >= run.first_id || encoding != run.joined.encoding {
            return self.write_rest_of_run(slot, run, io);
        }
        let key = Key {
            slot,
            serial: subscriber.serial,
        };
        let bytes = &run.joined.bytes;
        match io.send(key, &subscriber.wire, std::slice::from_ref(bytes)) {
            Sent::All => {
                self.counters.deliveries.add(run.events.len() as u64);
                self.counters.writes.add(1);
                self.counters.bytes.add(bytes.len() as u64);
                subscriber.add_bytes(bytes.len());
                subscriber.flags.set(Flags::ACTIVE);
                subscriber.cursor = run.last_id;
            }
            sent => self.settle_run(key, run, 0, sent, io),
        }
    }

    /// `write_run` for the rare streams: those with another encoding than the stream before, those
    /// that are told topics, and those attached amid this turn's events and caught up since their
    /// attach.
    #[cold]
    fn write_rest_of_run(&mut self, slot: u32, run: &mut Run, io: &mut I) {
        let Some(subscriber) = self.subscribers.get(slot) else {
            return;
        };
        let encoding = subscriber.encoding;
        if encoding.has_topics() {
            return self.write_named(slot, run, io);
        }
        let key = Key {
            slot,
            serial: subscriber.serial,
        };
        let first = run.first_after(subscriber.cursor);
        if first == run.events.len() {
            return;
        }
        run.select(encoding.of_frames());
        let part = run.joined.bytes.slice(run.joined.start(first)..);
        let sent = io.send(key, &subscriber.wire, &[part]);
        self.settle_run(key, run, first, sent, io);
    }

    /// Records the result of a write of the run's events from number `first` on.
    #[cold]
    fn settle_run(&mut self, key: Key, run: &Run, first: usize, sent: Sent, io: &mut I) {
        let start = run.joined.start(first);
        let accepted = match sent {
            Sent::All => run.joined.bytes.len() - start,
            Sent::Part(accepted) => accepted,
            Sent::Gone(reason) => return self.close(key, reason, io),
        };
        self.count_write(key.slot, accepted);
        if sent == Sent::All {
            self.counters
                .deliveries
                .add((run.events.len() - first) as u64);
            self.advance(key.slot, run.last_id);
        } else {
            self.split_run(key.slot, run, start + accepted, first);
        }
    }

    /// Records that a wire accepted the bytes of the run up to `cut` only. The rest of the event
    /// that was cut becomes the stream's remainder. The events after it are read from history
    /// later.
    fn split_run(&mut self, slot: u32, run: &Run, cut: usize, first: usize) {
        let joined = &run.joined;
        let whole = joined.ends.partition_point(|end| *end <= cut);
        let (start, mut seen) = (joined.start(whole), whole);
        let mut remainder = Bytes::new();
        let mut frame_bytes = 0;
        if cut > start {
            // A piece of the event's own frame, which is shared with history. A piece of the joined
            // run would keep the whole run in memory for this stream alone.
            let whole_frame = run.events[whole].frame.rendition(joined.encoding);
            frame_bytes = whole_frame.len();
            remainder = whole_frame.slice(cut - start..);
            seen += 1;
        }
        self.counters.deliveries.add((seen - first) as u64);
        if seen > first {
            self.advance(slot, run.events[seen - 1].id);
        }
        self.block(slot, remainder, frame_bytes);
    }

    pub(super) fn advance(&mut self, slot: u32, id: EventId) {
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            debug_assert!(subscriber.cursor <= id, "a cursor only rises");
            subscriber.cursor = id;
        }
    }
}
