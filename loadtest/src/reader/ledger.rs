//! The events that one stream has received, topic by topic: each exactly once and in order, and
//! which not.

use super::gaps::{Claim, Gaps, Run, Tellers, charge};
use crate::wire::event_id::{EventId, Span};

/// Counts over all streams of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub(crate) struct Tally {
    /// Events received for the first time.
    pub(crate) received: u64,
    /// Events received again.
    pub(crate) doubled: u64,
    /// Events received for the first time, but after a later one of their topic.
    pub(crate) out_of_order: u64,
    /// Events with foreign data, or of a topic that the stream has not subscribed to.
    pub(crate) foreign: u64,
    /// Gap events.
    pub(crate) gaps: u64,
    /// Events received for the first time whose id is not above those of all events before on the
    /// stream.
    #[serde(default)]
    pub(crate) ids_fell: u64,
    /// Events received with another id than before, on whichever stream.
    #[serde(default)]
    pub(crate) ids_differ: u64,
}

/// How an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// For the first time, after all of its topic before.
    InOrder,
    /// For the first time, but after a later one.
    Late,
    /// Again.
    Again,
    /// The stream has no such topic.
    Foreign,
}

impl Came {
    /// Whether for the first time.
    pub(crate) fn is_new(self) -> bool {
        matches!(self, Self::InOrder | Self::Late)
    }
}

/// One stream's record of its topics.
#[derive(Debug)]
pub(crate) struct Ledger {
    lines: Lines,
    gaps: Gaps,
}

/// Nearly every stream has one topic, which needs no allocation.
#[derive(Debug)]
enum Lines {
    One(Line),
    Many(Box<[Line]>),
}

/// One topic. Numbers start at 1.
#[derive(Clone, Debug, Default)]
struct Line {
    /// The newest event.
    last: u32,
    /// Gaps that were reported since the newest event.
    gap: Option<Tellers>,
    /// Events before `last` that have not arrived.
    holes: Vec<Hole>,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    from: u32,
    to: u32,
    /// The gaps that report it.
    told: Option<Tellers>,
}

/// The events that the server has accepted on one topic, which every stream of the topic is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due<'a> {
    /// Number of the newest event that was offered to the server.
    pub(crate) newest: u32,
    /// Numbers of events that it refused, ascending.
    pub(crate) refused: &'a [u32],
}

impl Due<'_> {
    /// How many of the events `from` to `to` are due.
    fn within(&self, from: u32, to: u32) -> u64 {
        let to = to.min(self.newest);
        if from > to {
            return 0;
        }
        let below = |end: u32| self.refused.partition_point(|number| *number < end);
        let refused = below(to + 1) - below(from);
        u64::from(to - from) + 1 - refused as u64
    }

    /// The first and the last due event of `from` to `to`.
    fn ends(&self, from: u32, to: u32) -> Option<(u32, u32)> {
        let is_refused = |number: &u32| self.refused.binary_search(number).is_ok();
        let mut due = (from..=to.min(self.newest)).filter(|number| !is_refused(number));
        let first = due.next()?;
        Some((first, due.next_back().unwrap_or(first)))
    }
}

/// Events missing on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The server reported it.
    pub(crate) told: u64,
    /// It did not.
    pub(crate) lost: u64,
}

impl Ledger {
    /// An empty record of `topics` topics.
    pub(crate) fn new(topics: usize) -> Self {
        let lines = if topics == 1 {
            Lines::One(Line::default())
        } else {
            Lines::Many(vec![Line::default(); topics].into())
        };
        Self {
            lines,
            gaps: Gaps::default(),
        }
    }

    /// Whether the newest events say where the stream is: no gap was reported since that of a topic.
    pub(crate) fn is_settled(&self) -> bool {
        self.lines().iter().all(|line| line.gap.is_none())
    }

    /// The record of a stream that begins where this one is now, if this one is settled.
    pub(crate) fn begun_here(&self) -> Self {
        let mut ledger = Self::new(self.lines().len());
        ledger.gaps = self.gaps.begun_here();
        for (line, here) in ledger.lines_mut().iter_mut().zip(self.lines()) {
            line.last = here.last;
        }
        ledger
    }

