//! What goes wrong between a node and Redis.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerError};
use thiserror::Error;

use super::advice::advised;

/// Why a call failed. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// No connection could be made, or the server refused it.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system or the server said.
        reason: String,
    },
    /// No host of the address takes writes to the key.
    #[error("{0}")]
    NoMaster(String),
    /// The server is a replica.
    #[error("{0} is a replica, which takes no writes")]
    Replica(String),
    /// The connection broke, or gave no answer in time. A call may or may not have been carried out.
    #[error("the connection to Redis is lost: {0}")]
    Lost(String),
    /// The server refused the call, which was not carried out.
    #[error("Redis refuses: {0}")]
    Refused(Refused),
    /// The server gave an answer of a form that is not known.
    #[error("Redis gave an answer to {0} that is not understood")]
    Answer(&'static str),
    /// The log cannot be used as it is; an operator has to act.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// A refusal of a server: its code, and its words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", advised(&format!("{code} {text}")))]
pub struct Refused {
    /// Such as `OOM`.
    pub code: String,
    /// The rest of the message.
    pub text: String,
}

/// Why a log cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// The key has another type.
    #[error(
        "the key `{key}` is no stream: choose another `log_key`, or delete it if nobody needs it"
    )]
    NoStream {
        /// The key.
        key: String,
    },
    /// The key of the hash beside the stream has another type.
    #[error(
        "the key `{key}`, which nodes keep beside the stream, is no hash: delete it if nobody needs it, or choose another `log_key`"
    )]
    NoHash {
        /// The key.
        key: String,
    },
    /// The key of a lease has a value without an end.
    #[error(
        "the key `{key}` has a value that no node has written: delete it if nobody needs it, or choose another `log_key`"
    )]
    NoLease {
        /// The key.
        key: String,
    },
    /// The user lacks rights.
    #[error(
        "the user of Redis may not call {commands} on the keys {keys}: the manual lists the rights that a node needs"
    )]
    Rights {
        /// What it may not call.
        commands: String,
        /// On which keys.
        keys: String,
    },
    /// Redis would evict the log.
    #[error(
        "Redis would drop the whole log when its memory is full (`maxmemory-policy {policy}`): set `maxmemory-policy noeviction`, and bound the log with `log_events_max` and `log_bytes_max`"
    )]
    Evicts {
        /// The policy.
        policy: String,
    },
    /// The ids of the stream have left what a node can read.
    #[error(
        "the newest id of the stream `{key}`, {id}, is beyond 2^44 milliseconds, and Redis will give no lower one: an application has written an id of its own. \
         Delete the stream, or that entry (XDEL) and set the id back (XSETID with MAXDELETEDID), while no node runs"
    )]
    IdsTooHigh {
        /// The key.
        key: String,
        /// The id.
        id: String,
    },
    /// The newest id of the stream is in the future.
    #[error(
        "the newest id of the stream `{key}`, {id}, is {} in the future by the clock of this node: set the clocks right, or delete the stream",
        humantime::format_duration(*by)
    )]
    IdsAhead {
        /// The key.
        key: String,
        /// The id.
        id: String,
        /// By how much.
        by: Duration,
    },
}

impl Error {
    /// Whether trying again is of no use as long as nobody acts.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Unfit(_))
    }
}

/// The words of the crate, in one line. Those for bytes that are no answer have several.
pub(super) fn words(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Parse => "it does not speak the Redis protocol".to_owned(),
        _ => error.to_string(),
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        match (error.kind(), error.code()) {
            (ErrorKind::Io | ErrorKind::Parse, _) | (_, None) => Self::Lost(words(&error)),
            (_, Some(code)) => Self::Refused(Refused {
                code: code.to_owned(),
                text: error.detail().unwrap_or_default().to_owned(),
            }),
        }
    }
}

impl From<ServerError> for Refused {
    fn from(error: ServerError) -> Self {
        Self {
            code: error.code().to_owned(),
            text: error.details().unwrap_or_default().to_owned(),
        }
    }
}
