//! Passes over all topics that drop removed patterns.
//!
//! A topic drops removed patterns when it is used after the creation of a pattern. The passes cover
//! the other topics: each expiry sweeps a portion of them, if patterns were removed since the last
//! pass.

use super::{Store, Work};

/// The state of the passes over all topics.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Slot at which the next portion begins.
    from: u32,
    /// Number of patterns that had been removed when the pass began; `None` if no pass is in
    /// progress.
    began_at: Option<u64>,
    /// The same number for the last complete pass. `None` if no pass was completed: topics of a
    /// snapshot may have removed patterns.
    swept_at: Option<u64>,
}

impl Sweep {
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.began_at.is_none()
    }
}

impl Store {
    /// Drops removed patterns from the next topics, as far as the work allows.
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
