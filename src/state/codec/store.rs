//! Rows of topics, events, patterns and grants.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::core::event::{EventId, OrderMark};
use crate::core::history::{
    EvictedRecord, Hole, HoleCause, ListenersRecord, OrderRecord, Record, SelectorId, ShardSet,
};
use crate::core::selector::Selector;
use crate::core::sse::Frame;

use super::{SelectorRow, Wrong, is_false, sorted_ids, with_number, words};

/// A record of topics and history.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) enum StoreRow<'a> {
    #[n(0)]
    Head {
        #[n(0)]
        birth: u64,
        #[n(1)]
        head: u64,
        #[n(2)]
        mark: u64,
        #[n(3)]
        forgotten: EvictedRow,
        #[n(4)]
        evicted: EvictedRow,
        #[n(5)]
        newest_pattern: u32,
        #[n(6)]
        #[cbor(skip_if = "Vec::is_empty")]
        holes: Vec<(u64, u64)>,
        #[n(7)]
        #[cbor(skip_if = "Vec::is_empty")]
        causes: Vec<u8>,
        #[n(8)]
        order_from: Option<u64>,
        #[n(9)]
        #[cbor(skip_if = "Vec::is_empty")]
        doubts: Vec<(u64, u64)>,
        #[n(10)]
        retracting: Option<u64>,
    },
    #[n(1)]
    Topic {
        #[n(0)]
        slot: u32,
        #[b(1)]
        name: &'a str,
        #[n(2)]
        evicted: EvictedRow,
        #[n(3)]
        #[cbor(skip_if = "is_false")]
        has_evicted: bool,
        #[n(4)]
        #[cbor(default)]
        listeners: ListenersRow,
        #[n(5)]
        #[cbor(skip_if = "Vec::is_empty")]
        matches: Vec<(u32, u32)>,
        #[n(6)]
        #[cbor(default)]
        matched_through: u32,
    },
    #[n(2)]
    Event {
        #[n(0)]
        id: u64,
        #[b(1)]
        #[cbor(with = "minicbor::bytes")]
        frame: &'a [u8],
        #[n(2)]
        #[cbor(skip_if = "is_false")]
        private: bool,
        #[b(3)]
        own_id: Option<&'a str>,
        #[n(4)]
        topics: Option<Vec<u32>>,
    },
    #[n(3)]
    Pattern {
        #[n(0)]
        slot: u32,
        #[n(1)]
        serial: u32,
        #[b(2)]
        selector: SelectorRow<'a>,
        #[n(3)]
        #[cbor(default)]
        listeners: ListenersRow,
        #[n(4)]
        evicted_since: EvictedRow,
        #[n(5)]
        evicted_before: EvictedRow,
        #[n(6)]
        forgotten_before: Option<EvictedRow>,
    },
    #[n(4)]
    Grant {
        #[n(0)]
        ids: Vec<u32>,
        #[n(1)]
        streams: u32,
    },
}

#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
pub(crate) struct EvictedRow {
    #[n(0)]
    any: u64,
    #[n(1)]
    public: u64,
}

#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
pub(crate) struct ListenersRow {
    #[n(0)]
    subscribers: u32,
    #[n(1)]
    granted: u32,
    #[n(2)]
    shards: u64,
}

impl From<EvictedRecord> for EvictedRow {
    fn from(record: EvictedRecord) -> Self {
        Self {
            any: record.any.get(),
            public: record.public.get(),
        }
    }
}

impl From<EvictedRow> for EvictedRecord {
    fn from(row: EvictedRow) -> Self {
        Self {
            any: EventId::new(row.any),
            public: EventId::new(row.public),
        }
    }
}

impl From<ListenersRecord> for ListenersRow {
    fn from(record: ListenersRecord) -> Self {
        Self {
            subscribers: record.subscribers,
            granted: record.granted,
            shards: record.shards.word(),
        }
    }
}

impl TryFrom<ListenersRow> for ListenersRecord {
    type Error = Wrong;

