//! How a pattern is referred to.

use smallvec::SmallVec;

/// A pattern: its slot, and its serial number there, which tells it from a later one in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PatternRef {
    pub(super) slot: u32,
    pub(super) serial: u32,
}

/// The patterns that match a topic, sorted by slot; some may be gone. Boxed: most topics have none, and then nothing is allocated.
pub(super) type Matches = Option<Box<SmallVec<[PatternRef; 2]>>>;
