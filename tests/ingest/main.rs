//! The ingest port over real sockets, in raw bytes: every command, every refusal, every limit.
//!
//! The expected texts are the answers of redis-server 7.0 and 7.2, except for the differences in
//! `docs/PROTOCOL.md`.

#[path = "../support/ingest.rs"]
mod support;

/// Malformed commands, and commands that arrive in pieces.
mod bytes;
/// PING, HELLO, CLIENT, COMMAND, INFO and the like.
mod connection;
/// HTTP and TLS spoken to the port.
mod foreign;
/// A port that freezes, and what it was frozen with.
mod frozen;
/// What libraries send on connecting.
mod handshakes;
/// XLEN, XRANGE, XREVRANGE, XREAD, PUBSUB.
mod history;
/// Idempotency keys.
mod idempotency;
/// INFO and CLUSTER: the fields that tools and clients read.
mod info;
/// A Redis client library, unmodified.
mod library;
/// How many connections, for how long, and how they end.
mod limits;
/// Commands whose work or answer could be without end.
mod long_work;
/// PUBLISH, SPUBLISH, XADD.
mod publishing;
/// Refusals, and whether the connection lives.
mod refusals;
/// CLIENT REPLY.
mod replies;
/// EVAL, EVALSHA, SCRIPT.
mod scripts;
/// Clients that do not authenticate, do not finish, or do not read.
mod strangers;
/// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
mod transactions;
/// Passwords and rights.
mod users;

pub(crate) const OK: &str = "+OK\r\n";

pub(crate) fn arity(name: &str) -> String {
    format!("-ERR wrong number of arguments for '{name}' command\r\n")
}

/// The id in a bulk reply.
pub(crate) fn id(reply: &str) -> String {
    let mut lines = reply.split("\r\n");
    let length = lines.next().and_then(|line| line.strip_prefix('$'));
    let id = lines.next().unwrap_or_default();
    assert_eq!(length, Some(id.len().to_string().as_str()), "{reply:?}");
    id.parse::<fantail::core::event::EventId>()
        .expect("an event id");
    id.to_owned()
}
