//! A shared log: the one order of the events of several nodes, as the hub knows it.
//!
//! Where a hub has a log, nothing is stamped locally. A publisher's events become [`Record`]s and
//! are appended ([`Log::append`]). They are delivered when the log's tail brings them back: its
//! reader calls [`Hub::apply`] on every node alike, also on the one that appended them. So all nodes
//! give an event the same id, and decide on idempotency keys at the same place of the order.
//!
//! How entries travel, and how continuity is proved, is the part of whoever implements [`Log`].

#[cfg(any(test, feature = "internals"))]
pub mod memory;

use std::pin::Pin;
use std::time::{Duration, Instant};

use thiserror::Error;
use uuid::Uuid;

use super::{Closed, Hub, Receipt};
use crate::core::event::{Event, EventError, EventId, IdForm, Topics};
use crate::core::idempotency::{self, Key, Name, Owner, Place, Scope};
use crate::core::limits::{EventLimits, KeptMax};
use crate::core::presence::{Listed, RosterChange};
use crate::core::sse::{self, Draft};

/// A future of a [`Log`].
pub type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// An event as it travels in a log: everything but its id, which is that of its entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its topics, at least one.
    pub topics: Vec<Box<str>>,
    /// The payload, with LF as line end.
    pub data: String,
    /// The SSE event name; `None` or empty means the default.
    pub event: Option<String>,
    /// The publisher's own id.
    pub id: Option<String>,
    /// Reconnection delay for clients, in milliseconds.
    pub retry: Option<u64>,
    /// Only for streams that were granted one of its topics.
    pub private: bool,
    /// The form of its id, if the publisher gave none.
    pub form: IdForm,
    /// Its idempotency key.
    pub key: Option<RecordKey>,
    /// An event of a node itself, which may have topics that are reserved from publishers.
    pub is_of_node: bool,
}

/// The idempotency key of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordKey {
    /// The digests that a node has made.
    Digests(Key),
    /// The key itself, from an application that writes to the log.
    Text(String),
}

impl Record {
    /// The record of a draft that is not stamped yet.
    #[must_use]
    pub fn of(draft: &Draft<'_>) -> Self {
        let parsed = sse::parse(draft.text());
        Self {
            topics: draft
                .topics()
                .iter()
                .map(|topic| (**topic).into())
                .collect(),
            data: parsed.data,
            event: parsed.event,
            id: draft.own_id().map(str::to_owned),
            retry: parsed.retry,
            private: draft.is_private(),
            form: draft.id_form(),
            key: draft.key().copied().map(RecordKey::Digests),
            is_of_node: draft.is_of_node(),
        }
    }

    /// The draft of this record, which is encoded as the one that it was made of. It is checked as
    /// an event of a publisher is, unless it is one of a node.
    ///
    /// # Errors
    /// [`EventError`]: what an application wrote is not an event.
    pub fn into_draft(self, limits: &EventLimits) -> Result<Draft<'static>, EventError> {
        let is_of_node = self.is_of_node;
        let topics = self.topics.into_iter();
        let mut event = Event {
            topics: topics
                .map(|topic| String::from(topic).into())
                .collect::<Topics<'_>>(),
            data: self.data.into(),
            event: self.event.map(Into::into),
            id: self.id.map(Into::into),
            retry: self.retry,
            private: self.private,
            id_form: self.form,
            key: None,
        };
        let name = match &self.key {
            Some(RecordKey::Text(key)) => {
                idempotency::check(key)?;
                Some(Name::new(Owner::new(Scope::Log), key, Place::ONLY))
            }
            _ => None,
        };
        if event.event.as_deref() == Some("") {
            event.event = None;
        }
        let mut draft = if is_of_node {
            Draft::of_node(event, &limits_of_node())?
        } else {
            Draft::new(event, limits)?
        };
        match (self.key, name) {
            (Some(RecordKey::Digests(key)), _) => draft.set_whole_key(key),
            (_, Some(name)) => draft.set_key(name),
            _ => {}
        }
        Ok(draft)
    }
}

/// Events of the node itself are not bounded by the limits on publishers, which would only suppress
/// them. Their size is bounded by that of a selector and of a token.
pub(super) fn limits_of_node() -> EventLimits {
    EventLimits {
        topic_bytes_max: usize::MAX,
        data_bytes_max: usize::MAX,
        kept: KeptMax::default(),
        ..EventLimits::default()
    }
}

/// An entry of the log, for [`Hub::apply`].
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its place.
    pub id: EventId,
    /// Its content.
    pub what: Item,
    /// A node has taken it from a publisher, who was told that it is published.
    pub is_promised: bool,
}