    fn lines(&self) -> &[Line] {
        match &self.lines {
            Lines::One(line) => std::slice::from_ref(line),
            Lines::Many(lines) => lines,
        }
    }

    fn lines_mut(&mut self) -> &mut [Line] {
        match &mut self.lines {
            Lines::One(line) => std::slice::from_mut(line),
            Lines::Many(lines) => lines,
        }
    }

    /// Event `number` of the stream's topic at `place` came.
    pub(crate) fn event(&mut self, place: usize, number: u32, tally: &mut Tally) -> Came {
        let Some(line) = self.lines_mut().get_mut(place) else {
            tally.foreign += 1;
            return Came::Foreign;
        };
        let came = if number > line.last {
            line.advance(number);
            Came::InOrder
        } else if line.fill(number) {
            tally.out_of_order += 1;
            Came::Late
        } else {
            tally.doubled += 1;
            Came::Again
        };
        tally.received += u64::from(came.is_new());
        came
    }

    /// The server reported a gap: it explains the events missing before the next event of each
    /// topic.
    pub(crate) fn gap(&mut self, span: Option<Span>) {
        let number = self.gaps.told(span);
        for line in self.lines_mut() {
            line.gap = Some(Tellers::and(line.gap, number));
        }
    }

    /// An event of this id came; whether it is above the ids of all events before.
    pub(crate) fn id(&mut self, id: EventId) -> bool {
        self.gaps.received(id)
    }

    /// The highest id of an event that came.
    pub(crate) fn newest_id(&self) -> EventId {
        self.gaps.newest()
    }

    /// Gaps whose range was not kept.
    pub(crate) fn gaps_beyond(&self) -> u64 {
        self.gaps.beyond()
    }

    /// What the stream was told by gaps, and the missing events for which they stand. `topic` is
    /// the topic's number by its place.
    pub(crate) fn claims<'a>(
        &self,
        topic: impl Fn(usize) -> usize,
        due: impl Fn(usize) -> Due<'a>,
    ) -> Vec<Claim> {
        let mut claims = self.gaps.claims();
        if claims.is_empty() {
            return claims;
        }
        for (place, line) in self.lines().iter().enumerate() {
            let due = due(place);
            for hole in line.holes.iter().chain([&line.end(&due)]) {
                let Some(told) = hole.told.filter(|_| hole.from <= hole.to) else {
                    continue;
                };
                let run = due.ends(hole.from, hole.to).map(|(first, last)| Run {
                    topic: topic(place) as u32,
                    first,
                    last,
                });
                charge(&mut claims, told, run);
            }
        }
        claims
    }

    /// Whether every `due` event of each topic has arrived, or was replaced by a gap.
    pub(crate) fn complete<'a>(&self, due: impl Fn(usize) -> Due<'a>) -> bool {
        self.newest(&due) && self.missing(due).lost == 0
    }

    /// Whether the newest due event of each topic has arrived.
    pub(crate) fn newest<'a>(&self, due: impl Fn(usize) -> Due<'a>) -> bool {
        let mut lines = self.lines().iter().enumerate();
        lines.all(|(place, line)| {
            let due = due(place);
            due.within(line.last + 1, due.newest) == 0
        })
    }

    /// The first event that is due and lost: its topic's place, and its number.
    pub(crate) fn first_lost<'a>(&self, due: impl Fn(usize) -> Due<'a>) -> Option<(usize, u32)> {
        let lines = self.lines().iter().enumerate();
        let lost = lines.flat_map(|(place, line)| {
            let due = due(place);
            let holes = line.holes.iter().copied().chain([line.end(&due)]);
            let untold = holes.filter(|hole| hole.told.is_none());
            let first = untold.filter_map(move |hole| due.ends(hole.from, hole.to));
            first
                .map(|(first, _)| first)
                .min()
                .map(|first| (place, first))
        });
        lost.min_by_key(|(_, number)| *number)
    }

    /// Events that are due and have not arrived.
    pub(crate) fn missing<'a>(&self, due: impl Fn(usize) -> Due<'a>) -> Missing {
        let mut missing = Missing::default();
        for (place, line) in self.lines().iter().enumerate() {
            let due = due(place);
            for hole in line.holes.iter().chain([&line.end(&due)]) {
                let events = due.within(hole.from, hole.to);
                if hole.told.is_some() {
                    missing.told += events;
                } else {
                    missing.lost += events;
                }
            }
        }
        missing
    }
}

