//! Decides when freed memory must be returned to the system at once.
//!
//! An allocator keeps freed memory for a second, and each thread keeps some for itself. Buffers
//! that grow leave a freed block of every size, so an attack may use little memory and still make
//! the process large. While the process is much larger than the bytes it counts, freed memory is
//! returned at once, and threads return theirs in rounds. A process far below its budget never pays
//! for this.

use std::time::Duration;

/// A process is large above `budget / LARGE`. Below that, memory is not short.
const LARGE: u64 = 2;
/// Pressure on a large process begins when its uncounted memory exceeds `budget / EXCESS`…
const EXCESS: u64 = 8;
/// …and ends when that is at most `budget / EXCESS_LEFT`, or when the process is no longer large.
const EXCESS_LEFT: u64 = 16;
/// Growth since the last round above `budget / GROWTH` is worth another round.
const GROWTH: u64 = 32;

/// Shortest time between two rounds.
const ROUND_MIN: Duration = Duration::from_millis(200);
/// Pauses before rounds that repeat one without growth: the first and the longest. Each pause is
/// twice as long as the one before.
const REPEAT_FIRST: Duration = Duration::from_millis(400);
const REPEAT_MAX: Duration = Duration::from_secs(60);

/// The process's memory and its account at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Filling {
    /// Time since some fixed moment.
    pub at: Duration,
    /// Resident memory without pages of files.
    pub anonymous: u64,
    /// Bytes counted for clients.
    pub counted: u64,
    /// Most bytes that may be counted.
    pub budget: u64,
}

/// The measures that are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relief {
    /// Freed memory must be returned at once.
    pub is_eager: bool,
    /// A round is due.
    pub round: bool,
}

/// Compares readings, which are taken several times a second while the process is busy.
#[derive(Debug, Default)]
pub struct Pressure {
    is_high: bool,
    /// Time of the last round, and the memory it left; `None` until that was read.
    round_at: Duration,
    left: Option<u64>,
    repeat_after: Duration,
}

impl Pressure {
    /// Whether a process of this size may be too large, so that its account must be compared.
    #[must_use]
    pub fn is_large(anonymous: u64, budget: u64) -> bool {
        anonymous > budget / LARGE
    }

    /// Evaluates a reading.
    pub fn read(&mut self, reading: Filling) -> Relief {
        let Filling {
            anonymous,
            counted,
            budget,
            ..
        } = reading;
        let excess = anonymous.saturating_sub(counted);
        let allowed = budget / if self.is_high { EXCESS_LEFT } else { EXCESS };
        let was_high = self.is_high;
        self.is_high = Self::is_large(anonymous, budget) && excess > allowed;
        Relief {
            is_eager: self.is_high,
            round: self.is_high && self.is_round_due(reading, !was_high),
        }
    }

    fn is_round_due(&mut self, reading: Filling, is_first: bool) -> bool {
        let Filling {
            at,
            anonymous,
            budget,
            ..
        } = reading;
        let since = at.saturating_sub(self.round_at);
        if is_first {
            self.repeat_after = REPEAT_FIRST;
            return self.round(at);
        }
        if since < ROUND_MIN {
            return false;
        }
        let left = *self.left.get_or_insert(anonymous);
        self.left = Some(left.min(anonymous));
        if anonymous > left + budget / GROWTH {
            self.repeat_after = REPEAT_FIRST;
            return self.round(at);
        }
        if since >= self.repeat_after {
            self.repeat_after = REPEAT_MAX.min(self.repeat_after * 2);
            return self.round(at);
        }
        false
    }

    fn round(&mut self, at: Duration) -> bool {
        self.round_at = at;
        self.left = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// Takes a reading every 100 ms, of a process with a budget of 40 MiB.
    #[derive(Default)]
    struct Clock {
        pressure: Pressure,
        at: Duration,
    }

    impl Clock {
        fn read(&mut self, anonymous_mib: u64, counted_mib: u64) -> Relief {
            self.at += Duration::from_millis(100);
            self.pressure.read(Filling {
                at: self.at,
                anonymous: anonymous_mib * MIB,
                counted: counted_mib * MIB,
                budget: 40 * MIB,
            })
        }
    }

    #[test]
    fn freed_memory_goes_back_at_once_while_there_is_much_of_it() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(19, 0), Relief::default(), "it is small");
        assert_eq!(clock.read(35, 31), Relief::default(), "it is counted");
        let eager = |round| Relief {
            is_eager: true,
            round,
        };
        assert_eq!(clock.read(35, 20), eager(true));
        assert_eq!(clock.read(35, 31), eager(false), "still too much");
        assert_eq!(clock.read(33, 31), Relief::default());
    }

    #[test]
    fn a_process_that_grows_is_asked_often_and_one_that_does_not_less_and_less_often() {
        let mut clock = Clock::default();
        let mut rounds = |sizes: &dyn Fn(u64) -> u64, count: u64| {
            let due = (0..count).filter(|n| clock.read(sizes(*n), 0).round);
            due.collect::<Vec<_>>()
        };
        let growing = rounds(&|n| 30 + n, 20);
        assert!((4..=10).contains(&growing.len()), "{growing:?}");
        let steady = rounds(&|_| 49, 6_000);
        assert!((8..=20).contains(&steady.len()), "{steady:?}");
        let longest = steady.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert_eq!(longest, Some(600), "a minute");
    }
}