    fn try_from(row: ListenersRow) -> Result<Self, Wrong> {
        if row.granted > row.subscribers {
            return Err(Wrong::new("more streams have a grant than there are"));
        }
        Ok(Self {
            subscribers: row.subscribers,
            granted: row.granted,
            shards: ShardSet::from_word(row.shards),
        })
    }
}

impl<'a> From<&'a Record> for StoreRow<'a> {
    fn from(record: &'a Record) -> Self {
        match record {
            Record::Head {
                birth,
                head,
                mark,
                forgotten,
                evicted,
                newest_pattern,
                holes,
                order,
            } => Self::Head {
                birth: birth.get(),
                head: head.get(),
                mark: mark.bits(),
                forgotten: (*forgotten).into(),
                evicted: (*evicted).into(),
                newest_pattern: *newest_pattern,
                holes: hole_rows(holes),
                causes: cause_rows(holes),
                order_from: order.from.map(EventId::get),
                doubts: doubt_rows(&order.doubts),
                retracting: order.retracting.map(EventId::get),
            },
            Record::Topic {
                slot,
                name,
                evicted,
                has_evicted,
                listeners,
                matches,
                matched_through,
            } => Self::Topic {
                slot: *slot,
                name,
                evicted: (*evicted).into(),
                has_evicted: *has_evicted,
                listeners: (*listeners).into(),
                matches: matches.clone(),
                matched_through: *matched_through,
            },
            Record::Event {
                id,
                frame,
                own_id,
                topics,
            } => Self::Event {
                id: id.get(),
                frame: frame.chunked(),
                private: frame.is_private(),
                own_id: own_id.as_deref(),
                topics: topics.as_ref().map(|ids| words(ids)),
            },
            Record::Pattern {
                slot,
                serial,
                selector,
                listeners,
                evicted_since,
                evicted_before,
                forgotten_before,
            } => Self::Pattern {
                slot: *slot,
                serial: *serial,
                selector: selector.into(),
                listeners: (*listeners).into(),
                evicted_since: (*evicted_since).into(),
                evicted_before: (*evicted_before).into(),
                forgotten_before: forgotten_before.map(EvictedRow::from),
            },
            Record::Grant { ids, streams } => Self::Grant {
                ids: words(ids),
                streams: *streams,
            },
        }
    }
}

impl TryFrom<StoreRow<'_>> for Record {
    type Error = Wrong;

    fn try_from(row: StoreRow<'_>) -> Result<Self, Wrong> {
        Ok(match row {
            StoreRow::Head {
                birth,
                head,
                mark,
                forgotten,
                evicted,
                newest_pattern,
                holes: rows,
                causes,
                order_from,
                doubts,
                retracting,
            } => Self::Head {
                birth: EventId::new(birth),
                head: checked_head(head)?,
                mark: OrderMark::new(mark),
                forgotten: forgotten.into(),
                evicted: evicted.into(),
                newest_pattern,
                holes: holes(rows, &causes)?,
                order: OrderRecord {
                    from: order_from.map(EventId::new),
                    doubts: ranges(doubts),
                    retracting: retracting.map(EventId::new),
                },
            },
            StoreRow::Topic {
                slot,
                name,
                evicted,
                has_evicted,
                listeners,
                matches,
                matched_through,
            } => Self::Topic {
                slot: checked_slot(slot)?,
                name: checked_name(name)?.into(),
                evicted: evicted.into(),
                has_evicted,
                listeners: listeners.try_into()?,
                matches,
                matched_through,
            },
            StoreRow::Event {
                id,
                frame,
                private,
                own_id,
                topics,
            } => Self::Event {
                id: EventId::new(id),
                frame: checked_frame(frame, private)?,
                own_id: own_id.map(checked_own_id).transpose()?.map(Into::into),
                topics: topics.map(|ids| ids.into_iter().map(SelectorId).collect()),
            },
            StoreRow::Pattern {
                slot,
                serial,
                selector,
                listeners,
                evicted_since,
                evicted_before,
                forgotten_before,
            } => Self::Pattern {
                slot: checked_slot(slot)?,
                serial,
                selector: pattern(selector)?,
                listeners: listeners.try_into()?,
                evicted_since: evicted_since.into(),
                evicted_before: evicted_before.into(),
                forgotten_before: forgotten_before.map(EvictedRecord::from),
            },
            StoreRow::Grant { ids, streams } => Self::Grant {
                ids: sorted_ids(&ids)?,
                streams,
            },
        })
    }
}

