//! The interface to a shard: one bounded queue, and a wake-up that is sent only to a sleeping
//! shard.
//!
//! Bounded in batches and in bytes. Posting never blocks and never drops: a publisher asks for room
//! first, under the desk's lock. If there is none, it waits outside the lock. So all shards see one
//! order, and no lock is held while waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::core::budget::Budget;
use crate::core::delivery::{self, Key};

use super::flags::Flags;
use super::wire::Incoming;

/// A message for a shard.
pub type Message = delivery::Message<Incoming>;

/// The bytes of a mailbox that a message takes.
fn bytes_of(message: &Message) -> usize {
    match message {
        Message::Deliver(batch) => batch.bytes,
        Message::Attach(attach) => attach.head.len() + size_of_val(&*attach.wanted),
        _ => 0,
    }
}

/// A mailbox has room for so much although the node holds all that it may.
const ALWAYS_BYTES: usize = 64 * 1024;

/// The state shared by both ends of a shard's queue.
struct Gauge {
    /// Bytes of waiting frames and of waiting streams' lists.
    bytes: AtomicUsize,
    /// The node's account. While it is spent, publishers wait early.
    budget: Arc<Budget>,
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
pub(super) fn mailbox(
    batches_max: usize,
    bytes_max: usize,
    budget: Arc<Budget>,
    waker: mio::Waker,
) -> (Mailbox, Inbox) {
    let (sender, receiver) = crossbeam_channel::bounded(batches_max);
    let (bodies, bodies_receiver) = crossbeam_channel::unbounded();
    let gauge = Arc::new(Gauge {
        bytes: AtomicUsize::new(0),
        budget,
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
        let bytes = self.gauge.bytes.load(Ordering::Relaxed);
        self.sender.len() < self.gauge.batches_max
            && bytes < self.gauge.bytes_max
            && (bytes < ALWAYS_BYTES || !self.gauge.budget.is_spent())
    }

    /// Whether the queue has a place for one more message, however many bytes wait.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.sender.len() < self.gauge.batches_max
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

#[cfg(test)]
mod tests {
    use mio::{Poll, Token, Waker};

    use super::*;
    use crate::core::budget::Part;
    use crate::core::desk::Batch;
    use crate::core::event::EventId;

    fn batch(bytes: usize) -> Message {
        Message::Deliver(Arc::new(Batch {
            events: Vec::new(),
            head: EventId::ZERO,
            stamped_at: std::time::Instant::now(),
            bytes,
            memory: None,
        }))
    }

    #[test]
    fn while_the_account_is_spent_a_mailbox_has_room_for_little() {
        let poll = Poll::new().expect("a poller");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let budget = Budget::new(1_000);
        let (mailbox, inbox) = mailbox(10, 1 << 20, Arc::clone(&budget), waker);
        assert!(mailbox.post(batch(ALWAYS_BYTES)).is_ok());
        assert!(mailbox.has_room());
        budget.take_anyway(Part::Commands, 1_000);
        assert!(!mailbox.has_room());
        assert!(!mailbox.want_room());
        // A shard that goes on makes room, whoever has spent the account.
        assert!(inbox.take().is_ok());
        assert!(inbox.is_room_wanted());
        assert!(mailbox.has_room());
        assert!(mailbox.post(batch(ALWAYS_BYTES)).is_ok());
        assert!(!mailbox.has_room());
        budget.give_back(Part::Commands, 1_000);
        assert!(mailbox.has_room());
    }
}
