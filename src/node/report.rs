//! The node's state in one line, for the supervisor (`systemctl status`).

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::supervisor::Supervisor;
use crate::hub::Hub;
use crate::plural::Counted;

/// Time from one line to the next.
const EVERY: Duration = Duration::from_secs(5);

/// Time beyond the end of a drain in which the process ends: the history, the last log lines.
const BEYOND_DRAIN: Duration = Duration::from_secs(10);

/// The reports of a node.
pub(super) struct Report {
    supervisor: Supervisor,
    next_at: Instant,
    /// Events published until the last report, and its time.
    events: u64,
    at: Instant,
    said: String,
    /// The drain ends here at the latest.
    drained_by: Option<Instant>,
}

impl Report {
    /// The node serves from now on: that is the first report.
    pub(super) fn begin(supervisor: &Supervisor) -> Self {
        supervisor.ready();
        let now = Instant::now();
        Self {
            supervisor: supervisor.clone(),
            next_at: now,
            events: 0,
            at: now,
            said: String::new(),
            drained_by: None,
        }
    }

    /// Waits until a report is due; for ever if there is no supervisor.
    pub(super) async fn next(&self) {
        if self.supervisor.is_there() {
            sleep_until(self.next_at).await;
        } else {
            pending().await
        }
    }

    /// Tells the supervisor that the node ends, after a drain that ends by `drained_by`.
    pub(super) fn stopping(&mut self, drained_by: Instant) {
        self.drained_by = Some(drained_by);
        self.supervisor.stopping(left(drained_by));
    }

    /// Makes a report, unless nothing has changed. In a drain every report asks for time.
    pub(super) fn make(&mut self, hub: &Hub) {
        let now = Instant::now();
        let line = self.line(hub, now);
        self.next_at = now + EVERY;
        if self.drained_by.is_none() && line == self.said {
            return;
        }
        self.supervisor.status(&line, self.drained_by.map(left));
        self.said = line;
    }

    fn line(&mut self, hub: &Hub, now: Instant) -> String {
        let counts = hub.node_metrics().events_in.iter();
        let events = counts.map(|count| count.get()).sum::<u64>();
        let seconds = (now - self.at).as_secs_f64().max(1.0);
        let rate = events.saturating_sub(self.events) as f64 / seconds;
        (self.events, self.at) = (events, now);
        let streams = Counted(hub.streams(), "stream");
        match self.drained_by {
            Some(_) if hub.draining() => format!("draining: {streams} left"),
            Some(_) => format!("about to drain: {streams}"),
            None => format!("{streams}, {rate:.0} events/s published"),
        }
    }
}

fn left(drained_by: Instant) -> Duration {
    drained_by.saturating_duration_since(Instant::now()) + BEYOND_DRAIN
}
