//! Frames that several streams were cut in. A state has each of them once, as a node does.

use bytes::Bytes;
use hashbrown::HashMap;

/// Frames that remainders are pieces of: their longest pieces, with their numbers.
#[derive(Debug)]
pub(super) struct SharedBytes {
    /// By the address of their end, at which all pieces of a frame end.
    by_end: HashMap<usize, (u32, Bytes)>,
}

impl SharedBytes {
    /// The frames of these remainders, numbered from `first` on.
    pub(super) fn new<'a>(remainders: impl Iterator<Item = &'a Bytes>, first: u32) -> Self {
        let mut by_end: HashMap<usize, (u32, Bytes)> = HashMap::new();
        for remainder in remainders.filter(|remainder| !remainder.is_empty()) {
            let next = first + by_end.len() as u32;
            let frame = by_end.entry(end_of(remainder));
            let (_, longest) = frame.or_insert_with(|| (next, remainder.clone()));
            if longest.len() < remainder.len() {
                *longest = remainder.clone();
            }
        }
        Self { by_end }
    }

    /// The longest pieces, by number.
    pub(super) fn longest(&self) -> Vec<&Bytes> {
        let mut longest: Vec<_> = self.by_end.values().collect();
        longest.sort_unstable_by_key(|(number, _)| *number);
        longest.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// The number of the frame that a remainder is a piece of.
    pub(super) fn number_of(&self, remainder: &Bytes) -> Option<u32> {
        if remainder.is_empty() {
            return None;
        }
        let (number, _) = self.by_end.get(&end_of(remainder))?;
        Some(*number)
    }
}

fn end_of(bytes: &Bytes) -> usize {
    bytes.as_ptr().addr() + bytes.len()
}
