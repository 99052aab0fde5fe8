//! How far a history has been evicted, for two kinds of readers.

use crate::core::event::EventId;

/// Ids of the last events that are no longer kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evicted {
    /// Of all events.
    any: EventId,
    /// Of public ones: all that concerns a reader without a grant.
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

    /// Adds an evicted event.
    pub(super) fn add(&mut self, id: EventId, private: bool) {
        self.any = self.any.max(id);
        if !private {
            self.public = self.public.max(id);
        }
    }

    /// The later of two histories' bounds.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            any: self.any.max(other.any),
            public: self.public.max(other.public),
        }
    }

    /// The same bounds, each changed in this way. A later bound must not become an earlier one.
    #[must_use]
    pub(super) fn map(self, change: impl Fn(EventId) -> EventId) -> Self {
        Self {
            any: change(self.any),
            public: change(self.public),
        }
    }

    /// The last event that a reader with a grant, or without, misses.
    pub(super) fn for_reader(self, granted: bool) -> EventId {
        if granted { self.any } else { self.public }
    }

    /// Whether its bound is later than `other`'s in any part.
    pub(super) fn exceeds(self, other: Self) -> bool {
        self.any > other.any || self.public > other.public
    }
}
