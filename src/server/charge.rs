//! The room that one answer takes.

use std::sync::Arc;

use super::room::Room;
use crate::core::budget;
use crate::metrics::HttpMetrics;

/// The room that one answer takes, given back on drop.
pub(crate) struct Charge {
    pub(super) bytes: usize,
    pub(super) rooms: [Option<Arc<Room>>; 2],
    /// The same in the node's account.
    pub(super) memory: budget::Charge,
    /// Metrics that know of it.
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
