//! Decides when memory goes back to the system.

use std::time::Duration;

/// A process that used less of one core than this since the last reading is quiet.
const QUIET: f64 = 0.02;

/// Growth since the last round below which another is not worth its page faults.
const GROWTH_BYTES: u64 = 512 * 1024;

/// A process that is never quiet holds a round this often.
const BUSY_EVERY: Duration = Duration::from_secs(60);

/// What the process uses at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Time since some fixed moment.
    pub at: Duration,
    /// CPU time used so far.
    pub cpu: Duration,
    /// Resident memory that is not of files.
    pub anonymous: u64,
}

/// What to give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Freed memory of every thread.
    Heaps,
    /// Pages of the program's files. Comes after [`Step::Heaps`], which runs code on every thread.
    FilePages,
}

/// Compares readings, taken about once a second.
///
/// A round is due when the process is quiet and has grown since the last one: after a peak. The first is due at once, since the
/// start is a peak, too. A process that is not quiet returns freed memory once a minute, and keeps its pages: it would read them
/// again at once.
#[derive(Debug, Default)]
pub struct Upkeep {
    last: Option<Reading>,
    heaps_at: Option<Duration>,
    /// Anonymous memory that the last round left. None until it has been read.
    left: Option<u64>,
    file_pages_due: bool,
}

impl Upkeep {
    /// Takes a reading; returns the step that is due.
    pub fn read(&mut self, reading: Reading) -> Option<Step> {
        let last = self.last.replace(reading);
        let (Some(last), Some(heaps_at)) = (last, self.heaps_at) else {
            self.file_pages_due = true;
            return self.release_heaps(reading);
        };
        let cpu = reading.cpu.saturating_sub(last.cpu);
        let elapsed = reading.at.saturating_sub(last.at);
        let is_quiet = cpu <= elapsed.mul_f64(QUIET);
        // Memory that was returned without a round lowers the mark, too.
        let left = self.left.unwrap_or(u64::MAX).min(reading.anonymous);
        self.left = Some(left);
        let has_grown = reading.anonymous >= left + GROWTH_BYTES;
        let is_late = reading.at.saturating_sub(heaps_at) >= BUSY_EVERY;
        if has_grown && (is_quiet || is_late) {
            self.file_pages_due |= is_quiet;
            return self.release_heaps(reading);
        }
        let is_due = is_quiet && std::mem::take(&mut self.file_pages_due);
        is_due.then_some(Step::FilePages)
    }

    fn release_heaps(&mut self, reading: Reading) -> Option<Step> {
        self.heaps_at = Some(reading.at);
        self.left = None;
        Some(Step::Heaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// One reading a second.
    struct Clock {
        upkeep: Upkeep,
        at: Duration,
        cpu: Duration,
    }

    impl Clock {
        /// After the round of the start, which left 2 MiB.
        fn started() -> Self {
            let (at, cpu) = (Duration::ZERO, Duration::ZERO);
            let mut clock = Self {
                upkeep: Upkeep::default(),
                at,
                cpu,
            };
            assert_eq!(clock.second(50, 4 * MIB), Some(Step::Heaps));
            assert_eq!(clock.second(5, 2 * MIB), Some(Step::FilePages));
            clock
        }

        /// A second in which so many milliseconds of CPU time were used.
        fn second(&mut self, cpu_ms: u64, anonymous: u64) -> Option<Step> {
            self.at += Duration::from_secs(1);
            self.cpu += Duration::from_millis(cpu_ms);
            self.upkeep.read(Reading {
                at: self.at,
                cpu: self.cpu,
                anonymous,
            })
        }
    }

    #[test]
    fn a_quiet_process_gives_back_once_after_a_peak() {
        let mut clock = Clock::started();
        assert_eq!(clock.second(900, 50 * MIB), None);
        assert_eq!(clock.second(5, 50 * MIB), Some(Step::Heaps));
        assert_eq!(clock.second(5, 30 * MIB), Some(Step::FilePages));
        for _ in 0..100 {
            assert_eq!(clock.second(5, 30 * MIB), None);
        }
    }

    #[test]
    fn file_pages_wait_until_the_process_is_quiet() {
        let mut clock = Clock::started();
        assert_eq!(clock.second(5, 50 * MIB), Some(Step::Heaps));
        assert_eq!(clock.second(500, 30 * MIB), None);
        assert_eq!(clock.second(5, 30 * MIB), Some(Step::FilePages));
    }

    #[test]
    fn a_process_that_serves_few_events_keeps_its_pages() {
        let mut clock = Clock::started();
        for second in 0..600 {
            let anonymous = 2 * MIB + second % 2 * 300 * 1024;
            assert_eq!(clock.second(second % 40, anonymous), None);
        }
    }

    #[test]
    fn a_busy_process_gives_back_freed_memory_once_a_minute() {
        let mut clock = Clock::started();
        let rounds = (0..590).filter_map(|second| clock.second(500, (3 + second) * MIB));
        let rounds: Vec<_> = rounds.collect();
        assert_eq!(rounds, [Step::Heaps; 9]);
    }

    #[test]
    fn memory_that_goes_by_itself_lowers_the_mark() {
        let mut clock = Clock::started();
        assert_eq!(clock.second(0, MIB), None);
        assert_eq!(clock.second(0, 2 * MIB), Some(Step::Heaps));
    }
}
