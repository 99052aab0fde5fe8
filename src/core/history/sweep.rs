//! Giving back what topics keep of patterns that are gone.
//!
//! A topic that is used drops them itself when a pattern is born. Other topics are passed over, a
//! portion with each expiry, after patterns were removed.

use super::{Store, Work};

/// The state of the passes over all topics.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Slot at which the next portion begins.
    from: u32,
    /// Number of patterns that had been removed when the pass began; `None` = none is under way.
    began_at: Option<u64>,
    /// The same of the last whole pass. `None` = there was none: topics of a snapshot may have
    /// patterns that are gone.
    swept_at: Option<u64>,
}

impl Sweep {
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.began_at.is_none()
    }
}

impl Store {
    /// Drops patterns that are gone from the next topics, as far as the work goes.
    pub(super) fn sweep_gone(&mut self, work: &mut Work) {
        let removed = self.patterns.removed();
        if self.sweep.began_at.is_none() {
            if self.sweep.swept_at == Some(removed) {
                return;
            }
            self.sweep.began_at = Some(removed);
        }
        while let Some((index, topic)) = self.topics.next_from(self.sweep.from) {
            if work.is_spent() || !work.charge_references(1) {
                return;
            }
            work.spend(topic.matches().len());
            self.sweep.from = index + 1;
            self.drop_gone(index);
        }
        self.sweep = Sweep {
            swept_at: self.sweep.began_at,
            ..Sweep::default()
        };
    }
}
