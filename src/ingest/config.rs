//! The checked settings of the ingest port.

use std::time::Duration;

use crate::core::glob::Glob;
use crate::secret::Secret;

/// The checked settings of the ingest port. The only config that holds passwords; its `Debug` shows
/// none.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// The listening socket is another process's, too, such as systemd's. Connections that wait in
    /// its queue when the port stops are left for the next process.
    pub shared_socket: bool,
    /// Password of the default user; `None` accepts every client, unless there are named users.
    pub password: Option<Secret>,
    /// Named users.
    pub users: Vec<NamedUser>,
    /// Most connections.
    pub connections_max: usize,
    /// Most connections that have not authenticated, at most `connections_max`.
    pub unauthenticated_max: usize,
    /// Largest command of a connection that has not authenticated, in bytes.
    pub unauthenticated_bytes_max: usize,
    /// Longest array of one command, in elements.
    pub array_max: usize,
    /// Longest bulk string of one command, in bytes.
    pub bulk_bytes_max: usize,
    /// Largest answer to one command, in bytes.
    pub reply_bytes_max: usize,
    /// Bounds on one transaction and one script.
    pub transaction: TransactionLimits,
    /// Longest waits for a client.
    pub timeouts: Timeouts,
}

/// A user that authenticates by name, and may only publish.
#[derive(Clone, Debug)]
pub struct NamedUser {
    /// Name given to `AUTH`.
    pub name: String,
    /// Password given to `AUTH`.
    pub password: Secret,
    /// Topics that it may publish to.
    pub publish: Vec<Glob>,
}

/// Bounds on one transaction and one script.
#[derive(Clone, Copy, Debug)]
pub struct TransactionLimits {
    /// Most commands of a transaction, topics of `WATCH`, events of a script.
    pub commands_max: usize,
    /// Memory of these, in bytes.
    pub bytes_max: usize,
}

/// Longest waits for a client.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until the client has authenticated.
    pub authentication: Duration,
    /// Until a command is complete, from its first byte.
    pub command: Duration,
    /// Until the client reads some of an answer.
    pub write: Duration,
    /// Between two commands; `None` = for ever.
    pub idle: Option<Duration>,
}
