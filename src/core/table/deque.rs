//! A queue with an index, in chunks. Entries are added at its end, and removed at both.

use std::collections::VecDeque;

/// Entries of a chunk.
const CHUNK: usize = 256;

/// A ring that is pushed at its end and popped at both. A short one is a single ring that
/// grows and shrinks; a long one continues in further chunks.
#[derive(Debug)]
pub(crate) struct Deque<T> {
    first: VecDeque<T>,
    /// All but the last are full. Boxed: most queues are short, and a box takes 8 bytes instead of 32.
    #[expect(clippy::box_collection, reason = "an empty one is small")]
    further: Option<Box<VecDeque<VecDeque<T>>>>,
}

impl<T> Default for Deque<T> {
    fn default() -> Self {
        Self {
            first: VecDeque::new(),
            further: None,
        }
    }
}

impl<T> Deque<T> {
    pub(crate) fn len(&self) -> usize {
        let further = self.further.as_deref().map_or(0, |further| {
            let last = further.back().map_or(0, VecDeque::len);
            (further.len() - 1) * CHUNK + last
        });
        self.first.len() + further
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        let Some(behind) = at.checked_sub(self.first.len()) else {
            return self.first.get(at);
        };
        let further = self.further.as_deref()?;
        further.get(behind / CHUNK)?.get(behind % CHUNK)
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.first.front()
    }

    pub(crate) fn back(&self) -> Option<&T> {
        match &self.further {
            Some(further) => further.back()?.back(),
            None => self.first.back(),
        }
    }

    pub(crate) fn push_back(&mut self, value: T) {
        let Some(further) = &mut self.further else {
            if self.first.len() < CHUNK {
                if self.first.capacity() == 0 {
                    // By default a ring first grows to four entries; a queue of one should use
                    // memory for one.
                    self.first.reserve_exact(1);
                }
                self.first.push_back(value);
            } else {
                self.further = Some(Box::new(VecDeque::from([Self::chunk(value)])));
            }
            return;
        };
        match further.back_mut() {
            Some(last) if last.len() < CHUNK => last.push_back(value),
            _ => further.push_back(Self::chunk(value)),
        }
    }

    fn chunk(value: T) -> VecDeque<T> {
        let mut chunk = VecDeque::with_capacity(CHUNK);
        chunk.push_back(value);
        chunk
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let value = self.first.pop_front()?;
        if let Some(further) = &mut self.further {
            if self.first.is_empty() {
                self.first = further.pop_front().unwrap_or_default();
                if further.is_empty() {
                    self.further = None;
                } else if further.capacity() > 64 && further.len() * 4 < further.capacity() {
                    further.shrink_to(further.len() * 2);
                }
            }
        } else if self.first.capacity() > 64 && self.first.len() * 4 < self.first.capacity() {
            self.first.shrink_to(self.first.len() * 2);
        }
        Some(value)
    }

    pub(crate) fn pop_back(&mut self) -> Option<T> {
        let Some(further) = &mut self.further else {
            let value = self.first.pop_back()?;
            if self.first.is_empty() {
                self.first = VecDeque::new();
            }
            return Some(value);
        };
        let last = further.back_mut()?;
        let value = last.pop_back();
        if last.is_empty() {
            further.pop_back();
        }
        if further.is_empty() {
            self.further = None;
        }
        value
    }

    /// The number of entries at its start of which `is_before` is true; it must be false from some
    /// entry on.
    pub(crate) fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&is_before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Bytes that it has allocated, without those of its entries.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        let further = self.further.as_deref().map_or(0, |further| {
            let entries: usize = further.iter().map(VecDeque::capacity).sum();
            size_of::<VecDeque<VecDeque<T>>>()
                + further.capacity() * size_of::<VecDeque<T>>()
                + entries * size_of::<T>()
        });
        self.first.capacity() * size_of::<T>() + further
    }
}
