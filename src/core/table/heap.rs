//! A priority queue in chunks; the smallest entry first.

use super::Chunked;

/// A binary heap. Its steps are logarithmic, like the standard library's.
#[derive(Debug)]
pub(crate) struct Heap<T>(Chunked<T>);

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Self(Chunked::default())
    }
}

impl<T: Copy + Ord> Heap<T> {
    /// The smallest entry.
    pub(crate) fn first(&self) -> Option<T> {
        self.0.get(0).copied()
    }

    pub(crate) fn push(&mut self, value: T) {
        let mut at = self.0.len();
        self.0.push(value);
        while at > 0 {
            let parent = (at - 1) / 2;
            let above = self.0.at(parent);
            if above <= value {
                break;
            }
            self.0.set(at, above);
            at = parent;
        }
        self.0.set(at, value);
    }

    /// Removes the smallest entry.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let first = self.first()?;
        let last = self.0.pop()?;
        if self.0.len() > 0 {
            self.replace_first(last);
        }
        Some(first)
    }

    /// Replaces the smallest entry.
    pub(crate) fn replace_first(&mut self, value: T) {
        let len = self.0.len();
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if child >= len {
                break;
            }
            if child + 1 < len && self.0.at(child + 1) < self.0.at(child) {
                child += 1;
            }
            let below = self.0.at(child);
            if value <= below {
                break;
            }
            self.0.set(at, below);
            at = child;
        }
        self.0.set(at, value);
    }

    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.0.allocated_bytes()
    }
}
