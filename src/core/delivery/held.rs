//! The memory that streams which are behind use beside the history, charged to the node's account.
//!
//! A remainder is a piece of a frame, and keeps the whole frame in memory. History may have evicted
//! the event, so the frame is charged here. Streams that were cut in the same frame share it: it is
//! charged once.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::core::budget::{Budget, Charge, Part};

use super::replay::Lagging;

/// The account is charged in steps of this size, so that a stream that falls behind mostly changes
/// no shared counter.
const STEP_BYTES: usize = 64 * 1024;

/// A frame up to this size ends no stream, however full the account is.
const ALWAYS_BYTES: usize = 1_024;

/// The bytes that a shard's lagging entries keep in memory.
#[derive(Debug)]
pub(crate) struct Held {
    /// By the address of their end, at which all pieces of a frame end.
    frames: HashMap<usize, HeldFrame>,
    bytes: usize,
    charge: Charge,
}

#[derive(Debug, Default)]
struct HeldFrame {
    streams: usize,
    bytes: usize,
}

fn end_of(remainder: &Bytes) -> usize {
    remainder.as_ptr().addr() + remainder.len()
}

impl Held {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            frames: HashMap::new(),
            bytes: 0,
            charge: Charge::new(budget, Part::Remainders),
        }
    }

    /// Adds a stream's remainder, a piece of a frame of `frame_bytes` bytes. Returns false if the
    /// account has no room for it: then the stream must be ended.
    pub(crate) fn add(&mut self, remainder: &Bytes, frame_bytes: usize) -> bool {
        if remainder.is_empty() {
            return true;
        }
        let frame = self.frames.entry(end_of(remainder)).or_default();
        frame.streams += 1;
        let more = frame_bytes.saturating_sub(frame.bytes);
        frame.bytes += more;
        self.bytes += more;
        self.charge_more(more)
    }

    /// Removes a stream's remainder.
    pub(crate) fn remove(&mut self, remainder: &Bytes) {
        let end = end_of(remainder);
        let Some(frame) = self.frames.get_mut(&end) else {
            return;
        };
        frame.streams -= 1;
        if frame.streams == 0 {
            self.bytes -= frame.bytes;
            self.frames.remove(&end);
            self.charge_less();
        }
    }

    /// Adds a text of a stream's own. Returns the same as [`Held::add`].
    pub(crate) fn add_text(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.charge_more(bytes)
    }

    pub(crate) fn remove_text(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if bytes > 0 {
            self.charge_less();
        }
    }

    /// Removes everything that a lagging entry keeps in memory.
    pub(crate) fn remove_all_of(&mut self, lagging: &Lagging) {
        self.remove(&lagging.remainder);
        self.remove_text(lagging.text_bytes());
    }

    fn charge_more(&mut self, more: usize) -> bool {
        if self.bytes <= self.charge.bytes() {
            return true;
        }
        let wanted = self.bytes.next_multiple_of(STEP_BYTES);
        if self.charge.set(wanted).is_ok() {
            return true;
        }
        self.charge.set_anyway(self.bytes);
        more <= ALWAYS_BYTES
    }

    fn charge_less(&mut self) {
        let wanted = self.bytes.next_multiple_of(STEP_BYTES);
        if self.charge.bytes() > wanted + STEP_BYTES || wanted == 0 {
            self.charge.set_anyway(wanted);
        }
        if self.frames.is_empty() {
            self.frames = HashMap::new();
        }
    }

    /// Whether no byte is kept or charged.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.bytes == 0 && self.charge.bytes() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn a_frame_that_many_streams_hold_is_charged_once_and_as_a_whole() {
        let budget = Budget::new(4 << 20);
        let mut held = Held::new(&budget);
        let (one, other) = (frame(200_000), frame(100_000));
        let pieces: Vec<Bytes> = (0..1_000).map(|cut| one.slice(199_000 + cut..)).collect();
        for piece in &pieces {
            assert!(held.add(piece, one.len()));
        }
        assert!(held.add(&other.slice(99_999..), other.len()));
        assert_eq!(held.bytes, 300_000);
        let charged = budget.used(Part::Remainders);
        assert!(
            (300_000..300_000 + STEP_BYTES).contains(&charged),
            "{charged}"
        );
        for piece in &pieces {
            held.remove(piece);
        }
        assert_eq!(held.bytes, 100_000);
        held.remove(&other.slice(5..));
        assert!(held.is_empty());
        assert_eq!(budget.used(Part::Remainders), 0);
    }

    #[test]
    fn a_full_account_refuses_large_frames_and_counts_small_ones() {
        let budget = Budget::new(1 << 20);
        budget.take_anyway(Part::Commands, 1 << 20);
        let mut held = Held::new(&budget);
        let (small, large) = (frame(ALWAYS_BYTES), frame(ALWAYS_BYTES + 1));
        assert!(held.add(&small, small.len()));
        assert!(!held.add(&large, large.len()));
        assert_eq!(budget.refused(Part::Remainders), 2);
        assert_eq!(budget.used(Part::Remainders), small.len() + large.len());
        // One more piece of a frame that is already kept adds nothing.
        assert!(held.add(&large.slice(1..), large.len()));
        for piece in [&small, &large, &large] {
            held.remove(piece);
        }
        assert!(held.is_empty());
    }
}
