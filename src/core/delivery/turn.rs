//! One turn of a shard: its input, the order in which it is handled, and the shard's next deadline.

use std::sync::Arc;

use crate::core::desk::{Batch, Break, Reseat};
use crate::metrics::CloseReason;

use super::query::{Found, StreamQuery, Task};
use super::{Attach, CLOCK_START_MS, Core, Io, Key, Parked, Room, Signal, StreamInfo, StreamKey};

/// The clocks, read at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Milliseconds since the shard's start. Never falls.
    pub(crate) shard_ms: u64,
    /// Milliseconds since the Unix epoch. May be set back.
    pub(crate) unix_ms: u64,
}

/// A message to a shard. Messages posted under the store's lock reach every shard in the same
/// order.
pub enum Message<T> {
    /// Delivers a batch of events.
    Deliver(Arc<Batch>),
    /// Tells all streams of a loss.
    Break(Break),
    /// Adopts a new stream.
    Attach(Box<Attach<T>>),
    /// Reports the streams that are furthest behind, at most this many.
    Slowest(usize, Box<dyn FnOnce(Vec<StreamInfo>) + Send>),
    /// Handles one portion of a query for streams, from this slot on.
    Find(Arc<StreamQuery>, u32, Task, Box<dyn FnOnce(Found) + Send>),
    /// Ends a stream; reports whether it was open.
    Close(StreamKey, Box<dyn FnOnce(bool) + Send>),
    /// Removes a stream and returns it; `None` if it is not open.
    Park(StreamKey, Box<dyn FnOnce(Option<Parked<T>>) + Send>),
    /// Continues a parked stream.
    Unpark(Box<Parked<T>>, Reseat),
    /// Starts the end of all streams whose wires cannot move to another process.
    DismissBodies,
    /// Removes all streams and returns them. Those whose wires cannot move are ended. Nothing but
    /// [`Message::UnparkAll`] and [`Message::Stop`] may follow.
    ParkAll(Box<dyn FnOnce(Vec<Parked<T>>) + Send>),
    /// Continues streams that were parked.
    UnparkAll(Vec<(Parked<T>, Reseat)>),
    /// Ends all streams over this many milliseconds.
    Drain(u64),
    /// Ends the shard; streams still open are dropped.
    Stop,
}

/// The input since the last turn. The core pulls as much of it as the turn's budget allows.
pub(crate) trait Input<T> {
    /// The next signal of a wire.
    fn signal(&mut self) -> Option<(Key, Signal)>;
    /// The next message.
    fn message(&mut self) -> Option<Message<T>>;
    /// Called once a turn, after its last message: the mailbox has room again.
    fn taken(&mut self) {}
    /// Called once a turn, after live delivery: the events taken so far are written to all streams
    /// that were caught up.
    fn written(&mut self) {}
    /// Whether no message and no signal waits. Messages are posted under the store's lock. To learn
    /// whether everything up to the head was taken, the core calls this under the same lock.
    fn is_empty(&self) -> bool;
}

/// The shard's request after a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    /// Work is left that needs no input: make the next turn at once.
    pub(crate) has_work: bool,
    /// Make the next turn at this time at the latest, in the shard's milliseconds. `None` = not
    /// before input arrives.
    pub(crate) wake_ms: Option<u64>,
    /// [`Message::Stop`] was taken: make no further turn.
    pub(crate) stop: bool,
}

impl<I: Io> Core<I> {
    /// Makes one turn. This is the core's only entry point; its other public functions only read
    /// it.
    ///
    /// The caller makes a turn when input has arrived, when [`Next::wake_ms`] is reached, and at
    /// once after a turn whose [`Next::has_work`] is true. A turn that finds nothing to do does no
    /// harm.
    ///
    /// A turn handles, in this order, each part within its [`TurnBudget`]:
    ///
    /// 1. **Signals.** A stream whose client is gone is closed first, so that nothing more is
    ///    written to it. A stream whose wire has room again joins the run queue.
    /// 2. **Messages**, in the order in which they were posted. Events are noted. A new stream is
    ///    adopted and greeted: from then on it is caught up or reads on. Before a message that may
    ///    end or park streams, the events noted so far are written, because they were published
    ///    before the end. After a break, all streams are behind before the next message is taken.
    /// 3. **Live delivery.** The noted events are written to all streams that are caught up.
    /// 4. **Replay.** Streams of the run queue read on from history. They are served after live
    ///    delivery, and read no further than the last event taken from the mailbox.
    /// 5. **The clock.** Timeouts, streams whose token has expired, a drain, streams whose turn it is
    ///    to be told of a break, heartbeats. Heartbeats come last: a stream that was written to needs none.
    /// 6. **Memory.** Streams that fell behind with more than the node's account has room for are
    ///    ended.
    /// 7. **Release.** One portion of the references that closed streams had in the store is
    ///    released; several portions while more than `TurnBudget::released_max` wait, and all of
    ///    them in the turn that takes [`Message::Stop`].
    ///
    /// `now` is called at the start and after live delivery, because writing to many streams takes
    /// longer than a stream may outlive its token.
    pub(crate) fn turn(
        &mut self,
        input: &mut impl Input<I::Incoming>,
        now: impl Fn() -> Now,
        io: &mut I,
    ) -> Next {
        self.set_now(now());
        self.take_signals(input, io);
        let stop = self.take_messages(input, io);
        input.taken();
        self.flush(io);
        input.written();
        self.set_now(now());
        self.catch_up(io);
        self.tick(|| input.is_empty(), io);
        self.end_unaffordable(io);
        self.end_turn();
        if stop {
            self.release_all();
        }
        Next {
            has_work: self.has_work() || !input.is_empty(),
            wake_ms: self
                .next_tick_ms()
                .map(|ms| ms.saturating_sub(CLOCK_START_MS)),
            stop,
        }
    }