impl Line {
    /// What is missing after the newest event: a later gap explains all of it.
    fn end(&self, due: &Due<'_>) -> Hole {
        Hole {
            from: self.last + 1,
            to: due.newest,
            told: self.gap,
        }
    }

    fn advance(&mut self, number: u32) {
        let (from, to) = (self.last + 1, number - 1);
        let told = std::mem::take(&mut self.gap);
        if from <= to {
            self.holes.push(Hole { from, to, told });
        }
        self.last = number;
    }

    /// Whether `number` was missing; it no longer is.
    fn fill(&mut self, number: u32) -> bool {
        let holes = &mut self.holes;
        let within = |hole: &Hole| hole.from <= number && number <= hole.to;
        let Some(at) = holes.iter().position(within) else {
            return false;
        };
        let hole = holes.swap_remove(at);
        for (from, to) in [(hole.from, number - 1), (number + 1, hole.to)] {
            if from <= to {
                holes.push(Hole { from, to, ..hole });
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(events: &[u32]) -> (Ledger, Tally) {
        let (mut ledger, mut tally) = (Ledger::new(1), Tally::default());
        for event in events {
            match event {
                0 => ledger.gap(None),
                number => _ = ledger.event(0, *number, &mut tally),
            }
        }
        (ledger, tally)
    }

    fn all(newest: u32) -> Due<'static> {
        let refused = &[];
        Due { newest, refused }
    }

    fn missing(events: &[u32], published: u32) -> (u64, u64) {
        let missing = read(events).0.missing(|_| all(published));
        (missing.told, missing.lost)
    }

    #[test]
    fn events_in_order_leave_nothing_to_say() {
        let (ledger, tally) = read(&[1, 2, 3]);
        assert_eq!(ledger.missing(|_| all(3)), Missing::default());
        assert_eq!(
            (tally.received, tally.doubled, tally.out_of_order),
            (3, 0, 0)
        );
    }

    #[test]
    fn what_never_came_is_lost_wherever_it_was() {
        assert_eq!(missing(&[2, 3], 3), (0, 1));
        assert_eq!(missing(&[1, 3], 3), (0, 1));
        assert_eq!(missing(&[1, 2], 3), (0, 1));
        assert_eq!(missing(&[], 3), (0, 3));
    }

    #[test]
    fn a_stream_is_complete_with_its_newest_event_and_no_hole() {
        let complete = |events: &[u32]| read(events).0.complete(|_| all(4));
        assert!(complete(&[1, 2, 3, 4]));
        assert!(complete(&[1, 0, 4]));
        assert!(complete(&[1, 2, 4, 3]));
        for events in [[1, 2, 3].as_slice(), &[1, 2, 4], &[1, 0], &[]] {
            assert!(!complete(events), "{events:?}");
        }
    }

    #[test]
    fn what_the_server_refused_is_not_due() {
        let (ledger, _) = read(&[1, 3]);
        let due = |_| Due {
            newest: 3,
            refused: &[2],
        };
        assert!(ledger.complete(due));
        assert_eq!(ledger.missing(due), Missing::default());
        // Not at the end either.
        let (ledger, _) = read(&[1]);
        assert!(ledger.complete(|_| Due {
            newest: 3,
            refused: &[2, 3]
        }));
    }

    #[test]
    fn what_came_although_it_was_refused_makes_up_for_no_loss() {
        let (ledger, _) = read(&[1, 2, 3, 5]);
        let missing = ledger.missing(|_| Due {
            newest: 5,
            refused: &[2],
        });
        assert_eq!((missing.told, missing.lost), (0, 1));
    }

    #[test]
    fn a_gap_at_the_end_explains_no_loss_before_it() {
        assert_eq!(missing(&[1, 3, 0], 5), (2, 1));
    }

    #[test]
    fn what_a_gap_explains_is_told_and_not_lost() {
        assert_eq!(missing(&[1, 0, 4], 4), (2, 0));
        assert_eq!(missing(&[1, 0], 4), (3, 0));
        // A gap explains the events missing before the next event, and no later ones.
        assert_eq!(missing(&[1, 0, 2, 4], 4), (0, 1));
    }

    #[test]
    fn again_and_late_are_told_apart() {
        let (_, tally) = read(&[1, 2, 2, 1]);
        assert_eq!(
            (tally.received, tally.doubled, tally.out_of_order),
            (2, 2, 0)
        );
        let (ledger, tally) = read(&[1, 5, 3, 2, 3, 4]);
        assert_eq!(
            (tally.received, tally.doubled, tally.out_of_order),
            (5, 1, 3)
        );
        assert_eq!(ledger.missing(|_| all(5)), Missing::default());
    }

    #[test]
    fn what_comes_late_after_a_gap_is_no_longer_missing() {
        assert_eq!(missing(&[1, 0, 5, 3], 5), (2, 0));
    }

    #[test]
    fn a_gap_has_to_name_what_is_due_and_missing() {
        let claims = |events: &[u32], refused: &[u32]| {
            let (ledger, _) = read(events);
            ledger.claims(|place| place + 7, |_| Due { newest: 9, refused })
        };
        let run = |first, last| Run {
            topic: 7,
            first,
            last,
        };
        let first = |events: &[u32], refused: &[u32]| claims(events, refused)[0].clone();
        assert_eq!(first(&[1, 0, 5, 6, 7, 8, 9], &[]).missing, [run(2, 4)]);
        assert_eq!(first(&[1, 0, 5, 6, 7, 8, 9], &[2, 3]).missing, [run(4, 4)]);
        assert_eq!(first(&[1, 2, 0], &[]).missing, [run(3, 9)]);
        // Nothing is missing, or only events that are due to nobody.
        let nothing = first(&[1, 0, 2, 3, 4, 5, 6, 7, 8, 9], &[]);
        assert!(!nothing.needed && nothing.missing.is_empty());
        let unanswered = first(&[1, 0, 3, 4, 5, 6, 7, 8, 9], &[2]);
        assert!(unanswered.needed && unanswered.missing.is_empty());
    }

    #[test]
    fn a_stream_that_begins_where_another_is_is_due_what_follows() {
        let (ledger, mut tally) = read(&[1, 3]);
        let mut later = ledger.begun_here();
        assert!(later.event(0, 4, &mut tally).is_new());
        assert_eq!(later.missing(|_| all(5)), Missing { told: 0, lost: 1 });
        assert!(!later.event(0, 2, &mut tally).is_new());
        // What a gap told this one before would be lost to that one.
        assert!(ledger.is_settled() && !read(&[1, 0]).0.is_settled());
    }

    #[test]
    fn the_first_lost_event_has_a_name() {
        let first = |events: &[u32]| read(events).0.first_lost(|_| all(5));
        assert_eq!(first(&[1, 2, 3, 4, 5]), None);
        assert_eq!(first(&[1, 5]), Some((0, 2)));
        assert_eq!(first(&[1, 2, 3]), Some((0, 4)));
        // What a gap told is not lost.
        assert_eq!(first(&[1, 0, 3, 5]), Some((0, 4)));
        assert_eq!(first(&[1, 0]), None);
        let (mut ledger, mut tally) = (Ledger::new(2), Tally::default());
        ledger.event(1, 2, &mut tally);
        let due = |place: usize| all([0, 2][place]);
        assert_eq!(ledger.first_lost(due), Some((1, 1)));
    }

    #[test]
    fn ids_rise_over_all_topics_of_a_stream() {
        let mut ledger = Ledger::new(2);
        let id = |text| EventId::parse(text).expect("an id");
        let rises = ["5-0", "5-1", "6-0", "5-9", "6-0", "7-0"].map(|text| ledger.id(id(text)));
        assert_eq!(rises, [true, true, true, false, false, true]);
        assert_eq!(ledger.newest_id(), id("7-0"));
    }

    #[test]
    fn topics_are_counted_apart() {
        let (mut ledger, mut tally) = (Ledger::new(2), Tally::default());
        for (place, number) in [(0, 1), (1, 1), (1, 3), (0, 2), (2, 1)] {
            ledger.event(place, number, &mut tally);
        }
        assert_eq!((tally.received, tally.foreign), (4, 1));
        let missing = ledger.missing(|place| all([2, 3][place]));
        assert_eq!((missing.told, missing.lost), (0, 1));
    }
}
