//! Settings that are valid one by one and conflict together.

use std::net::SocketAddr;

use thiserror::Error;

use super::origin::Origin;
use crate::auth::{KeyError, RuleError};
use crate::core::selector::SelectorError;
use crate::core::topic::TopicError;

/// A conflict between settings.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Conflict {
    /// The public listener is open to anyone, and reachable from other machines.
    #[error(
        "`listen` = {address} is reachable from other machines, and anyone there may {may}: set keys for tokens (such as `jwt_secret_file` or \
         `jwks_url`), put it on loopback (such as 127.0.0.1:8080) behind a proxy, or say that this is meant: `allow_open_http = true` \
         (--allow-open-http, FANTAIL_ALLOW_OPEN_HTTP=true)"
    )]
    OpenHttp {
        /// Its address.
        address: SocketAddr,
        /// The calls that are open to anyone.
        may: &'static str,
    },
    /// The ingest listener is open to anyone, and reachable from other machines.
    #[error(
        "`ingest_listen` = {0} is reachable from other machines, and anyone there may publish: set `ingest_password` \
         (FANTAIL_INGEST_PASSWORD), `ingest_password_file` or `ingest_users`, or put it on loopback (such as 127.0.0.1:7379)"
    )]
    OpenIngest(SocketAddr),
    /// The admin listener is open to anyone, and reachable from other machines.
    #[error(
        "`admin_listen` = {0} is reachable from other machines, and anyone there may read metrics and close streams: put it on \
         loopback (such as 127.0.0.1:8081), or say that this is meant: `allow_open_admin = true` (--allow-open-admin, \
         FANTAIL_ALLOW_OPEN_ADMIN=true)"
    )]
    OpenAdmin(SocketAddr),
    /// Two listeners on one address.
    #[error("`{first}` and `{second}` are both {address}: give each its own port")]
    SameAddress {
        /// One setting.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Their value.
        address: SocketAddr,
    },
    /// A size that must hold another and is smaller.
    #[error("`{larger}` = {larger_bytes} must be at least `{smaller}` = {smaller_bytes}: {reason}")]
    Smaller {
        /// The setting that must be at least as large.
        larger: &'static str,
        /// Its value, in bytes.
        larger_bytes: usize,
        /// The setting that it must hold.
        smaller: &'static str,
        /// Its value, in bytes.
        smaller_bytes: usize,
        /// The reason.
        reason: &'static str,
    },
    /// Credentials for every origin.
    #[error(
        "`cors_credentials = true` with `*` in `cors_origins` would let every site act in the name of its visitors: list the \
         origins that may"
    )]
    CredentialsForAll,
    /// A traced topic that no event can have.
    #[error("`trace_topics` holds what is neither a topic nor a pattern: {0}")]
    TracedTopic(SelectorError),
    /// More traced topics than allowed.
    #[error("`trace_topics` holds {0} topics, and `trace_topics_max` = {1} allows fewer")]
    TracedTopics(usize, usize),
    /// Two forms of one setting from one source.
    #[error("{origin}: `{first}` and `{second}` are both given: give one of them")]
    TwoForms {
        /// Origin of the second.
        origin: Origin,
        /// One setting.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A secret that is not a valid key.
    #[error("`{setting}`: {error}")]
    Secret {
        /// The setting.
        setting: &'static str,
        /// The fault.
        error: KeyError,
    },
    /// An algorithm without keys.
    #[error("`{setting}` is given without keys that it could be for (such as `{missing}`)")]
    AlgorithmWithoutKeys {
        /// The setting.
        setting: &'static str,
        /// A missing setting.
        missing: &'static str,
    },
    /// An interval of files without a directory for them.
    #[error("`history_snapshot_interval` is given without a directory for the files (`state_dir`)")]
    SnapshotsWithoutDirectory,
    /// An interval of files of a node whose history is in its log.
    #[error(
        "`history_snapshot_interval` is given, and so is `log`: the log is the history, and no history file is written; leave one of them out"
    )]
    SnapshotsWithLog,
    /// The password of a log that is not given.
    #[error("`log_password` is given without `log`, the address of the log")]
    LogPasswordAlone,
    /// Two passwords for one server.
    #[error(
        "the address in `{address}` has a password, and `{password}` is given, too: leave one of them out"
    )]
    TwoPasswords {
        /// The setting with the address.
        address: &'static str,
        /// The setting with the other password.
        password: &'static str,
    },
    /// A user whose password is missing. The user is not shown: it may be a password.
    #[error(
        "the address in `{address}` has a user and no password, so that the node would be the default user: give `{password}` (any text for a user \
         with `nopass`); a password without a user is written `:password@`"
    )]
    NoPassword {
        /// The setting with the address.
        address: &'static str,
        /// The setting that may have the password.
        password: &'static str,
    },
    /// Channels without a server, or a server without channels.
    #[error("`{given}` is given without `{missing}`: nothing is subscribed to")]
    HalfPubSub {
        /// The setting that is there.
        given: &'static str,
        /// The setting that is not.
        missing: &'static str,
    },
    /// A topic for a channel that is not subscribed to.
    #[error(
        "`redis_topics` holds `{0}`, and `redis_channels` has no such channel: no message would come by it"
    )]
    TopicOfNoChannel(String),
    /// A topic that no event can have.
    #[error("`redis_topics` holds `{row}`: {error}")]
    ChannelTopic {
        /// The row.
        row: String,
        /// The fault.
        error: TopicError,
    },
    /// An invalid rule.
    #[error("`topics_from` holds `{rule}`: {error}")]
    TopicRule {
        /// The rule.
        rule: String,
        /// The fault.
        error: RuleError,
    },
}
