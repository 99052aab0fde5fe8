//! What a shard of the simulator finds at its next turn.

use std::cell::Cell;
use std::collections::VecDeque;

use fastrand::Rng;

use crate::core::delivery::{FindLimits, Input, Key, Message, Now, SetLimits, Signal, TurnBudget};
use crate::core::event::EventId;
use crate::core::history::{HoldLimits, ReadBudget, Work};

/// Signals and messages that wait.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) signals: VecDeque<(Key, Signal)>,
    pub(super) messages: VecDeque<Message<usize>>,
    /// Newest id that was taken.
    pub(super) taken_through: EventId,
    /// Someone wants to be told of room.
    pub(super) room_wanted: bool,
}

impl Inbox {
    /// Signals and messages that wait.
    pub(super) fn waiting(&self) -> [usize; 2] {
        [self.signals.len(), self.messages.len()]
    }
}

impl Inbox {
    /// Breaks that wait.
    pub(super) fn breaks(&self) -> usize {
        let messages = self.messages.iter();
        let breaks = messages.filter(|message| matches!(message, Message::Break(_)));
        breaks.count()
    }
}

impl Input<usize> for Inbox {
    fn signal(&mut self) -> Option<(Key, Signal)> {
        self.signals.pop_front()
    }

    fn message(&mut self) -> Option<Message<usize>> {
        let message = self.messages.pop_front()?;
        let through = match &message {
            Message::Deliver(batch) => batch.head,
            Message::Break(loss) => loss.through,
            Message::Attach(attach) => attach.live_from,
            Message::Unpark(_, reseat) => reseat.live_from,
            _ => EventId::ZERO,
        };
        self.taken_through = self.taken_through.max(through);
        Some(message)
    }

    fn is_empty(&self) -> bool {
        self.signals.is_empty() && self.messages.is_empty()
    }
}

/// A clock that is ahead by `ahead_ms` when it is read again: a turn takes time.
pub(super) fn clock(shard_ms: u64, unix_ms: u64, ahead_ms: u64) -> impl Fn() -> Now {
    let ahead = Cell::new(0);
    move || {
        let ahead = ahead.replace(ahead_ms);
        Now {
            shard_ms: shard_ms + ahead,
            unix_ms: unix_ms + ahead,
        }
    }
}

/// Budgets that are used up. At least `streams` streams may be ended in a turn.
pub(super) fn small_budget(dice: &mut Rng, streams: usize) -> TurnBudget {
    TurnBudget {
        signals: dice.usize(1..8),
        messages: dice.usize(1..6),
        event_bytes: dice.usize(1..1_000),
        replay_streams: dice.usize(1..6),
        replay_bytes: dice.usize(1..2_000),
        read: ReadBudget {
            events: dice.usize(1..8),
            bytes: dice.usize(1..1_000),
        },
        pass_bytes: dice.usize(1..1_000),
        ends: dice.usize(streams..2 * streams),
        breaks: dice.u32(1..8),
        sweep_slots: dice.u32(1..8),
        sweep_slices: dice.u32(1..8),
        find: FindLimits {
            slots: small_or(dice, 1_024) as u32,
            found: small_or(dice, 256),
            steps: small_or(dice, 200_000),
            topics: small_or(dice, 8_192),
        },
        released_max: small_or(dice, 1 << 20),
        release: Work::default().with_references(dice.usize(1..5)),
        sets: SetLimits {
            few: few_or(dice, 8),
            kept: small_or(dice, 1 << 18),
        },
    }
}

/// Bounds on one hold of the lock: each of them one that most schedules reach, or one that none
/// does.
pub(super) fn hold_limits(dice: &mut Rng) -> HoldLimits {
    let large = HoldLimits::default();
    HoldLimits {
        steps: small_or(dice, large.steps),
        events: small_or(dice, large.events),
        references: small_or(dice, large.references),
        birth_topics: small_or(dice, large.birth_topics),
        listed_patterns: few_or(dice, large.listed_patterns),
        kept_changes: small_or(dice, large.kept_changes),
        untold_topics: few_or(dice, large.untold_topics),
    }
}

/// A bound of a few, or `large`.
fn small_or(dice: &mut Rng, large: usize) -> usize {
    match dice.u8(..3) {
        0 => dice.usize(1..8),
        1 => dice.usize(8..64),
        _ => large,
    }
}

/// A bound of one or two in most schedules, or `large`, which is small itself.
fn few_or(dice: &mut Rng, large: usize) -> usize {
    match dice.u8(..3) {
        0 => 1,
        1 => dice.usize(1..4),
        _ => large,
    }
}
