//! The input of a turn: readiness events of the poller, bodies that changed, the mailbox.

use std::time::Instant;

use crossbeam_channel::TryRecvError;
use mio::Events;

use crate::core::delivery::{Input, Key, Signal};
use crate::metrics::ShardMetrics;

use super::super::mailbox::{Inbox, Message};
use super::super::wire::{self, Incoming};
use super::WAKER;

/// The input of one turn.
pub(super) struct Arrivals<'a, F> {
    events: mio::event::Iter<'a>,
    inbox: &'a Inbox,
    counters: &'a ShardMetrics,
    on_room: &'a F,
    /// Times at which the batches of the turn were stamped.
    stamped: Vec<Instant>,
}

impl<'a, F: Fn()> Arrivals<'a, F> {
    pub(super) fn new(
        events: &'a Events,
        inbox: &'a Inbox,
        counters: &'a ShardMetrics,
        on_room: &'a F,
    ) -> Self {
        Self {
            events: events.iter(),
            inbox,
            counters,
            on_room,
            stamped: Vec::new(),
        }
    }
}

impl<F: Fn()> Input<Incoming> for Arrivals<'_, F> {
    /// The poller's events come first: those that this turn does not process would be lost.
    fn signal(&mut self) -> Option<(Key, Signal)> {
        if let Some(event) = self.events.find(|event| event.token() != WAKER) {
            let signal = Signal {
                readable: event.is_readable(),
                writable: event.is_writable(),
                ended: event.is_read_closed(),
                failed: event.is_error(),
            };
            return Some((wire::key(event.token()), signal));
        }
        let key = self.inbox.bodies.try_recv().ok()?;
        let changed = Signal {
            readable: true,
            writable: true,
            ..Signal::default()
        };
        Some((key, changed))
    }

    fn message(&mut self) -> Option<Message> {
        let message = match self.inbox.take() {
            Ok(message) => message,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Message::Stop,
        };
        if let Message::Deliver(batch) = &message {
            self.stamped.push(batch.stamped_at);
        }
        Some(message)
    }

    fn taken(&mut self) {
        if self.inbox.is_room_wanted() {
            (self.on_room)();
        }
    }

    fn written(&mut self) {
        if self.stamped.is_empty() {
            return;
        }
        let now = Instant::now();
        for at in self.stamped.drain(..) {
            let took_us = (now - at).as_micros() as u64;
            self.counters.publish_to_write.record(took_us, 1);
        }
    }

    fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }
}
