//! Rows of a history file. Topics are named: a history has no slots.

use minicbor::{Decode, Encode};

use crate::core::event::{EventId, OrderMark};
use crate::core::history::{HistoryEvent, HistoryHead, HistoryRecord};

use super::store::{
    EvictedRow, cause_rows, checked_frame, checked_head, checked_name, checked_own_id, hole_rows,
    holes,
};
use super::{Wrong, is_false};

/// A record of a history.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) enum HistoryRow<'a> {
    #[n(0)]
    Topic {
        #[b(0)]
        name: &'a str,
    },
    #[n(1)]
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
        #[b(4)]
        topics: Option<Vec<&'a str>>,
    },
    #[n(2)]
    TopicEnd {
        #[n(0)]
        evicted: EvictedRow,
        #[n(1)]
        #[cbor(skip_if = "is_false")]
        has_evicted: bool,
    },
    #[n(3)]
    TopicGone,
    #[n(4)]
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
        #[cbor(skip_if = "Vec::is_empty")]
        holes: Vec<(u64, u64)>,
        #[n(5)]
        #[cbor(skip_if = "Vec::is_empty")]
        causes: Vec<u8>,
    },
}

impl<'a> HistoryRow<'a> {
    /// The row of a record; `None` for keys, which have rows and a section of their own.
    pub(crate) fn of(record: &'a HistoryRecord) -> Option<Self> {
        Some(match record {
            HistoryRecord::Keys(_) => return None,
            HistoryRecord::Topic { name } => Self::Topic { name },
            HistoryRecord::Event(event) => Self::Event {
                id: event.id.get(),
                frame: event.frame.chunked(),
                private: event.frame.is_private(),
                own_id: event.own_id.as_deref(),
                topics: event
                    .topics
                    .as_ref()
                    .map(|topics| topics.iter().map(AsRef::as_ref).collect()),
            },
            HistoryRecord::TopicEnd {
                evicted,
                has_evicted,
            } => Self::TopicEnd {
                evicted: (*evicted).into(),
                has_evicted: *has_evicted,
            },
            HistoryRecord::TopicGone => Self::TopicGone,
            HistoryRecord::Head(head) => Self::Head {
                birth: head.birth.get(),
                head: head.head.get(),
                mark: head.mark.bits(),
                forgotten: head.forgotten.into(),
                holes: hole_rows(&head.holes),
                causes: cause_rows(&head.holes),
            },
        })
    }
}

impl TryFrom<HistoryRow<'_>> for HistoryRecord {
    type Error = Wrong;

    fn try_from(row: HistoryRow<'_>) -> Result<Self, Wrong> {
        Ok(match row {
            HistoryRow::Topic { name } => Self::Topic {
                name: checked_name(name)?.into(),
            },
            HistoryRow::Event {
                id,
                frame,
                private,
                own_id,
                topics,
            } => Self::Event(HistoryEvent {
                id: EventId::new(id),
                frame: checked_frame(frame, private)?,
                own_id: own_id.map(checked_own_id).transpose()?.map(Into::into),
                topics: topics.map(names).transpose()?,
            }),
            HistoryRow::TopicEnd {
                evicted,
                has_evicted,
            } => Self::TopicEnd {
                evicted: evicted.into(),
                has_evicted,
            },
            HistoryRow::TopicGone => Self::TopicGone,
            HistoryRow::Head {
                birth,
                head,
                mark,
                forgotten,
                holes: rows,
                causes,
            } => Self::Head(HistoryHead {
                birth: EventId::new(birth),
                head: checked_head(head)?,
                mark: OrderMark::new(mark),
                forgotten: forgotten.into(),
                holes: holes(rows, &causes)?,
            }),
        })
    }
}

fn names(names: Vec<&str>) -> Result<Vec<Box<str>>, Wrong> {
    let names = names.into_iter().map(checked_name);
    names.map(|name| name.map(Into::into)).collect()
}
