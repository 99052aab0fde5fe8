//! The room that one answer takes.

use std::sync::Arc;

use super::room::Room;
use crate::core::budget::{self, Budget, Part};
use crate::metrics::HttpMetrics;

/// There is no room for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// The room that one answer takes. Dropping it releases the room.
pub(crate) struct Charge {
    bytes: usize,
    /// The node's room, and that of an HTTP/2 connection.
    rooms: [Option<Arc<Room>>; 2],
    /// The same bytes in the node's budget.
    memory: budget::Charge,
    budget: Arc<Budget>,
    metrics: Arc<HttpMetrics>,
}

impl Charge {
    /// Nothing yet.
    pub(super) fn new(
        rooms: [Option<Arc<Room>>; 2],
        budget: &Arc<Budget>,
        metrics: &Arc<HttpMetrics>,
    ) -> Self {
        Self {
            bytes: 0,
            rooms,
            memory: budget::Charge::new(budget, Part::Answers),
            budget: Arc::clone(budget),
            metrics: Arc::clone(metrics),
        }
    }

    /// Bytes charged.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Charges `bytes` from now on.
    ///
    /// # Errors
    /// [`NoRoom`]: it charges what it charged before. The node's account counts the refusal.
    pub(super) fn set(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            self.shrink(bytes);
            return Ok(());
        };
        let rooms = || self.rooms.iter().flatten();
        let grown = rooms().take_while(|room| room.take(self.bytes, more));
        let grown = grown.count();
        if grown < rooms().count() {
            self.budget.note_refusal(Part::Answers);
        } else if self.memory.set(bytes).is_ok() {
            self.metrics.answer_bytes.add(more as u64);
            self.bytes = bytes;
            return Ok(());
        }
        for room in rooms().take(grown) {
            room.give_back(more);
        }
        Err(NoRoom)
    }

    /// Charges `bytes` that cannot be refused.
    pub(super) fn set_anyway(&mut self, bytes: usize) {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return self.shrink(bytes);
        };
        for room in self.rooms.iter().flatten() {
            room.take_anyway(more);
        }
        self.memory.set_anyway(bytes);
        self.metrics.answer_bytes.add(more as u64);
        self.bytes = bytes;
    }

    fn shrink(&mut self, bytes: usize) {
        let less = self.bytes - bytes;
        if less == 0 {
            return;
        }
        for room in self.rooms.iter().flatten() {
            room.give_back(less);
        }
        // A smaller charge is never refused.
        let _ = self.memory.set(bytes);
        self.metrics.answer_bytes.sub(less as u64);
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink(0);
    }
}
