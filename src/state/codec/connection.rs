//! Rows of listening sockets and of connections that are no streams.

use minicbor::{Decode, Encode};

use super::super::{HttpRecord, ListenerRecord, MutedReplies, Port, RespRecord, RespUserRecord};
use super::{Wrong, is_false, is_zero, with_number};

/// A listening socket. Its address is text, which also has the interface of an IPv6 address.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ListenerRow {
    #[n(0)]
    port: u32,
    #[n(1)]
    descriptor: u32,
    #[n(2)]
    address: String,
}

/// An HTTP connection that is no stream.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct HttpRow<'a> {
    #[n(0)]
    port: u32,
    #[n(1)]
    descriptor: u32,
    #[b(2)]
    #[cbor(with = "minicbor::bytes", skip_if = "<[u8]>::is_empty")]
    read_ahead: &'a [u8],
    #[n(3)]
    #[cbor(skip_if = "is_false")]
    asked: bool,
    #[n(4)]
    #[cbor(skip_if = "is_zero")]
    waited_ms: u64,
}

/// A connection of the ingest port.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct RespRow<'a> {
    #[n(0)]
    descriptor: u32,
    #[n(1)]
    id: u64,
    #[b(2)]
    user: Option<RespUserRow<'a>>,
    #[n(3)]
    #[cbor(skip_if = "is_false")]
    resp3: bool,
    #[n(4)]
    #[cbor(default)]
    muted: u32,
    #[b(5)]
    #[cbor(skip_if = "str::is_empty")]
    name: &'a str,
    #[b(6)]
    #[cbor(skip_if = "str::is_empty")]
    library: &'a str,
    #[b(7)]
    #[cbor(skip_if = "str::is_empty")]
    library_version: &'a str,
    #[b(8)]
    #[cbor(with = "minicbor::bytes", skip_if = "<[u8]>::is_empty")]
    read_ahead: &'a [u8],
    #[n(9)]
    #[cbor(skip_if = "is_zero")]
    age_ms: u64,
    #[n(10)]
    #[cbor(skip_if = "is_zero")]
    idle_ms: u64,
    #[n(11)]
    stranger_ms: Option<u64>,
    #[n(12)]
    unfinished_ms: Option<u64>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct RespUserRow<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    #[cbor(with = "minicbor::bytes")]
    proof: &'a [u8],
}

fn muted_number(muted: MutedReplies) -> u32 {
    match muted {
        MutedReplies::None => 0,
        MutedReplies::All => 1,
        MutedReplies::Next => 2,
    }
}

fn muted(number: u32) -> Result<MutedReplies, Wrong> {
    let all = [MutedReplies::None, MutedReplies::All, MutedReplies::Next];
    with_number(number, &all, muted_number, "muting of replies")
}

fn port_number(port: Port) -> u32 {
    match port {
        Port::Public => 0,
        Port::Admin => 1,
        Port::Ingest => 2,
    }
}

fn port(number: u32) -> Result<Port, Wrong> {
    let all = [Port::Public, Port::Admin, Port::Ingest];
    with_number(number, &all, port_number, "listener")
}

impl From<&ListenerRecord> for ListenerRow {
    fn from(record: &ListenerRecord) -> Self {
        Self {
            port: port_number(record.port),
            descriptor: record.descriptor,
            address: record.address.to_string(),
        }
    }
}

impl TryFrom<ListenerRow> for ListenerRecord {
    type Error = Wrong;

    fn try_from(row: ListenerRow) -> Result<Self, Wrong> {
        let address = row.address.parse();
        Ok(Self {
            port: port(row.port)?,
            descriptor: row.descriptor,
            address: address.map_err(|_| Wrong(format!("no address: {:?}", row.address)))?,
        })
    }
}

impl<'a> From<&'a HttpRecord> for HttpRow<'a> {
    fn from(record: &'a HttpRecord) -> Self {
        Self {
            port: port_number(record.port),
            descriptor: record.descriptor,
            read_ahead: &record.read_ahead,
            asked: record.asked,
            waited_ms: record.waited_ms,
        }
    }
}

impl TryFrom<HttpRow<'_>> for HttpRecord {
    type Error = Wrong;

    fn try_from(row: HttpRow<'_>) -> Result<Self, Wrong> {
        Ok(Self {
            port: port(row.port)?,
            descriptor: row.descriptor,
            read_ahead: row.read_ahead.into(),
            asked: row.asked,
            waited_ms: row.waited_ms,
        })
    }
}

impl<'a> From<&'a RespRecord> for RespRow<'a> {
    fn from(record: &'a RespRecord) -> Self {
        Self {
            descriptor: record.descriptor,
            id: record.id,
            user: record.user.as_ref().map(|user| RespUserRow {
                name: &user.name,
                proof: &user.proof,
            }),
            resp3: record.resp3,
            muted: muted_number(record.muted),
            name: &record.name,
            library: &record.library,
            library_version: &record.library_version,
            read_ahead: &record.read_ahead,
            age_ms: record.age_ms,
            idle_ms: record.idle_ms,
            stranger_ms: record.stranger_ms,
            unfinished_ms: record.unfinished_ms,
        }
    }
}

impl TryFrom<RespRow<'_>> for RespRecord {
    type Error = Wrong;

    fn try_from(row: RespRow<'_>) -> Result<Self, Wrong> {
        Ok(Self {
            descriptor: row.descriptor,
            id: row.id,
            user: row.user.map(|user| RespUserRecord {
                name: user.name.into(),
                proof: user.proof.into(),
            }),
            resp3: row.resp3,
            muted: muted(row.muted)?,
            name: row.name.into(),
            library: row.library.into(),
            library_version: row.library_version.into(),
            read_ahead: row.read_ahead.into(),
            age_ms: row.age_ms,
            idle_ms: row.idle_ms,
            stranger_ms: row.stranger_ms,
            unfinished_ms: row.unfinished_ms,
        })
    }
}
