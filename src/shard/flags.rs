//! Who has to wake whom: two flags between a shard and those who post to it.
//!
//! Each is one half of the same agreement. One side does something (posts a message, takes one out)
//! and then reads the flag; the other side sets the flag and then looks whether something was done.
//! A full fence stands between the two steps on both sides, so at least one of them sees what the
//! other did, and no wake-up is lost. `loom` tries all ways in which the steps may interleave (see
//! `model`).

use super::atomic::{AtomicBool, Ordering, fence};

/// The flags of one mailbox.
#[derive(Debug)]
pub(super) struct Flags {
    /// The shard is running, or was woken: it will look into its mailbox without being woken again.
    awake: AtomicBool,
    /// A publisher waits for room.
    room_wanted: AtomicBool,
}

impl Flags {
    /// Of a shard that sleeps.
    pub(super) fn new() -> Self {
        Self {
            awake: AtomicBool::new(false),
            room_wanted: AtomicBool::new(false),
        }
    }

    /// Called after something was posted. Returns whether the shard has to be woken.
    pub(super) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        let is_awake = self.awake.load(Ordering::Relaxed);
        // Of several posters one wakes it. The others write nothing, so that no late write hides
        // that it has gone to sleep.
        !is_awake
            && self
                .awake
                .compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// The shard is about to sleep. Returns false when something has been posted in the meantime.
    pub(super) fn may_sleep(&self, is_empty: impl FnOnce() -> bool) -> bool {
        self.awake.store(false, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may_sleep = is_empty();
        if !may_sleep {
            self.set_awake();
        }
        may_sleep
    }

    /// The shard runs.
    pub(super) fn set_awake(&self) {
        self.awake.store(true, Ordering::Relaxed);
    }

    /// A publisher asks to be told of room. Returns whether there is room already, of which it may
    /// not be told.
    pub(super) fn want_room(&self, has_room: impl FnOnce() -> bool) -> bool {
        self.room_wanted.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        has_room()
    }

    /// Called after the shard has taken something out. Returns whether a publisher has to be told;
    /// asking clears it.
    pub(super) fn is_room_wanted(&self) -> bool {
        fence(Ordering::SeqCst);
        self.room_wanted.load(Ordering::Relaxed) && self.room_wanted.swap(false, Ordering::AcqRel)
    }
}