/// The content of an entry.
#[derive(Clone, Debug)]
pub enum Item {
    /// An event.
    Event(Record),
    /// The history of this topic is erased up to here.
    Erase(Box<str>),
    /// A marker of the log, which concerns no client.
    Pass,
    /// An entry that cannot be read as an event, with the reason. It is counted and passed over.
    Unreadable(String),
    /// An entry that is larger than a node reads. It is counted and passed over.
    TooLarge {
        /// Its topics, as far as they were read.
        topics: Vec<Box<str>>,
    },
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event was published, now or, if the receipt says so, before.
    Published(Receipt),
    /// The event has the idempotency key of another event, and was not published.
    Reused,
    /// So many events of a topic were erased.
    Erased(usize),
    /// Nothing was published.
    Passed,
}

/// The log cannot be reached, or refuses writes, or did not answer in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct Away {
    /// When to ask again.
    pub retry_after: Duration,
    /// What is wrong, for publishers and operators: `the log is away`, or what the log said. Holds
    /// no secret.
    pub why: String,
}

/// Why records were not appended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// They are certainly not in the log, and will not be.
    #[error("not published: {0}")]
    NotPublished(Away),
    /// They may be in the log, or may still come to be.
    #[error("may have been published: {0}")]
    Unknown(Away),
    /// Nothing was appended: the node was taken for dead, and others tell the ends of its
    /// subscribers. Only of [`Log::announce`].
    #[error("the node was taken for dead, and its subscribers for gone")]
    Reaped,
    /// The node has shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A place in the rosters of all nodes, in the order of the nodes' names and of UUIDs. It is the
/// same on every node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RosterPlace {
    /// In the roster of this node, or at the beginning of the next one.
    pub node: u64,
    /// Behind this subscriber, or at the beginning.
    pub after: Option<Uuid>,
}

/// A portion of the rosters.
#[derive(Clone, Debug, Default)]
pub struct RosterPage {
    /// The roster that they are of.
    pub node: u64,
    /// In order. May be none, although more follow.
    pub listed: Vec<Listed>,
    /// Where the next one begins; `None` at the end.
    pub next: Option<RosterPlace>,
}

/// How well the node follows the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It reads entries as they are written.
    Live {
        /// How long ago the tail was last at the newest entry.
        lag: Duration,
    },
    /// The log cannot be reached.
    Away {
        /// Since when.
        since: Instant,
    },
    /// It reads what was written before, at its start or after a pause.
    Refilling {
        /// Entries that are left, as far as is known.
        behind: u64,
    },
}

impl LogState {
    /// Whether the log has been away for so long. Zero = it never has.
    #[must_use]
    pub fn is_away_for(self, longest: Duration) -> bool {
        match self {
            Self::Away { since } => !longest.is_zero() && since.elapsed() >= longest,
            Self::Live { .. } | Self::Refilling { .. } => false,
        }
    }
}

/// A shared log, which orders the events of several nodes.
///
/// Each method answers within a time that the log bounds itself.
pub trait Log: Send + Sync + 'static {
    /// Appends records as one batch, all or nothing, and waits until this node has applied them:
    /// for each, the outcome that [`Hub::apply`] returned for it.
    ///
    /// A future that is dropped may or may not have appended.
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Vec<Outcome>, AppendError>>;

    /// Appends the starts and ends of this node's subscribers, and changes its roster, together.
    /// Otherwise as [`Log::append`].
    fn announce(
        &self,
        records: Vec<Record>,
        changes: Vec<RosterChange>,
    ) -> BoxFuture<'_, Result<Vec<Outcome>, AppendError>>;

    /// The subscribers of all nodes whose start was told, from a place on: a portion of some 500 KiB.
    fn roster(&self, from: RosterPlace) -> BoxFuture<'_, Result<RosterPage, Away>>;

    /// The subscriber with this UUID, on any node.
    fn subscriber(&self, id: Uuid) -> BoxFuture<'_, Result<Option<Listed>, Away>>;

    /// A digest of the entry `head`, the newest one that the node has applied, if it is known. Another
    /// process that goes on from there can tell by it that the log still has this entry.
    fn print_of(&self, head: EventId) -> Option<u64>;

    /// The name of this node's roster.
    fn roster_name(&self) -> u64;

    /// Erases the history of a topic on all nodes, and waits until this one has done so. Returns
    /// the number of events that it had.
    fn erase(&self, topic: &str) -> BoxFuture<'_, Result<usize, AppendError>>;

    /// The newest id of the log, asked after the call began.
    fn newest(&self) -> BoxFuture<'_, Result<EventId, Away>>;

    /// How well the node follows the log.
    fn state(&self) -> LogState;

    /// Whether an entry that this node has applied is known to be where its publisher is answered
    /// for it. If not, a repeat of its event is appended, as the first attempt was.
    fn is_confirmed(&self, _id: EventId) -> bool {
        true
    }
}

