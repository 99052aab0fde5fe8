//! References to patterns.

/// A pattern: its slot, and its serial number there, which tells it from a later one in the same
/// slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PatternRef {
    pub(super) slot: u32,
    pub(super) serial: u32,
}
