//! The end of a node: it says that it is not ready, then ends the open streams in even steps, then
//! the rest. Until the last stream has ended, clients connect and publishers are served.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::apart::apart_or_here;
use super::{Node, Outcome};

/// Time beyond `drain_period` for the last streams, and once more for the last requests. The rest
/// is cut. With the default `drain_period` a node ends well before the 10 s after which Docker and
/// others kill it.
const GRACE: Duration = Duration::from_secs(1);

/// Time for the last requests of the admin listener, at least.
const ADMIN_GRACE: Duration = Duration::from_millis(100);

/// Interval at which a drain checks whether the last stream has ended.
const CHECK_EVERY: Duration = Duration::from_millis(10);

/// The unfinished part of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Streams whose clients were not sent all of their farewell: a `retry:`, and the end of the
    /// body.
    pub streams_cut: usize,
}

impl From<Drained> for Outcome {
    fn from(drained: Drained) -> Self {
        match drained.streams_cut {
            0 => Self::Drained,
            cut => Self::Cut(cut),
        }
    }
}

impl Node {
    /// Says that the node is about to end, with `/readyz`, and serves on as before. Returns the
    /// time at which it is to drain: `drain_delay` from now.
    pub(super) fn leave(&self) -> Instant {
        let delay = self.drain_delay;
        // Without a delay, the drain itself says so: a node that is not ready opens no stream then.
        if !delay.is_zero() {
            tracing::info!(?delay, "not ready any more; the drain follows");
            self.hub.set_ready(false);
        }
        Instant::now() + delay
    }

    /// When a drain that begins at `begins` has ended at the latest.
    pub(super) fn drained_by(&self, begins: Instant) -> Instant {
        begins + self.hub.drain_period() + 2 * GRACE + ADMIN_GRACE
    }

    /// The whole end: [`Node::leave`], `drain_delay`, [`Node::drain`].
    pub(crate) async fn leave_and_drain(&mut self) -> Drained {
        sleep_until(self.leave()).await;
        self.drain().await
    }

    /// Ends the shards, with all streams that are left, and writes the history, if there is a
    /// directory for it.
    pub(crate) async fn end_hub(&mut self) {
        // Starts and ends of subscriptions are written until now.
        if let Some(log) = self.log.take() {
            log.end().await;
        }
        let hub = self.hub.clone();
        // Joining threads blocks.
        apart_or_here(move || hub.stop()).await;
        if let Some(keeper) = self.keeper.take() {
            // Writing blocks.
            apart_or_here(move || keeper.finish()).await;
        }
    }

    /// Ends the node: clients that ask for a stream are told when to come back; the open streams
    /// are told the same and are closed in even steps over `drain_period`; publishers are served
    /// until the last stream has ended; then the rest ends.
    pub async fn drain(&mut self) -> Drained {
        let streams = self.hub.streams();
        let period = self.hub.drain_period();
        tracing::info!(streams, ?period, "draining");
        let deadline = Instant::now() + period + GRACE;
        let given_up_before = self.hub.streams_given_up();
        self.hub.drain().await;
        let mut check = interval(CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.hub.streams() + self.hub.streams_unsent() > 0 && Instant::now() < deadline {
            check.tick().await;
        }
        let last = Instant::now() + GRACE;
        self.listeners.public.stop();
        self.listeners.ingest.stop();
        self.doors.all_ended(GRACE).await;
        // The last publisher has its answer: the history is complete.
        self.listeners.admin.stop();
        self.stop_rest.send_replace(true);
        let left = last.saturating_duration_since(Instant::now());
        self.parts.all_ended(left.max(ADMIN_GRACE)).await;
        self.end_hub().await;
        // The shards have ended: each stream is in one of these counts at most.
        let open = self.hub.streams();
        let given_up = self.hub.streams_given_up() - given_up_before;
        let unsent = self.hub.streams_unsent() + given_up;
        let drained = Drained {
            streams_cut: open + unsent + self.hub.streams_cut(),
        };
        match drained.streams_cut {
            0 => tracing::info!("drained"),
            cut => tracing::warn!(
                streams_cut = cut,
                "the drain was cut short: these streams did not accept all of their end, a `retry:` and the last chunk; a longer `drain_period` gives them time"
            ),
        }
        drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging;
    use crate::settings::Settings;

    #[test]
    fn a_drain_ends_well_before_a_supervisor_loses_its_patience() {
        // Docker's limit; Kubernetes and systemd have longer ones.
        let patience = Duration::from_secs(10);
        let settings = Settings::default();
        let drain = settings.drain_delay + settings.drain_period + 2 * GRACE + ADMIN_GRACE;
        let longest = drain + logging::FLUSH_MAX;
        assert!(longest + Duration::from_secs(2) <= patience, "{longest:?}");
    }

    #[tokio::test]
    async fn streams_that_a_drain_did_not_end_were_not_counted() {
        let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings {
            listen: anywhere,
            ingest_listen: anywhere,
            admin_listen: anywhere,
            drain_period: Duration::ZERO,
            ..Settings::default()
        };
        let mut node = Node::start(settings).await.expect("a node");
        // A reserved place stands in for a stream that no shard ends in time.
        let place = node.hub.reserve(anywhere.ip()).expect("room");
        let drained = node.drain().await;
        assert_eq!(drained.streams_cut, 1);
        assert_eq!(Outcome::from(drained), Outcome::Cut(1));
        drop(place);
    }
}
