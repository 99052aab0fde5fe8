//! The count of entries: as many were read as the log has added.

use crate::core::event::EventId;

use super::Facts;

/// What a log has said of its count, until all that it had then was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    last: EventId,
    added: u64,
}

/// The number of entries that the log had added when the newest one that was read was added.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// `None` if it is not known.
    read: Option<u64>,
    /// The newest id at which it was right.
    proven: EventId,
    claim: Option<Claim>,
}

impl Count {
    /// Remembers what the log says, to be compared when all that it has now was read.
    pub(super) fn claim(&mut self, facts: &Facts) {
        self.claim = facts.added.map(|added| Claim {
            last: facts.last,
            added,
        });
    }

    pub(super) fn forget_claim(&mut self) {
        self.claim = None;
    }

    /// Nothing is known until the next claim was compared. A claim stays.
    pub(super) fn forget(&mut self) {
        self.read = None;
    }

    /// One more entry was read.
    pub(super) fn add(&mut self) {
        self.read = self.read.map(|read| read + 1);
    }

    /// Whether everything was read that the log had when it made its claim, if `next` is the next
    /// entry.
    pub(super) fn is_due_before(&self, next: EventId) -> bool {
        self.claim.is_some_and(|claim| claim.last < next)
    }

    /// Compares the claim: everything was read that the log had when it made it. `head` is the
    /// newest id that was read. Returns the id above which entries are missing, if some are.
    pub(super) fn check(&mut self, head: EventId) -> Option<EventId> {
        let claim = self.claim.take()?;
        let is_right = self.read.is_none_or(|read| read == claim.added);
        let missing = (!is_right).then_some(self.proven);
        self.read = Some(claim.added);
        self.proven = head;
        missing
    }

    /// Whether the log's oldest entry is the successor of the newest one that was read, by their
    /// numbers. Removed entries make the oldest one's number higher than it is, never lower.
    pub(super) fn is_next(&self, facts: &Facts) -> bool {
        let next = self.read.map(|read| read + 1);
        let first = facts.added.map(|added| (added + 1).saturating_sub(facts.length));
        next.is_some() && next == first
    }
}
