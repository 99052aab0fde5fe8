//! A stack with an index, in chunks.

/// Entries of a chunk.
const CHUNK: usize = 512;

/// A vector that is pushed and popped at its end. All chunks but the last are full.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Chunked<T> {
    pub(crate) fn len(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK + last
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    pub(crate) fn push(&mut self, value: T) {
        match self.chunks.last_mut() {
            // The first chunk grows by doubling, so that a small vector is small.
            Some(last) if last.len() < CHUNK => last.push(value),
            last => {
                let capacity = if last.is_some() { CHUNK } else { 1 };
                let mut chunk = Vec::with_capacity(capacity);
                chunk.push(value);
                self.chunks.push(chunk);
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let last = self.chunks.last_mut()?;
        let value = last.pop()?;
        if last.is_empty() {
            self.chunks.pop();
            if self.chunks.is_empty() {
                self.chunks = Vec::new();
            }
        } else if last.capacity() > 16 && last.len() * 4 < last.capacity() && self.chunks.len() == 1
        {
            self.shrink_first();
        }
        Some(value)
    }

    #[cfg(test)]
    pub(super) fn directory_capacity(&self) -> usize {
        self.chunks.capacity()
    }

    /// Frees half of the capacity of the only chunk.
    fn shrink_first(&mut self) {
        if let Some(first) = self.chunks.first_mut() {
            first.shrink_to(first.len() * 2);
        }
    }

    /// Bytes that it has allocated, without those of its entries.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        let entries: usize = self.chunks.iter().map(Vec::capacity).sum();
        self.chunks.capacity() * size_of::<Vec<T>>() + entries * size_of::<T>()
    }
}

impl<T: Copy> Chunked<T> {
    /// The entry at an index that is known to exist.
    pub(super) fn at(&self, at: usize) -> T {
        self.chunks[at / CHUNK][at % CHUNK]
    }

    pub(super) fn set(&mut self, at: usize, value: T) {
        self.chunks[at / CHUNK][at % CHUNK] = value;
    }
}
