//! The end of a node: new streams are refused, the open ones end in even steps, then the rest.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Node, Outcome};

/// Time beyond `drain_period` for the last streams, and once more for the last requests. The rest
/// is cut. With the default `drain_period` a node ends well before the 10 s after which Docker and
/// others kill it.
const GRACE: Duration = Duration::from_secs(1);

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
    /// Ends the node: new streams are refused; the open ones are told when to reconnect and are
    /// closed in even steps over `drain_period`; publishers are served until the last stream has
    /// ended; then the rest ends.
    pub async fn drain(&mut self) -> Drained {
        let streams = self.hub.streams();
        let period = self.hub.drain_period();
        tracing::info!(streams, ?period, "draining");
        self.stop_public.send_replace(true);
        let deadline = Instant::now() + period + GRACE;
        let given_up_before = self.hub.streams_given_up();
        self.hub.drain().await;
        let mut check = interval(CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.hub.streams() + self.hub.streams_unsent() > 0 && Instant::now() < deadline {
            check.tick().await;
        }
        self.stop_rest.send_replace(true);
        self.parts.all_ended(GRACE).await;
        let hub = self.hub.clone();
        // Joining threads blocks. A panic there has been reported by the shard.
        let _ = tokio::task::spawn_blocking(move || hub.stop()).await;
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
        let longest = Settings::default().drain_period + 2 * GRACE + logging::FLUSH_MAX;
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
