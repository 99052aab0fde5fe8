//! The room that one answer takes.

use std::sync::Arc;

use super::room::Room;
use crate::core::budget;
use crate::metrics::HttpMetrics;

/// The room that one answer takes. Dropping it releases the room.
pub(crate) struct Charge {
    pub(super) bytes: usize,
    pub(super) rooms: [Option<Arc<Room>>; 2],
    /// The same bytes in the node's budget.
    pub(super) memory: budget::Charge,
    /// Metrics that count it.
    pub(super) counted: Option<Arc<HttpMetrics>>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        for room in self.rooms.iter().flatten() {
            room.give_back(self.bytes);
        }
        if let Some(metrics) = &self.counted {
            metrics.answer_bytes.sub(self.bytes as u64);
        }
    }
}
