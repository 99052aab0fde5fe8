//! The patterns that match a topic, as the topic stores them.
//!
//! Up to `HoldLimits::listed_patterns` patterns are a plain list, and each event is addressed to
//! each of them. More patterns are a [`MatchSet`] with the sum of their listeners. So the cost of
//! an event does not depend on the number of patterns that match its topic.

use std::sync::Arc;

use smallvec::SmallVec;

use super::evicted::Evicted;
use super::heard::Heard;
use super::match_set::MatchSet;
use super::pattern_ref::PatternRef;

/// The patterns that match a topic, sorted by slot; some may have been removed. Boxed because most
/// topics match no pattern and then allocate nothing.
pub(super) type Matches = Option<Box<Found>>;

/// At least one pattern.
#[derive(Debug)]
pub(super) enum Found {
    Few(SmallVec<[PatternRef; 2]>),
    Many(Box<Many>),
}

/// More patterns than a plain list may have.
#[derive(Debug)]
pub(super) struct Many {
    pub(super) set: Arc<MatchSet>,
    /// The sum of their listeners after the first `counted_through` changes.
    pub(super) heard: Heard,
    /// `None` if the listeners have to be added up again.
    pub(super) counted_through: Option<u64>,
    /// Number of patterns that had been removed from the node when all of these existed; `None` if
    /// not known.
    pub(super) checked_at: Option<u64>,
    /// Evictions from the topic that have not been reported to its patterns.
    pub(super) untold: Option<Evicted>,
}

impl Found {
    /// Makes matches of patterns sorted by slot; `None` if there are no patterns. At most `few`
    /// patterns become a plain list.
    pub(super) fn new(patterns: Vec<PatternRef>, few: usize, checked_at: Option<u64>) -> Matches {
        if patterns.is_empty() {
            return None;
        }
        let found = if patterns.len() <= few {
            Self::Few(SmallVec::from_slice(&patterns))
        } else {
            Self::Many(Box::new(Many {
                set: Arc::new(MatchSet::new(patterns)),
                heard: Heard::default(),
                counted_through: None,
                checked_at,
                untold: None,
            }))
        };
        Some(Box::new(found))
    }

    pub(super) fn patterns(&self) -> &[PatternRef] {
        match self {
            Self::Few(patterns) => patterns,
            Self::Many(many) => many.set.patterns(),
        }
    }

    /// Bytes allocated, including its box.
    pub(super) fn allocated_bytes(&self) -> usize {
        let beside = match self {
            Self::Few(patterns) if patterns.spilled() => {
                patterns.capacity() * size_of::<PatternRef>()
            }
            Self::Few(_) => 0,
            Self::Many(many) => size_of::<Many>() + many.set.allocated_bytes(),
        };
        size_of::<Self>() + beside
    }
}
