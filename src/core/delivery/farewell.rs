//! Ending streams on the node's own account: with a reconnection delay, and with the body's regular
//! end.

use bytes::Bytes;

use crate::core::sse;
use crate::metrics::CloseReason;

use super::subscriber::{Flags, Key};
use super::{Core, Io, Sent};

/// Reconnection delay at the end if the settings have none: a browser's own default, in
/// milliseconds.
const RETRY_MS_DEFAULT: u64 = 3_000;

/// Pause between two steps of a drain that keeps up with its period, in milliseconds.
const DRAIN_STEP_MS: u64 = 10;

/// The shutdown of a shard's streams.
#[derive(Debug)]
pub(crate) struct Drain {
    started_ms: u64,
    period_ms: u64,
    /// Streams that were open at the start.
    total: usize,
    next_slot: u32,
    /// More streams were due than one turn ends. The next turn follows without a pause.
    is_late: bool,
}

impl<I: Io> Core<I> {
    /// Whether a stream's token has expired. Such streams wait for their end, of which a turn has a
    /// bounded number. They get nothing more: neither events that they may no longer hear, nor any
    /// after those, whose cursor would skip them.
    pub(super) fn has_expired(&self) -> bool {
        let next = self.tickets.next_end_unix_ms();
        next.is_some_and(|end| end <= self.unix_ms)
    }

    /// Whether the stream in a slot, with these flags, is one of them.
    pub(super) fn is_expired(&self, slot: u32, flags: Flags) -> bool {
        flags.has(Flags::TICKET) && self.tickets.is_over(slot, self.unix_ms)
    }

    /// Ends streams whose token has expired, as many as a turn may.
    pub(super) fn end_expired(&mut self, io: &mut I) {
        let ends = self.config.budget.ends;
        for key in self.tickets.take_ended(self.unix_ms, ends) {
            self.end_stream(key, CloseReason::Expired, io);
        }
    }

    /// When the next token expires, in the shard's milliseconds.
    pub(super) fn next_end_ms(&self) -> Option<u64> {
        let end_unix_ms = self.tickets.next_end_unix_ms()?;
        Some(
            self.now_ms
                .saturating_add(end_unix_ms.saturating_sub(self.unix_ms)),
        )
    }

    /// Starts to end all streams, in even steps over `period_ms`.
    pub(super) fn drain(&mut self, period_ms: u64) {
        self.drain.get_or_insert(Drain {
            started_ms: self.now_ms,
            period_ms,
            total: self.subscribers.len(),
            next_slot: 0,
            is_late: false,
        });
    }

    /// Time of the next step of the drain: at once if the last one left streams over, so that the
    /// period holds for any number of streams.
    pub(super) fn next_drain_ms(&self) -> Option<u64> {
        let drain = self.drain.as_ref()?;
        if drain.is_late {
            return Some(self.now_ms);
        }
        // The last step is at the end of the period, not a pause after it.
        let end_ms = drain.started_ms.saturating_add(drain.period_ms);
        Some(end_ms.clamp(self.now_ms, self.now_ms + DRAIN_STEP_MS))
    }

    /// Ends the streams that are due by now.
    pub(super) fn drain_on(&mut self, io: &mut I) {
        let Some(drain) = &self.drain else { return };
        let elapsed = self.now_ms - drain.started_ms;
        let may_stay = if elapsed >= drain.period_ms {
            0
        } else {
            let left = u128::from(drain.period_ms - elapsed) * drain.total as u128;
            (left / u128::from(drain.period_ms)) as usize
        };
        let mut next_slot = drain.next_slot;
        let due = self.subscribers.len().saturating_sub(may_stay);
        for _ in 0..due.min(self.config.budget.ends) {
            let Some(key) = self.next_open(&mut next_slot) else {
                break;
            };
            self.end_stream(key, CloseReason::Drain, io);
        }
        if let Some(drain) = &mut self.drain {
            drain.next_slot = next_slot;
            drain.is_late = due > self.config.budget.ends;
        }
    }

    /// The next open stream from a slot on, round the slab once: a stream that was on its way in
    /// may be below.
    fn next_open(&self, next_slot: &mut u32) -> Option<Key> {
        let used = self.subscribers.end();
        for slot in (*next_slot..used).chain(0..*next_slot) {
            if let Some(key) = self.key_of(slot) {
                *next_slot = slot + 1;
                return Some(key);
            }
        }
        None
    }

    /// A reconnection delay for one client, in milliseconds: from half to one and a half times the
    /// setting, so that clients that leave together do not return together.
    pub(super) fn some_retry_ms(&mut self) -> u64 {
        let base = self.config.retry_ms.unwrap_or(RETRY_MS_DEFAULT);
        base / 2 + self.random.u64(0..=base)
    }

    /// Ends a stream if it is open. It is sent the rest of a frame that was begun, a reconnection
    /// delay of its own, and the end of the body. A wire that does not accept all of it at once is
    /// closed as it is: the client sees a cut connection, and resumes with its cursor.
    pub(super) fn end_stream(&mut self, key: Key, reason: CloseReason, io: &mut I) -> bool {
        if !self.is_open(key) {
            return false;
        }
        let retry_ms = self.some_retry_ms();
        let Some(subscriber) = self.subscribers.get(key.slot) else {
            return false;
        };
        let mut parts = Vec::with_capacity(2);
        if let Some(lagging) = self.lagging.get(&key.slot) {
            parts.push(lagging.remainder.clone());
        }
        parts.push(Bytes::from(sse::end_of_stream(
            retry_ms,
            subscriber.encoding,
        )));
        parts.retain(|part| !part.is_empty());
        let blocked = subscriber.flags.has(Flags::BLOCKED);
        let total: usize = parts.iter().map(Bytes::len).sum();
        let ended = !blocked
            && match io.send(key, &subscriber.wire, &parts) {
                Sent::All => true,
                Sent::Part(accepted) => accepted == total,
                Sent::Gone(_) => false,
            };
        self.remove(key, reason, ended, io);
        true
    }
}
