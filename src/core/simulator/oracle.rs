//! The naive model: a list of every published event, and what each session of a client must
//! therefore see.
//!
//! Every word of a gap is checked: its reason, its range, its id, and whether it reports anything
//! new.

use crate::core::event::{EventId, OrderMark};
use crate::core::history::{Hole, HoleCause};
use crate::core::sse::Encoding;

use super::client::Block;
use super::names::{self, Sel};

/// The mark of the simulated node's ids.
pub(super) const MARK: OrderMark = OrderMark::new(0x2a_5a5a_5a5a_5a5a);

/// One event as it was published. Its number in the list is its data.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) id: EventId,
    pub(super) topics: Vec<usize>,
    pub(super) private: bool,
    /// It was lost with a process that crashed, or by a log.
    pub(super) lost: bool,
    /// The log lost it after the node had it: streams may have been sent it before.
    pub(super) was_seen: bool,
    /// Its id on the wire.
    pub(super) wire_id: String,
}

/// A stream's selectors and rights.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub(super) selectors: Vec<Sel>,
    pub(super) grant: Vec<Sel>,
}

impl Rights {
    /// The rule, word for word: one of the event's topics matches the subscription, and if it is
    /// private, one matches the grant.
    pub(super) fn cover(&self, event: &Published) -> bool {
        let meets = |list: &[Sel]| {
            let mut topics = event.topics.iter();
            topics.any(|topic| list.iter().any(|one| one.matches(*topic)))
        };
        meets(&self.selectors) && (!event.private || meets(&self.grant))
    }

    /// Whether a stream may be told a topic of an event that it hears: it asked for this name, or a
    /// pattern of it matches and the topic itself is not secret.
    fn may_be_told(&self, event: &Published, topic: usize) -> bool {
        let mut selectors = self.selectors.iter();
        selectors.any(|one| self.is_told_by(*one, event, topic))
    }

    fn is_told_by(&self, selector: Sel, event: &Published, topic: usize) -> bool {
        let is_granted = || self.grant.iter().any(|one| one.matches(topic));
        let is_known = selector == Sel::Topic(topic);
        is_known || selector.matches(topic) && (!event.private || is_granted())
    }

    /// The topics that a stream is told, in the order of their names.
    fn told(&self, event: &Published) -> Vec<usize> {
        let topics = event.topics.iter().copied();
        let mut told: Vec<_> = topics
            .filter(|topic| self.may_be_told(event, *topic))
            .collect();
        told.sort_unstable_by_key(|topic| names::name(*topic));
        told
    }
}

/// The state of the world at the moment at which a client reads.
pub(super) struct World<'w> {
    /// Every published event.
    pub(super) all: &'w [Published],
    /// Ranges that were lost, by rising ids: with processes that crashed before the client's
    /// connection, or by a log.
    pub(super) holes: &'w [Hole],
    /// Holes that have become part of others. A gap of one may still be on its way.
    pub(super) past_holes: &'w [Hole],
    /// Newest id that the client's shard has taken from its mailbox.
    pub(super) taken_through: EventId,
    /// Losses up to here may be reported in a wider range: their topics have been deleted.
    pub(super) forgotten: EventId,
    /// Whether the history of a topic keeps an event.
    pub(super) keeps: &'w dyn Fn(EventId, usize) -> bool,
}

/// Whether the node knows a client's cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    Known,
    Unknown,
    /// It means a kept event; if finding it is too much work, the node may report it as unknown.
    KnownOrNot,
}

/// A session's request, and how it must begin.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) rights: Rights,
    pub(super) encoding: Encoding,
    /// Those of its topics and patterns whose newest event only is sent to a slow stream.
    pub(super) latest: Vec<Sel>,
    /// It must see the events after this.
    pub(super) start: EventId,
    /// Losses up to here are expected: it asked for the earliest event.
    pub(super) excused: EventId,
    /// The client's cursor.
    pub(super) asked: Option<String>,
    pub(super) knowledge: Knowledge,
    /// It reads from history first.
    pub(super) resumes: bool,
    /// Every gap must end in an event that is really missing.
    pub(super) exact: bool,
}

/// A gap as its client received it.
#[derive(Clone, Debug)]
struct ToldGap {
    from: EventId,
    to: EventId,
}

