//! The records of a state that are not the desk's or the shards'.

use std::net::SocketAddr;

use crate::core::delivery::StreamRecord;
use crate::core::desk::DeskRecord;

/// One record of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateRecord {
    /// The node as a whole.
    Node(NodeRecord),
    /// Of the desk: topics, history, announced streams.
    Desk(DeskRecord),
    /// A parked stream.
    Stream(StreamRecord),
    /// A counter.
    Counter(CounterRecord),
    /// A listening socket.
    Listener(ListenerRecord),
    /// An HTTP connection that is no stream.
    Http(HttpRecord),
    /// A connection of the ingest port.
    Resp(RespRecord),
}

/// The node as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// Version of the program that wrote the state.
    pub program: Box<str>,
    /// When it was written, in milliseconds since the unix epoch.
    pub written_unix_ms: u64,
    /// When the first process of the node started, in milliseconds since the unix epoch.
    pub started_unix_ms: u64,
    /// Number of the next connection of the ingest port.
    pub next_resp_id: u64,
    /// Hand-overs so far.
    pub generation: u64,
}

/// A counter, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterRecord {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: u64,
}

/// The listeners of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The public HTTP listener.
    Public,
    /// The admin listener.
    Admin,
    /// The ingest port.
    Ingest,
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerRecord {
    /// Its purpose.
    pub port: Port,
    /// Number of its descriptor.
    pub descriptor: u32,
    /// Its address.
    pub address: SocketAddr,
}

/// An HTTP/1.1 connection between two requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRecord {
    /// The listener that accepted it.
    pub port: Port,
    /// Number of its descriptor.
    pub descriptor: u32,
    /// Bytes that were read and not used.
    pub read_ahead: Box<[u8]>,
    /// How long it has waited for a request, in milliseconds.
    pub waited_ms: u64,
}

/// A connection of the ingest port between two commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RespRecord {
    /// Number of its descriptor.
    pub descriptor: u32,
    /// Its number (`CLIENT ID`).
    pub id: u64,
    /// The user that it has authenticated as.
    pub user: Option<Box<str>>,
    /// Shows without a secret whether the user's password is still the same.
    pub user_digest: Option<Box<[u8]>>,
    /// Whether it speaks RESP3.
    pub resp3: bool,
    /// Its name (`CLIENT SETNAME`).
    pub name: Option<Box<str>>,
    /// Name of its library (`CLIENT SETINFO`).
    pub library: Option<Box<str>>,
    /// Version of its library.
    pub library_version: Option<Box<str>>,
    /// Bytes that were read and not used.
    pub read_ahead: Box<[u8]>,
    /// Seconds since it was accepted.
    pub age_s: u64,
    /// Seconds since its last command.
    pub idle_s: u64,
}
