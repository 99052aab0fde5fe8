//! Tells of starts and ends: publishes what the registry has queued, in its order, as far as the allowance goes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::event::{Event, IdForm};
use crate::core::limits::EventLimits;
use crate::core::sse::Draft;
use crate::hub::{Closed, Hub};
use crate::metrics::Source;
use crate::once_a_minute::OnceAMinute;

use super::allowance::{self, Allowance};
use super::{Change, Presence, Subscription};

/// Subscriptions told in one batch (one stream's more or less).
const BATCH_SUBSCRIPTIONS: usize = 64;

/// Longest pause while the allowance is used up, so that the task ends soon after the hub.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What came of one attempt to tell something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Told,
    /// There is nothing to tell.
    Idle,
    /// There may be, and it has to wait.
    Wait(Duration),
    /// There will be nothing more.
    Ended,
}

impl Presence {
    /// Publishes starts and ends as they come, until the hub is closed. They are late while more come than the history has room for.
    pub async fn announce(&self, hub: &Hub) {
        let mut allowance = Allowance::new(hub.history_limits(), Instant::now());
        let late = OnceAMinute::new();
        loop {
            let work = self.0.work.notified();
            let now = Instant::now();
            match self.step(hub, &mut allowance, now).await {
                Step::Told => {}
                Step::Idle => work.await,
                Step::Wait(time) => {
                    let waiting = self.figures().waiting;
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

    /// Tells one batch of what is queued, if it may be told at `now`.
    pub(super) async fn step(&self, hub: &Hub, allowance: &mut Allowance, now: Instant) -> Step {
        if let Some(time) = allowance.wait(now) {
            if self.0.state.lock().closed {
                return Step::Ended;
            }
            return Step::Wait(time);
        }
        let (changes, closed) = self.take(allowance.left());
        if changes.is_empty() {
            return if closed { Step::Ended } else { Step::Idle };
        }
        match publish(hub, &changes).await {
            Ok(bytes) => {
                allowance.spend(bytes);
                Step::Told
            }
            Err(Closed) => Step::Ended,
        }
    }

    /// The next changes to tell, and whether there will be no more. Takes one change beyond `bytes` at most, so that a debt is
    /// never larger than that, and whoever is next waits no longer.
    pub(super) fn take(&self, bytes: usize) -> (Vec<Change>, bool) {
        let mut state = self.0.state.lock();
        let (mut subscriptions, mut taken) = (0, 0);
        let mut changes = Vec::new();
        while subscriptions < BATCH_SUBSCRIPTIONS
            && taken <= bytes
            && let Some(change) = state.queue.pop()
        {
            subscriptions += change.subscriber.selectors.len();
            taken += change.subscriber.cost;
            // Under the registry's lock: from here on its end is told, too.
            change.subscriber.known.store(true, Ordering::Relaxed);
            changes.push(change);
        }
        (changes, state.closed)
    }
}

/// Tells of these changes, each subscription in an event of its own; what that takes of the allowance.
async fn publish(hub: &Hub, changes: &[Change]) -> Result<usize, Closed> {
    // These events are the node's own; what publishers are held to would only suppress them. Their size is bounded by that of a selector
    // and of a token.
    let limits = EventLimits {
        topic_bytes_max: usize::MAX,
        data_bytes_max: usize::MAX,
        ..EventLimits::default()
    };
    let mut drafts = Vec::new();
    let mut bytes = 0;
    for change in changes {
        for selector in 0..change.subscriber.selectors.len() {
            let subscription = Subscription {
                subscriber: Arc::clone(&change.subscriber),
                selector,
            };
            let (topic, data) = (subscription.path(), subscription.to_json(change.active));
            bytes += allowance::cost(&topic, &data);
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
    hub.publish(Source::Presence, &mut drafts).await?;
    Ok(bytes)
}
