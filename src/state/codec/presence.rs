//! Rows of announced streams.

use std::net::IpAddr;

use minicbor::{Decode, Encode};

use crate::core::presence::{PresenceRecord, SubscriberRecord};

use super::{SelectorRow, Wrong, is_false, selector_rows, selectors};

/// A record of announced streams.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) enum PresenceRow<'a> {
    #[n(0)]
    Head {
        #[n(0)]
        version: u64,
        #[n(1)]
        next_number: u64,
    },
    #[n(1)]
    Stream {
        #[n(0)]
        number: u64,
        #[b(1)]
        subscriber: SubscriberRow<'a>,
    },
    #[n(2)]
    Change {
        #[n(0)]
        number: u64,
        #[n(1)]
        #[cbor(skip_if = "is_false")]
        active: bool,
        #[b(2)]
        subscriber: SubscriberRow<'a>,
    },
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct SubscriberRow<'a> {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    id: [u8; 16],
    #[b(1)]
    selectors: Vec<SelectorRow<'a>>,
    #[b(2)]
    payload: Option<&'a str>,
    #[n(3)]
    client: IpAddr,
    #[n(4)]
    #[cbor(skip_if = "is_false")]
    is_known: bool,
}

impl<'a> From<&'a PresenceRecord> for PresenceRow<'a> {
    fn from(record: &'a PresenceRecord) -> Self {
        match record {
            PresenceRecord::Head {
                version,
                next_number,
            } => Self::Head {
                version: *version,
                next_number: *next_number,
            },
            PresenceRecord::Stream(number, subscriber) => Self::Stream {
                number: *number,
                subscriber: subscriber.into(),
            },
            PresenceRecord::Change(number, active, subscriber) => Self::Change {
                number: *number,
                active: *active,
                subscriber: subscriber.into(),
            },
        }
    }
}

impl<'a> From<&'a SubscriberRecord> for SubscriberRow<'a> {
    fn from(record: &'a SubscriberRecord) -> Self {
        Self {
            id: record.id.to_be_bytes(),
            selectors: selector_rows(&record.selectors),
            payload: record.payload.as_deref(),
            client: record.client,
            is_known: record.is_known,
        }
    }
}

impl TryFrom<PresenceRow<'_>> for PresenceRecord {
    type Error = Wrong;

    fn try_from(row: PresenceRow<'_>) -> Result<Self, Wrong> {
        Ok(match row {
            PresenceRow::Head {
                version,
                next_number,
            } => Self::Head {
                version,
                next_number: countable(next_number)?,
            },
            PresenceRow::Stream { number, subscriber } => {
                Self::Stream(countable(number)?, subscriber.try_into()?)
            }
            PresenceRow::Change {
                number,
                active,
                subscriber,
            } => Self::Change(countable(number)?, active, subscriber.try_into()?),
        })
    }
}

impl TryFrom<SubscriberRow<'_>> for SubscriberRecord {
    type Error = Wrong;

    fn try_from(row: SubscriberRow<'_>) -> Result<Self, Wrong> {
        if let Some(payload) = row.payload {
            serde_json::from_str::<serde::de::IgnoredAny>(payload)
                .map_err(|error| Wrong(format!("a payload is no JSON: {error}")))?;
        }
        Ok(Self {
            id: u128::from_be_bytes(row.id),
            selectors: selectors(row.selectors)?,
            payload: row.payload.map(Into::into),
            client: row.client,
            is_known: row.is_known,
        })
    }
}

/// Numbers are counted up from these.
fn countable(number: u64) -> Result<u64, Wrong> {
    if number >> 63 == 0 {
        Ok(number)
    } else {
        Err(Wrong::new("a number leaves no room for others"))
    }
}
