//! Rows of parked streams.

use std::net::IpAddr;

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::core::delivery::{GuardRecord, Identity, LaggingRecord, PatternsRecord, StreamRecord};
use crate::core::event::EventId;
use crate::core::history::{SelectorId, SlowConsumerPolicy, Wanted};
use crate::core::sse::{Encoding, Text, Wrap};

use super::super::shared_bytes::SharedBytes;
use super::{
    SelectorRow, Wrong, is_false, is_zero, selector_rows, selectors, sorted_ids, with_number, words,
};

/// Bytes that several streams share. Streams name them by their number.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct BytesRow<'a> {
    #[b(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) bytes: &'a [u8],
}

/// A parked stream.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct StreamRow<'a> {
    #[n(0)]
    descriptor: u32,
    #[n(1)]
    client: Option<IpAddr>,
    /// Coding of the text.
    #[n(2)]
    #[cbor(default)]
    text: u32,
    /// Wrapping of the text.
    #[n(3)]
    #[cbor(default)]
    wrap: u32,
    #[b(4)]
    subject: Option<&'a str>,
    #[n(5)]
    forwarded: Option<IpAddr>,
    #[n(6)]
    announced: Option<u64>,
    #[b(7)]
    patterns: Option<PatternsRow<'a>>,
    #[n(8)]
    #[cbor(skip_if = "is_zero")]
    memory_bytes: u64,
    /// Ids of topics and patterns, with their policies.
    #[n(9)]
    wanted: Vec<(u32, u32)>,
    #[n(10)]
    grant: Option<Vec<u32>>,
    #[n(11)]
    ends_unix_ms: Option<u64>,
    #[n(12)]
    cursor: u64,
    #[n(13)]
    #[cbor(skip_if = "is_zero")]
    bytes: u64,
    #[n(14)]
    #[cbor(skip_if = "is_zero")]
    age_s: u64,
    #[b(15)]
    lagging: Option<LaggingRow<'a>>,
    #[n(16)]
    #[cbor(skip_if = "is_zero")]
    stuck_ms: u64,
    /// Each event begins with a line that names its topic.
    #[n(17)]
    #[cbor(skip_if = "is_false")]
    has_topics: bool,
    /// Heartbeats are events.
    #[n(18)]
    #[cbor(skip_if = "is_false")]
    has_heartbeat_events: bool,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct PatternsRow<'a> {
    #[n(0)]
    client: IpAddr,
    #[b(1)]
    patterns: Vec<SelectorRow<'a>>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct LaggingRow<'a> {
    /// Number of the shared bytes whose end the remainder is.
    #[n(0)]
    shared: Option<u32>,
    /// Length of the remainder.
    #[n(1)]
    #[cbor(skip_if = "is_zero")]
    remainder_bytes: u64,
    #[n(2)]
    #[cbor(skip_if = "is_zero")]
    frame_bytes: u64,
    #[b(3)]
    #[cbor(with = "minicbor::bytes")]
    farewell: Option<&'a [u8]>,
    #[n(4)]
    #[cbor(skip_if = "is_zero")]
    told_through: u64,
    #[b(5)]
    unknown: Option<&'a str>,
    #[n(6)]
    #[cbor(skip_if = "is_false")]
    resuming: bool,
    #[n(7)]
    #[cbor(skip_if = "is_false")]
    conflate: bool,
}

impl<'a> StreamRow<'a> {
    pub(crate) fn new(record: &'a StreamRecord, shared: &SharedBytes) -> Self {
        let wanted = record.wanted.iter();
        let lagging = record.lagging.as_ref();
        Self {
            descriptor: record.descriptor,
            client: record.client,
            text: match record.encoding.text() {
                Text::Identity => 0,
            },
            wrap: match record.encoding.wrap() {
                Wrap::Chunked => 0,
                Wrap::Bare => 1,
            },
            subject: record.identity.subject.as_deref(),
            forwarded: record.identity.forwarded,
            announced: record.guard.announced,
            patterns: record.guard.patterns.as_ref().map(|record| PatternsRow {
                client: record.client,
                patterns: selector_rows(&record.patterns),
            }),
            memory_bytes: record.guard.memory_bytes as u64,
            wanted: wanted
                .map(|wanted| (wanted.selector.0, policy_number(wanted.policy)))
                .collect(),
            grant: record.grant.as_ref().map(|ids| words(ids)),
            ends_unix_ms: record.ends_unix_ms,
            cursor: record.cursor.get(),
            bytes: record.bytes,
            age_s: record.age_s,
            lagging: lagging.map(|lagging| LaggingRow::new(lagging, shared)),
            stuck_ms: record.stuck_ms,
            has_topics: record.encoding.has_topics(),
            has_heartbeat_events: record.encoding.has_heartbeat_events(),
        }
    }

