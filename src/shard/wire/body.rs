//! A wire other than a socket: a bounded queue that an HTTP body drains.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::core::budget::{Budget, Charge, Part};
use crate::metrics::ShardMetrics;

/// Bytes that a body queue holds before it reports "would block": enough for a batch, and little
/// enough for many stalled streams.
pub const BODY_QUEUE_BYTES_MAX: usize = 64 * 1024;

/// Queues up to this size are not charged to the node's budget.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// Called by the consuming side: the queue has room again, or the body is gone.
pub type BodySignal = Box<dyn Fn() + Send + Sync>;

/// The bounded queue between a shard (writes) and a response body (reads).
///
/// A full queue means "would block". When the body has drained it, or is dropped, the shard learns
/// it through the signal that [`crate::shard`] installs when the stream attaches.
#[derive(Default)]
pub struct BodyQueue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    queued_bytes: usize,
    /// The shard was told "full" and waits for room.
    blocked: bool,
    /// No more will be written; the body ends after the queued bytes, or fails.
    ended: Option<Ended>,
    /// The body was dropped: the client is gone.
    dropped: bool,
    reader: Option<Waker>,
    /// Waker for a cut while the reader reads nothing.
    at_cut: Option<Waker>,
    /// The body was dropped because its client read nothing for too long.
    given_up: bool,
    signal: Option<BodySignal>,
    /// The queued bytes, in the node's budget.
    memory: Option<Charge>,
    /// The stream has ended and is counted as unsent.
    unsent: Option<Unsent>,
}

/// Counts a stream as unsent as long as it exists.
struct Unsent(Arc<ShardMetrics>);

impl Unsent {
    fn new(counters: &Arc<ShardMetrics>) -> Self {
        counters.unsent.add(1);
        Self(Arc::clone(counters))
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.0.unsent.sub(1);
    }
}

impl State {
    /// Charges `queued_bytes`; false if the node holds too much already. A chunk that is alone in
    /// the queue is always accepted, or the stream could never go on.
    fn charge(&mut self, queued_bytes: usize) -> bool {
        let is_alone = self.chunks.is_empty();
        let Some(memory) = &mut self.memory else {
            return true;
        };
        let bytes = counted(queued_bytes);
        if memory.set(bytes).is_ok() {
            return true;
        }
        if is_alone {
            memory.set_anyway(bytes);
        }
        is_alone
    }

    fn discharge(&mut self) {
        let bytes = counted(self.queued_bytes);
        if let Some(memory) = &mut self.memory
            && memory.bytes() > bytes
        {
            // A smaller charge is never refused.
            let _ = memory.set(bytes);
        }
    }
}

/// The charged part of `queued_bytes`: a small number is not worth two counters that all threads
/// share.
const fn counted(queued_bytes: usize) -> usize {
    if queued_bytes > UNCOUNTED_BYTES {
        queued_bytes
    } else {
        0
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Regularly, with the node's last bytes.
    Whole,
    /// In the middle, as its client must see.
    Cut,
}

/// Result of [`BodyQueue::poll_next`].
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Bytes for the client.
    Chunk(Bytes),
    /// Nothing now; the waker is kept.
    Pending,
    /// The stream has ended.
    End,
    /// The stream was cut: it ends without its regular end.
    Cut,
}

/// Result of a write to a [`BodyQueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of it was queued.
    All,
    /// The queue is full; the signal reports when it has room.
    Blocked,
    /// The body is gone.
    Gone,
}

