//! Why events were not published.

use std::time::Duration;

use thiserror::Error;

use super::log::{Away, Outcome};
use super::{Closed, Receipt};
use crate::plural::Counted;

/// Why events were not published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotPublished {
    /// The node has shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// One has the idempotency key of another event.
    #[error(transparent)]
    Reused(#[from] Reused),
    /// The log that orders the events cannot be written. Those without a receipt are certainly not
    /// published.
    #[error("not published: {0}")]
    Away(Unlogged),
    /// The log did not say whether it has the events. Those without a receipt may have been
    /// published, or may still come to be.
    #[error(
        "the outcome is unknown, the event may have been published: {0}; repeat it with the same idempotency key to be sure of one event (a repeat without a \
         key may be a second event)"
    )]
    Unknown(Unlogged),
}

impl NotPublished {
    /// Receipts of those events, from the first one on, that were published all the same: large
    /// batches are published in portions.
    pub(super) fn receipts_mut(&mut self) -> Option<&mut Vec<Receipt>> {
        match self {
            Self::Closed(_) => None,
            Self::Reused(reused) => Some(&mut reused.receipts),
            Self::Away(unlogged) | Self::Unknown(unlogged) => Some(&mut unlogged.receipts),
        }
    }

    /// The same error of a batch that began with events that were published.
    pub(super) fn behind(mut self, mut published: Vec<Receipt>) -> Self {
        if let Self::Reused(reused) = &mut self {
            reused.number += published.len();
        }
        if let Some(receipts) = self.receipts_mut() {
            published.append(receipts);
            *receipts = published;
        }
        self
    }
}

/// An event has the idempotency key of another event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
#[error(
    "the idempotency key was used for another event; a repeat has to be the same in topics, data, `event`, `id`, `retry` and `private`, and an array \
     in its number of events"
)]
pub struct Reused {
    /// Its number among the events.
    pub number: usize,
    /// Receipts of those events before it that were published: large batches are published in
    /// portions, and another publisher may have used the key between two of them.
    pub receipts: Vec<Receipt>,
    /// What became of the events right behind it that were published with it. Only with a log,
    /// where another node may have published the key's event at the same time.
    pub behind: Vec<Outcome>,
}

impl Reused {
    /// The event with this number was refused, and nothing was published.
    pub(super) fn at(number: usize) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Number of the other events that were published.
    #[must_use]
    pub fn published(&self) -> usize {
        self.receipts.len() + self.published_behind()
    }

    fn published_behind(&self) -> usize {
        let behind = self.behind.iter();
        let behind = behind.filter(|outcome| matches!(outcome, Outcome::Published(_)));
        behind.count()
    }

    /// The other events that were published, for the end of a message. Empty if there is none.
    #[must_use]
    pub fn others(&self) -> String {
        let [before, behind] = [self.receipts.len(), self.published_behind()];
        let were = if before + behind == 1 { "was" } else { "were" };
        let [earlier, later] = [before, behind].map(|count| Counted(count, "event"));
        match (before, behind) {
            (0, 0) => String::new(),
            (_, 0) => format!(" ({earlier} before it {were} published)"),
            (0, _) => format!(" ({later} behind it {were} published)"),
            _ => format!(" ({earlier} before it and {later} behind it {were} published)"),
        }
    }
}

/// The log could not take events, or did not answer in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct Unlogged {
    /// When to try again.
    pub retry_after: Duration,
    /// What is wrong. Holds no secret.
    pub why: String,
    /// Receipts of the events from the first one on that were published before.
    pub receipts: Vec<Receipt>,
}

impl From<Away> for Unlogged {
    fn from(away: Away) -> Self {
        Self {
            retry_after: away.retry_after,
            why: away.why,
            receipts: Vec::new(),
        }
    }
}
