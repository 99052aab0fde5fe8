//! The rules for events. Every way to publish checks them here, so that all refuse the same events.
//!
//! An event that passes has three properties: it cannot break a client's stream; its id can be sent
//! back as a cursor (in a header, over HTTP/1 and HTTP/2, and in a query); and it cannot be
//! mistaken for an event of the node itself.

use thiserror::Error;

use super::Event;
use crate::core::idempotency::{self, KeyError};
use crate::core::limits::EventLimits;
use crate::core::topic::{self, HUB_PATH, TopicError};

/// Longest reconnection delay of an event, in milliseconds: one day. A client that accepted a
/// longer one would be lost for good.
pub const RETRY_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// Names of the events that the node sends itself, or will.
const NODE_EVENTS: [&str; 2] = ["gap", "heartbeat"];

/// Ids that have a meaning as a cursor: on this node, to Mercure clients, or to clients of Redis
/// streams.
const CURSOR_WORDS: [&str; 8] = ["earliest", "latest", "$", "-", "+", "*", ">", "0-0"];

impl Event<'_> {
    /// Checks every field of an event that a publisher sent.
    ///
    /// # Errors
    /// The first [`EventError`] found.
    pub fn check(&self, limits: &EventLimits) -> Result<(), EventError> {
        self.check_form(limits)?;
        if let Some(topic) = self.topics.iter().find(|topic| topic::is_reserved(topic)) {
            return Err(EventError::ReservedTopic(topic.to_string()));
        }
        self.event.as_deref().map_or(Ok(()), check_name)?;
        if let Some(id) = self.id.as_deref() {
            check_id(id)?;
            if limits.mark.claims(id) {
                return Err(EventError::NodesId(id.to_owned()));
            }
        }
        if self.private && !limits.has_subscriber_keys {
            return Err(EventError::Unheard);
        }
        match &self.key {
            Some(_) if !limits.remembers_keys => Err(KeyError::Off.into()),
            Some(key) => Ok(idempotency::check(key)?),
            None => Ok(()),
        }
    }

    /// Checks the form of each field. These rules hold for events of the node itself, too.
    ///
    /// # Errors
    /// The first [`EventError`] found.
    pub(crate) fn check_form(&self, limits: &EventLimits) -> Result<(), EventError> {
        if self.topics.is_empty() {
            return Err(EventError::NoTopic);
        }
        if self.topics.len() > limits.topics_per_event_max {
            return Err(EventError::TooManyTopics {
                count: self.topics.len(),
                max: limits.topics_per_event_max,
            });
        }
        for name in &self.topics {
            topic::check(name, limits.topic_bytes_max)?;
        }
        let max = limits.data_bytes_max;
        within("data", self.data.len(), "data_bytes_max", max)?;
        if let Some(ms) = self.retry.filter(|ms| *ms > RETRY_MS_MAX) {
            return Err(EventError::RetryTooLong { ms });
        }
        if let Some(name) = &self.event {
            let max = limits.event_name_bytes_max;
            within("event", name.len(), "event_name_bytes_max", max)?;
            if memchr::memchr2(b'\n', b'\r', name.as_bytes()).is_some() {
                let (field, what) = ("event", "a line break");
                return Err(EventError::Forbidden { field, what });
            }
        }
        if let Some(id) = &self.id {
            let max = limits.event_id_bytes_max;
            within("id", id.len(), "event_id_bytes_max", max)?;
            // Header fields cannot carry C0 and DEL (RFC 9110 §5.5); of C1, some readers of text
            // treat U+0085 as a line break.
            if id.chars().any(char::is_control) {
                let (field, what) = ("id", "control characters");
                return Err(EventError::Forbidden { field, what });
            }
        }
        Ok(())
    }
}

fn within(
    field: &'static str,
    length: usize,
    setting: &'static str,
    max: usize,
) -> Result<(), EventError> {
    if length > max {
        return Err(EventError::TooLong {
            field,
            length,
            setting,
            max,
        });
    }
    Ok(())
}

/// Checks an event name. Some clients strip white space from names, including control characters
/// and the byte order mark, and some end them at a NUL, so those make no difference here. Upper and
/// lower case make a difference to all clients.
fn check_name(name: &str) -> Result<(), EventError> {
    let is_outside = |c: char| is_space(c) || c.is_control();
    let name = name.trim_start_matches(is_outside);
    let name = name.split_once('\0').map_or(name, |(start, _)| start);
    let name = name.trim_end_matches(is_outside);
    match NODE_EVENTS.iter().find(|own| **own == name) {
        Some(own) => Err(EventError::ReservedName(own)),
        None => Ok(()),
    }
}

/// White space of all readers: HTTP strips spaces and tabs around a field value, and scripts that
/// set one strip any white space and the byte order mark.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

