//! The count of entries: as many were read as the log has added. And that of the markers which say
//! that the log has turned: a node must not miss one.

use crate::core::event::EventId;

use super::Facts;

/// What a log has said of its count, until all that it had then was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    last: EventId,
    added: Option<u64>,
    turns: Option<u64>,
}

/// The number of entries that the log had added when the newest one that was read was added.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// `None` if it is not known.
    read: Option<u64>,
    /// It was compared with what the log said. Until then it is what the log said, perhaps before it
    /// was deleted and begun again.
    is_compared: bool,
    /// The newest id at which it was right.
    proven: EventId,
    /// As `read`, of the markers `term` and `fork`.
    turns: Option<u64>,
    claim: Option<Claim>,
}

impl Count {
    /// Remembers what the log says, to be compared when all that it has now was read.
    pub(super) fn claim(&mut self, facts: &Facts) {
        self.claim = Some(Claim {
            last: facts.last,
            added: facts.added,
            turns: facts.turns,
        });
    }

    #[cfg(test)]
    pub(super) fn is_known(&self) -> bool {
        self.read.is_some()
    }

    pub(super) fn forget_claim(&mut self) {
        self.claim = None;
    }

    /// Nothing is known until the next claim was compared. A claim stays.
    pub(super) fn forget(&mut self) {
        self.read = None;
        self.is_compared = false;
        self.turns = None;
    }

    /// The next entry to read is `first`. If it is the oldest that the log kept when it stated these
    /// facts, its number follows from theirs: what is removed from then on is noticed.
    pub(super) fn begin(&mut self, first: EventId, facts: &Facts) {
        if self.read.is_none() && facts.first == Some(first) {
            self.read = facts.added.map(|added| added.saturating_sub(facts.length));
            self.proven = first.before();
        }
    }

    /// One more entry was read.
    pub(super) fn add(&mut self) {
        self.read = self.read.map(|read| read + 1);
    }

    /// One more marker was read that says that the log has turned.
    pub(super) fn add_turn(&mut self) {
        self.turns = self.turns.map(|turns| turns + 1);
    }

    /// Whether the log has no such marker that was not read.
    pub(super) fn has_all_turns(&self, facts: &Facts) -> bool {
        self.turns.is_some() && self.turns == facts.turns
    }

    /// Whether everything was read that the log had when it made its claim, if `next` is the next
    /// entry.
    pub(super) fn is_due_before(&self, next: EventId) -> bool {
        self.claim.is_some_and(|claim| claim.last < next)
    }

    /// Compares the claim: everything was read that the log had when it made it. `head` is the
    /// newest id that was read. Returns between which ids entries are missing, if some are.
    pub(super) fn check(&mut self, head: EventId) -> Option<(EventId, EventId)> {
        let claim = self.claim.take()?;
        let is_right =
            |read: Option<u64>, said: Option<u64>| read.is_none() || said.is_none() || read == said;
        // A marker that was removed may have told of losses anywhere.
        let after = if !is_right(self.turns, claim.turns) {
            Some(EventId::ZERO)
        } else if !is_right(self.read, claim.added) {
            Some(self.proven)
        } else {
            None
        };
        let missing = after.map(|after| (after, claim.last.max(head)));
        self.is_compared = self.read.is_some() && claim.added.is_some();
        self.read = claim.added;
        self.turns = claim.turns;
        self.proven = head;
        missing
    }

    /// Whether the log may be the one that was read: it has not added fewer entries.
    pub(super) fn may_follow(&self, facts: &Facts) -> bool {
        match (self.read, facts.added) {
            (Some(read), Some(added)) => read <= added,
            _ => true,
        }
    }

    /// Whether both numbers are known.
    pub(super) fn compares(&self, facts: &Facts) -> bool {
        self.read.is_some() && facts.added.is_some()
    }

    /// Whether the log's oldest entry is the successor of the newest one that was read, by their
    /// numbers. Removed entries make the oldest one's number higher than it is, never lower.
    pub(super) fn is_next(&self, facts: &Facts) -> bool {
        let next = self.read.map(|read| read + 1);
        let first = facts
            .added
            .map(|added| (added + 1).saturating_sub(facts.length));
        self.is_compared && next.is_some() && next == first
    }
}
