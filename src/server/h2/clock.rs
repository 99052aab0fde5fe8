//! The clock of an HTTP/2 connection: one timer for all its deadlines.

use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use crate::server::activity::{Activity, Stalled};
use crate::server::config::ServerConfig;
use crate::server::exchange::Exchange;
use crate::server::guard::http2::{Http2, Waiting};
use crate::server::phase_timer::poll_timer;

/// Checks for stalled streams within one `write_timeout`: a stream is given up at most one interval
/// late.
const LOOKS: u32 = 4;

/// The action that is due on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The connection is unused: it is to be closed gracefully.
    Idle,
    /// A request or frame did not end in time: nothing more is read from the client.
    Slow,
    /// The client reads nothing, so a graceful close is impossible.
    Deaf,
}

/// The state that the clock depends on.
pub(super) struct Look<'a> {
    pub(super) guard: &'a Mutex<Http2>,
    pub(super) exchange: &'a Exchange,
    pub(super) activity: &'a Activity,
    pub(super) config: &'a ServerConfig,
}

/// Deadlines of one connection.
pub(super) struct Clock {
    accepted: Instant,
    /// Number of calls that wrote something, and the time at which it last changed or nothing was
    /// left to write.
    writes: u32,
    written: Instant,
    /// Time of the next check for stalled streams.
    look: Instant,
    /// Time at which the client was told that the connection ends.
    ending: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Clock {
    pub(super) fn new(accepted: Instant, config: &ServerConfig) -> Self {
        Self {
            accepted,
            writes: 0,
            written: accepted,
            look: accepted + config.write_timeout / LOOKS,
            ending: None,
            sleep: Box::pin(tokio::time::sleep_until(accepted + config.header_timeout)),
        }
    }

    /// The client was told that the connection ends. It stays usable as long as requests are open.
    pub(super) fn end(&mut self, now: Instant) {
        self.ending.get_or_insert(now);
    }

    /// Ready when an action is due; else `cx` is woken when one may be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, look: &Look<'_>) -> Poll<Due> {
        loop {
            let now = Instant::now();
            if now >= self.look {
                self.look = now + look.config.write_timeout / LOOKS;
                let stalled = look
                    .activity
                    .give_up_stalled(look.config.write_timeout, now);
                if stalled == Stalled::Stuck {
                    return Poll::Ready(Due::Slow);
                }
            }
            let (deadline, due) = self.next(now, look);
            if now >= deadline
                && let Some(due) = due
            {
                return Poll::Ready(due);
            }
            // The timer is moved when it fires early, not whenever a deadline moves.
            if deadline < self.sleep.deadline() {
                self.sleep.as_mut().reset(deadline);
            }
            if poll_timer(self.sleep.as_mut(), cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// The earliest deadline, and the action due then (`None`: the check for stalled streams).
    fn next(&mut self, now: Instant, look: &Look<'_>) -> (Instant, Option<Due>) {
        let config = look.config;
        let mut next = (self.look, None);
        let mut by = |deadline: Instant, due: Due| {
            if deadline < next.0 {
                next = (deadline, Some(due));
            }
        };
        let waiting = look.guard.lock().waiting();
        match waiting {
            None => {}
            Some(Waiting::Settings | Waiting::Request) => {
                by(self.accepted + config.header_timeout, Due::Slow);
            }
            Some(Waiting::Frame(since)) => {
                by(Instant::from_std(since) + config.header_timeout, Due::Slow);
            }
            Some(Waiting::Data(since)) => {
                by(Instant::from_std(since) + config.body_timeout, Due::Slow);
            }
        }
        let writes = look.exchange.writes();
        if writes != self.writes || look.exchange.flushed() {
            self.writes = writes;
            self.written = now;
        } else {
            by(self.written + config.write_timeout, Due::Deaf);
        }
        match (look.activity.idle_since(), self.ending) {
            (Some(idle), Some(ending)) => by(ending.max(idle) + config.header_timeout, Due::Deaf),
            (Some(idle), None) => by(idle + config.idle_timeout, Due::Idle),
            (None, _) => {}
        }
        next
    }
}
