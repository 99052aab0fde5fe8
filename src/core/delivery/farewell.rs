//! Ends of streams that the node decides on: with a reconnection delay, and with the body's regular
//! end.
//!
//! Both together are a stream's *farewell*. In a drain, a full wire has until the end of the period
//! to accept it, and the streams that were not sent all of it are counted. Every other end cuts a
//! stream whose wire is full.

use bytes::{Buf, Bytes};

use crate::core::sse;
use crate::metrics::CloseReason;

use super::replay::Lagging;
use super::subscriber::{Flags, Key};
use super::{Core, Io, Sent};

/// Reconnection delay in a farewell if the settings have none, in milliseconds. It is a browser's
/// own default.
const RETRY_MS_DEFAULT: u64 = 3_000;

/// Pause between two steps of a drain that keeps up with its period, in milliseconds.
const DRAIN_STEP_MS: u64 = 10;

/// A reconnection delay for one client, in milliseconds: from half to one and a half times
/// `retry_ms`, so that clients that leave together do not return together.
pub(crate) fn farewell_retry_ms(retry_ms: Option<u64>, random: &mut fastrand::Rng) -> u64 {
    let base = retry_ms.unwrap_or(RETRY_MS_DEFAULT);
    base / 2 + random.u64(0..=base)
}

