//! How much of the node's history may be filled with starts and ends of subscriptions.
//!
//! The history's budget is the node's, and its oldest events are evicted first: without a bound,
//! clients that come and go would evict the events of others. So announcements are counted in
//! bytes, against an allowance that refills over the time for which events are kept.

use std::time::{Duration, Instant};

use crate::core::history::HistoryLimits;
use crate::core::selector::Selector;

/// Part of the history's budget that announcements may fill at once. As much again refills within
/// `history_age`, so that at most a quarter of the kept bytes are of this kind.
const SHARE: usize = 8;

/// Bytes of an event beside its topic and its data: its id, and the history's overhead for it and
/// for a topic without other events.
const EVENT_BYTES: usize = 600;

/// Bytes of a subscription's document beside its topic and payload: the names of its members, and
/// its subscriber twice.
const DOCUMENT_BYTES: usize = 300;

/// Most bytes that may be announced at once.
pub(super) fn full_bytes(history: &HistoryLimits) -> usize {
    history.budget_bytes / SHARE
}

/// Estimated bytes to announce a stream's subscriptions once; the topic is three times in each
/// address and document.
pub(super) fn estimate(selectors: &[Selector], payload: Option<&str>) -> usize {
    let each = EVENT_BYTES + DOCUMENT_BYTES + payload.map_or(0, str::len);
    let topics: usize = selectors.iter().map(|one| one.text().len()).sum();
    selectors.len() * each + 3 * topics
}

/// Bytes of one event in the allowance.
pub(crate) fn cost(topic: &str, data: &str) -> usize {
    topic.len() + data.len() + EVENT_BYTES
}

/// Bytes that may be announced now. One batch may take it below zero, which the next ones wait for.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: f64,
    full: f64,
    per_second: f64,
    at: Instant,
}

impl Allowance {
    /// A full allowance.
    pub(crate) fn new(history: &HistoryLimits, now: Instant) -> Self {
        let full = full_bytes(history) as f64;
        Self {
            left: full,
            full,
            per_second: full / Duration::from_millis(history.age_ms).as_secs_f64().max(1.0),
            at: now,
        }
    }

    /// How long to wait before the next announcement; `None` if it may be made now.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Duration> {
        // If nothing is kept, nothing can be evicted.
        if self.full == 0.0 {
            return None;
        }
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.per_second).min(self.full);
        // A thousandth of a byte: sums of fractions need not end at zero.
        (self.left < -1e-3).then(|| Duration::from_secs_f64(-self.left / self.per_second))
    }

    /// Bytes that are left.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "less than nothing is nothing, and what is full is a number of bytes"
    )]
    pub(crate) fn left(&self) -> usize {
        if self.full == 0.0 {
            return usize::MAX;
        }
        self.left as usize
    }

    /// Counts announced bytes.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(budget: usize) -> (Allowance, Instant) {
        let history = HistoryLimits {
            budget_bytes: budget,
            age_ms: 100_000,
            ..HistoryLimits::default()
        };
        let now = Instant::now();
        (Allowance::new(&history, now), now)
    }

    #[test]
    fn no_more_than_a_quarter_of_the_budget_within_the_age() {
        let (mut allowance, start) = of(80_000);
        let mut spent = 0;
        for ms in (0..=100_000).step_by(10) {
            while allowance.wait(start + Duration::from_millis(ms)).is_none() {
                allowance.spend(1_000);
                spent += 1_000;
            }
        }
        assert!((20_000..=22_000).contains(&spent), "{spent}");
    }

    #[test]
    fn a_debt_is_waited_for_to_its_end() {
        let (mut allowance, now) = of(80_000);
        allowance.spend(11_000);
        let wait = allowance.wait(now).expect("in debt");
        assert_eq!(wait.as_secs(), 10);
        assert_eq!(allowance.wait(now + wait), None);
    }

    #[test]
    fn where_nothing_is_kept_nothing_waits() {
        let (mut allowance, now) = of(0);
        allowance.spend(1 << 30);
        assert_eq!(allowance.wait(now), None);
    }
}
