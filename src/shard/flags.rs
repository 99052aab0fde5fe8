//! The wake-up protocol: two flags between a shard and those that post to it.
//!
//! Each flag is one half of the same protocol. One side acts (posts a message, removes one) and
//! then reads the flag; the other side sets the flag and then checks whether the first has acted. A
//! full fence stands between the two steps on both sides, so at least one side sees the other's
//! step, and no wake-up is lost. `loom` tries all interleavings of the steps (see `model`).

use super::atomic::{AtomicBool, Ordering, fence};

/// The flags of one mailbox.
#[derive(Debug)]
pub(super) struct Flags {
    /// The shard is running, or was woken: it will read its mailbox without being woken again.
    awake: AtomicBool,
    /// A publisher waits for room.
    room_wanted: AtomicBool,
}

impl Flags {
    /// The flags of a sleeping shard.
    pub(super) fn new() -> Self {
        Self {
            awake: AtomicBool::new(false),
            room_wanted: AtomicBool::new(false),
        }
    }

    /// Called after a post. Returns whether the shard has to be woken.
    pub(super) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        let is_awake = self.awake.load(Ordering::Relaxed);
        // Of several posters one wakes it. The others write nothing, so that no late write hides
        // that the shard has gone to sleep.
        !is_awake
            && self
                .awake
                .compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// The shard is about to sleep. Returns false if a message has been posted in the meantime.
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

    /// A publisher asks to be told of room. Returns whether room exists already; then it may not be
    /// told.
    pub(super) fn want_room(&self, has_room: impl FnOnce() -> bool) -> bool {
        self.room_wanted.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        has_room()
    }

    /// Called after the shard has removed a message. Returns whether a publisher has to be told;
    /// the call clears the request.
    pub(super) fn is_room_wanted(&self) -> bool {
        fence(Ordering::SeqCst);
        self.room_wanted.load(Ordering::Relaxed) && self.room_wanted.swap(false, Ordering::AcqRel)
    }
}
