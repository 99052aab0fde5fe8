//! Totals of the hub, for a process that takes over.

use crate::metrics::Totals;

use super::Hub;

impl Hub {
    /// All totals. Nothing may be counted while they are read.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::of(&self.0.counters, &self.0.node_metrics);
        totals.read(|visit| self.0.budget.totals(visit));
        totals.read(|visit| self.0.presence.totals(visit));
        totals
    }

    /// Goes on from totals, without those of the shards: a shard starts with
    /// [`Totals::for_shard`].
    pub fn restore_totals(&self, totals: &Totals) {
        totals.restore(|visit| self.0.node_metrics.totals(visit));
        totals.restore(|visit| self.0.budget.totals(visit));
        totals.restore(|visit| self.0.presence.totals(visit));
    }
}
