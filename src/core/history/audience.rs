//! The audience of a private event.

use std::sync::Arc;

use smallvec::SmallVec;

use super::match_set::MatchSet;
use super::{SelectorId, SelectorIds};

/// The sets of patterns that match the topics of one event; almost always none, or one.
pub type MatchSets = SmallVec<[Arc<MatchSet>; 1]>;

/// The topics of a private event, and all patterns that match one of them. A stream whose grant has
/// none of these must not hear it.
#[derive(Clone, Debug, Default)]
pub struct Audience {
    /// The topics, and the patterns that are few; sorted.
    pub(super) ids: SelectorIds,
    pub(super) sets: MatchSets,
}

impl Audience {
    /// Whether a stream with this grant may hear the event.
    #[must_use]
    pub fn admits(&self, grant: &[SelectorId]) -> bool {
        meet(grant, &self.ids) || self.sets.iter().any(|set| set.meets(grant))
    }

    /// Number of its ids and sets.
    pub(crate) fn len(&self) -> usize {
        self.ids.len() + self.sets.len()
    }
}

/// Whether two sorted lists have one in common; costs what the shorter one has.
fn meet(left: &[SelectorId], right: &[SelectorId]) -> bool {
    let (short, long) = if left.len() < right.len() {
        (left, right)
    } else {
        (right, left)
    };
    short.iter().any(|id| long.binary_search(id).is_ok())
}
