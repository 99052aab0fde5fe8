//! An event to publish.

use std::time::Duration;

use crate::core::event::{self, Topics};

/// An event to publish: one topic or several, and its data.
///
/// ```
/// use fantail::Event;
///
/// let event = Event::new("orders/7", r#"{"state":"paid"}"#)
///     .topic("orders")
///     .name("paid")
///     .private();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Event {
    topics: Vec<String>,
    data: String,
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    private: bool,
    key: Option<String>,
}

impl Event {
    /// A public event with one topic. `data` is any text; it may have several lines.
    #[must_use]
    pub fn new(topic: impl Into<String>, data: impl Into<String>) -> Self {
        Self {
            topics: vec![topic.into()],
            data: data.into(),
            ..Self::default()
        }
    }

    /// Publishes it to this topic, too. A stream of several of its topics gets it once.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Its name: browsers listen for it with `addEventListener`. Without a name it is a `message`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The publisher's own id, which clients see in place of the node's.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The reconnection delay that it sets in its clients.
    #[must_use]
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Delivers it only to streams whose token grants one of its topics.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Its idempotency key: an event that is published again with the same key and the same content
    /// within `idempotency_window` gets the first receipt, and is not published. For programs that
    /// read their events from a queue which may hand out one twice.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub(super) fn given_key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub(super) fn as_core(&self) -> event::Event<'_> {
        event::Event {
            topics: self
                .topics
                .iter()
                .map(|topic| topic.as_str().into())
                .collect::<Topics<'_>>(),
            data: self.data.as_str().into(),
            event: self.name.as_deref().map(Into::into),
            id: self.id.as_deref().map(Into::into),
            // A delay of more milliseconds than fit is refused as too long.
            retry: self
                .retry
                .map(|retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX)),
            private: self.private,
            key: self.key.as_deref().map(Into::into),
            ..event::Event::default()
        }
    }
}
