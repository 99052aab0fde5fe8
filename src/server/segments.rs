//! The bytes of an unfinished request body.
//!
//! A buffer that grows in one piece is copied to a larger block each time, and leaves a freed block
//! of every size. Bodies that grow together would take several times their bytes. Segments have one
//! size, so those of a body that ended serve the next.

use bytes::Bytes;

/// Size of a segment.
const SEGMENT_BYTES: usize = 4 * 1024;

/// A growing sequence of bytes.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    /// All full but the last.
    segments: Vec<Vec<u8>>,
    length: usize,
}

impl Segments {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Memory that it will take with `more` bytes; of a part of one segment, only that part.
    pub(crate) fn bytes_with(&self, more: usize) -> usize {
        match self.length + more {
            length @ ..SEGMENT_BYTES => length,
            length => length.next_multiple_of(SEGMENT_BYTES),
        }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        while !bytes.is_empty() {
            match self.segments.last_mut() {
                Some(segment) if segment.len() < SEGMENT_BYTES => {
                    let room = SEGMENT_BYTES - segment.len();
                    let (fits, rest) = bytes.split_at(bytes.len().min(room));
                    segment.extend_from_slice(fits);
                    bytes = rest;
                }
                _ => self.segments.push(Vec::with_capacity(SEGMENT_BYTES)),
            }
        }
    }

    /// All bytes in one piece.
    pub(crate) fn join(self) -> Bytes {
        let mut joined = Vec::with_capacity(self.length);
        for segment in self.segments {
            joined.extend_from_slice(&segment);
        }
        joined.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_are_joined_in_order() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        for piece in [1_000, SEGMENT_BYTES, 70_000] {
            let mut segments = Segments::default();
            for chunk in bytes.chunks(piece) {
                let expected = segments.bytes_with(chunk.len());
                segments.push(chunk);
                let allocated = segments.segments.iter().map(Vec::capacity);
                assert_eq!(allocated.sum::<usize>(), expected.max(SEGMENT_BYTES));
            }
            assert_eq!(segments.len(), bytes.len());
            assert_eq!(segments.join(), bytes);
        }
        assert!(Segments::default().join().is_empty());
    }
}