fn doubt_rows(doubts: &[(EventId, EventId)]) -> Vec<(u64, u64)> {
    let rows = doubts.iter();
    rows.map(|(after, before)| (after.get(), before.get()))
        .collect()
}

fn ranges(rows: Vec<(u64, u64)>) -> Vec<(EventId, EventId)> {
    let ranges = rows.into_iter();
    ranges
        .map(|(after, before)| (EventId::new(after), EventId::new(before)))
        .collect()
}

/// The ends of holes.
pub(super) fn hole_rows(holes: &[Hole]) -> Vec<(u64, u64)> {
    let rows = holes.iter();
    rows.map(|hole| (hole.after.get(), hole.through.get()))
        .collect()
}

/// The causes of holes; none if all are crashes, as those of earlier versions are.
pub(super) fn cause_rows(holes: &[Hole]) -> Vec<u8> {
    if holes.iter().all(|hole| hole.cause == HoleCause::Crash) {
        return Vec::new();
    }
    holes.iter().map(|hole| hole.cause as u8).collect()
}

pub(super) fn holes(rows: Vec<(u64, u64)>, causes: &[u8]) -> Result<Vec<Hole>, Wrong> {
    let cause = |number: usize| match causes.get(number) {
        None => Ok(HoleCause::Crash),
        Some(cause) => with_number(
            u32::from(*cause),
            &HoleCause::ALL,
            |cause| cause as u32,
            "cause of a hole",
        ),
    };
    let hole = |(number, (after, through))| {
        Ok(Hole {
            after: EventId::new(after),
            through: EventId::new(through),
            cause: cause(number)?,
        })
    };
    rows.into_iter().enumerate().map(hole).collect()
}

/// Ids that have to be left above the newest one.
const IDS_LEFT_MIN: u64 = 1 << 32;

pub(super) fn checked_head(word: u64) -> Result<EventId, Wrong> {
    if word <= u64::MAX - IDS_LEFT_MIN {
        Ok(EventId::new(word))
    } else {
        Err(Wrong::new("the newest id leaves no room for others"))
    }
}

fn checked_slot(slot: u32) -> Result<u32, Wrong> {
    if SelectorId(slot).is_pattern() {
        return Err(Wrong(format!("no slot has the number {slot}")));
    }
    Ok(slot)
}

/// Topics of the node itself are longer than those of publishers may be.
pub(super) fn checked_name(name: &str) -> Result<&str, Wrong> {
    crate::core::topic::check(name, usize::MAX).map_err(|error| Wrong(error.to_string()))?;
    Ok(name)
}

pub(super) fn checked_frame(bytes: &[u8], private: bool) -> Result<Frame, Wrong> {
    let frame = Frame::from_chunked(Bytes::copy_from_slice(bytes), private);
    frame.map_err(|error| Wrong(error.to_string()))
}

pub(super) fn checked_own_id(id: &str) -> Result<&str, Wrong> {
    if id.is_empty() || id.chars().any(char::is_control) {
        return Err(Wrong::new("an event has an id that no publisher may give"));
    }
    Ok(id)
}

fn pattern(row: SelectorRow<'_>) -> Result<Selector, Wrong> {
    let selector = Selector::try_from(row)?;
    if selector.is_exact() {
        return Err(Wrong::new("a pattern is the name of a topic"));
    }
    Ok(selector)
}
