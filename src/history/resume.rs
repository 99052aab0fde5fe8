//! Where a returning client goes on.

use std::fmt;

use crate::event::EventId;

use super::{Store, topics::Topic};

/// The word with which a client asks for everything there is, and with which it is told that nothing came before.
const EARLIEST: &str = "earliest";

/// The id of the event before the first one that a stream is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastEventId {
    /// The cursor that the client sent: nothing is missing after it.
    Asked(String),
    /// An event of this node.
    Id(EventId),
    /// There is none: the stream gets all there is.
    Earliest,
}

impl fmt::Display for LastEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(cursor) => f.write_str(cursor),
            Self::Id(id) => id.fmt(f),
            Self::Earliest => f.write_str(EARLIEST),
        }
    }
}

/// Where a stream starts, worked out from the cursor that its client sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Value of the `Last-Event-ID` response header; `None` when the request had no cursor.
    pub last_event_id: Option<LastEventId>,
    /// Replay from here; `None` = live from now.
    pub(crate) cursor: Option<EventId>,
    /// Losses up to here are no news to the client (it asked for `earliest`), or are told through `unknown`.
    pub(crate) told_through: EventId,
    /// The cursor as it was sent, when this node does not know it.
    pub(crate) unknown: Option<Box<str>>,
}

impl Store {
    /// Finds where a stream on `names` starts whose client sent `cursor`: `earliest`, an id of this node, or a publisher's own id.
    /// Never fails: what is unknown or gone becomes a gap that the stream is told.
    #[must_use]
    pub fn resolve<'n>(&self, names: impl Iterator<Item = &'n str> + Clone, cursor: &str) -> Start {
        let topics = || {
            names
                .clone()
                .filter_map(|name| self.topics.find(name))
                .map(|index| self.topics.get(index))
        };
        let exists_all = names.clone().all(|name| self.topics.find(name).is_some());
        // A topic that does not exist may have existed; what it had evicted is bounded by what is forgotten.
        let forgotten = if exists_all {
            EventId::ZERO
        } else {
            self.forgotten_through
        };
        let lost_through = topics()
            .map(|topic| topic.evicted_through)
            .max()
            .unwrap_or_default()
            .max(forgotten);

        if cursor == EARLIEST {
            return Start::from_the_beginning(lost_through, None);
        }
        // The publisher's ids first: one of them may look like ours. The lowest match loses nothing.
        let own = topics()
            .filter_map(|topic| topic.log.as_ref()?.find_own_id(cursor))
            .min();
        let known = own
            .or_else(|| cursor.parse().ok())
            .or_else(|| EventId::from_urn(cursor, self.node))
            .filter(|id| *id <= self.head);
        let Some(id) = known else {
            return Start::from_the_beginning(lost_through, Some(cursor.into()));
        };
        let last_event_id = if lost_through > id {
            self.before_first(topics(), id)
                .map_or(LastEventId::Earliest, LastEventId::Id)
        } else {
            LastEventId::Asked(cursor.to_owned())
        };
        Start {
            last_event_id: Some(last_event_id),
            cursor: Some(id),
            told_through: EventId::ZERO,
            unknown: None,
        }
    }

    /// Whether a stream that starts there has nothing to read and nothing to be told, and is live from now on just as well.
    #[must_use]
    pub fn nothing_after<'n>(
        &self,
        start: &Start,
        mut names: impl Iterator<Item = &'n str>,
    ) -> bool {
        let Some(cursor) = start.cursor else {
            return true;
        };
        start.unknown.is_none()
            && names.all(|name| {
                let Some(index) = self.topics.find(name) else {
                    return false;
                };
                let topic = self.topics.get(index);
                let seen = cursor.max(start.told_through);
                topic.evicted_through <= seen
                    && topic
                        .log
                        .as_ref()
                        .and_then(|log| log.last_id())
                        .is_none_or(|last| last <= cursor)
            })
    }

    /// The last evicted event before the first one that a reader at `cursor` will get.
    fn before_first<'t>(
        &self,
        topics: impl Iterator<Item = &'t Topic> + Clone,
        cursor: EventId,
    ) -> Option<EventId> {
        let first = topics
            .clone()
            .filter_map(|topic| {
                let log = topic.log.as_ref()?;
                log.get(log.position_after(cursor)).map(|entry| entry.id)
            })
            .min()?;
        topics
            .map(|topic| topic.evicted_through)
            .filter(|evicted| *evicted < first)
            .max()
    }
}

impl Start {
    /// Whether the stream asked for nothing but what is new.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.cursor.is_none()
    }

    fn from_the_beginning(told_through: EventId, unknown: Option<Box<str>>) -> Self {
        Self {
            last_event_id: Some(LastEventId::Earliest),
            cursor: Some(EventId::ZERO),
            told_through,
            unknown,
        }
    }
}
