//! How far a history has been forgotten, as two kinds of readers see it.

use crate::core::event::EventId;

/// Ids of the last events that are no longer kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evicted {
    /// Of all events.
    any: EventId,
    /// Of public ones: all that concerns a reader who may hear no private event.
    public: EventId,
}

impl Evicted {
    /// Everything up to `id` is gone or unknown.
    pub(super) const fn through(id: EventId) -> Self {
        Self {
            any: id,
            public: id,
        }
    }

    /// One event went.
    pub(super) fn add(&mut self, id: EventId, private: bool) {
        self.any = self.any.max(id);
        if !private {
            self.public = self.public.max(id);
        }
    }

    /// What either of two histories has forgotten.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            any: self.any.max(other.any),
            public: self.public.max(other.public),
        }
    }

    /// The last event that a reader misses, with a grant or without.
    pub(super) fn for_reader(self, granted: bool) -> EventId {
        if granted { self.any } else { self.public }
    }

    /// Whether it knows of something that `other` does not.
    pub(super) fn exceeds(self, other: Self) -> bool {
        self.any > other.any || self.public > other.public
    }
}