/// The drain of a shard: all its streams are ended.
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
    /// Whether the token of at least one stream has expired. A turn ends a bounded number of such
    /// streams; the others wait. A waiting stream is sent nothing more: neither an event that it
    /// may no longer hear, nor a later one, whose cursor would skip the former.
    pub(super) fn has_expired(&self) -> bool {
        let next = self.tickets.next_end_unix_ms();
        next.is_some_and(|end| end <= self.unix_ms)
    }

    /// Whether the token of the stream in a slot, with these flags, has expired.
    pub(super) fn is_expired(&self, slot: u32, flags: Flags) -> bool {
        flags.has(Flags::TICKET) && self.tickets.is_over(slot, self.unix_ms)
    }

    /// Ends streams whose token has expired, within the turn's budget.
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

    /// Time of the next step of the drain: at once if the last step left due streams open, so that
    /// the period holds for any number of streams.
    pub(super) fn next_drain_ms(&self) -> Option<u64> {
        let drain = self.drain.as_ref()?;
        if drain.is_late {
            return Some(self.now_ms);
        }
        // The last step is at the end of the period, not a pause after it.
        let end_ms = drain.started_ms.saturating_add(drain.period_ms);
        Some(end_ms.clamp(self.now_ms, self.now_ms + DRAIN_STEP_MS))
    }

    /// Ends the streams that are due by now; at the end of the period, all of them.
    pub(super) fn drain_on(&mut self, io: &mut I) {
        let Some(drain) = &self.drain else { return };
        let elapsed = self.now_ms - drain.started_ms;
        let is_over = elapsed >= drain.period_ms;
        let may_stay = if is_over {
            0
        } else {
            let left = u128::from(drain.period_ms - elapsed) * drain.total as u128;
            (left / u128::from(drain.period_ms)) as usize + self.leaving
        };
        let mut next_slot = drain.next_slot;
        let due = self.subscribers.len().saturating_sub(may_stay);
        for _ in 0..due.min(self.config.budget.ends) {
            let Some(key) = self.next_open(&mut next_slot, is_over) else {
                break;
            };
            if is_over {
                self.end_stream(key, CloseReason::Drain, io);
            } else {
                self.dismiss(key, io);
            }
        }
        if let Some(drain) = &mut self.drain {
            drain.next_slot = next_slot;
            drain.is_late = due > self.config.budget.ends;
        }
    }

    /// The next open stream from a slot on, once around the slab: a stream that was attached during
    /// the drain may be below. Streams that wait with their farewell are passed over, unless
    /// `with_leaving`.
    fn next_open(&self, next_slot: &mut u32, with_leaving: bool) -> Option<Key> {
        let used = self.subscribers.end();
        for slot in (*next_slot..used).chain(0..*next_slot) {
            if let Some(key) = self.key_of(slot)
                && (with_leaving || !self.is_leaving(slot))
            {
                *next_slot = slot + 1;
                return Some(key);
            }
        }
        None
    }

    /// A reconnection delay for one client of this shard.
    pub(super) fn some_retry_ms(&mut self) -> u64 {
        farewell_retry_ms(self.config.retry_ms, &mut self.random)
    }

    /// Whether a stream waits for its wire to accept its farewell.
    pub(super) fn is_leaving(&self, slot: u32) -> bool {
        let lagging = self.lagging.get(&slot);
        lagging.is_some_and(|lagging| lagging.farewell.is_some())
    }

    /// Starts the end of a stream in a drain or before an upgrade. A stream whose wire is full stays until the wire
    /// accepts the farewell, or the drain is over. No more events are written to it.
    pub(super) fn dismiss(&mut self, key: Key, io: &mut I) {
        let Some(farewell) = self.new_farewell(key.slot) else {
            return;
        };
        if !self.lagging.contains_key(&key.slot) {
            self.fall_behind(key.slot, Lagging::blocked(Bytes::new(), 0, self.now_ms));
        }
        if let Some(lagging) = self.lagging.get_mut(&key.slot) {
            lagging.farewell = Some(farewell);
            self.leaving += 1;
        }
        self.send_farewell(key, io);
    }

    /// Writes the rest of a leaving stream's farewell, and removes the stream once its wire has
    /// accepted all of it.
    pub(super) fn send_farewell(&mut self, key: Key, io: &mut I) {
        let Some(subscriber) = self.subscribers.get_mut(key.slot) else {
            return;
        };
        if subscriber.flags.has(Flags::BLOCKED) {
            return;
        }
        let Some(lagging) = self.lagging.get_mut(&key.slot) else {
            return;
        };
        let parts = lagging.last_parts();
        let total: usize = parts.iter().map(Bytes::len).sum();
        match io.send(key, &subscriber.wire, &parts) {
            Sent::Part(accepted) if accepted < total => {
                subscriber.flags.set(Flags::BLOCKED);
                if accepted > 0 {
                    lagging.progress_ms = self.now_ms;
                }
                let of_remainder = accepted.min(lagging.remainder.len());
                lagging.remainder.advance(of_remainder);
                if let Some(farewell) = &mut lagging.farewell {
                    farewell.advance(accepted - of_remainder);
                }
            }
            Sent::All | Sent::Part(_) => {
                // Only a drain and an upgrade let a stream wait with its farewell.
                let reason = match self.drain {
                    Some(_) => CloseReason::Drain,
                    None => CloseReason::Upgrade,
                };
                self.remove(key, reason, true, io);
            }
            Sent::Gone(reason) => self.close(key, reason, io),
        }
    }

    /// Ends a stream if it is open; returns whether it was. The rest of a frame that was begun is
    /// written, and the farewell. A stream whose wire does not accept all of it at once is cut: the
    /// client sees a broken connection, and comes back with its cursor.
    pub(super) fn end_stream(&mut self, key: Key, reason: CloseReason, io: &mut I) -> bool {
        if !self.is_open(key) {
            return false;
        }
        let parts = if self.is_leaving(key.slot) {
            self.lagging.get(&key.slot).map(Lagging::last_parts)
        } else {
            let remainder = self.lagging.get(&key.slot);
            let remainder = remainder.map(|lagging| lagging.remainder.clone());
            let farewell = self.new_farewell(key.slot);
            Some(remainder.into_iter().chain(farewell).collect())
        };
        let mut parts: Vec<Bytes> = parts.unwrap_or_default();
        parts.retain(|part| !part.is_empty());
        let Some(subscriber) = self.subscribers.get(key.slot) else {
            return false;
        };
        let total: usize = parts.iter().map(Bytes::len).sum();
        let sent = if subscriber.flags.has(Flags::BLOCKED) {
            Sent::Part(0)
        } else {
            io.send(key, &subscriber.wire, &parts)
        };
        let ended = match sent {
            Sent::All => true,
            Sent::Part(accepted) => accepted == total,
            Sent::Gone(_) => false,
        };
        match sent {
            Sent::Gone(gone) => self.count_cut(gone),
            _ if !ended => self.count_cut(reason),
            _ => {}
        }
        self.remove(key, reason, ended, io);
        true
    }

    /// In a drain, counts a stream that ends for this reason without its whole farewell. A client
    /// that left needs none.
    pub(super) fn count_cut(&self, reason: CloseReason) {
        let client_left = matches!(reason, CloseReason::Client | CloseReason::Error);
        if self.drain.is_some() && !client_left {
            self.counters.cut.add(1);
        }
    }

    /// A farewell: a reconnection delay of the stream's own, and the end of its body.
    fn new_farewell(&mut self, slot: u32) -> Option<Bytes> {
        let retry_ms = self.some_retry_ms();
        let encoding = self.subscribers.get(slot)?.encoding;
        Some(Bytes::from(sse::end_of_stream(retry_ms, encoding)))
    }
}