fn check_id(id: &str) -> Result<(), EventError> {
    if id.is_empty() {
        return Err(EventError::EmptyId);
    }
    if id.starts_with(is_space) || id.ends_with(is_space) {
        return Err(EventError::SpaceAroundId);
    }
    if id.starts_with('#') {
        return Err(EventError::FragmentId);
    }
    match CURSOR_WORDS.iter().find(|word| **word == id) {
        Some(word) => Err(EventError::ReservedId(word)),
        None => Ok(()),
    }
}

/// Why an event cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    /// It names no topic.
    #[error("an event needs at least one topic")]
    NoTopic,
    /// It names more topics than the setting `topics_per_event_max`.
    #[error("{count} topics are more than the {max} that `topics_per_event_max` allows")]
    TooManyTopics {
        /// Topics found.
        count: usize,
        /// Topics allowed.
        max: usize,
    },
    /// One of its topics is not valid.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// One of its topics is the node's own.
    #[error(
        "{0:?} is a topic of the node's own, as all are that are at or below `{HUB_PATH}`, in any spelling; choose another"
    )]
    ReservedTopic(String),
    /// A field is too long.
    #[error("`{field}` of {length} bytes is longer than the {max} that `{setting}` allows")]
    TooLong {
        /// Field of the event.
        field: &'static str,
        /// Length found, in bytes.
        length: usize,
        /// Setting that bounds it.
        setting: &'static str,
        /// Length allowed, in bytes.
        max: usize,
    },
    /// The event is too long for a topic's history.
    #[error(
        "the event is {length} bytes long as streams are sent it (each line of `data` has a field name of its own), more than the {max} that `history_bytes` \
         lets a topic keep"
    )]
    FrameTooLong {
        /// Length of its frame, in bytes.
        length: usize,
        /// Most bytes that a topic may keep.
        max: usize,
    },
    /// The event is too large for the node's history in all its topics.
    #[error(
        "the event takes {length} bytes of history in its {topics} topics, more than the {max} that `history_budget_bytes` allows for all topics of the node"
    )]
    BeyondBudget {
        /// Bytes that it takes.
        length: usize,
        /// Number of its topics.
        topics: usize,
        /// Most bytes that all topics may keep.
        max: usize,
    },
    /// A field holds characters that cannot be sent to a client and back.
    #[error("`{field}` must not contain {what}")]
    Forbidden {
        /// Field of the event.
        field: &'static str,
        /// Characters that it must not hold.
        what: &'static str,
    },
    /// Its name is that of an event that the node sends itself.
    #[error(
        "`event` must not be `{0}`: events of that name are the node's own; choose another name"
    )]
    ReservedName(&'static str),
    /// The reconnection delay is longer than [`RETRY_MS_MAX`].
    #[error(
        "`retry` of {ms} milliseconds is longer than the {RETRY_MS_MAX} (one day) that are allowed"
    )]
    RetryTooLong {
        /// Delay found, in milliseconds.
        ms: u64,
    },
    /// The publisher's id is empty, which would reset the client's cursor.
    #[error("`id` must not be empty; leave it out to let the node number the event")]
    EmptyId,
    /// A client that sent the id back as a header field would lose the white space.
    #[error(
        "`id` must not begin or end with white space, which HTTP strips when a client sends it back"
    )]
    SpaceAroundId,
    /// Mercure reserves these ids for hubs.
    #[error("`id` must not start with `#`: the Mercure protocol keeps such ids for hubs")]
    FragmentId,
    /// As a cursor, the id has another meaning.
    #[error(
        "`id` must not be `{0}`, which means something else as a cursor; choose another id, or leave it out to let the node number the event"
    )]
    ReservedId(&'static str),
    /// The id has the form of the node's own ids, which are places of events, past or future.
    #[error(
        "`id` must not be {0:?}: ids of that form and ending are the node's own; choose another id, or leave it out to let the node number the event"
    )]
    NodesId(String),
    /// The event is private, but no stream can be granted it.
    #[error(
        "`private` is set, but nobody could hear the event: this node has no keys for the tokens of subscribers. Set one of `jwt_secret_file`, \
         `jwt_key_file`, `jwks_file` or `jwks_url`, or publish without `private`"
    )]
    Unheard,
    /// Its idempotency key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl EventError {
    /// The field at fault.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::NoTopic | Self::Topic(_) | Self::ReservedTopic(_) => "topic",
            Self::TooManyTopics { .. } => "topics",
            Self::TooLong { field, .. } | Self::Forbidden { field, .. } => field,
            Self::FrameTooLong { .. } | Self::BeyondBudget { .. } => "data",
            Self::ReservedName(_) => "event",
            Self::RetryTooLong { .. } => "retry",
            Self::EmptyId
            | Self::SpaceAroundId
            | Self::FragmentId
            | Self::ReservedId(_)
            | Self::NodesId(_) => "id",
            Self::Unheard => "private",
            Self::Key(_) => "key",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{EventId, OrderMark};

    fn good<'a>() -> Event<'a> {
        Event::new("t", "d")
    }

    fn refused(event: &Event<'_>) -> EventError {
        let limits = EventLimits::default();
        event.check(&limits).expect_err("must be refused")
    }

    fn with_id(id: &str) -> Event<'_> {
        Event {
            id: Some(id.into()),
            ..good()
        }
    }

    fn named(name: &str) -> Event<'_> {
        Event {
            event: Some(name.into()),
            ..good()
        }
    }

    #[test]
    fn each_field_is_refused_by_name() {
        let limits = EventLimits::default();
        assert!(good().check(&limits).is_ok());
        assert_eq!(refused(&Event::default()), EventError::NoTopic);
        assert_eq!(refused(&with_id("")), EventError::EmptyId);
        assert_eq!(refused(&with_id("a\0")).field(), "id");
        assert_eq!(refused(&named("a\rb")).field(), "event");
        let retry = |ms| Event {
            retry: Some(ms),
            ..good()
        };
        assert_eq!(refused(&retry(RETRY_MS_MAX + 1)).field(), "retry");
        assert!(retry(RETRY_MS_MAX).check(&limits).is_ok());
        let long = "x".repeat(257);
        let error = refused(&with_id(&long)).to_string();
        assert!(error.contains("`id`") && error.contains("event_id_bytes_max"));
    }

    #[test]
    fn an_id_that_no_header_can_carry_is_refused() {
        let control = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32);
        for c in control {
            for id in [format!("a{c}b"), format!("{c}a"), format!("a{c}")] {
                assert_eq!(refused(&with_id(&id)).field(), "id", "{id:?}");
            }
        }
        for c in [' ', '\u{a0}', '\u{3000}', '\u{2028}', '\u{feff}'] {
            for id in [format!("{c}a"), format!("a{c}"), c.to_string()] {
                assert_eq!(refused(&with_id(&id)), EventError::SpaceAroundId, "{id:?}");
            }
            assert!(
                with_id(&format!("a{c}b"))
                    .check(&EventLimits::default())
                    .is_ok()
            );
        }
    }

    #[test]
    fn an_id_that_means_something_as_a_cursor_is_refused() {
        for id in CURSOR_WORDS {
            assert_eq!(refused(&with_id(id)), EventError::ReservedId(id));
        }
        assert_eq!(refused(&with_id("#1")), EventError::FragmentId);
        for id in ["Earliest", "earliest-1", "0", "a#", "last", "1-1", "$1"] {
            assert_eq!(with_id(id).check(&EventLimits::default()), Ok(()), "{id}");
        }
    }

    #[test]
    fn an_id_of_the_nodes_own_order_is_refused() {
        let limits = EventLimits {
            mark: OrderMark::new(u64::MAX),
            ..EventLimits::default()
        };
        let place = EventId::new(u64::MAX / 3);
        let own = place.marked(limits.mark);
        let misspelt = [
            "99999999999999-5.zzzzzz",
            "18446744073709551616-0.zzzzzz",
            "01-0.zzzzzz",
            "1-0.ZZZZZZ",
            "0-0.zzzzzz",
        ];
        let own = [own.to_string(), own.urn(), own.urn().to_uppercase()];
        for id in own.into_iter().chain(misspelt.map(str::to_owned)) {
            let refused = EventError::NodesId(id.clone());
            assert_eq!(with_id(&id).check(&limits), Err(refused));
        }
        let other = place.marked(OrderMark::new(7));
        let plain = place.to_string();
        for id in [other.to_string(), other.urn(), plain] {
            assert_eq!(with_id(&id).check(&limits), Ok(()), "{id}");
        }
    }

    #[test]
    fn an_event_that_only_the_node_sends_is_refused() {
        for name in [
            "gap",
            "heartbeat",
            " gap",
            "gap ",
            "\tgap",
            "gap\u{a0}",
            "\u{feff}gap",
            "gap\0",
            "gap\0x",
            "\0gap",
            "\u{1}gap \u{feff}",
        ] {
            assert!(
                matches!(refused(&named(name)), EventError::ReservedName(_)),
                "{name:?}"
            );
        }
        for name in ["Gap", "GAP", "gaps", "g ap", "g\0ap", "message", ""] {
            assert_eq!(named(name).check(&EventLimits::default()), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_topic_of_the_node_is_refused_to_publishers_only() {
        let limits = EventLimits::default();
        let event = Event {
            topics: vec!["a".into(), format!("{HUB_PATH}/subscriptions/a/b").into()].into(),
            ..good()
        };
        assert!(matches!(refused(&event), EventError::ReservedTopic(_)));
        assert_eq!(event.check_form(&limits), Ok(()));
    }

    #[test]
    fn a_private_event_that_nobody_could_hear_is_refused() {
        let mut limits = EventLimits::default();
        let event = Event {
            private: true,
            ..good()
        };
        assert_eq!(event.check(&limits), Ok(()));
        limits.has_subscriber_keys = false;
        assert_eq!(event.check(&limits), Err(EventError::Unheard));
        assert_eq!(good().check(&limits), Ok(()));
    }
}
