//! A shard's thread: sockets, the poller and the mailbox around the [core](crate::core::delivery).
//!
//! One turn: see who became writable or left; take the mailbox, up to a budget; write the new events; let streams that are behind read
//! on; do what the clock asks for. Then sleep until something happens, if nothing is left to do.

mod sinks;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::TryRecvError;
use mio::{Events, Poll, Token, Waker};
use thiserror::Error;

use crate::core::delivery::{Core, Counters, ShardConfig, Shared};
use crate::core::event::unix_ms;
use crate::logging;
use crate::metrics::{CloseReason, ShardMetrics};

use super::mailbox::{Inbox, Mailbox, Message, mailbox};

use sinks::Sinks;

/// Messages taken in one turn: some 100 µs of attaches, so that a storm of connects does not hold events up.
const MESSAGES_PER_TURN: usize = 256;

/// Bytes of events taken in one turn: what is joined for one write, and what a socket's send buffer takes in one go.
const EVENT_BYTES_PER_TURN: usize = 64 * 1024;

/// Readiness events taken from the poller at once.
const POLL_EVENTS: usize = 1_024;

/// The waker's token; a stream's token is its key, whose serial cannot have all these bits with such a slot.
const WAKER: Token = Token(usize::MAX);

/// A shard that could not be started.
#[derive(Debug, Error)]
#[error("delivery shard {index} could not be started")]
pub struct StartError {
    index: usize,
    source: io::Error,
}

/// A running shard.
pub struct Shard {
    /// How to speak to it.
    pub mailbox: Mailbox,
    /// What it counts.
    pub counters: Counters,
    thread: JoinHandle<()>,
}

impl Shard {
    /// Starts a shard's thread. `on_room` is called when a publisher asked for room in its mailbox and there is some.
    ///
    /// # Errors
    /// When the system gives no poller or no thread.
    pub fn start(
        config: ShardConfig,
        shared: Shared,
        on_room: impl Fn() + Send + 'static,
    ) -> Result<Self, StartError> {
        let index = config.index;
        let failed = |source| StartError { index, source };
        let (reactor, mailbox) = Reactor::new(config, shared).map_err(failed)?;
        let counters = reactor.counters();
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || reactor.run(on_room))
            .map_err(failed)?;
        Ok(Self {
            mailbox,
            counters,
            thread,
        })
    }

    /// Waits for its thread to end; [`Message::Stop`] ends it.
    pub fn join(self) {
        // A panic has been reported by the thread itself.
        let _ = self.thread.join();
    }
}

pub(super) struct Reactor {
    core: Core<Sinks>,
    poll: Poll,
    inbox: Inbox,
    sinks: Sinks,
    counters: Counters,
    started: Instant,
    stopping: bool,
}

/// A shard that died would leave its streams open and silent for ever. The whole process ends
/// instead, also in a program that embeds the node and keeps going after a panic.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a delivery shard panicked; the node ends");
            logging::flush(logging::FLUSH_MAX);
            std::process::abort();
        }
    }
}

