//! The values of a snapshot.

use thiserror::Error;

use super::{Hole, SelectorIds, ShardSet};
use crate::core::event::{EventId, OrderMark};
use crate::core::selector::Selector;
use crate::core::sse::Frame;

/// The ids of the last events that are no longer kept: of all, and of public ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvictedRecord {
    /// Of all events.
    pub any: EventId,
    /// Of public ones.
    pub public: EventId,
}

/// The streams that subscribe by one selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenersRecord {
    /// Their number.
    pub subscribers: u32,
    /// Those of them that have a grant.
    pub granted: u32,
    /// Their shards.
    pub shards: ShardSet,
}

/// What a log has done to the order of a store. Empty without a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderRecord {
    /// The lowest id of the order, if that is not the node's start.
    pub from: Option<EventId>,
    /// Ranges of ids that are no places, by rising ids; without their ends.
    pub doubts: Vec<(EventId, EventId)>,
    /// Events above this id that are in a hole are yet to be removed.
    pub retracting: Option<EventId>,
}

/// One value of a snapshot. They come in the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The store itself. Comes first, once.
    Head {
        /// The id of the node's start.
        birth: EventId,
        /// The newest id given, or that of the node's start.
        head: EventId,
        /// Of the ids that it gives.
        mark: OrderMark,
        /// Latest bound on evictions of topics that have since been deleted.
        forgotten: EvictedRecord,
        /// The newest events that were evicted from any topic.
        evicted: EvictedRecord,
        /// Serial number of the youngest pattern so far.
        newest_pattern: u32,
        /// Its holes, by rising ids.
        holes: Vec<Hole>,
        /// What the log has done to its order.
        order: OrderRecord,
    },
    /// A topic, by rising slots.
    Topic {
        /// Its slot.
        slot: u32,
        /// Its name.
        name: Box<str>,
        /// Its evictions.
        evicted: EvictedRecord,
        /// Whether it has evicted an event of its own.
        has_evicted: bool,
        /// Its streams.
        listeners: ListenersRecord,
        /// The known patterns that match it: slots and serial numbers.
        matches: Vec<(u32, u32)>,
        /// Serial number of the youngest pattern that `matches` accounts for.
        matched_through: u32,
    },
    /// An event of the topic before it, the oldest first.
    Event {
        /// Its id.
        id: EventId,
        /// Its bytes, and whether it is private.
        frame: Frame,
        /// The publisher's own id.
        own_id: Option<Box<str>>,
        /// All topics of a private event that has several.
        topics: Option<SelectorIds>,
    },
    /// A pattern, by rising slots.
    Pattern {
        /// Its slot.
        slot: u32,
        /// Its serial number.
        serial: u32,
        /// The pattern.
        selector: Selector,
        /// Its streams.
        listeners: ListenersRecord,
        /// Evictions from its topics since its creation.
        evicted_since: EvictedRecord,
        /// A bound on evictions from them before.
        evicted_before: EvictedRecord,
        /// Evictions of topics that have been deleted; `None` once the bound is exact.
        forgotten_before: Option<EvictedRecord>,
    },
    /// A grant.
    Grant {
        /// Its ids, sorted.
        ids: SelectorIds,
        /// Streams that share it.
        streams: u32,
    },
}

impl Record {
    /// The same record without shards: those of another process may have other numbers. Each stream
    /// adds its shard again when it is reseated.
    #[must_use]
    pub fn without_shards(mut self) -> Self {
        if let Self::Topic { listeners, .. } | Self::Pattern { listeners, .. } = &mut self {
            listeners.shards = ShardSet::default();
        }
        self
    }
}

/// Records that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// A record in a wrong place.
    #[error("the records of a snapshot are not in their order")]
    Order,
    /// A record names a topic or pattern that does not exist.
    #[error("a record of a snapshot names a topic or pattern that it does not have")]
    Unknown,
    /// A topic has a name that no topic may have.
    #[error("a record of a snapshot has a name that no topic may have")]
    Name,
    /// Ids that do not rise, or that are above the snapshot's newest.
    #[error("the ids of a snapshot do not fit together")]
    Ids,
    /// The streams are not those that are counted.
    #[error("the streams of a snapshot are not those that its topics and grants count")]
    Counts,
}
