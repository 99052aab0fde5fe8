//! What one stream has received, topic by topic: each event exactly once and in order, or which not.

/// Counts of what all streams of a process saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub(crate) struct Tally {
    /// Events received for the first time.
    pub(crate) received: u64,
    /// Events received again.
    pub(crate) doubled: u64,
    /// Events received for the first time, but after a later one of their topic.
    pub(crate) out_of_order: u64,
    /// Events with data of somebody else, or of a topic that the stream has not subscribed to.
    pub(crate) foreign: u64,
    /// Gap events.
    pub(crate) gaps: u64,
}

/// One stream's record of its topics.
#[derive(Debug)]
pub(crate) struct Ledger(Lines);

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
    /// Different events received.
    received: u32,
    /// Events that the server said it left out, and that have not come since.
    told: u32,
    /// A gap was told since the newest event.
    gap: bool,
    /// Events before `last` that have not come.
    holes: Vec<Hole>,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    from: u32,
    to: u32,
    told: bool,
}

/// What the server has taken in on one topic, and so every stream of it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Number of the newest event.
    pub(crate) newest: u64,
    /// Events, the newest included; fewer than its number where the server refused some.
    pub(crate) count: u64,
}

/// Events missing on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The server said so.
    pub(crate) told: u64,
    /// It did not.
    pub(crate) lost: u64,
}

impl Ledger {
    /// An empty record of so many topics.
    pub(crate) fn new(topics: usize) -> Self {
        Self(if topics == 1 {
            Lines::One(Line::default())
        } else {
            Lines::Many(vec![Line::default(); topics].into())
        })
    }

    fn lines(&self) -> &[Line] {
        match &self.0 {
            Lines::One(line) => std::slice::from_ref(line),
            Lines::Many(lines) => lines,
        }
    }

    fn lines_mut(&mut self) -> &mut [Line] {
        match &mut self.0 {
            Lines::One(line) => std::slice::from_mut(line),
            Lines::Many(lines) => lines,
        }
    }

    /// Event `number` of the stream's topic at `place` came; whether for the first time.
    pub(crate) fn event(&mut self, place: usize, number: u32, tally: &mut Tally) -> bool {
        let Some(line) = self.lines_mut().get_mut(place) else {
            tally.foreign += 1;
            return false;
        };
        let new = if number > line.last {
            line.advance(number);
            true
        } else if line.fill(number) {
            tally.out_of_order += 1;
            true
        } else {
            tally.doubled += 1;
            false
        };
        if new {
            line.received += 1;
            tally.received += 1;
        }
        new
    }

    /// The server told a gap: what is missing before the next event of each topic is explained.
    pub(crate) fn gap(&mut self) {
        for line in self.lines_mut() {
            line.gap = true;
        }
    }

    /// Whether everything that is `due` on each topic has come, or a gap was told in its place.
    pub(crate) fn complete(&self, due: impl Fn(usize) -> Due) -> bool {
        self.lines().iter().enumerate().all(|(place, line)| {
            let due = due(place);
            u64::from(line.last) >= due.newest
                && u64::from(line.received) + u64::from(line.told) >= due.count
        })
    }

    /// Whether the newest event of each topic has come.
    pub(crate) fn newest(&self, due: impl Fn(usize) -> Due) -> bool {
        let mut lines = self.lines().iter().enumerate();
        lines.all(|(place, line)| u64::from(line.last) >= due(place).newest)
    }

    /// What is due and has not come.
    pub(crate) fn missing(&self, due: impl Fn(usize) -> Due) -> Missing {
        let mut missing = Missing::default();
        for (place, line) in self.lines().iter().enumerate() {
            let absent = due(place).count.saturating_sub(u64::from(line.received));
            // Events at the end, after a gap was told and nothing came any more.
            let told = if line.gap {
                absent
            } else {
                absent.min(u64::from(line.told))
            };
            missing.told += told;
            missing.lost += absent - told;
        }
        missing
    }
}

impl Line {
    fn advance(&mut self, number: u32) {
        let (from, to) = (self.last + 1, number - 1);
        let told = std::mem::take(&mut self.gap);
        if from <= to {
            self.told += if told { to - from + 1 } else { 0 };
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
        self.told -= u32::from(hole.told);
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
                0 => ledger.gap(),
                number => _ = ledger.event(0, *number, &mut tally),
            }
        }
        (ledger, tally)
    }

    fn all(count: u64) -> Due {
        let newest = count;
        Due { newest, count }
    }

    fn missing(events: &[u32], published: u64) -> (u64, u64) {
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
            count: 2,
        };
        assert!(ledger.complete(due));
        assert_eq!(ledger.missing(due), Missing::default());
    }

    #[test]
    fn what_a_gap_explains_is_told_and_not_lost() {
        assert_eq!(missing(&[1, 0, 4], 4), (2, 0));
        assert_eq!(missing(&[1, 0], 4), (3, 0));
        // A gap explains what is missing before the next event, and no later one.
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
