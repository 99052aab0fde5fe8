//! Why a subscription is given up.

use thiserror::Error;

use super::wire::NotRedis;
use crate::bridge::redis::{Error, Host, advised};
use crate::metrics::PubSubLoss;

/// Why a subscription is given up.
#[derive(Debug, Error)]
pub(super) enum Lost {
    #[error("{0}")]
    Closed(String),
    #[error("{0}")]
    Silent(&'static str),
    /// The server may be cut off from the publishers.
    #[error("{0}")]
    Orphaned(&'static str),
    #[error("{0}")]
    Refused(String),
    /// The log did not say whether it has an event.
    #[error("an event may or may not have been written to the log: {0}")]
    Unsure(String),
    /// Another node may have the lease now.
    #[error("the lease of the forwarder is lost")]
    Lease,
    /// The node shuts down.
    #[error("the node is shutting down")]
    Ended,
}

impl Lost {
    pub(super) fn closed(why: &str) -> Self {
        Self::Closed(why.to_owned())
    }

    pub(super) fn silent(why: &'static str) -> Self {
        Self::Silent(why)
    }

    pub(super) fn io(error: std::io::Error) -> Self {
        Self::Closed(error.to_string())
    }

    /// No connection could be made.
    pub(super) fn unreachable(host: &Host, error: &std::io::Error) -> Self {
        let said = advised(&error.to_string());
        Self::Closed(format!("cannot connect to {host}: {said}"))
    }

    /// The server of the channels has refused a command.
    pub(super) fn refused(error: &str) -> Self {
        Self::Refused(format!(
            "the server has refused a command: {}",
            advised(error)
        ))
    }

    /// The log, which has the lease, cannot be used; `key` is the one that was.
    pub(super) fn log(error: Error, key: &str) -> Self {
        match error {
            Error::Refused(refused) => Self::Refused(format!(
                "the log has refused a command for its key `{key}`: {refused}"
            )),
            error => Self::Closed(error.to_string()),
        }
    }

    pub(super) fn redis(error: redis::RedisError) -> Self {
        match error.code() {
            Some(_) => Self::refused(&error.to_string()),
            None => Self::Closed(error.to_string()),
        }
    }

    /// As what it is counted.
    pub(super) fn reason(&self) -> PubSubLoss {
        match self {
            Self::Closed(_) | Self::Ended => PubSubLoss::Closed,
            Self::Lease => PubSubLoss::Lease,
            Self::Silent(_) => PubSubLoss::Silent,
            Self::Orphaned(_) => PubSubLoss::Orphaned,
            Self::Refused(_) => PubSubLoss::Refused,
            Self::Unsure(_) => PubSubLoss::Unsure,
        }
    }
}

impl From<NotRedis> for Lost {
    fn from(error: NotRedis) -> Self {
        Self::Closed(error.to_string())
    }
}
