//! The shards that an event goes to.

/// A set of shards: shard `n` is bit `n`. A node has at most [`ShardSet::SHARDS_MAX`] shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

impl ShardSet {
    /// Most shards of a node. Two shards with one bit would get each other's events.
    pub const SHARDS_MAX: usize = u64::BITS as usize;

    /// The set as one word.
    #[must_use]
    pub fn word(self) -> u64 {
        self.0
    }

    /// The set of a word.
    #[must_use]
    pub fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// Adds shard `n`.
    pub fn insert(&mut self, n: usize) {
        self.0 |= 1 << Self::bit(n);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The bit of shard `n`.
    #[must_use]
    pub fn bit(n: usize) -> u32 {
        debug_assert!(n < Self::SHARDS_MAX, "a node has no shard {n}");
        (n % Self::SHARDS_MAX) as u32
    }

    /// The bits of its shards, the lowest first.
    pub fn bits(self) -> impl Iterator<Item = u32> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros();
            // Takes the lowest bit away; of nothing, nothing.
            left &= left.wrapping_sub(1);
            (bit < u64::BITS).then_some(bit)
        })
    }

    /// The shards that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The shards that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no shard is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether shard `n` may be in it.
    #[must_use]
    pub fn contains(self, n: usize) -> bool {
        self.0 & 1 << Self::bit(n) != 0
    }
}
