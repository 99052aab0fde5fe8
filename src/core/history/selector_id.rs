//! Topics and patterns by number.

use smallvec::SmallVec;

/// The place of a topic or a pattern in the store's tables, valid while a stream or a grant holds
/// it (a topic: also while it has an event).
///
/// Topics sort before patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectorId(pub(crate) u32);

impl SelectorId {
    /// Set in a pattern's id.
    const PATTERN: u32 = 1 << 31;

    pub(super) const fn topic(index: u32) -> Self {
        Self(index)
    }

    pub(super) const fn pattern(slot: u32) -> Self {
        Self(slot | Self::PATTERN)
    }

    /// Whether it is a pattern's.
    pub(crate) const fn is_pattern(self) -> bool {
        self.0 & Self::PATTERN != 0
    }

    /// The slot of a topic; `None` for a pattern.
    pub(super) const fn topic_index(self) -> Option<u32> {
        if self.0 & Self::PATTERN == 0 {
            Some(self.0)
        } else {
            None
        }
    }

    /// The slot of a pattern; `None` for a topic.
    pub(super) const fn pattern_slot(self) -> Option<u32> {
        if self.0 & Self::PATTERN == 0 {
            None
        } else {
            Some(self.0 & !Self::PATTERN)
        }
    }
}

/// The topics and patterns of one event or stream; one is by far the most common number.
pub type SelectorIds = SmallVec<[SelectorId; 2]>;
