//! One timer for all the waits of an HTTP/1 connection.
//!
//! hyper's own timeout costs a timer for every request head. This timer is made only when a
//! connection waits at all. It is rearmed when it fires early, not whenever a deadline moves back.
//! It must never end a connection that waits for the node.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop;
use tokio::time::{Instant, Sleep};

use super::config::ServerConfig;
use super::exchange::{Exchange, Phase};

/// Identity of one wait: its phase, and the number of requests before it, or of writes. Each write
/// that the kernel accepts is progress.
type Wait = (Phase, u32);

/// The deadline of the current wait of a connection.
pub(crate) struct PhaseTimer {
    wait: Wait,
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl PhaseTimer {
    /// For a connection whose current wait began at `since`: a new one was accepted then.
    pub(crate) fn new(exchange: &Exchange, since: Instant, config: &ServerConfig) -> Self {
        let wait = current(exchange);
        Self {
            wait,
            deadline: time_for(wait.0, config).map(|time| since + time),
            sleep: None,
        }
    }

    /// Time since the current wait began, as far as it counts.
    pub(crate) fn waited(&self, exchange: &Exchange, config: &ServerConfig) -> Duration {
        let wait = current(exchange);
        match (time_for(wait.0, config), self.deadline) {
            (Some(time), Some(deadline)) if wait == self.wait => {
                time.saturating_sub(deadline.saturating_duration_since(Instant::now()))
            }
            // The wait began with the last poll.
            _ => Duration::ZERO,
        }
    }

    /// Ready with the phase whose time is over; else `cx` is woken when that may be so.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &Exchange,
        config: &ServerConfig,
    ) -> Poll<Phase> {
        let wait = current(exchange);
        if self.wait != wait {
            self.wait = wait;
            self.deadline = time_for(wait.0, config).map(|time| Instant::now() + time);
        }
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while poll_timer(sleep.as_mut(), cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(wait.0);
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// The current wait.
fn current(exchange: &Exchange) -> Wait {
    let phase = exchange.phase();
    let progress = match phase {
        Phase::Writing => exchange.writes(),
        Phase::Head | Phase::Service | Phase::Idle => exchange.requests(),
    };
    (phase, progress)
}

/// Polls a timer even when the task has used up its turn: a client that sends without end must not
/// stop its clock.
pub(crate) fn poll_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(coop::unconstrained(timer)).poll(cx)
}

fn time_for(phase: Phase, config: &ServerConfig) -> Option<Duration> {
    match phase {
        Phase::Head => Some(config.header_timeout),
        Phase::Writing => Some(config.write_timeout),
        Phase::Idle => Some(config.idle_timeout),
        // The body's reader times its pauses; waiting for room in the hub is backpressure.
        Phase::Service => None,
    }
}