    pub(crate) fn record(self, shared: &[Bytes]) -> Result<StreamRecord, Wrong> {
        let patterns = self.patterns.map(|row| {
            Ok::<_, Wrong>(PatternsRecord {
                client: row.client,
                patterns: selectors(row.patterns)?,
            })
        });
        let wanted = self.wanted.iter().map(|(id, number)| {
            Ok(Wanted {
                selector: SelectorId(*id),
                policy: policy(*number)?,
            })
        });
        let wanted: Box<[Wanted]> = wanted.collect::<Result<_, Wrong>>()?;
        if wanted.is_empty() {
            return Err(Wrong::new("a stream has no topics"));
        }
        let mut encoding = encoding(self.text, self.wrap)?;
        if self.has_topics {
            encoding = encoding.with_topics();
        }
        if self.has_heartbeat_events {
            encoding = encoding.with_heartbeat_events();
        }
        let grant = self.grant.map(|ids| sorted_ids(&ids));
        let lagging = self.lagging.map(|row| row.record(shared));
        Ok(StreamRecord {
            descriptor: self.descriptor,
            client: self.client,
            encoding,
            identity: Identity {
                subject: self.subject.map(Into::into),
                forwarded: self.forwarded,
            },
            guard: GuardRecord {
                announced: self.announced,
                patterns: patterns.transpose()?,
                memory_bytes: size(self.memory_bytes)?,
            },
            wanted,
            grant: grant.transpose()?,
            ends_unix_ms: self.ends_unix_ms,
            cursor: EventId::new(self.cursor),
            bytes: self.bytes,
            age_s: self.age_s,
            lagging: lagging.transpose()?,
            stuck_ms: self.stuck_ms,
        })
    }
}

impl<'a> LaggingRow<'a> {
    fn new(record: &'a LaggingRecord, shared: &SharedBytes) -> Self {
        Self {
            shared: shared.number_of(&record.remainder),
            remainder_bytes: record.remainder.len() as u64,
            frame_bytes: record.frame_bytes as u64,
            farewell: record.farewell.as_deref(),
            told_through: record.told_through.get(),
            unknown: record.unknown.as_deref(),
            resuming: record.resuming,
            conflate: record.conflate,
        }
    }

    fn record(self, shared: &[Bytes]) -> Result<LaggingRecord, Wrong> {
        Ok(LaggingRecord {
            remainder: remainder(self.shared, self.remainder_bytes, shared)?,
            frame_bytes: size(self.frame_bytes)?,
            farewell: self.farewell.map(Bytes::copy_from_slice),
            told_through: EventId::new(self.told_through),
            unknown: self.unknown.map(Into::into),
            resuming: self.resuming,
            conflate: self.conflate,
        })
    }
}

/// The last `length` of the shared bytes with a number.
fn remainder(number: Option<u32>, length: u64, shared: &[Bytes]) -> Result<Bytes, Wrong> {
    let Some(number) = number else {
        let is_empty = (length == 0).then(Bytes::new);
        return is_empty.ok_or_else(|| Wrong::new("a remainder has no bytes"));
    };
    let found = shared.get(number as usize);
    let found = found.ok_or_else(|| Wrong(format!("there are no shared bytes {number}")))?;
    let start = usize::try_from(length).ok();
    let start = start.and_then(|length| found.len().checked_sub(length));
    let start = start.ok_or_else(|| Wrong::new("a remainder is longer than its frame"))?;
    Ok(found.slice(start..))
}

/// A size that is charged to an account, whose sum must not overflow.
fn size(bytes: u64) -> Result<usize, Wrong> {
    let size = usize::try_from(bytes).ok();
    size.filter(|size| *size <= SIZE_MAX)
        .ok_or_else(|| Wrong(format!("nothing has {bytes} bytes")))
}

/// Larger than anything that a stream holds.
const SIZE_MAX: usize = u32::MAX as usize;

fn encoding(text: u32, wrap: u32) -> Result<Encoding, Wrong> {
    match (text, wrap) {
        (0, 0) => Ok(Encoding::CHUNKED),
        (0, 1) => Ok(Encoding::BARE),
        _ => Err(Wrong(format!("unknown encoding {text}, {wrap}"))),
    }
}

fn policy_number(policy: SlowConsumerPolicy) -> u32 {
    match policy {
        SlowConsumerPolicy::Disconnect => 0,
        SlowConsumerPolicy::Skip => 1,
        SlowConsumerPolicy::Latest => 2,
    }
}

fn policy(number: u32) -> Result<SlowConsumerPolicy, Wrong> {
    let all = [
        SlowConsumerPolicy::Disconnect,
        SlowConsumerPolicy::Skip,
        SlowConsumerPolicy::Latest,
    ];
    with_number(number, &all, policy_number, "policy")
}
