//! `loom` runs the flags of a mailbox through all interleavings of their steps, with the orders
//! that the memory model allows.
//!
//! The same source of [`super::flags`] is compiled a second time, on loom's atomics. Compiling the
//! whole crate with `--cfg loom`, as loom suggests, would compile tokio with it, which then has no
//! network.

use std::collections::VecDeque;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[expect(clippy::duplicate_mod, reason = "on loom's atomics")]
#[path = "flags.rs"]
mod flags;

use flags::Flags;

/// From outside only the queue's length is visible, read without order. Messages themselves are
/// behind a lock.
struct Mailbox {
    flags: Flags,
    messages: Mutex<VecDeque<u32>>,
    len: AtomicUsize,
    /// The poller's eventfd: written to wake the shard.
    woken: AtomicUsize,
    /// Signalled when there is room.
    room: AtomicUsize,
}

impl Mailbox {
    fn new(messages: usize) -> Arc<Self> {
        Arc::new(Self {
            flags: Flags::new(),
            messages: Mutex::new((0..messages as u32).collect()),
            len: AtomicUsize::new(messages),
            woken: AtomicUsize::new(0),
            room: AtomicUsize::new(0),
        })
    }

    fn post(&self, message: u32) {
        let mut messages = self.messages.lock().expect("no panic");
        messages.push_back(message);
        self.len.store(messages.len(), Ordering::Release);
        drop(messages);
        if self.flags.must_wake() {
            self.woken.fetch_add(1, Ordering::Release);
        }
    }

    fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }

    fn take(&self) -> Option<u32> {
        let mut messages = self.messages.lock().expect("no panic");
        let message = messages.pop_front();
        self.len.store(messages.len(), Ordering::Release);
        message
    }
}

/// Several posters at a shard that makes `turns` turns and sleeps in between if it may.
fn no_message_is_left(posters: u32, turns: usize) {
    let mailbox = Mailbox::new(0);
    let posting = (0..posters).map(|message| {
        let mailbox = Arc::clone(&mailbox);
        thread::spawn(move || mailbox.post(message))
    });
    let posting: Vec<_> = posting.collect();
    mailbox.flags.set_awake();
    let mut taken = 0;
    let mut sleeps = false;
    for _ in 0..turns {
        while mailbox.take().is_some() {
            taken += 1;
        }
        sleeps = mailbox.flags.may_sleep(|| mailbox.is_empty());
        if sleeps {
            break;
        }
    }
    for poster in posting {
        poster.join().expect("no panic");
    }
    let left = mailbox.messages.lock().expect("no panic").len();
    assert_eq!(taken + left, posters as usize);
    if sleeps && left > 0 {
        let woken = mailbox.woken.load(Ordering::Acquire);
        assert!(woken > 0, "the shard sleeps over {left} messages");
    }
}

/// A shard that sleeps has an empty mailbox, or was woken.
#[test]
fn loom_no_message_is_left_to_a_shard_that_sleeps() {
    loom::model(|| no_message_is_left(1, 2));
    let mut few = loom::model::Builder::new();
    // All interleavings of two posters take minutes.
    few.preemption_bound = few.preemption_bound.or(Some(2));
    few.check(|| no_message_is_left(2, 1));
}

/// A shard that was woken is awake until it sleeps again, so that one poster wakes it and not each
/// of them.
#[test]
fn loom_a_shard_that_sleeps_is_woken_once() {
    loom::model(|| {
        let mailbox = Mailbox::new(0);
        let posters = [1, 2].map(|message| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.post(message))
        });
        for poster in posters {
            poster.join().expect("no panic");
        }
        assert_eq!(mailbox.woken.load(Ordering::Acquire), 1);
    });
}

/// A publisher that found no room either sees the new room, or is told of it.
#[test]
fn loom_a_publisher_that_waits_for_room_is_told_of_it() {
    const ROOM: usize = 1;
    loom::model(|| {
        let mailbox = Mailbox::new(1);
        let shard = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                while mailbox.take().is_some() {}
                if mailbox.flags.is_room_wanted() {
                    mailbox.room.fetch_add(1, Ordering::Release);
                }
            })
        };
        let has_room = || mailbox.len.load(Ordering::Relaxed) < ROOM;
        let saw_room = mailbox.flags.want_room(has_room);
        shard.join().expect("no panic");
        let told = mailbox.room.load(Ordering::Acquire);
        assert!(saw_room || told == 1, "room came, and nobody was told");
    });
}
