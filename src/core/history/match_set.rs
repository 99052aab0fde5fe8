//! The patterns that match a topic, in a form shared by the topic and its posted events.

use super::SelectorId;
use super::pattern_ref::PatternRef;

/// The patterns that match a topic, sorted by slot and immutable. An event refers to the set, so
/// the cost of posting an event does not depend on the number of patterns.
#[derive(Debug, PartialEq, Eq)]
pub struct MatchSet(Box<[PatternRef]>);

impl MatchSet {
    /// Makes a set of patterns that are sorted by slot.
    pub(super) fn new(patterns: Vec<PatternRef>) -> Self {
        debug_assert!(patterns.is_sorted(), "sorted by slot");
        Self(patterns.into())
    }

    pub(super) fn patterns(&self) -> &[PatternRef] {
        &self.0
    }

    /// Number of its patterns.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The ids of its patterns, in order.
    pub fn ids(&self) -> impl Iterator<Item = SelectorId> {
        self.0
            .iter()
            .map(|pattern| SelectorId::pattern(pattern.slot))
    }

    /// Whether the set contains a pattern.
    #[must_use]
    pub fn contains(&self, id: SelectorId) -> bool {
        let Some(slot) = id.pattern_slot() else {
            return false;
        };
        self.0
            .binary_search_by_key(&slot, |known| known.slot)
            .is_ok()
    }

    pub(super) fn contains_ref(&self, pattern: PatternRef) -> bool {
        self.0.binary_search(&pattern).is_ok()
    }

    /// Whether the set contains one of these sorted ids. The cost depends on the shorter list.
    #[must_use]
    pub fn meets(&self, ids: &[SelectorId]) -> bool {
        // Patterns sort behind topics.
        let first = ids.partition_point(|id| id.pattern_slot().is_none());
        let patterns = &ids[first..];
        if patterns.len() <= self.len() {
            patterns.iter().any(|id| self.contains(*id))
        } else {
            self.ids().any(|id| patterns.binary_search(&id).is_ok())
        }
    }

    /// Bytes allocated, including the reference counts of its `Arc`.
    pub(super) fn allocated_bytes(&self) -> usize {
        size_of::<[usize; 2]>() + size_of::<Self>() + size_of_val(&*self.0)
    }
}
