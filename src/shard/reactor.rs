//! A shard's thread: sockets, the poller and the mailbox around the [core](crate::core::delivery).
//!
//! The thread sleeps until input arrives or the core's deadline has come, and then makes one
//! [turn](Core::turn).

mod arrivals;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use thiserror::Error;

use crate::backoff;
use crate::clock::unix_ms;
use crate::core::delivery::{Core, Counters, Next, Now, ShardConfig, Shared};
use crate::logging;
use crate::memory;

use super::mailbox::{Inbox, Mailbox, mailbox};
use super::wire::Wires;

use arrivals::Arrivals;

/// Readiness events read from the poller at once: half of a turn's signals, so that bodies have the
/// other half.
const POLL_EVENTS: usize = 1_024;

/// The waker's token; a stream's token is its key, whose serial cannot have all these bits with
/// such a slot.
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
    /// Its mailbox.
    pub mailbox: Mailbox,
    /// Its counters.
    pub counters: Counters,
    thread: JoinHandle<()>,
}

impl Shard {
    /// Starts a shard's thread. `on_room` is called once the mailbox has room that a publisher
    /// asked for.
    ///
    /// # Errors
    /// If the system gives no poller or no thread.
    pub fn start(
        config: ShardConfig,
        shared: Shared,
        on_room: impl Fn() + Send + 'static,
    ) -> Result<Self, StartError> {
        Self::start_with(config, shared, Counters::default(), on_room)
    }

    /// The same with counters that go on from their values.
    ///
    /// # Errors
    /// As [`Shard::start`].
    pub fn start_with(
        config: ShardConfig,
        shared: Shared,
        counters: Counters,
        on_room: impl Fn() + Send + 'static,
    ) -> Result<Self, StartError> {
        let index = config.index;
        let failed = |source| StartError { index, source };
        let start = || Reactor::new(config.clone(), shared.clone(), Arc::clone(&counters));
        let (reactor, mailbox) = backoff::outlast(start).map_err(failed)?;
        let name = format!("shard-{index}");
        let thread = backoff::spawn(&name, move || reactor.run(on_room)).map_err(failed)?;
        Ok(Self {
            mailbox,
            counters,
            thread,
        })
    }

    /// Waits for its thread to end; [`Message::Stop`](super::mailbox::Message::Stop) ends it.
    pub fn join(self) {
        // The thread itself has reported a panic.
        let _ = self.thread.join();
    }
}

pub(super) struct Reactor {
    core: Core<Wires>,
    poll: Poll,
    inbox: Inbox,
    wires: Wires,
    counters: Counters,
    started: Instant,
    /// The core's request after the last turn.
    next: Next,
}

/// A dead shard would leave its streams open and silent for ever. The whole process ends instead,
/// even in a program that embeds the node and survives panics.
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
    pub(super) fn new(
        config: ShardConfig,
        shared: Shared,
        counters: Counters,
    ) -> io::Result<(Self, Mailbox)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (mailbox, inbox) = mailbox(
            config.mailbox_batches,
            config.mailbox_bytes,
            Arc::clone(&shared.budget),
            waker,
        );
        let wires = Wires::new(
            poll.registry().try_clone()?,
            mailbox.clone(),
            Arc::clone(&counters),
        );
        let reactor = Self {
            core: Core::new(config, shared, Arc::clone(&counters), fastrand::u64(..)),
            poll,
            inbox,
            wires,
            counters,
            started: Instant::now(),
            next: Next::default(),
        };
        Ok((reactor, mailbox))
    }

    pub(super) fn counters(&self) -> Counters {
        Arc::clone(&self.counters)
    }

    fn run(mut self, on_room: impl Fn()) {
        let _guard = AbortOnPanic;
        let mut events = Events::with_capacity(POLL_EVENTS);
        while !self.next.stop {
            let timeout = self.timeout();
            if let Err(error) = self.step(&mut events, timeout, &on_room) {
                tracing::error!(%error, "the shard's poller failed");
                logging::flush(logging::FLUSH_MAX);
                std::process::abort();
            }
        }
    }

    /// Sleeps until an event or until `timeout` is over, then makes one turn.
    pub(super) fn step(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
        on_room: &impl Fn(),
    ) -> io::Result<()> {
        memory::join_round();
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.inbox.set_awake();
        self.turn(events, on_room);
        Ok(())
    }

    /// Whether a turn has work without waiting for it.
    pub(super) fn has_work(&self) -> bool {
        self.next.has_work || !self.inbox.is_empty()
    }

    /// How long the poll may sleep: not at all while there is work, else until the core's deadline.
    fn timeout(&self) -> Option<Duration> {
        if self.next.has_work || !self.inbox.may_sleep() {
            return Some(Duration::ZERO);
        }
        let next = Duration::from_millis(self.next.wake_ms?);
        let now = self.started.elapsed();
        if next <= now {
            return Some(Duration::ZERO);
        }
        // One more, because `poll` counts whole milliseconds and the clock must have passed the
        // deadline.
        Some(next - now + Duration::from_millis(1))
    }

    fn turn(&mut self, events: &Events, on_room: &impl Fn()) {
        let began = Instant::now();
        let started = self.started;
        let now = || Now {
            shard_ms: started.elapsed().as_millis() as u64,
            unix_ms: unix_ms(),
        };
        let mut arrivals = Arrivals::new(events, &self.inbox, &self.counters, on_room);
        self.next = self.core.turn(&mut arrivals, now, &mut self.wires);
        let took_us = began.elapsed().as_micros() as u64;
        self.counters.turn.record(took_us, 1);
    }
}
