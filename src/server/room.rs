//! Bytes of one kind held at once, by a connection or by the node, with a bound.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A number of bytes and its bound.
#[derive(Debug)]
pub(crate) struct Room {
    used: AtomicUsize,
    max: usize,
    /// A request for room failed, and no room was freed since.
    has_refused: AtomicBool,
}

impl Room {
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            max,
            has_refused: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.max
    }

    /// Whether an answer of the usual size most likely does not fit: the last one did not, and no
    /// room was freed since. Saves the work of building the next one.
    pub(crate) fn has_refused(&self) -> bool {
        self.is_full() || self.has_refused.load(Ordering::Relaxed)
    }

    /// Takes room for `bytes` more of an answer of `own` bytes; false if they do not fit. A single
    /// answer fits whatever its size, or it could never be sent.
    pub(crate) fn take(&self, own: usize, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before > own && before + bytes > self.max {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            self.has_refused.store(true, Ordering::Relaxed);
            return false;
        }
        true
    }

    pub(crate) fn take_anyway(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes room for `bytes` more of an object of `own` bytes; false if less than `own` would be
    /// left. So large objects make way for small ones: some room is always left. An object that is
    /// alone may take all of it.
    pub(crate) fn grow(&self, own: usize, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let used = before + bytes;
        if before > own && used + own + bytes > self.max {
            self.give_back(bytes);
            return false;
        }
        true
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.has_refused.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_always_has_room_and_others_up_to_the_bound() {
        let room = Room::new(100);
        assert!(room.take(0, 1_000));
        assert!(room.is_full());
        assert!(!room.take(0, 1));
        room.give_back(1_000);
        assert!(room.take(0, 60));
        assert!(room.take(0, 40));
        assert!(!room.take(0, 1));
        room.give_back(40);
        assert!(!room.take(0, 41));
        assert!(room.take(0, 40));
        room.take_anyway(50);
        room.give_back(50);
        assert!(room.is_full());
    }

    #[test]
    fn what_grows_leaves_as_much_room_as_it_has() {
        let room = Room::new(100);
        assert!(room.grow(0, 150), "it is alone");
        assert!(!room.grow(0, 1));
        room.give_back(150);
        assert!(room.grow(0, 40));
        assert!(room.grow(0, 30));
        assert!(
            !room.grow(30, 1),
            "the larger of the two is in the way, but it came first"
        );
        assert!(room.grow(0, 15), "a small one always has room");
        assert!(!room.grow(15, 1));
        assert!(room.grow(0, 7));
    }

    #[test]
    fn after_an_answer_that_did_not_fit_no_other_is_made_until_one_is_read() {
        let room = Room::new(100);
        assert!(room.take(0, 60) && !room.has_refused());
        assert!(!room.take(0, 50));
        assert!(room.has_refused() && !room.is_full());
        room.give_back(60);
        assert!(!room.has_refused());
    }
}
