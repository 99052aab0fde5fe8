//! Announces subscriptions: publishes the starts and ends in the registry's queue, in order, as far
//! as the allowance goes.

use std::time::{Duration, Instant};

use crate::core::event::{Event, IdForm};
use crate::core::idempotency::{Name, Owner, Place, Scope};
use crate::core::presence::{self, Allowance, Change};
use crate::core::sse::Draft;
use crate::metrics::Source;
use crate::once_a_minute::OnceAMinute;

use super::log::limits_of_node;
use super::{Closed, Hub, NotPublished};

/// Longest pause while the allowance is used up, so that the task ends soon after the hub.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Shortest pause before the log is asked again.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// Result of one attempt to announce something.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Told,
    /// The queue is empty.
    Idle,
    /// The queue may not be empty, and has to wait.
    Wait(Duration),
    /// Nothing will be queued any more.
    Ended,
}

impl Hub {
    /// Announces the starts and ends of subscriptions as they are queued, until the hub is closed.
    /// They are late while there are more than the history has room for.
    pub async fn announce(&self) {
        let mut allowance = Allowance::new(self.history_limits(), Instant::now());
        let late = OnceAMinute::new();
        loop {
            let work = self.0.presence_changed.notified();
            let now = Instant::now();
            match self.announce_some(&mut allowance, now).await {
                Step::Told => {}
                Step::Idle => work.await,
                Step::Wait(time) => {
                    let waiting = self.presence().figures().waiting;
                    if waiting > 0 && late.due().is_some() {
                        tracing::warn!(
                            waiting,
                            "starts and ends of subscriptions are told late: they have used up their share of `history_budget_bytes`"
                        );
                    }
                    tokio::time::sleep(time.min(PAUSE_MAX)).await;
                }
                Step::Ended => return,
            }
        }
    }

    /// Announces one batch of the queue, if the allowance has room at `now`.
    async fn announce_some(&self, allowance: &mut Allowance, now: Instant) -> Step {
        if let Some(time) = allowance.wait(now) {
            if self.presence().is_closed() {
                return Step::Ended;
            }
            return Step::Wait(time);
        }
        let _in_hand = self.0.announcing.lock().await;
        let (changes, closed) = self.presence().take(allowance.left());
        if changes.is_empty() {
            return if closed { Step::Ended } else { Step::Idle };
        }
        match self.publish_changes(&changes).await {
            Ok(bytes) => {
                allowance.spend(bytes);
                Step::Told
            }
            Err(Closed) => Step::Ended,
        }
    }

    /// Publishes these changes, each subscription in an event of its own. Returns their bytes in
    /// the allowance.
    async fn publish_changes(&self, changes: &[Change]) -> Result<usize, Closed> {
        let limits = limits_of_node();
        let mut drafts = Vec::new();
        let mut bytes = 0;
        for change in changes {
            for subscription in change.subscriptions() {
                let (topic, data) = (subscription.path(), subscription.to_json(change.is_start()));
                bytes += presence::cost(&topic, &data);
                let mut event = Event::new(topic, data);
                event.private = true;
                event.id_form = IdForm::Urn;
                match Draft::of_node(event, &limits) {
                    Ok(draft) => drafts.push(draft),
                    Err(error) => {
                        static UNTOLD: OnceAMinute = OnceAMinute::new();
                        if let Some(left_out) = UNTOLD.due() {
                            tracing::error!(%error, left_out, "a subscription could not be announced");
                        }
                    }
                }
            }
        }
        self.publish_until_told(&mut drafts).await?;
        Ok(bytes)
    }

    /// Publishes the node's own events. While the log is away, they wait, and what is behind them in
    /// the queue waits in the registry.
    async fn publish_until_told(&self, drafts: &mut [Draft<'_>]) -> Result<(), Closed> {
        static LATE: OnceAMinute = OnceAMinute::new();
        if self.log().is_some() {
            // After an unknown outcome they are repeated, and may have been published.
            self.give_keys(drafts);
        }
        let mut rest = drafts;
        loop {
            let unlogged = match self.publish(Source::Presence, rest).await {
                Ok(_) => return Ok(()),
                Err(NotPublished::Away(unlogged) | NotPublished::Unknown(unlogged)) => unlogged,
                // No other event has such a key.
                Err(NotPublished::Closed(_) | NotPublished::Reused(_)) => return Err(Closed),
            };
            let told = unlogged.receipts.len().min(rest.len());
            rest = &mut rest[told..];
            if let Some(left_out) = LATE.due() {
                tracing::warn!(
                    why = unlogged.why,
                    left_out,
                    "starts and ends of subscriptions are told late: the log does not take them"
                );
            }
            let pause = unlogged.retry_after.clamp(PAUSE_MIN, PAUSE_MAX);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.gate.stopped() => return Err(Closed),
            }
        }
    }

    /// Gives events of this node keys that no other event has.
    fn give_keys(&self, drafts: &mut [Draft<'_>]) {
        if !self.0.config.keys.are_on() {
            return;
        }
        let owner = Owner::new(Scope::Program);
        let key = format!("presence {}", uuid::Uuid::new_v4());
        let count = drafts.len();
        for (index, draft) in drafts.iter_mut().enumerate() {
            let place = Place {
                index,
                count: Some(count),
            };
            draft.set_key(Name::new(owner, &key, place));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::core::limits::EventLimits;
    use crate::core::presence::SUBSCRIPTIONS_PER_STREAM_MAX;
    use crate::core::selector::Selector;
    use crate::hub::HubConfig;

    #[test]
    fn clients_that_come_and_go_do_not_push_out_what_others_published() {
        let budget = 4 << 20;
        let mut config = HubConfig::default();
        config.history.budget_bytes = budget;
        let age = Duration::from_millis(config.history.age_ms);
        let hub = Hub::start(config, 1).expect("a hub");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let event = Event::new("news", "x".repeat(1_000));
            let mut drafts = vec![Draft::new(event, &EventLimits::default()).expect("an event")];
            hub.publish(Source::Http, &mut drafts).await.expect("open");

            let presence = hub.presence();
            let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let names: Vec<String> = (0..SUBSCRIPTIONS_PER_STREAM_MAX)
                .map(|n| format!("https://example.com/a/rather/long/topic/{n}"))
                .collect();
            let selectors: Vec<_> = names.iter().map(|name| Selector::exact(name)).collect();
            let mut now = Instant::now();
            let mut allowance = Allowance::new(hub.history_limits(), now);
            let guards: Vec<_> = (0..100)
                .map(|_| presence.pending(here, &selectors, None).begin())
                .collect();
            for round in 1..=2 {
                while hub.announce_some(&mut allowance, now).await == Step::Told {}
                let bytes = hub.history_size().bytes;
                // One batch beyond the share.
                assert!(bytes <= round * budget / 8 + (256 << 10), "{bytes}");
                now += age;
            }
            assert!(
                presence.figures().waiting > 10,
                "there was too little to tell"
            );
            assert_eq!(hub.history_len("news"), 1);
            drop(guards);
        });
        hub.stop();
    }
}
