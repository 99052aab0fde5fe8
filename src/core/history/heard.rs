//! The number of streams that subscribe to a set of patterns, and their shards.

use smallvec::SmallVec;

use super::ShardSet;
use super::listeners::Listeners;

/// Number of shards that are counted without an allocation. On a node with more shards, a sum
/// allocates at most 512 bytes, which no budget counts.
const SHARDS_INLINE: usize = 16;

/// The number of patterns of a set that have streams on one shard, and of those with a granted
/// stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ShardCounts {
    heard: u32,
    granted: u32,
}

/// The sum of the listeners of many patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    subscribers: u64,
    granted: u64,
    /// Indexed by bit of a [`ShardSet`], up to the last bit in use.
    shards: SmallVec<[ShardCounts; SHARDS_INLINE]>,
}

impl Heard {
    /// Adds the listeners of one pattern.
    pub(super) fn add(&mut self, listeners: &Listeners) {
        self.subscribers += u64::from(listeners.subscribers);
        self.granted += u64::from(listeners.granted);
        self.each_shard(listeners, |count| *count += 1);
    }

    /// Subtracts the listeners that were added for one pattern.
    pub(super) fn subtract(&mut self, listeners: &Listeners) {
        self.subscribers -= u64::from(listeners.subscribers);
        self.granted -= u64::from(listeners.granted);
        self.each_shard(listeners, |count| *count -= 1);
    }

    fn each_shard(&mut self, listeners: &Listeners, change: impl Fn(&mut u32)) {
        if listeners.subscribers == 0 {
            return;
        }
        for bit in listeners.shards.bits() {
            let bit = bit as usize;
            if self.shards.len() <= bit {
                self.shards.resize(bit + 1, ShardCounts::default());
            }
            let counts = &mut self.shards[bit];
            change(&mut counts.heard);
            if listeners.granted > 0 {
                change(&mut counts.granted);
            }
        }
    }

    /// The number of subscriptions that hear an event, and the shards that may have them.
    pub(super) fn of(&self, is_private: bool) -> (u64, ShardSet) {
        let mut shards = ShardSet::default();
        for (bit, counts) in self.shards.iter().enumerate() {
            let count = if is_private {
                counts.granted
            } else {
                counts.heard
            };
            if count > 0 {
                shards.insert(bit);
            }
        }
        let count = if is_private {
            self.granted
        } else {
            self.subscribers
        };
        (count, shards)
    }
}
