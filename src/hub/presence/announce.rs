//! Tells of starts and ends: publishes what the registry has queued, in its order.

use std::sync::Arc;

use crate::event::{Event, IdForm};
use crate::hub::{Closed, Hub};
use crate::limits::EventLimits;
use crate::metrics::Source;
use crate::sse::Draft;

use super::{Change, Presence, Subscription};

/// Subscriptions told in one batch (one stream's more or less).
const BATCH_SUBSCRIPTIONS: usize = 64;

impl Presence {
    /// Publishes starts and ends as they come, until the hub is closed.
    pub async fn announce(&self, hub: &Hub) {
        loop {
            let work = self.0.work.notified();
            let (changes, closed) = self.take();
            if changes.is_empty() {
                if closed {
                    return;
                }
                work.await;
            } else if publish(hub, &changes).await.is_err() {
                return;
            }
        }
    }

    /// The next changes to tell, and whether there will be no more.
    pub(super) fn take(&self) -> (Vec<Change>, bool) {
        let mut state = self.0.state.lock();
        let mut subscriptions = 0;
        let mut changes = Vec::new();
        while subscriptions < BATCH_SUBSCRIPTIONS
            && let Some(change) = state.queue.pop_front()
        {
            subscriptions += change.subscriber.selectors.len();
            changes.push(change);
        }
        (changes, state.closed)
    }
}

/// Tells of these changes, each subscription in an event of its own.
async fn publish(hub: &Hub, changes: &[Change]) -> Result<(), Closed> {
    // These events are the node's own; what publishers are held to would only suppress them. Their size is bounded by that of a selector
    // and of a token.
    let limits = EventLimits {
        topic_bytes_max: usize::MAX,
        data_bytes_max: usize::MAX,
        ..EventLimits::default()
    };
    let mut drafts = Vec::new();
    for change in changes {
        for selector in 0..change.subscriber.selectors.len() {
            let subscription = Subscription {
                subscriber: Arc::clone(&change.subscriber),
                selector,
            };
            let mut event = Event::new(subscription.path(), subscription.to_json(change.active));
            event.private = true;
            event.id_form = IdForm::Urn;
            match Draft::new(event, &limits) {
                Ok(draft) => drafts.push(draft),
                Err(error) => tracing::error!(%error, "a subscription could not be announced"),
            }
        }
    }
    hub.publish(Source::Presence, &mut drafts).await.map(drop)
}
