//! Reading: waits for bytes, within the connection's deadlines and the node's memory.
//!
//! A connection that waits between commands has no buffer at all.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until};

use super::{Connection, End};
use crate::closing;
use crate::core::budget::Part;
use crate::ingest::command::CommandError;
use crate::ingest::deadline::Deadline;
use crate::ingest::resp::Reader;
use crate::metrics::IngestEnd;
use crate::orders::{Order, Orders};

/// Capacity of a connection's first read, and the least of later reads.
pub(super) const READ_BYTES_MIN: usize = 16 * 1024;

/// Largest capacity of one read. A busy connection gets more with each read that filled the last;
/// this is some 1,500 small events.
const READ_BYTES_MAX: usize = 256 * 1024;

impl Connection {
    /// Reads the bytes that have arrived, or waits for some.
    pub(super) async fn fill(&mut self, orders: &mut Orders) -> Result<(), End> {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.reply.release();
        }
        let deadline = self.waits.read_deadline();
        if let Some((at, limit)) = deadline
            && at <= Instant::now()
        {
            // Checked here too: a client that always sends one more byte would never wait below.
            return Err(End::Limit(limit));
        }
        let budget = self.port.hub.budget();
        if self.read_bytes > READ_BYTES_MIN && budget.is_above_mark(Part::Commands) {
            self.read_bytes = READ_BYTES_MIN;
        }
        let can_be_carried = self.session.can_be_carried();
        // A client that has only just come is about to send its first commands.
        let connected = Instant::from_std(self.session.client.connected);
        let earliest = connected + closing::FIRST_REQUEST;
        let ordered = async {
            if can_be_carried && orders.interrupted().await == Order::Freeze {
                return End::Carried;
            }
            orders.stopped().await;
            sleep_until(earliest).await;
            End::Shutdown
        };
        let (stream, input, room) = (&mut self.stream, &mut self.input, self.read_bytes);
        let read = async {
            // The buffer is only made when there are bytes for it.
            stream.readable().await?;
            input.reserve(room);
            stream.read_buf(input).await
        };
        let count = tokio::select! {
            biased;
            count = read => count?,
            end = ordered => return Err(end),
            limit = reached(deadline) => return Err(End::Limit(limit)),
        };
        if count == 0 {
            return Err(End::Eof);
        }
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
        self.charge_held();
        Ok(())
    }

    /// Charges the bytes that the connection has sent and queued. They are in memory already;
    /// [`Self::refuse_unfinished`] decides whether they stay.
    pub(super) fn charge_held(&mut self) {
        let elements = self.reader.allocated_bytes();
        let bytes = self.input.capacity() + elements + self.session.queued_bytes();
        if bytes != self.session.memory.bytes() {
            self.session.memory.set_anyway(bytes);
        }
    }

    /// Ends the connection if the rest of its buffer is the start of a command for which the node
    /// has no memory. Small commands pass as long as there is any.
    pub(super) fn refuse_unfinished(&mut self) {
        let budget = self.port.hub.budget();
        let bytes = self.input.capacity() + self.reader.allocated_bytes();
        let is_small = bytes <= 2 * READ_BYTES_MIN;
        let part = Part::Commands;
        if budget.is_above_mark(part) && (!is_small || budget.is_spent()) {
            budget.note_refusal(part);
            self.input = BytesMut::new();
            self.reader = Reader::default();
            self.reply.error(&CommandError::OutOfMemory.to_string());
            self.port.count_end(IngestEnd::OutOfMemory);
            self.session.closing = true;
        }
    }
}

/// Waits for a deadline, if there is one.
async fn reached(deadline: Option<Deadline>) -> IngestEnd {
    match deadline {
        Some((at, limit)) => {
            sleep_until(at).await;
            limit
        }
        None => std::future::pending().await,
    }
}