/// One connection of a client, checked as its blocks come in.
#[derive(Debug)]
pub(super) struct Session {
    opening: Opening,
    /// Place of the last block's id in the node's order.
    seen_through: EventId,
    /// Last event id as the client would send it.
    pub(super) cursor: Option<String>,
    last_event: EventId,
    received: Vec<usize>,
    gaps: Vec<ToldGap>,
    /// Gaps that cover holes of crashes.
    holes: usize,
    /// Gaps that cover losses of a log.
    broken_off: usize,
    private: usize,
    /// Events with several topics of which it was told some.
    told: usize,
    primed: bool,
    /// It got a heartbeat, which only a stream that is caught up gets.
    was_live: bool,
    unknown: bool,
    /// It was parked: its losses meanwhile are reported as to a stream that resumes.
    pub(super) moved: bool,
}

impl Session {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            opening,
            seen_through: EventId::ZERO,
            cursor: None,
            last_event: EventId::ZERO,
            received: Vec::new(),
            gaps: Vec::new(),
            holes: 0,
            broken_off: 0,
            private: 0,
            told: 0,
            primed: false,
            was_live: false,
            unknown: false,
            moved: false,
        }
    }

    pub(super) fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Gaps that cover a loss with a process that crashed.
    pub(super) fn holes(&self) -> usize {
        self.holes
    }

    /// Gaps that cover a loss of a log.
    pub(super) fn broken_off(&self) -> usize {
        self.broken_off
    }

    /// Private events received.
    pub(super) fn private(&self) -> usize {
        self.private
    }

    /// Events with several topics of which it was told some.
    pub(super) fn told(&self) -> usize {
        self.told
    }

    /// Whether it asked for a pattern.
    pub(super) fn has_pattern(&self) -> bool {
        let mut selectors = self.opening.rights.selectors.iter();
        selectors.any(|one| matches!(one, Sel::Pattern(_)))
    }

    pub(super) fn events(&self) -> usize {
        self.received.len()
    }

    /// Adds a block and checks that the client's cursor is safe after it.
    pub(super) fn take(&mut self, block: &Block, world: &World<'_>) {
        let Some(id) = block.id.as_deref() else {
            assert!(
                self.primed && block.data.is_none(),
                "only the farewell has no id"
            );
            return;
        };
        let position = match (&block.data, block.event.as_str()) {
            (None, _) => {
                let is_silent = !self.opening.encoding.has_heartbeat_events();
                assert!(is_silent || !self.primed, "a silent heartbeat: {block:?}");
                self.was_live = self.primed;
                self.primed = true;
                position_of(id)
            }
            (Some(data), "heartbeat") => {
                assert!(self.opening.encoding.has_heartbeat_events() && self.primed);
                assert!(data.parse::<u64>().is_ok(), "{data}");
                self.was_live = true;
                position_of(id)
            }
            (Some(data), "gap") => self.take_gap(data, id, world),
            (Some(data), _) => self.take_event(data, id, world),
        };
        self.check_topics(block, world);
        assert!(self.primed, "the prime comes first");
        assert!(
            position >= self.seen_through,
            "the cursor went back: {block:?} {self:?}"
        );
        assert!(
            position <= world.taken_through,
            "the cursor passes what the shard has taken, {}: {block:?} {self:?}",
            world.taken_through
        );
        self.seen_through = position;
        self.cursor.clone_from(&block.id);
        self.check_through(position, world.all, world.holes);
    }

    /// Events have their topics, where the stream asked for them, and nothing else has one.
    fn check_topics(&mut self, block: &Block, world: &World<'_>) {
        let told = block.topics.iter().map(|name| names::topic(name));
        let told: Vec<_> = told.collect();
        let is_published = !["gap", "heartbeat"].contains(&&*block.event);
        let data = block.data.as_deref().filter(|_| is_published);
        let Some(data) = data.filter(|_| self.opening.encoding.has_topics()) else {
            assert_eq!(told, [0; 0], "{block:?} {self:?}");
            return;
        };
        let event = &world.all[data.parse::<usize>().expect("an event's number")];
        let rights = &self.opening.rights;
        let mut topics = event.topics.iter();
        if topics.all(|topic| (world.keeps)(event.id, *topic)) {
            assert_eq!(told, rights.told(event), "{event:?} {self:?}");
        }
        for topic in &told {
            let is_its_own = event.topics.contains(topic);
            let may_be_told = rights.may_be_told(event, *topic);
            assert!(is_its_own && may_be_told, "{topic} of {event:?} {self:?}");
        }
        assert!(
            !told.is_empty() || event.private,
            "no topic: {event:?} {self:?}"
        );
        self.told += usize::from(event.topics.len() > 1 && !told.is_empty());
    }

    fn take_event(&mut self, data: &str, id: &str, world: &World<'_>) -> EventId {
        let number: usize = data.parse().expect("an event's number");
        let event = &world.all[number];
        assert!(self.wants(event), "not its event: {event:?} {self:?}");
        assert!(!event.lost || event.was_seen, "it was lost: {event:?}");
        let mut holes = world.holes.iter();
        let hole = holes.find(|hole| hole.after < event.id && event.id <= hole.through);
        let told = |hole: &Hole| self.gaps.iter().any(|gap| gap.to >= hole.through);
        assert!(
            !hole.is_some_and(told),
            "it was told as lost: {event:?} {self:?}"
        );
        self.private += usize::from(event.private);
        assert_eq!(id, event.wire_id);
        assert!(
            event.id > self.last_event,
            "out of order or twice: {event:?}"
        );
        assert!(
            event.id > self.opening.start,
            "from before the start: {event:?}"
        );
        self.last_event = event.id;
        self.received.push(number);
        event.id
    }

    fn take_gap(&mut self, data: &str, id: &str, world: &World<'_>) -> EventId {
        let told: serde_json::Value = serde_json::from_str(data).expect("JSON");
        let text = |key: &str| told[key].as_str().expect("a string").to_owned();
        let to = position_of(&text("to"));
        let reason = text("reason");
        let from = if reason == "unknown" {
            assert_eq!(Some(text("from")), self.opening.asked, "{data}");
            EventId::ZERO
        } else {
            position_of(&text("from"))
        };
        let covered = self.check_holes(from, to, world.holes);
        self.check_reason(&reason, (from, to), &covered, world, data);
        let position = position_of(id);
        let is_fork = |hole: &Hole| hole.cause == HoleCause::Forked && hole.after == from;
        // The loss may have become part of a longer one since.
        let was_fork = |hole: &Hole| is_fork(hole) && hole.through == to;
        let lost = covered.iter().any(is_fork) || world.past_holes.iter().any(was_fork);
        assert!(
            reason == "unknown" || self.seen_through <= from || lost,
            "the gap begins before what the client has seen: {data} {self:?}"
        );
        assert!(
            to <= world.taken_through,
            "the gap ends beyond what the shard has taken, {}: {data} {self:?}",
            world.taken_through
        );
        assert!(
            position <= to.max(from).max(self.opening.start),
            "the gap's id passes its end: {data} {self:?}"
        );
        if let Some(before) = self.gaps.last() {
            assert!(before.to < to, "the gap was told already: {data} {self:?}");
        }
        if reason != "unknown" && to > world.forgotten {
            self.check_missing(from, to, world);
        }
        self.check_passed_over(position, world);
        self.gaps.push(ToldGap { from, to });
        position
    }

    /// A gap covers a hole as a whole, or has nothing of it. Returns those that it covers.
    fn check_holes(&mut self, from: EventId, to: EventId, holes: &[Hole]) -> Vec<Hole> {
        // A gap that was told before the log lost the events that it ends in is not of the hole.
        let earlier = |hole: &Hole| hole.cause == HoleCause::Forked && to < hole.through;
        let meets = |hole: &&Hole| from < hole.through && hole.after < to && !earlier(hole);
        let covered: Vec<Hole> = holes.iter().filter(meets).copied().collect();
        for hole in &covered {
            assert!(
                from <= hole.after.max(self.opening.start) && hole.through <= to,
                "the gap from {from} to {to} has a part of {hole:?}: {self:?}"
            );
        }
        let is_crash = |hole: &Hole| hole.cause == HoleCause::Crash;
        self.holes += usize::from(covered.iter().any(is_crash));
        self.broken_off += usize::from(covered.iter().any(|hole| !is_crash(hole)));
        covered
    }

    fn check_reason(
        &mut self,
        reason: &str,
        (from, to): (EventId, EventId),
        covered: &[Hole],
        world: &World<'_>,
        data: &str,
    ) {
        let is_first = self.gaps.is_empty() && self.received.is_empty();
        // It got a heartbeat, or its cursor has moved without an event: it may have been live in
        // between, and have lost events since because it was slow.
        let may_have_been_live = self.was_live || from > self.seen_through;
        let mut covered = covered.iter();
        let is_of_hole = covered.any(|hole| hole.cause.reason().as_str() == reason);
        // The hole may have become part of another one since.
        let was_of_hole = |hole: &Hole| {
            hole.cause.reason().as_str() == reason && from < hole.through && hole.after < to
        };
        let is_of_hole = is_of_hole || world.past_holes.iter().any(was_of_hole);
        let expected = match (is_first, self.opening.knowledge) {
            (true, Knowledge::Unknown) => "unknown",
            (true, Knowledge::KnownOrNot) if reason == "unknown" => "unknown",
            _ if is_of_hole => reason,
            (true, _) if may_have_been_live && reason == "lagged" => "lagged",
            (true, _) if self.opening.resumes => "evicted",
            // A break lets a stream wait: its losses meanwhile are reported as to one that resumes.
            _ if (self.moved || self.broken_off > 0) && reason == "evicted" => "evicted",
            _ => "lagged",
        };
        assert_eq!(reason, expected, "{data} {self:?}");
        self.unknown |= reason == "unknown";
    }

    /// The gap ends in a missing event that no earlier gap has reported, or with a hole.
    fn check_missing(&self, from: EventId, to: EventId, world: &World<'_>) {
        let mut holes = world.holes.iter().chain(world.past_holes);
        let ends_with_hole = holes.any(|hole| hole.through == to || hole.after == to);
        if !self.opening.exact || ends_with_hole {
            return;
        }
        let missing = world
            .all
            .iter()
            .rfind(|event| event.id <= to && self.wants(event));
        let missing = missing.filter(|event| event.id > from);
        assert_eq!(
            missing.map(|event| event.id),
            Some(to),
            "the gap ends where the last missing event does: {self:?}"
        );
        assert!(
            self.last_event < to,
            "the gap ends in an event that was seen: {self:?}"
        );
    }

    /// A gap's id does not skip an event that is still kept.
    fn check_passed_over(&self, position: EventId, world: &World<'_>) {
        let from = self.seen_through.max(self.opening.start);
        let passed = |event: &&Published| event.id > from && event.id <= position;
        let not_lost = world.all.iter().filter(|event| !event.lost);
        for event in not_lost.filter(passed) {
            let kept = event.topics.iter().any(|topic| {
                let conflated = self.opening.latest.iter().any(|one| one.matches(*topic));
                let wanted = self.opening.rights.selectors.iter();
                let wanted = wanted.clone().any(|one| one.matches(*topic));
                wanted && !conflated && (world.keeps)(event.id, *topic)
            });
            let missed = self.wants(event) && event.id > self.last_event;
            assert!(
                !(missed && kept),
                "a gap passed over {event:?}, which is kept: {self:?}"
            );
        }
    }

    fn wants(&self, event: &Published) -> bool {
        self.opening.rights.cover(event)
    }

    /// Everything up to `position` was received or reported as missing, holes included. (Events
    /// only, because `position` rises: earlier checks stay true.)
    pub(super) fn check_through(&self, position: EventId, all: &[Published], holes: &[Hole]) {
        let from = self.opening.start.max(self.opening.excused);
        for hole in holes.iter().filter(|hole| from < hole.through) {
            let covers = |gap: &ToldGap| gap.from < hole.through && hole.through <= gap.to;
            assert!(
                position < hole.through || self.gaps.iter().any(covers),
                "cursor {position} passed over {hole:?} without a gap: {self:?}"
            );
        }
        for (number, event) in all.iter().enumerate() {
            let due = event.id > from && event.id <= position && self.wants(event);
            if due && self.received.binary_search(&number).is_err() {
                let told = self
                    .gaps
                    .iter()
                    .any(|gap| gap.from < event.id && event.id <= gap.to);
                assert!(
                    told,
                    "cursor {position} passed over {event:?} without a gap ({:?}) {self:?}",
                    self.gaps
                );
            }
        }
    }

    /// At the end, without obstacles: everything has arrived.
    pub(super) fn finish(&self, all: &[Published], holes: &[Hole]) {
        assert!(self.primed, "never greeted");
        assert!(
            self.unknown || self.opening.knowledge != Knowledge::Unknown,
            "its cursor is unknown, and it was not told: {self:?}"
        );
        self.check_through(EventId::new(u64::MAX), all, holes);
    }
}

fn position_of(id: &str) -> EventId {
    MARK.place_of(id).expect("our id")
}