    /// Whether work is left that needs no input.
    fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.released.is_empty() || self.is_breaking_off()
    }

    fn take_signals(&mut self, input: &mut impl Input<I::Incoming>, io: &mut I) {
        for _ in 0..self.config.budget.signals {
            let Some((key, signal)) = input.signal() else {
                return;
            };
            self.heed(key, signal, io);
        }
    }

    /// Acts on a signal of a stream's wire, if the stream is still open.
    fn heed(&mut self, key: Key, signal: Signal, io: &mut I) {
        let Some(wire) = self.wire(key) else { return };
        let speaks = signal.readable || signal.ended || signal.failed;
        if speaks && let Some(reason) = io.heard(key, wire, signal) {
            return self.close(key, reason, io);
        }
        if signal.writable {
            match io.writable(key, wire) {
                Room::Free => self.unblock(key),
                Room::Full => self.note_progress(key),
                Room::Gone(reason) => self.close(key, reason, io),
            }
        }
    }

    /// Takes messages up to the turn's budget; returns whether the shard is to stop.
    fn take_messages(&mut self, input: &mut impl Input<I::Incoming>, io: &mut I) -> bool {
        let mut bytes = 0;
        for _ in 0..self.config.budget.messages {
            // No event may pass a stream that is still to be told of a break.
            if !self.break_off_some() {
                return false;
            }
            let Some(message) = input.message() else {
                return false;
            };
            match message {
                Message::Deliver(batch) => {
                    bytes += batch.bytes;
                    self.deliver(&batch);
                }
                Message::Break(loss) => {
                    self.flush(io);
                    self.begin_break(&loss);
                }
                Message::Attach(attach) => self.attach(*attach, io),
                Message::Slowest(count, answer) => answer(self.slowest(count, io)),
                Message::Find(query, from, task, answer) => {
                    self.flush(io);
                    answer(self.find(&query, from, task, io));
                }
                Message::Close(stream, answer) => {
                    self.flush(io);
                    answer(self.end_stream(stream.key, CloseReason::Admin, io));
                }
                Message::Park(stream, answer) => {
                    self.flush(io);
                    answer(self.park(stream.key, io));
                }
                Message::Unpark(parked, reseat) => self.unpark(*parked, &reseat, io),
                Message::DismissBodies => {
                    self.flush(io);
                    self.dismiss_bodies(io);
                }
                Message::ParkAll(answer) => {
                    self.flush(io);
                    answer(self.park_all(io));
                }
                Message::UnparkAll(parked) => self.unpark_all(parked, io),
                Message::Drain(period_ms) => self.drain(period_ms),
                Message::Stop => return true,
            }
            if bytes >= self.config.budget.event_bytes {
                return false;
            }
        }
        false
    }

    /// Notes a batch of events, to be written by the next [`Core::flush`].
    fn deliver(&mut self, batch: &Batch) {
        self.counters.batches.add(1);
        for event in &batch.events {
            self.live
                .note(event, &mut self.topics, self.config.budget.sets);
        }
        self.last_id = self.last_id.max(batch.head);
    }

    fn set_now(&mut self, now: Now) {
        self.now_ms = self.now_ms.max(CLOCK_START_MS + now.shard_ms);
        // If the clock is set back, a stream that was already passed over as expired must not
        // continue: it would miss events without a gap.
        self.unix_ms = if self.has_expired() {
            self.unix_ms.max(now.unix_ms)
        } else {
            now.unix_ms
        };
    }
}
