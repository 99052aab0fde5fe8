//! Decides when memory is returned to the system.

use std::time::Duration;

/// A process is quiet if it used less than this part of one core since the last reading.
const QUIET: f64 = 0.02;

/// Growth since the last round that is worth the page faults of another one.
const GROWTH_BYTES: u64 = 512 * 1024;

/// Time between the rounds of a process that is never quiet.
const BUSY_EVERY: Duration = Duration::from_secs(60);

/// Pauses before rounds that repeat one: the first and the longest. Each pause is twice as long as
/// the one before.
const REPEAT_FIRST: Duration = Duration::from_secs(5);
const REPEAT_MAX: Duration = Duration::from_secs(80);

/// The process's usage at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Time since some fixed moment.
    pub at: Duration,
    /// CPU time used so far.
    pub cpu: Duration,
    /// Resident memory without pages of files.
    pub anonymous: u64,
}

/// The memory to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Freed memory of every thread.
    Heaps,
    /// Pages of the program's files. Follows [`Step::Heaps`], which runs code on every thread.
    FilePages,
}

/// Compares readings, which are taken about once a second.
///
/// A round is due if the process is quiet and has grown since the last round, which means that a
/// peak is over. The first round is due at once, because the start is a peak, too. A process that
/// is not quiet returns freed memory once a minute if it has grown. It keeps its file pages,
/// because it would read them again at once.
///
/// A round does not return memory in use. That memory may be freed later, without any growth. So a
/// process that uses more memory than it once did repeats the round, less and less often.
#[derive(Debug)]
pub struct Upkeep {
    last: Option<Reading>,
    heaps_at: Option<Duration>,
    /// Anonymous memory left by the last round. `None` until it has been read.
    left: Option<u64>,
    /// The least anonymous memory of all readings.
    least: u64,
    /// Time from the last round to the one that repeats it.
    repeat_after: Duration,
    file_pages_due: bool,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            last: None,
            heaps_at: None,
            left: None,
            least: u64::MAX,
            repeat_after: REPEAT_FIRST,
            file_pages_due: false,
        }
    }
}

impl Upkeep {
    /// Evaluates a reading; returns the step that is due.
    pub fn read(&mut self, reading: Reading) -> Option<Step> {
        let last = self.last.replace(reading);
        self.least = self.least.min(reading.anonymous);
        let (Some(last), Some(heaps_at)) = (last, self.heaps_at) else {
            self.file_pages_due = true;
            return self.release_heaps(reading);
        };
        let cpu = reading.cpu.saturating_sub(last.cpu);
        let elapsed = reading.at.saturating_sub(last.at);
        let is_quiet = cpu <= elapsed.mul_f64(QUIET);
        // Memory that is returned without a round lowers the mark, too.
        let left = self.left.unwrap_or(u64::MAX).min(reading.anonymous);
        self.left = Some(left);
        let has_grown = reading.anonymous >= left + GROWTH_BYTES;
        let since_round = reading.at.saturating_sub(heaps_at);
        if has_grown && (is_quiet || since_round >= BUSY_EVERY) {
            self.file_pages_due |= is_quiet;
            self.repeat_after = REPEAT_FIRST;
            return self.release_heaps(reading);
        }
        let holds_more = reading.anonymous >= self.least + GROWTH_BYTES;
        if is_quiet && holds_more && since_round >= self.repeat_after {
            self.repeat_after = REPEAT_MAX.min(self.repeat_after * 2);
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

    /// Takes one reading a second.
    struct Clock {
        upkeep: Upkeep,
        at: Duration,
        cpu: Duration,
    }

    impl Clock {
        /// A clock after the round of the start, which left 2 MiB.
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

        /// Takes the reading after a second that used this many milliseconds of CPU time.
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
        // Memory in use is not returned, and rounds for it become less and less frequent.
        let mut rounds = Vec::new();
        for second in 3..=400 {
            match clock.second(5, 30 * MIB) {
                Some(Step::Heaps) => rounds.push(second),
                step => assert_eq!(step, None),
            }
        }
        assert_eq!(rounds, [6, 16, 36, 76, 156, 236, 316, 396]);
    }

    #[test]
    fn memory_that_was_in_use_at_the_last_round_was_never_given_back() {
        let mut clock = Clock::started();
        assert_eq!(clock.second(900, 50 * MIB), None);
        // Nothing has been freed yet when the peak is over.
        assert_eq!(clock.second(5, 50 * MIB), Some(Step::Heaps));
        assert_eq!(clock.second(5, 50 * MIB), Some(Step::FilePages));
        let mut seconds = (0..10).map(|_| clock.second(5, 50 * MIB));
        assert!(seconds.any(|step| step == Some(Step::Heaps)));
        for _ in 0..600 {
            assert_eq!(clock.second(5, 2 * MIB), None, "it is as small as ever");
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
