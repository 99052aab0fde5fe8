//! A budget that refills with time, and that the node's own work adds to.

use std::time::Instant;

/// What one kind of frame may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most that can be spent at once; time refills up to it.
    pub(super) burst: u64,
    /// Refill per second.
    pub(super) per_second: u64,
    /// Most of the earned amount that can be saved.
    pub(super) saved_max: u64,
}

/// The rest of a budget.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    left: u64,
    refilled: Instant,
}

impl Budget {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            left: limits.burst,
            refilled: now,
        }
    }

    /// Adds an amount that the client may spend because of the node's own frames.
    pub(super) fn earn(&mut self, amount: u64) {
        self.left = (self.left + amount).min(self.limits.saved_max);
    }

    /// Spends; false if too little is left.
    #[must_use]
    pub(super) fn spend(&mut self, amount: u64, now: Instant) -> bool {
        if self.left < amount {
            self.refill(now);
        }
        let enough = self.left >= amount;
        self.left = self.left.saturating_sub(amount);
        enough
    }

    /// Reads the clock only if needed: time refills no more than `burst`, and nearly always that
    /// much is left.
    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled);
        let refill = elapsed.as_millis() * u128::from(self.limits.per_second) / 1_000;
        let refill = u64::try_from(refill).unwrap_or(u64::MAX);
        if refill > 0 {
            self.left = self.left.saturating_add(refill).min(self.limits.burst);
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits {
        burst: 10,
        per_second: 5,
        saved_max: 100,
    };

    #[test]
    fn time_refills_up_to_the_burst_and_work_beyond() {
        let start = Instant::now();
        let mut budget = Budget::new(LIMITS, start);
        for _ in 0..10 {
            assert!(budget.spend(1, start));
        }
        assert!(!budget.spend(1, start));
        let second = start + Duration::from_secs(1);
        for _ in 0..5 {
            assert!(budget.spend(1, second));
        }
        assert!(!budget.spend(1, second));
        let hour = start + Duration::from_secs(3_600);
        assert!(budget.spend(10, hour));
        assert!(!budget.spend(1, hour));
        budget.earn(1_000);
        assert!(budget.spend(100, hour));
        assert!(!budget.spend(1, hour));
    }

    #[test]
    fn a_client_that_asks_again_and_again_still_gets_its_refill() {
        let start = Instant::now();
        let mut budget = Budget::new(LIMITS, start);
        assert!(budget.spend(10, start));
        let mut spent = 0;
        for millis in 0..1_000 {
            spent += u64::from(budget.spend(1, start + Duration::from_millis(millis)));
        }
        assert!((4..=5).contains(&spent), "{spent}");
    }
}
