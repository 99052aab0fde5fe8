//! Work by the clock: heartbeats for quiet streams, and the end of streams whose wire accepts
//! nothing.
//!
//! No stream has a timer. Twice in a heartbeat interval the whole slab is swept, a slice at a time:
//! a stream that was written to since the last sweep is passed over, any other gets the shared
//! heartbeat frame. So silence lasts at most one interval, and an idle stream costs one write an
//! interval.

use bytes::Bytes;

use crate::core::event::EventId;
use crate::core::sse::{self, Frame};
use crate::metrics::CloseReason;

use super::subscriber::{Flags, Key};
use super::{Core, Io, Sent};

/// Least number of slices of one sweep (one for each slot, if fewer are used), so that few streams
/// are spread over time as well.
const SLICES_PER_SWEEP: u32 = 64;

/// Milliseconds between two checks of blocked streams for their write timeout.
const TIMEOUT_CHECK_MS: u64 = 250;

/// The position of the sweep.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// Length of one sweep: half a heartbeat interval.
    period_ms: u64,
    started_ms: u64,
    /// When its first slice was swept. This is later than it was due if the shard slept or was
    /// delayed.
    began_ms: u64,
    next_slot: u32,
    timeouts_checked_ms: u64,
}

impl Sweep {
    pub(crate) fn new(heartbeat_ms: u64, now_ms: u64) -> Self {
        Self {
            period_ms: (heartbeat_ms / 2).max(1),
            started_ms: now_ms,
            began_ms: now_ms,
            next_slot: 0,
            timeouts_checked_ms: now_ms,
        }
    }

    fn slice(used: u32, slots_max: u32) -> u32 {
        (used / SLICES_PER_SWEEP).clamp(1, slots_max)
    }

    /// When the slice that starts at `next_slot` is due. If the slab has shrunk below that slot, it
    /// is due at the end of the period. Without that bound, the few streams that stay would wait
    /// for as many periods as there have been streams.
    fn due_ms(&self, used: u32) -> u64 {
        let used = u64::from(used.max(1));
        self.started_ms + self.period_ms * u64::from(self.next_slot).min(used) / used
    }
}

/// A heartbeat, shared by a whole slice.
struct Heartbeat {
    cursor: EventId,
    frame: Frame,
    /// The same as an event that clients can hear; made for the first stream that asked for it.
    event: Option<Frame>,
}

impl<I: Io> Core<I> {
    /// Does the work that is due by the clock, within a turn's budget. `mailbox_empty` is called
    /// under the store's lock and returns whether no input waits.
    pub(super) fn tick(&mut self, mailbox_empty: impl FnOnce() -> bool, io: &mut I) {
        if self.lagging.is_empty() {
            self.counters.lag_ms_max.set(0);
        } else if self.now_ms >= self.sweep.timeouts_checked_ms + TIMEOUT_CHECK_MS {
            self.sweep.timeouts_checked_ms = self.now_ms;
            self.check_timeouts(io);
        }
        self.end_expired(io);
        self.drain_on(io);
        self.spread_on();
        if self.subscribers.len() == 0 {
            self.sweep.started_ms = self.now_ms;
            self.sweep.next_slot = 0;
            return;
        }
        // A heartbeat would move a stream's cursor over a break that it is still to be told of.
        let may_beat = !self.is_breaking_off();
        if may_beat && self.now_ms >= self.sweep.due_ms(self.subscribers.end()) {
            self.catch_up_cursor(mailbox_empty);
            for _ in 0..self.config.budget.sweep_slices {
                let used = self.subscribers.end();
                if used == 0 || self.now_ms < self.sweep.due_ms(used) {
                    break;
                }
                self.sweep_slice(used, io);
            }
        }
    }

    /// Raises the shard's last id to the head if no input waits. Events are posted under the
    /// store's lock, so every event up to the head that concerns this shard was delivered then.
    /// Heartbeats thus send a cursor near the head to streams of quiet topics.
    fn catch_up_cursor(&mut self, mailbox_empty: impl FnOnce() -> bool) {
        let store = self.shared.store();
        if mailbox_empty() {
            self.last_id = self.last_id.max(store.head());
        }
    }

