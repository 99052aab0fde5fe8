//! The values that are dropped with a stream of the hub.

use crate::core::budget::{Charge, Part};
use crate::core::delivery::{Guard, GuardRecord, StreamGuard};
use crate::core::presence::Announced;

use super::{Hub, PatternShare};

/// Released when its stream has ended.
#[derive(Debug, Default)]
pub(super) struct HubGuard {
    /// Announces the stream's end.
    pub(super) announced: Option<Announced>,
    /// The patterns that its client chose.
    pub(super) patterns: Option<PatternShare>,
    /// The memory of its subscription.
    pub(super) memory: Option<Charge>,
}

impl HubGuard {
    /// `None` if nothing is to be released.
    pub(super) fn boxed(self) -> Option<Guard> {
        let is_empty = self.announced.is_none() && self.patterns.is_none() && self.memory.is_none();
        (!is_empty).then(|| Box::new(self) as Guard)
    }
}

impl StreamGuard for HubGuard {
    fn record(&self) -> GuardRecord {
        GuardRecord {
            announced: self.announced.as_ref().map(Announced::number),
            patterns: self.patterns.as_ref().map(PatternShare::record),
            memory_bytes: self.memory.as_ref().map_or(0, Charge::bytes),
        }
    }
}

impl Hub {
    /// The guard of a restored stream. It is counted and charged also above the bounds. To be
    /// called once for each stream.
    #[must_use]
    pub fn restore_guard(&self, record: GuardRecord) -> Option<Guard> {
        let announced = record.announced;
        let patterns = record.patterns;
        let memory = (record.memory_bytes > 0).then(|| {
            let mut charge = Charge::new(&self.0.budget, Part::Subscriptions);
            charge.set_anyway(record.memory_bytes);
            charge
        });
        let guard = HubGuard {
            announced: announced.and_then(|number| self.0.presence.announced(number)),
            patterns: patterns.and_then(|record| self.0.pattern_shares.restore(record)),
            memory,
        };
        guard.boxed()
    }
}
