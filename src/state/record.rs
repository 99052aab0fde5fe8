//! The records of a state that are not the desk's or the shards'.

use std::net::SocketAddr;

use crate::core::delivery::StreamRecord;
use crate::core::desk::DeskRecord;
use crate::core::history::HistoryRecord;

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
    /// A key set that was fetched.
    KeySet(KeySetRecord),
    /// A listening socket.
    Listener(ListenerRecord),
    /// An HTTP connection that is no stream.
    Http(HttpRecord),
    /// A connection of the ingest port.
    Resp(RespRecord),
    /// Of the history of a file.
    History(HistoryRecord),
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
    /// Connections that the ingest port has accepted: the highest number of one (`CLIENT ID`).
    pub resp_accepted: u64,
    /// Key of the proofs of its users' passwords, drawn for one hand-over.
    pub resp_proof_key: Box<[u8]>,
    /// Hand-overs so far.
    pub generation: u64,
    /// Number of the descriptor that has the lock of the state directory; `None` = there is none.
    pub state_lock: Option<u32>,
    /// Name of the node's roster in its log.
    pub roster: Option<u64>,
    /// Digest of the log's entry that is the newest one of the history, if it is known.
    pub log_print: Option<u64>,
}

/// A key set, as its URL answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetRecord {
    /// The URL.
    pub url: Box<str>,
    /// The text of the set.
    pub text: Box<[u8]>,
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
    /// Whether it had a request before.
    pub asked: bool,
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
    /// Its user. `None` = it has not authenticated.
    pub user: Option<RespUserRecord>,
    /// Whether it speaks RESP3.
    pub resp3: bool,
    /// The replies that it does not want.
    pub muted: MutedReplies,
    /// Its name (`CLIENT SETNAME`), empty if it has none.
    pub name: Box<str>,
    /// Name of its library (`CLIENT SETINFO`).
    pub library: Box<str>,
    /// Version of its library.
    pub library_version: Box<str>,
    /// Bytes that were read and not used.
    pub read_ahead: Box<[u8]>,
    /// Milliseconds since it was accepted.
    pub age_ms: u64,
    /// Milliseconds since it last sent something.
    pub idle_ms: u64,
    /// Milliseconds in which it could have authenticated; `None` once it has.
    pub stranger_ms: Option<u64>,
    /// Milliseconds for which the rest of a command is missing; `None` between two commands.
    pub unfinished_ms: Option<u64>,
}

/// The user of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RespUserRecord {
    /// Its name.
    pub name: Box<str>,
    /// Proof that its password is still the same; worthless without the key.
    pub proof: Box<[u8]>,
}

/// Replies that a client of the ingest port does not want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MutedReplies {
    /// None: it wants them all.
    #[default]
    None,
    /// All (`CLIENT REPLY OFF`).
    All,
    /// That of the next command (`CLIENT REPLY SKIP`).
    Next,
}
