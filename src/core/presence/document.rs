//! The announcement of a subscription: its address and its document (JSON-LD), in Mercure's form.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::core::selector::Selector;

use super::Subscription;

/// Path of all subscriptions' addresses, which are also the topics of the events that announce
/// them.
pub const SUBSCRIPTIONS_PATH: &str = "/.well-known/mercure/subscriptions";

/// The context that a document names.
pub const CONTEXT: &str = "https://mercure.rocks/";

/// Prefix of a subscriber's UUID.
pub(super) const URN_PREFIX: &str = "urn:uuid:";

/// Characters that a template's `{topic}` leaves unescaped (RFC 6570 §3.2.2): the unreserved ones.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The address of a topic's subscriptions.
#[must_use]
pub fn topic_path(topic: &str) -> String {
    format!(
        "{SUBSCRIPTIONS_PATH}/{}",
        utf8_percent_encode(topic, RESERVED)
    )
}

/// The address of one subscription.
#[must_use]
pub fn subscription_path(topic: &str, subscriber: &str) -> String {
    let subscriber = utf8_percent_encode(subscriber, RESERVED);
    format!("{}/{subscriber}", topic_path(topic))
}

impl Subscription {
    pub(super) fn topic(&self) -> &str {
        self.subscriber
            .selectors
            .get(self.selector)
            .map_or("", Selector::text)
    }

    pub(super) fn urn(&self) -> String {
        format!("{URN_PREFIX}{}", self.subscriber.id())
    }

    /// Its address, which is also the topic of the events that announce it.
    #[must_use]
    pub fn path(&self) -> String {
        subscription_path(self.topic(), &self.urn())
    }

    /// Its document as a whole.
    pub(crate) fn to_json(&self, active: bool) -> String {
        let document = Document {
            context: Some(CONTEXT),
            last_event_id: None,
            active,
            ..self.document()
        };
        // Strings, and JSON that was parsed before: neither can fail to serialize.
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// Its document, as one among others.
    #[must_use]
    pub fn document(&self) -> Document<'_> {
        let payload = self.subscriber.payload.as_deref();
        Document {
            context: None,
            id: self.path(),
            kind: "Subscription",
            topic: self.topic(),
            subscriber: self.urn(),
            active: true,
            payload: payload.and_then(|text| serde_json::from_str(text).ok()),
            last_event_id: None,
        }
    }
}

/// The document of a subscription.
#[derive(Serialize)]
pub struct Document<'a> {
    /// Left out if a surrounding document has it.
    #[serde(rename = "@context", skip_serializing_if = "Option::is_none")]
    pub context: Option<&'static str>,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    topic: &'a str,
    subscriber: String,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    /// The newest event, if the document stands alone.
    #[serde(rename = "lastEventID", skip_serializing_if = "Option::is_none")]
    pub last_event_id: Option<String>,
}
