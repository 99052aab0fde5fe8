//! The memory of unfinished request bodies.
//!
//! A body is held until its last byte has arrived, and a client may begin many and end none. The
//! bytes that have arrived of each body, and the head of its request, are charged to the connection
//! (HTTP/2) and to the node; the promise in `Content-Length` is never charged. A body without room
//! to grow is answered 503. The largest are refused first: a body may grow only while the free room
//! is at least its own size, so publishers of small bodies always find room.

use std::sync::Arc;

use thiserror::Error;

use super::room::Room;
use crate::core::budget::{Budget, Charge, Part};
use crate::metrics::HttpMetrics;

/// Requests up to this size are not counted: they cost little more than their streams.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// A body has no room to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "too many bytes of unfinished request bodies are held (`body_budget_bytes`, `body_bytes_per_connection_max`, `memory_budget`)"
)]
pub(crate) struct NoRoom;

/// The room of one listener.
pub(crate) struct Bodies {
    metrics: Arc<HttpMetrics>,
    all: Arc<Room>,
    budget: Arc<Budget>,
}

impl Bodies {
    /// Room for `bytes_max` in all, charged to `budget`.
    pub(crate) fn new(bytes_max: usize, budget: Arc<Budget>, metrics: Arc<HttpMetrics>) -> Self {
        Self {
            metrics,
            budget,
            all: Arc::new(Room::new(bytes_max)),
        }
    }

    /// The node's account.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Room for a body of which nothing is held yet. `head` is the size of its request's head;
    /// `connection` is the connection's own room, if it has one.
    pub(crate) fn begin(&self, connection: Option<&Arc<Room>>, head_bytes: usize) -> Held {
        Held {
            metrics: Arc::clone(&self.metrics),
            rooms: [Some(Arc::clone(&self.all)), connection.cloned()],
            memory: Charge::new(&self.budget, Part::Bodies),
            budget: Arc::clone(&self.budget),
            head_bytes,
            bytes: 0,
        }
    }
}

/// The room that one body takes. Dropping it releases the room.
pub(crate) struct Held {
    metrics: Arc<HttpMetrics>,
    rooms: [Option<Arc<Room>>; 2],
    /// The same bytes in the node's budget.
    memory: Charge,
    budget: Arc<Budget>,
    head_bytes: usize,
    /// Bytes charged.
    bytes: usize,
}

impl Held {
    /// Sets the number of held bytes of the body.
    ///
    /// # Errors
    /// [`NoRoom`]: the caller must drop the bytes.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let bytes = self.head_bytes + bytes;
        let bytes = if bytes > UNCOUNTED_BYTES { bytes } else { 0 };
        let Some(more) = bytes.checked_sub(self.bytes) else {
            self.shrink(bytes);
            return Ok(());
        };
        let rooms = || self.rooms.iter().flatten();
        let grown = rooms().take_while(|room| room.grow(self.bytes, more));
        let grown = grown.count();
        let has_room = grown == rooms().count();
        if !has_room {
            self.budget.note_refusal(Part::Bodies);
        }
        if !has_room || self.memory.set(bytes).is_err() {
            for room in rooms().take(grown) {
                room.give_back(more);
            }
            self.metrics.bodies_shed.add(1);
            return Err(NoRoom);
        }
        self.metrics.body_bytes.add(more as u64);
        self.bytes = bytes;
        Ok(())
    }

    fn shrink(&mut self, bytes: usize) {
        let less = self.bytes - bytes;
        for room in self.rooms.iter().flatten() {
            room.give_back(less);
        }
        // A smaller charge is never refused.
        let _ = self.memory.set(bytes);
        self.metrics.body_bytes.sub(less as u64);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(0);
    }
}