    /// When [`Core::tick`] has something to do next, in the shard's milliseconds; `None` = not
    /// before input arrives.
    pub(super) fn next_tick_ms(&self) -> Option<u64> {
        if self.subscribers.len() == 0 {
            return None;
        }
        let mut next = self.sweep.due_ms(self.subscribers.end());
        if !self.lagging.is_empty() {
            next = next.min(self.sweep.timeouts_checked_ms + TIMEOUT_CHECK_MS);
        }
        let others = [
            self.next_drain_ms(),
            self.next_end_ms(),
            self.next_spread_ms(),
        ];
        others.into_iter().flatten().chain([next]).min()
    }

    fn sweep_slice(&mut self, used: u32, io: &mut I) {
        let mut heartbeat = Heartbeat {
            cursor: self.last_id,
            frame: sse::heartbeat(self.last_id.marked(self.mark)),
            event: None,
        };
        let first = self.sweep.next_slot;
        if first == 0 {
            self.sweep.began_ms = self.now_ms;
        }
        let end = (first + Sweep::slice(used, self.config.budget.sweep_slots)).min(used);
        for slot in first..end {
            self.beat(slot, &mut heartbeat, io);
        }
        self.sweep.next_slot = end;
        if end >= used {
            self.sweep.next_slot = 0;
            // The next sweep starts at the end of this one's period, so that sweeps do not drift.
            // If that time has passed, it starts one period after this sweep began: two sweeps at
            // once would take a stream that was just written to for a quiet one.
            let due_ms = self.sweep.started_ms + self.sweep.period_ms;
            self.sweep.started_ms = if due_ms > self.now_ms {
                due_ms
            } else {
                self.sweep.began_ms + self.sweep.period_ms
            };
        }
    }

    fn beat(&mut self, slot: u32, heartbeat: &mut Heartbeat, io: &mut I) {
        let flags = self.subscribers.get(slot).map(|stream| stream.flags);
        if flags.is_some_and(|flags| self.is_expired(slot, flags)) {
            return;
        }
        let Some(subscriber) = self.subscribers.get_mut(slot) else {
            return;
        };
        let was_active = subscriber.flags.has(Flags::ACTIVE);
        subscriber.flags.clear(Flags::ACTIVE);
        if was_active || subscriber.flags.has(Flags::BEHIND) {
            return;
        }
        let key = Key {
            slot,
            serial: subscriber.serial,
        };
        let cursor = subscriber.cursor;
        debug_assert!(
            cursor <= heartbeat.cursor,
            "no cursor passes what was taken"
        );
        // The stream is caught up, and the heartbeat's id reports that to its client. A private
        // event that was not for it may be evicted later, and no gap may move the cursor back to
        // that event.
        subscriber.cursor = heartbeat.cursor;
        let encoding = subscriber.encoding;
        let frame = if encoding.has_heartbeat_events() {
            let (cursor, now) = (heartbeat.cursor.marked(self.mark), self.unix_ms);
            let event = || sse::heartbeat_event(cursor, now);
            heartbeat.event.get_or_insert_with(event)
        } else {
            &heartbeat.frame
        };
        let bytes = frame.rendition(encoding);
        self.counters.heartbeats.add(1);
        match io.send(key, &subscriber.wire, std::slice::from_ref(&bytes)) {
            Sent::All => self.count_write(slot, bytes.len()),
            Sent::Part(accepted) => {
                self.count_write(slot, accepted);
                // If no byte of it was accepted, the heartbeat need not be sent at all, and the
                // client does not know its cursor.
                let remainder = if accepted == 0 {
                    self.set_cursor(slot, cursor);
                    Bytes::new()
                } else {
                    bytes.slice(accepted..)
                };
                self.block(slot, remainder, bytes.len());
            }
            Sent::Gone(reason) => self.close(key, reason, io),
        }
    }

    fn set_cursor(&mut self, slot: u32, cursor: EventId) {
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            subscriber.cursor = cursor;
        }
    }

    fn check_timeouts(&mut self, io: &mut I) {
        let mut late = Vec::new();
        let mut oldest = self.last_id;
        for (slot, lagging) in &self.lagging {
            let Some(subscriber) = self.subscribers.get(*slot) else {
                continue;
            };
            oldest = oldest.min(subscriber.cursor);
            if subscriber.flags.has(Flags::BLOCKED)
                && self.now_ms.saturating_sub(lagging.progress_ms) >= self.config.write_timeout_ms
            {
                late.push(*slot);
            }
        }
        let lag_ms = self.last_id.unix_ms().saturating_sub(oldest.unix_ms());
        self.counters.lag_ms_max.set(lag_ms);
        for slot in late {
            if let Some(key) = self.key_of(slot) {
                self.close(key, CloseReason::WriteTimeout, io);
            }
        }
    }
}