impl std::fmt::Display for RosterPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.node)?;
        match self.after {
            Some(after) => write!(f, ".{}", after.simple()),
            None => Ok(()),
        }
    }
}

impl std::str::FromStr for RosterPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (node, after) = match text.split_once('.') {
            Some((node, after)) => (node, Some(Uuid::try_parse(after).map_err(drop)?)),
            None => (text, None),
        };
        let is_name = node.len() == 16 && node.bytes().all(|byte| byte.is_ascii_hexdigit());
        let node = is_name.then(|| u64::from_str_radix(node, 16).ok());
        let node = node.flatten().ok_or(())?;
        Ok(Self { node, after })
    }
}

impl Hub {
    /// The limits on an event that the log brings. They are those on publishers, less what differs
    /// between nodes of one log without harm.
    pub(super) fn limits_of_log(&self) -> EventLimits {
        EventLimits {
            has_subscriber_keys: true,
            remembers_keys: true,
            ..self.event_limits().clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_log_is_away_for_so_long_unless_that_is_zero() {
        let hour = Duration::from_secs(3_600);
        let away = LogState::Away {
            since: Instant::now(),
        };
        assert!(!away.is_away_for(hour));
        assert!(!away.is_away_for(Duration::ZERO));
        while !away.is_away_for(Duration::from_nanos(1)) {}
        for state in [
            LogState::Live { lag: hour },
            LogState::Refilling { behind: 1 },
        ] {
            assert!(!state.is_away_for(Duration::from_nanos(1)), "{state:?}");
        }
    }

    fn event() -> impl Strategy<Value = Event<'static>> {
        let text = || "[ -~é\\u{feff}\\u{0}:]{0,12}";
        let data = "[a: \\r\\n\\u{0}é\\u{feff}]{0,20}";
        let own_id = of("[a-z][ -~é]{0,8}[a-z]");
        let retry = of(0..86_400_000_u64);
        let topics = prop::collection::vec("[ -~\\n]{1,9}", 1..4);
        let parts = (topics, data, of(text()), own_id, retry, any::<[bool; 2]>());
        parts.prop_map(|(topics, data, name, id, retry, [private, is_urn])| Event {
            topics: topics.into_iter().map(Into::into).collect(),
            data: data.into(),
            event: name.map(Into::into),
            id: id.map(Into::into),
            retry,
            private,
            id_form: if is_urn { IdForm::Urn } else { IdForm::Native },
            key: None,
        })
    }

    proptest! {
        /// Nodes would have different frames of one event.
        #[test]
        fn a_record_becomes_the_draft_that_it_was_made_of(event in event(), has_key: bool) {
            let limits = EventLimits::default();
            let Ok(mut draft) = Draft::new(event, &limits) else {
                return Ok(());
            };
            if has_key {
                let owner = Owner::new(Scope::Anyone);
                draft.set_key(Name::new(owner, "k", Place::ONLY));
            }
            let record = Record::of(&draft);
            let mut copy = record.clone().into_draft(&limits).expect("it is an event");
            prop_assert_eq!(Record::of(&copy), record);
            prop_assert_eq!(copy.key(), draft.key());
            prop_assert_eq!((copy.own_id(), copy.topics()), (draft.own_id(), draft.topics()));
            let id = EventId::new(7 << 30).marked(limits.mark);
            prop_assert_eq!(copy.stamp(id), draft.stamp(id));
        }
    }

    #[test]
    fn a_key_in_words_is_the_same_key_on_every_node_and_bound_to_its_event() {
        let record = |data: &str| Record {
            topics: vec!["a".into()],
            data: data.to_owned(),
            key: Some(RecordKey::Text("k".to_owned())),
            ..Record::default()
        };
        let key = |data| {
            let draft = record(data).into_draft(&EventLimits::default());
            *draft.expect("an event").key().expect("a key")
        };
        assert_eq!(key("x"), key("x"));
        assert_eq!(key("x").name, key("y").name);
        assert_ne!(key("x").content, key("y").content);
    }

    #[test]
    fn only_a_nodes_own_event_may_have_a_topic_of_the_node() {
        let record = |is_of_node| Record {
            topics: vec!["/.well-known/mercure/subscriptions/a".into()],
            is_of_node,
            ..Record::default()
        };
        let limits = EventLimits::default();
        assert!(record(false).into_draft(&limits).is_err());
        let draft = record(true).into_draft(&limits).expect("its own");
        assert!(Record::of(&draft).is_of_node);
    }
}
