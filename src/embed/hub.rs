//! Publishing, and the open streams.

use std::time::Duration;

use thiserror::Error;

use super::Event;
use crate::core::desk::Receipt;
use crate::core::event::{EventError, EventId};
use crate::core::idempotency::{Name, Owner, Place, Scope};
use crate::core::selector::Selector;
use crate::core::sse::Draft;
use crate::hub::{self, Closed, NotPublished, StreamQuery};
use crate::metrics::Source;

/// The core of a running node: accepts events, and has the open streams. Cheap to clone.
///
/// From [`Node::hub`](crate::Node::hub). It works until its node is stopped or dropped.
#[derive(Clone)]
pub struct Hub(hub::Hub);

/// Why nothing was published.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct PublishError(#[from] Cause);

#[derive(Debug, Error)]
enum Cause {
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    NotPublished(#[from] NotPublished),
}

impl PublishError {
    /// The node has ended: no event will be accepted any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0, Cause::NotPublished(NotPublished::Closed(_)))
    }

    /// The event has the key of another event ([`Event::key`]).
    #[must_use]
    pub fn is_key_reused(&self) -> bool {
        matches!(self.0, Cause::NotPublished(NotPublished::Reused(_)))
    }

    /// The log of the node did not say whether it has the event, which may have been published.
    /// Publishing it again with the same [key](Event::key) tells, and publishes it once.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.0, Cause::NotPublished(NotPublished::Unknown(_)))
    }

    /// When to try again, if the log of the node was the reason.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.0 {
            Cause::NotPublished(NotPublished::Away(unlogged) | NotPublished::Unknown(unlogged)) => {
                Some(unlogged.retry_after)
            }
            _ => None,
        }
    }
}

impl Hub {
    pub(super) fn new(hub: hub::Hub) -> Self {
        Self(hub)
    }

    /// Publishes one event. Waits while a shard that has to deliver it is too far behind.
    ///
    /// The receipt has the event's id, and the number of subscriptions that it was delivered to.
    ///
    /// # Errors
    /// [`PublishError`] if the event breaks a limit of the settings or has the key of another event,
    /// the node has ended, or its log is away.
    pub async fn publish(&self, event: Event) -> Result<Receipt, PublishError> {
        let receipts = self.publish_all(&[event]).await?;
        let receipt = receipts.first().copied();
        receipt.ok_or(PublishError(Cause::NotPublished(Closed.into())))
    }

    /// Publishes events as one batch, in order: all of them, or none if one is refused. Returns a
    /// receipt for each.
    ///
    /// # Errors
    /// [`PublishError`] if an event breaks a limit of the settings or has the key of another event,
    /// or the node has ended.
    pub async fn publish_all(&self, events: &[Event]) -> Result<Vec<Receipt>, PublishError> {
        let limits = self.0.event_limits();
        let owner = Owner::new(Scope::Program);
        let drafts = events.iter().map(|event| {
            let mut draft = Draft::new(event.as_core(), limits)?;
            if let Some(key) = event.given_key() {
                draft.set_key(Name::new(owner, key, Place::ONLY));
            }
            Ok::<_, EventError>(draft)
        });
        let mut drafts: Vec<_> = drafts.collect::<Result<_, _>>().map_err(Cause::from)?;
        let published = self.0.publish(Source::Http, &mut drafts).await;
        Ok(published.map_err(Cause::from)?)
    }

    /// Number of open streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.streams()
    }

    /// Id of the newest event.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.0.head()
    }

    /// Ends the streams that subscribe to a topic matched by `selector`; returns how many there
    /// were. Their clients reconnect unless something prevents it.
    pub async fn end_streams(&self, selector: Selector) -> usize {
        let query = StreamQuery {
            topic: Some(selector),
            ..StreamQuery::default()
        };
        self.0.end_streams(query).await
    }
}
