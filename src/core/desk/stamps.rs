//! Where the ids of a batch come from.

use crate::core::event::EventId;
use crate::core::history::{IdFell, Stamp};
use crate::core::idempotency::KeyLimits;

/// The source of a batch's ids.
#[derive(Clone, Copy, Debug)]
pub enum Stamps<'s> {
    /// From this node, whose wall clock reads this many milliseconds since the Unix epoch.
    Local(u64),
    /// From outside: one id for each event.
    Given(&'s [EventId]),
}

impl Stamps<'_> {
    /// What the event with this number is stamped with.
    pub(super) fn of(&self, number: usize) -> Stamp {
        match self {
            Self::Local(now_unix_ms) => Stamp::Local(*now_unix_ms),
            // A missing id is refused, as one that does not rise.
            Self::Given(ids) => Stamp::Given(ids.get(number).copied().unwrap_or_default()),
        }
    }

    /// Whether they are from outside.
    pub(super) fn are_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    /// Keys of events below this id are too old for the event with this number. Where a clock gives
    /// the ids, it forgets the keys, too.
    pub(super) fn cut_off(&self, number: usize, limits: &KeyLimits) -> EventId {
        match self {
            Self::Local(_) => EventId::ZERO,
            Self::Given(ids) => ids
                .get(number)
                .map_or(EventId::ZERO, |id| limits.cut_off(id.unix_ms())),
        }
    }

    /// Whether the event with this number is given an id below `cut_off`.
    pub(super) fn is_below(&self, number: usize, cut_off: EventId) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Given(ids) => ids.get(number).is_some_and(|id| *id < cut_off),
        }
    }

    /// Checks that given ids rise from `head` on.
    pub(super) fn check(&self, count: usize, head: EventId) -> Result<(), IdFell> {
        if matches!(self, Self::Local(_)) {
            return Ok(());
        }
        let mut numbers = 0..count;
        let after = |head, number| self.of(number).after(head);
        numbers.try_fold(head, after).map(drop)
    }
}
