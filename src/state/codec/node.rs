//! Rows of the node, of counters and of key sets.

use minicbor::{Decode, Encode};

use super::super::{CounterRecord, KeySetRecord, NodeRecord};

/// The node as a whole.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct NodeRow<'a> {
    #[b(0)]
    #[cbor(default)]
    program: &'a str,
    #[n(1)]
    #[cbor(default)]
    written_unix_ms: u64,
    #[n(2)]
    #[cbor(default)]
    started_unix_ms: u64,
    #[n(3)]
    #[cbor(default)]
    resp_accepted: u64,
    #[b(4)]
    #[cbor(with = "minicbor::bytes", skip_if = "<[u8]>::is_empty")]
    resp_proof_key: &'a [u8],
    #[n(5)]
    #[cbor(default)]
    generation: u64,
    #[n(6)]
    state_lock: Option<u32>,
    #[n(7)]
    roster: Option<u64>,
    #[n(8)]
    log_print: Option<u64>,
}

/// A counter.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct CounterRow<'a> {
    #[b(0)]
    pub(crate) name: &'a str,
    #[n(1)]
    pub(crate) value: u64,
}

/// A key set.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct KeySetRow<'a> {
    #[b(0)]
    pub(crate) url: &'a str,
    #[b(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) text: &'a [u8],
}

impl<'a> From<&'a NodeRecord> for NodeRow<'a> {
    fn from(record: &'a NodeRecord) -> Self {
        Self {
            program: &record.program,
            written_unix_ms: record.written_unix_ms,
            started_unix_ms: record.started_unix_ms,
            resp_accepted: record.resp_accepted,
            resp_proof_key: &record.resp_proof_key,
            generation: record.generation,
            state_lock: record.state_lock,
            roster: record.roster,
            log_print: record.log_print,
        }
    }
}

impl From<NodeRow<'_>> for NodeRecord {
    fn from(row: NodeRow<'_>) -> Self {
        Self {
            program: row.program.into(),
            written_unix_ms: row.written_unix_ms,
            started_unix_ms: row.started_unix_ms,
            resp_accepted: row.resp_accepted,
            resp_proof_key: row.resp_proof_key.into(),
            generation: row.generation,
            state_lock: row.state_lock,
            roster: row.roster,
            log_print: row.log_print,
        }
    }
}

impl From<CounterRow<'_>> for CounterRecord {
    fn from(row: CounterRow<'_>) -> Self {
        Self {
            name: row.name.into(),
            value: row.value,
        }
    }
}

impl From<KeySetRow<'_>> for KeySetRecord {
    fn from(row: KeySetRow<'_>) -> Self {
        Self {
            url: row.url.into(),
            text: row.text.into(),
        }
    }
}