impl BodyQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// An empty queue whose content is charged to `budget`.
    #[must_use]
    pub fn charged(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                memory: Some(Charge::new(budget, Part::StreamBodies)),
                ..State::default()
            }),
        })
    }

    /// Shard side: installs the signal for room and for the end, and fires it at once if the body
    /// is gone already.
    pub(crate) fn on_change(&self, signal: BodySignal) {
        let mut state = self.state.lock();
        if state.dropped {
            signal();
        }
        state.signal = Some(signal);
    }

    /// Shard side: no signal is called for changes until [`BodyQueue::on_change`].
    pub(crate) fn forget_signal(&self) {
        self.state.lock().signal = None;
    }

    /// Shard side: queues `chunk` whole unless the queue is full (it may overshoot its bound by one
    /// chunk).
    pub(crate) fn write(&self, chunk: Bytes) -> Written {
        let mut state = self.state.lock();
        if state.dropped {
            return Written::Gone;
        }
        if state.queued_bytes >= BODY_QUEUE_BYTES_MAX {
            state.blocked = true;
            return Written::Blocked;
        }
        let queued_bytes = state.queued_bytes + chunk.len();
        if !state.charge(queued_bytes) {
            state.blocked = true;
            return Written::Blocked;
        }
        state.queued_bytes = queued_bytes;
        state.chunks.push_back(chunk);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Written::All
    }

    /// Shard side: whether a write would be accepted. A full queue signals when it has room.
    pub(crate) fn room(&self) -> Written {
        let mut state = self.state.lock();
        if state.dropped {
            return Written::Gone;
        }
        state.blocked = state.queued_bytes >= BODY_QUEUE_BYTES_MAX;
        if state.blocked {
            Written::Blocked
        } else {
            Written::All
        }
    }

    /// Shard side: from here on the stream is counted as unsent. The count ends with the queue, which
    /// lives until the last piece of the body is sent or dropped.
    pub(crate) fn count_unsent(&self, counters: &Arc<ShardMetrics>) {
        self.state.lock().unsent = Some(Unsent::new(counters));
    }

    /// Shard side: no more will come. A stream without its regular end (`whole` is false) fails at
    /// once: bytes queued for a client that does not read would stay in memory as long as it does
    /// not.
    pub(crate) fn finish(&self, whole: bool) {
        let mut state = self.state.lock();
        state.signal = None;
        state.ended = Some(if whole { Ended::Whole } else { Ended::Cut });
        if !whole {
            state.chunks = VecDeque::new();
            state.queued_bytes = 0;
            state.discharge();
        }
        let (reader, at_cut) = (state.reader.take(), state.at_cut.take());
        drop(state);
        for waker in [reader, at_cut].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Body side: whether the stream was cut; else the waker is kept. A reader whose client reads
    /// nothing does not ask for the next bytes, and would not learn of the cut.
    pub fn poll_cut(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if state.ended.is_none() && !state.at_cut.as_ref().is_some_and(|at| at.will_wake(waker)) {
            state.at_cut = Some(waker.clone());
        }
        state.ended == Some(Ended::Cut)
    }

    /// Body side: the client reads nothing; the body is about to be dropped.
    pub fn give_up(&self) {
        let mut state = self.state.lock();
        state.given_up = true;
        if let Some(unsent) = state.unsent.take() {
            unsent.0.unsent_given_up.add(1);
        }
    }

    /// Whether the client read nothing for too long.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state.lock().given_up
    }

    /// Body side: the next bytes.
    pub fn poll_next(&self, waker: &Waker) -> Next {
        let mut state = self.state.lock();
        let Some(chunk) = state.chunks.pop_front() else {
            return match state.ended {
                Some(Ended::Whole) => Next::End,
                Some(Ended::Cut) => Next::Cut,
                None => {
                    state.reader = Some(waker.clone());
                    Next::Pending
                }
            };
        };
        state.queued_bytes -= chunk.len();
        state.discharge();
        // The shard is woken once the queue is half empty: one wake-up per burst, not one per
        // chunk.
        if state.blocked && state.queued_bytes <= BODY_QUEUE_BYTES_MAX / 2 {
            state.blocked = false;
            if let Some(signal) = &state.signal {
                signal();
            }
        }
        Next::Chunk(chunk)
    }

    /// Body side: the client is gone; nothing more will be read.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.dropped = true;
        state.chunks = VecDeque::new();
        state.queued_bytes = 0;
        state.discharge();
        if let Some(signal) = &state.signal {
            signal();
        }
    }

    /// Whether the body was dropped.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.state.lock().dropped
    }
}
