//! The metrics of the channels of a Redis server.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{Labels, Node, Page, Readings, label};
use crate::metrics::{PubSubLoss, PubSubOutcome, PubSubState};

impl<R: Readings> Node<R> {
    /// Channels of a Redis server. Without any, every state is 0.
    pub(super) fn pubsub(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let pubsub = &self.0.node().pubsub;
        let now = pubsub.state();
        page.gauges(
            "pubsub_state",
            "1 for the state of the subscription to Redis channels, 0 for the others; all 0 without channels.",
            None,
            PubSubState::ALL.map(|state| {
                let labels = vec![label("state", state.as_str())];
                (labels, f64::from(u8::from(state == now)))
            }),
        )?;
        page.gauges(
            "pubsub_probe",
            "Time that the last probe of the subscription took to come back.",
            Some(&Unit::Seconds),
            [(Labels::new(), pubsub.probe_us() as f64 / 1e6)],
        )?;
        page.counters(
            "pubsub_messages",
            "Messages of Redis channels, by what became of them.",
            None,
            PubSubOutcome::ALL.iter().enumerate().map(|(i, outcome)| {
                let labels = vec![label("outcome", outcome.as_str())];
                (labels, pubsub.messages[i].get())
            }),
        )?;
        page.counters(
            "pubsub_lost",
            "Subscriptions to Redis channels that were given up, by reason. Each is a gap for all streams.",
            None,
            PubSubLoss::ALL.iter().enumerate().map(|(i, reason)| {
                let labels = vec![label("reason", reason.as_str())];
                (labels, pubsub.lost[i].get())
            }),
        )?;
        for (name, help, total) in [
            (
                "pubsub_subscriptions",
                "Subscriptions to Redis channels that worked.",
                &pubsub.subscriptions,
            ),
            (
                "pubsub_failures",
                "Attempts to subscribe to Redis channels that failed.",
                &pubsub.failures,
            ),
        ] {
            page.counters(name, help, None, [(Labels::new(), total.get())])?;
        }
        Ok(())
    }
}
