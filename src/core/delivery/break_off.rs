//! Telling all streams of a loss that concerns everybody.
//!
//! A stream that is caught up would not notice: it reads nothing. So a break puts each of them
//! behind, at the id up to which it has seen everything, and lets it read on when its turn comes.
//! The read meets the hole, and the stream is told the gap as any other. Until then it gets nothing:
//! an event, or a heartbeat with a newer cursor, would hide the loss from a client that comes back.
//!
//! Turns are spread over time. A hundred thousand clients that load their state again at once would
//! be the next outage.

use crate::core::desk::Break;

use super::replay::Lagging;
use super::subscriber::Flags;
use super::{Core, Io};

/// Milliseconds between two steps of a spread.
const SPREAD_STEP_MS: u64 = 50;

/// The streams that are told of a break.
#[derive(Debug)]
pub(crate) struct Spread {
    started_ms: u64,
    /// When the streams that have waited longest began to wait.
    since_ms: u64,
    /// Slots below this one have been put behind.
    marked: u32,
    /// Slots in use when it began.
    end: u32,
    /// Slots below this one have had their turn.
    told: u32,
}

impl<I: Io> Core<I> {
    /// Takes a break. The caller has written all events that were posted before.
    pub(super) fn begin_break(&mut self, loss: &Break) {
        // Caught-up streams have seen everything up to here. What was stamped but not posted
        // concerned none of them.
        let seen_through = self.last_id.max(loss.head);
        let mut spread = Spread {
            started_ms: self.now_ms,
            since_ms: self.now_ms,
            marked: 0,
            end: self.subscribers.end(),
            told: 0,
        };
        // Streams that wait already may wait anew, and no longer than that: of breaks that follow
        // each other faster, the later ones are told in the turns of the first.
        if let Some(earlier) = self.spread.take() {
            spread.end = spread.end.max(earlier.end);
            spread.since_ms = earlier.since_ms;
            if self.now_ms >= earlier.since_ms.saturating_add(self.config.gap_spread_ms) {
                spread.started_ms = earlier.started_ms;
                spread.told = earlier.told;
            }
        }
        self.spread = Some(spread);
        self.break_at = seen_through;
        self.last_id = loss.through.max(self.last_id);
    }

    /// Whether streams are still to be put behind.
    pub(crate) fn is_breaking_off(&self) -> bool {
        let spread = self.spread.as_ref();
        spread.is_some_and(|spread| spread.marked < spread.end)
    }

    /// Puts a portion of the streams behind. Returns whether none is left.
    pub(super) fn break_off_some(&mut self) -> bool {
        let Some(spread) = &self.spread else {
            return true;
        };
        let (from, told, end) = (spread.marked, spread.told, spread.end);
        let until = end.min(from.saturating_add(self.config.budget.breaks));
        for slot in from..until {
            self.break_off_one(slot, slot < told);
        }
        if let Some(spread) = &mut self.spread {
            spread.marked = until;
        }
        until == end
    }

    fn break_off_one(&mut self, slot: u32, at_once: bool) {
        let seen_through = self.break_at;
        let Some(subscriber) = self.subscribers.get_mut(slot) else {
            return;
        };
        if !subscriber.flags.has(Flags::BEHIND) {
            subscriber.cursor = subscriber.cursor.max(seen_through);
            self.fall_behind(slot, Lagging::broken_off(self.now_ms));
        } else if subscriber.flags.has(Flags::BLOCKED) {
            // It reads on when its wire has room.
            return;
        }
        let lagging = self.lagging.get_mut(&slot);
        if at_once || !lagging.is_some_and(|lagging| lagging.awaits_turn) {
            self.give_turn(slot);
        }
    }

    /// Lets the streams whose turn has come read on.
    pub(super) fn spread_on(&mut self) {
        let Some(spread) = &self.spread else {
            return;
        };
        let period_ms = self.config.gap_spread_ms;
        let elapsed = self.now_ms.saturating_sub(spread.started_ms);
        let is_over = elapsed >= period_ms;
        let due = if is_over {
            spread.end
        } else {
            (u64::from(spread.end) * elapsed / period_ms) as u32
        };
        let (from, due) = (spread.told, due.min(spread.marked));
        for slot in from..due {
            self.give_turn(slot);
        }
        match &mut self.spread {
            Some(spread) if is_over && spread.marked == spread.end => self.spread = None,
            Some(spread) => spread.told = due.max(from),
            None => {}
        }
    }

    /// Time of the next step of the spread.
    pub(super) fn next_spread_ms(&self) -> Option<u64> {
        let spread = self.spread.as_ref()?;
        let end_ms = spread.started_ms.saturating_add(self.config.gap_spread_ms);
        Some(end_ms.clamp(self.now_ms, self.now_ms + SPREAD_STEP_MS))
    }

    fn give_turn(&mut self, slot: u32) {
        let Some(subscriber) = self.subscribers.get(slot) else {
            return;
        };
        if !subscriber.flags.has(Flags::BEHIND) || subscriber.flags.has(Flags::BLOCKED) {
            return;
        }
        if let Some(lagging) = self.lagging.get_mut(&slot) {
            lagging.awaits_turn = false;
            self.make_ready(slot);
        }
    }
}
