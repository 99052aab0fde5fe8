//! The source of an event's id, and the age limit of ids.

use thiserror::Error;

use crate::core::event::EventId;

use super::HistoryLimits;

/// The source of an event's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// This node: the id after the newest one when the wall clock reads this many milliseconds
    /// since the unix epoch.
    Local(u64),
    /// From outside: an order over the events of several nodes. Ids may jump, and never fall.
    Given(EventId),
}

/// A given id that does not rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an event was given the id {given}, which is not above {head}, the newest id of this node")]
pub struct IdFell {
    /// The id that was given.
    pub given: EventId,
    /// The newest id before it.
    pub head: EventId,
}

impl Stamp {
    /// The id that follows `head`.
    ///
    /// # Errors
    /// [`IdFell`] for a given id that is not above `head`.
    pub fn after(self, head: EventId) -> Result<EventId, IdFell> {
        match self {
            Self::Local(unix_ms) => Ok(head.next(unix_ms)),
            Self::Given(given) if given > head => Ok(given),
            Self::Given(given) => Err(IdFell { given, head }),
        }
    }
}

impl HistoryLimits {
    /// The first id that is not too old when the wall clock reads this many milliseconds since the
    /// unix epoch, if ids are times.
    #[must_use]
    pub fn cut_off(&self, now_unix_ms: u64) -> EventId {
        let oldest_ms = now_unix_ms.saturating_sub(self.age_ms);
        EventId::from_parts(oldest_ms, 0).unwrap_or(EventId::new(u64::MAX))
    }
}
