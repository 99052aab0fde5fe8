//! The subscribers of one selector.

use super::ShardSet;

/// The streams that subscribe by one selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listeners {
    pub(super) subscribers: u32,
    /// Those of them that have a grant, and so may hear private events.
    pub(super) granted: u32,
    /// Shards that may hold one of them.
    pub(super) shards: ShardSet,
}