impl Reactor {
    pub(super) fn new(config: ShardConfig, shared: Shared) -> io::Result<(Self, Mailbox)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (mailbox, inbox) = mailbox(config.mailbox_batches, config.mailbox_bytes, waker);
        let counters = Arc::new(ShardMetrics::default());
        let sinks = Sinks::new(poll.registry().try_clone()?, mailbox.clone());
        let reactor = Self {
            core: Core::new(config, shared, Arc::clone(&counters), fastrand::u64(..)),
            poll,
            inbox,
            sinks,
            counters,
            started: Instant::now(),
            stopping: false,
        };
        Ok((reactor, mailbox))
    }

    pub(super) fn counters(&self) -> Counters {
        Arc::clone(&self.counters)
    }

    fn run(mut self, on_room: impl Fn()) {
        let _guard = AbortOnPanic;
        let mut events = Events::with_capacity(POLL_EVENTS);
        while !self.stopping {
            let timeout = self.timeout();
            if let Err(error) = self.step(&mut events, timeout, &on_room) {
                tracing::error!(%error, "the shard's poller failed");
                logging::flush(logging::FLUSH_MAX);
                std::process::abort();
            }
        }
        self.core.release_all();
    }

    /// Sleeps until something happens or `timeout` is over, then makes one turn.
    pub(super) fn step(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
        on_room: &impl Fn(),
    ) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.inbox.set_awake();
        self.turn(events, on_room);
        Ok(())
    }

    /// Whether a turn would find something to do without waiting for it.
    pub(super) fn has_work(&self) -> bool {
        self.core.has_work() || !self.inbox.is_empty()
    }

    /// How long the poll may sleep: not at all while there is work, else until the clock asks for something.
    fn timeout(&self) -> Option<Duration> {
        if self.core.has_work() || !self.inbox.may_sleep() {
            return Some(Duration::ZERO);
        }
        let next = Duration::from_millis(self.core.next_tick_ms()?);
        let now = self.started.elapsed();
        if next <= now {
            return Some(Duration::ZERO);
        }
        // One more, since `poll` counts whole milliseconds and the clock must have passed the mark.
        Some(next - now + Duration::from_millis(1))
    }

    fn turn(&mut self, events: &Events, on_room: &impl Fn()) {
        let began = Instant::now();
        self.tell_time();
        for event in events {
            if event.token() != WAKER {
                self.ready(event);
            }
        }
        self.bodies_changed();
        let stamped = self.take_mailbox();
        if self.inbox.room_wanted() {
            on_room();
        }
        self.core.flush(&mut self.sinks);
        let counters = Arc::clone(&self.counters);
        if !stamped.is_empty() {
            let written = Instant::now();
            for at in stamped {
                counters
                    .publish_to_write
                    .record((written - at).as_micros() as u64, 1);
            }
        }
        // Writing to many streams takes longer than a token may be overstayed.
        self.tell_time();
        self.core.catch_up(&mut self.sinks);
        let inbox = &self.inbox;
        self.core.tick(|| inbox.is_empty(), &mut self.sinks);
        self.core.end_turn();
        counters.turn.record(began.elapsed().as_micros() as u64, 1);
    }

    fn tell_time(&mut self) {
        let now_ms = self.started.elapsed().as_millis() as u64;
        self.core.set_now(now_ms, unix_ms());
    }

    /// A socket became readable, writable, or is gone.
    fn ready(&mut self, event: &mio::event::Event) {
        let key = sinks::key(event.token());
        if !self.core.is_open(key) {
            return;
        }
        let gone = if event.is_error() {
            self.core.sink(key).map(Sinks::failure)
        } else if event.is_read_closed() {
            Some(CloseReason::Client)
        } else if event.is_readable() {
            self.core
                .sink(key)
                .and_then(|sink| self.sinks.discard_input(sink))
        } else {
            None
        };
        match gone {
            Some(reason) => {
                if let Some(sink) = self.core.sink(key) {
                    sinks::cut(sink);
                }
                self.core.close(key, reason, &mut self.sinks);
            }
            None if event.is_writable() => self.core.writable(key),
            None => {}
        }
    }

    /// Bodies that have room again, or that were dropped.
    fn bodies_changed(&mut self) {
        while let Ok(key) = self.inbox.bodies.try_recv() {
            match self.sinks.abandoned(key) {
                Some(reason) => self.core.close(key, reason, &mut self.sinks),
                None => self.core.writable(key),
            }
        }
    }

    /// Takes messages up to the turn's budget; returns when the batches among them were stamped.
    fn take_mailbox(&mut self) -> Vec<Instant> {
        let mut stamped = Vec::new();
        let mut bytes = 0;
        for _ in 0..MESSAGES_PER_TURN {
            let message = match self.inbox.take() {
                Ok(message) => message,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.stopping = true;
                    break;
                }
            };
            match message {
                Message::Deliver(batch) => {
                    bytes += batch.bytes;
                    stamped.push(batch.stamped_at);
                    self.core.deliver(&batch);
                }
                Message::Attach(attach) => self.core.attach(*attach, &mut self.sinks),
                Message::Slowest(count, answer) => answer(self.core.slowest(count, &self.sinks)),
                Message::Find(query, from, task, answer) => {
                    // What was published before belongs to the streams still.
                    self.core.flush(&mut self.sinks);
                    answer(self.core.find(&query, from, task, &mut self.sinks));
                }
                Message::Close(stream, answer) => {
                    // What was published before belongs to the stream still: the end must not overtake it.
                    self.core.flush(&mut self.sinks);
                    answer(
                        self.core
                            .end_stream(stream.key, CloseReason::Admin, &mut self.sinks),
                    );
                }
                Message::Drain(period_ms) => self.core.drain(period_ms),
                Message::Stop => self.stopping = true,
            }
            if bytes >= EVENT_BYTES_PER_TURN {
                break;
            }
        }
        stamped
    }
}
