//! Announces subscriptions: publishes the starts and ends in the registry's queue, in order, as far
//! as the allowance goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use crate::core::event::{Event, IdForm};
use crate::core::idempotency::{Name, Owner, Place, Scope};
use crate::core::presence::{self, Allowance, Change, Listed};
use crate::core::sse::Draft;
use crate::metrics::Source;
use crate::once_a_minute::OnceAMinute;

use super::log::{AppendError, Log, Record, limits_of_node};
use super::{Closed, Hub};

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
        match self.log() {
            Some(log) => self.append_until_told(&**log, drafts, changes).await?,
            None => {
                let published = self.publish(Source::Presence, &mut drafts).await;
                published.map_err(|_| Closed)?;
            }
        }
        Ok(bytes)
    }

    /// Appends the node's own events to the log, and changes its roster. While the log is away, they
    /// wait, and what is behind them in the queue waits in the registry.
    async fn append_until_told(
        &self,
        log: &dyn Log,
        mut drafts: Vec<Draft<'_>>,
        changes: &[Change],
    ) -> Result<(), Closed> {
        static LATE: OnceAMinute = OnceAMinute::new();
        // After an unknown outcome they are repeated, and may have been published.
        self.give_keys(&mut drafts);
        loop {
            // What is appended while the hub moves to another process would be told by both.
            self.0.gate.passable().await;
            if self.is_stopped() {
                return Err(Closed);
            }
            let records = drafts.iter().map(Record::of).collect();
            let changes = changes.iter().map(Change::roster_change).collect();
            let away = match log.announce(records, changes).await {
                Ok(outcomes) => {
                    // No other event has such a key.
                    let _ = self.receipts_of(outcomes, Source::Presence);
                    return Ok(());
                }
                // Ends are told by others. What is still open begins again: see `begin_again`.
                Err(AppendError::Reaped) => return Ok(()),
                Err(AppendError::NotPublished(away) | AppendError::Unknown(away)) => away,
                Err(AppendError::Closed(closed)) => return Err(closed),
            };
            if let Some(left_out) = LATE.due() {
                tracing::warn!(
                    why = away.why,
                    left_out,
                    "starts and ends of subscriptions are told late: the log does not take them"
                );
            }
            let pause = away.retry_after.clamp(PAUSE_MIN, PAUSE_MAX);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.gate.stopped() => return Err(Closed),
            }
        }
    }

    /// Nothing is announced while the guard lives.
    pub async fn hold_announcements(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.0.announcing).lock_owned().await
    }

    /// The events that tell the ends of these streams, which were another node's.
    #[must_use]
    pub fn ends_of(listed: &Listed) -> Vec<Record> {
        let limits = limits_of_node();
        let change = listed.end();
        let events = change.subscriptions().map(|subscription| {
            let mut event = Event::new(subscription.path(), subscription.to_json(false));
            event.private = true;
            event.id_form = IdForm::Urn;
            Draft::of_node(event, &limits)
        });
        // One that cannot be told was not told at its start either.
        events.flatten().map(|draft| Record::of(&draft)).collect()
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
