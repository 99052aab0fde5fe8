//! A set of positions in a text.

use smallvec::SmallVec;

/// Words that need no allocation: enough for the longest topic that `topic_bytes_max` allows, 1,024
/// bytes.
const WORDS_INLINE: usize = 17;

/// Positions from 0 up to the text's length, each in or out: bit `p % 64` of word `p / 64`.
#[derive(Clone)]
pub(super) struct Positions(SmallVec<[u64; WORDS_INLINE]>);

impl Positions {
    /// No position of a text of `length` bytes.
    pub(super) fn none(length: usize) -> Self {
        Self(SmallVec::from_elem(0, length / 64 + 1))
    }

    pub(super) fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    pub(super) fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    /// The lowest position.
    pub(super) fn first(&self) -> Option<usize> {
        self.next(0)
    }

    /// The lowest position from `from` on.
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        let mut index = from / 64;
        let mut word = self.0.get(index)? & u64::MAX << (from % 64);
        while word == 0 {
            index += 1;
            word = *self.0.get(index)?;
        }
        Some(index * 64 + word.trailing_zeros() as usize)
    }

    /// Adds all positions of another set over the same text.
    pub(super) fn unite(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }
}
