//! Rows of listening sockets and of connections that are no streams.

use minicbor::{Decode, Encode};

use super::super::{HttpRecord, ListenerRecord, Port, RespRecord};
use super::{Wrong, is_false, is_zero};

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
    user: Option<&'a str>,
    #[b(3)]
    #[cbor(with = "minicbor::bytes")]
    user_digest: Option<&'a [u8]>,
    #[n(4)]
    #[cbor(skip_if = "is_false")]
    resp3: bool,
    #[b(5)]
    name: Option<&'a str>,
    #[b(6)]
    library: Option<&'a str>,
    #[b(7)]
    library_version: Option<&'a str>,
    #[b(8)]
    #[cbor(with = "minicbor::bytes", skip_if = "<[u8]>::is_empty")]
    read_ahead: &'a [u8],
    #[n(9)]
    #[cbor(skip_if = "is_zero")]
    age_s: u64,
    #[n(10)]
    #[cbor(skip_if = "is_zero")]
    idle_s: u64,
}

fn port_number(port: Port) -> u32 {
    match port {
        Port::Public => 0,
        Port::Admin => 1,
        Port::Ingest => 2,
    }
}

fn port(number: u32) -> Result<Port, Wrong> {
    match number {
        0 => Ok(Port::Public),
        1 => Ok(Port::Admin),
        2 => Ok(Port::Ingest),
        _ => Err(Wrong(format!("unknown listener {number}"))),
    }
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
            waited_ms: row.waited_ms,
        })
    }
}

impl<'a> From<&'a RespRecord> for RespRow<'a> {
    fn from(record: &'a RespRecord) -> Self {
        Self {
            descriptor: record.descriptor,
            id: record.id,
            user: record.user.as_deref(),
            user_digest: record.user_digest.as_deref(),
            resp3: record.resp3,
            name: record.name.as_deref(),
            library: record.library.as_deref(),
            library_version: record.library_version.as_deref(),
            read_ahead: &record.read_ahead,
            age_s: record.age_s,
            idle_s: record.idle_s,
        }
    }
}

impl From<RespRow<'_>> for RespRecord {
    fn from(row: RespRow<'_>) -> Self {
        Self {
            descriptor: row.descriptor,
            id: row.id,
            user: row.user.map(Into::into),
            user_digest: row.user_digest.map(Into::into),
            resp3: row.resp3,
            name: row.name.map(Into::into),
            library: row.library.map(Into::into),
            library_version: row.library_version.map(Into::into),
            read_ahead: row.read_ahead.into(),
            age_s: row.age_s,
            idle_s: row.idle_s,
        }
    }
}
