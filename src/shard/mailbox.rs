//! The interface to a shard: one bounded queue, and a wake-up that is sent only to a sleeping
//! shard.
//!
//! Bounded in batches and in bytes. Posting never blocks and never drops: a publisher asks for room
//! first, under the desk's lock. If there is none, it waits outside the lock. So all shards see one
//! order, and no lock is held while waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::core::delivery::{self, Key};

use super::flags::Flags;
use super::wire::Incoming;

/// A message for a shard.
pub type Message = delivery::Message<Incoming>;

fn bytes_of(message: &Message) -> usize {
    match message {
        Message::Deliver(batch) => batch.bytes,
        _ => 0,
    }
}

/// The state shared by both ends of a shard's queue.
struct Gauge {
    /// Bytes of waiting frames.
    bytes: AtomicUsize,
    flags: Flags,
    batches_max: usize,
    bytes_max: usize,
}

/// The sending end.
#[derive(Clone)]
pub struct Mailbox {
    sender: Sender<Message>,
    /// Streams whose body has room again or is gone. Unbounded, but a stream has at most two
    /// entries in it.
    bodies: Sender<Key>,
    gauge: Arc<Gauge>,
    waker: Arc<mio::Waker>,
}

/// The receiving end.
pub(super) struct Inbox {
    receiver: Receiver<Message>,
    pub(super) bodies: Receiver<Key>,
    gauge: Arc<Gauge>,
}

/// A queue for `batches_max` messages and `bytes_max` bytes of frames; `waker` interrupts the
/// receiving shard's poll.
pub(super) fn mailbox(batches_max: usize, bytes_max: usize, waker: mio::Waker) -> (Mailbox, Inbox) {
    let (sender, receiver) = crossbeam_channel::bounded(batches_max);
    let (bodies, bodies_receiver) = crossbeam_channel::unbounded();
    let gauge = Arc::new(Gauge {
        bytes: AtomicUsize::new(0),
        flags: Flags::new(),
        batches_max,
        bytes_max,
    });
    let mailbox = Mailbox {
        sender,
        bodies,
        gauge: Arc::clone(&gauge),
        waker: Arc::new(waker),
    };
    let inbox = Inbox {
        receiver,
        bodies: bodies_receiver,
        gauge,
    };
    (mailbox, inbox)
}

impl Mailbox {
    /// Whether one more message may be posted. Stays true until the post, if all posts happen under
    /// one lock.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.sender.len() < self.gauge.batches_max
            && self.gauge.bytes.load(Ordering::Relaxed) < self.gauge.bytes_max
    }

    /// Asks the shard to call its room signal after it has removed a message. Returns whether room
    /// exists already; then there may be no signal.
    #[must_use]
    pub fn want_room(&self) -> bool {
        self.gauge.flags.want_room(|| self.has_room())
    }

    /// Posts a message for which there is room. Call [`Mailbox::wake`] afterwards, outside the
    /// lock.
    ///
    /// # Errors
    /// Returns the message if the shard has ended.
    pub fn post(&self, message: Message) -> Result<(), Message> {
        let bytes = bytes_of(&message);
        self.gauge.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.sender.try_send(message).map_err(|refused| {
            self.gauge.bytes.fetch_sub(bytes, Ordering::Relaxed);
            refused.into_inner()
        })
    }

    /// Wakes the shard unless it is awake.
    pub fn wake(&self) {
        if self.gauge.flags.must_wake() {
            // The eventfd behind it can only fail when it overflows, and then the shard is about to
            // wake anyway.
            let _ = self.waker.wake();
        }
    }

    /// Waiting messages.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.sender.len()
    }

    /// Reports to the shard that a body changed.
    pub(super) fn body_changed(&self, key: Key) {
        if self.bodies.send(key).is_ok() {
            self.wake();
        }
    }
}

impl Inbox {
    /// The next message.
    pub(super) fn take(&self) -> Result<Message, TryRecvError> {
        let message = self.receiver.try_recv()?;
        self.gauge
            .bytes
            .fetch_sub(bytes_of(&message), Ordering::Relaxed);
        Ok(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty() && self.bodies.is_empty()
    }

    /// Whether a publisher waits for room; the call clears the request. Call it after a message was
    /// removed.
    pub(super) fn is_room_wanted(&self) -> bool {
        self.gauge.flags.is_room_wanted()
    }

    /// Announces that the shard is about to sleep; false if a message has arrived in the meantime.
    pub(super) fn may_sleep(&self) -> bool {
        self.gauge.flags.may_sleep(|| self.is_empty())
    }

    /// Announces that the shard runs.
    pub(super) fn set_awake(&self) {
        self.gauge.flags.set_awake();
    }
}
