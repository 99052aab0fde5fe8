//! The rules between settings: what each of them allows but all together do not.
//!
//! Safe by default: what is open to anyone stays on loopback unless a setting says otherwise by its name.

use std::net::SocketAddr;

use thiserror::Error;

use super::{KeySource, Origin, Settings};
use crate::auth::{KeyError, KeySet, Role, RuleError, TopicRule};
use crate::core::selector::{Selector, SelectorError, Syntax};

/// Settings that do not go together.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Conflict {
    /// The public listener is open to anyone beyond this machine.
    #[error(
        "`listen` = {address} is reachable from other machines, and anyone there may {may}: set keys for tokens (such as `jwt_secret_file` or \
         `jwks_url`), put it on loopback (such as 127.0.0.1:8080) behind a proxy, or say that this is meant: `allow_open_http = true` \
         (--allow-open-http, FANTAIL_ALLOW_OPEN_HTTP=true)"
    )]
    OpenHttp {
        /// Where it listens.
        address: SocketAddr,
        /// What anyone may do.
        may: &'static str,
    },
    /// The ingest listener is open to anyone beyond this machine.
    #[error(
        "`ingest_listen` = {0} is reachable from other machines, and anyone there may publish: set `ingest_password` \
         (FANTAIL_INGEST_PASSWORD), `ingest_password_file` or `ingest_users`, or put it on loopback (such as 127.0.0.1:7379)"
    )]
    OpenIngest(SocketAddr),
    /// The admin listener is open to anyone beyond this machine.
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
    /// A size that must hold another.
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
        /// Why.
        reason: &'static str,
    },
    /// Credentials for every origin there is.
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
        /// Where the second stands.
        origin: Origin,
        /// One setting.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A secret that cannot be a key.
    #[error("`{setting}`: {error}")]
    Secret {
        /// The setting.
        setting: &'static str,
        /// Why.
        error: KeyError,
    },
    /// An algorithm for keys that are not there.
    #[error("`{setting}` is given without keys that it could be for (such as `{missing}`)")]
    AlgorithmWithoutKeys {
        /// The setting.
        setting: &'static str,
        /// One that is missing.
        missing: &'static str,
    },
    /// A rule that cannot be.
    #[error("`topics_from` holds `{rule}`: {error}")]
    TopicRule {
        /// The rule.
        rule: String,
        /// Why.
        error: RuleError,
    },
}

/// Everything about `settings` that does not go together.
pub(super) fn conflicts(settings: &Settings) -> Vec<Conflict> {
    let mut conflicts = open(settings);
    conflicts.extend(same_address(settings));
    conflicts.extend(sizes(settings));
    if settings.cors_credentials && settings.cors_origins.iter().any(|origin| origin == "*") {
        conflicts.push(Conflict::CredentialsForAll);
    }
    let topic_bytes_max = settings.event_limits.topic_bytes_max;
    let traced = settings.trace_topics.iter();
    conflicts.extend(
        traced
            .filter_map(|topic| Selector::parse(topic, Syntax::Native, topic_bytes_max).err())
            .map(Conflict::TracedTopic),
    );
    let (count, max) = (settings.trace_topics.len(), settings.trace_topics_max);
    if count > max {
        conflicts.push(Conflict::TracedTopics(count, max));
    }
    conflicts.extend(tokens(settings));
    conflicts
}

fn open(settings: &Settings) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let may = anyone_may(settings).filter(|_| beyond_loopback(settings.listen));
    if let (Some(may), false) = (may, settings.allow_open_http) {
        conflicts.push(Conflict::OpenHttp {
            address: settings.listen,
            may,
        });
    }
    let ingest_is_open = settings.ingest_password.is_none() && settings.ingest_users.is_empty();
    if beyond_loopback(settings.ingest_listen) && ingest_is_open {
        conflicts.push(Conflict::OpenIngest(settings.ingest_listen));
    }
    if beyond_loopback(settings.admin_listen) && !settings.allow_open_admin {
        conflicts.push(Conflict::OpenAdmin(settings.admin_listen));
    }
    conflicts
}

/// What is open to those who have no token. (`anonymous` lets them in by its name.)
fn anyone_may(settings: &Settings) -> Option<&'static str> {
    let open = |role| settings.keys_of(role).is_none();
    match (open(Role::Subscriber), open(Role::Publisher)) {
        (true, true) => Some("subscribe and publish"),
        (true, false) => Some("subscribe"),
        // Cannot be as long as publishers fall back on the keys of subscribers.
        (false, true) => Some("publish"),
        (false, false) => None,
    }
}

fn tokens(settings: &Settings) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let own = settings
        .publisher_jwt_keys
        .is_some()
        .then_some(Role::Publisher);
    for role in [Some(Role::Subscriber), own].into_iter().flatten() {
        if let Some((source @ KeySource::Secret(secret), algorithm)) = settings.keys_of(role)
            && let Err(error) = KeySet::from_secret(secret.expose().as_bytes(), algorithm)
        {
            let setting = source.key(role);
            conflicts.push(Conflict::Secret { setting, error });
        }
    }
    for (setting, missing, alone) in [
        (
            "jwt_algorithm",
            "jwt_secret_file",
            settings.jwt_algorithm.is_some() && settings.jwt_keys.is_none(),
        ),
        (
            "publisher_jwt_algorithm",
            "publisher_jwt_secret_file",
            settings.publisher_jwt_algorithm.is_some() && settings.publisher_jwt_keys.is_none(),
        ),
    ] {
        if alone {
            conflicts.push(Conflict::AlgorithmWithoutKeys { setting, missing });
        }
    }
    let topic_bytes_max = settings.event_limits.topic_bytes_max;
    for rule in &settings.topics_from {
        if let Err(error) = TopicRule::parse(rule, topic_bytes_max) {
            let rule = rule.clone();
            conflicts.push(Conflict::TopicRule { rule, error });
        }
    }
    conflicts
}

fn beyond_loopback(address: SocketAddr) -> bool {
    // `::ffff:127.0.0.1` is loopback too.
    !address.ip().to_canonical().is_loopback()
}

fn same_address(settings: &Settings) -> Option<Conflict> {
    let listeners = [
        ("listen", settings.listen),
        ("ingest_listen", settings.ingest_listen),
        ("admin_listen", settings.admin_listen),
    ];
    let pairs = [(0, 1), (0, 2), (1, 2)];
    pairs.into_iter().find_map(|(a, b)| {
        let ((first, address), (second, other)) = (listeners[a], listeners[b]);
        // Port 0 is another free port for each.
        (address == other && address.port() != 0).then_some(Conflict::SameAddress {
            first,
            second,
            address,
        })
    })
}

fn sizes(settings: &Settings) -> impl Iterator<Item = Conflict> {
    let data = ("data_bytes_max", settings.event_limits.data_bytes_max);
    let target = (
        "request_target_bytes_max",
        settings.request_target_bytes_max,
    );
    [
        (
            ("ingest_bulk_bytes_max", settings.ingest_bulk_bytes_max),
            data,
            "the data of an event comes in as one bulk string",
        ),
        (
            ("ingest_reply_bytes_max", settings.ingest_reply_bytes_max),
            data,
            "an event must fit into the answer that shows it",
        ),
        (
            ("mailbox_bytes", settings.mailbox_bytes),
            data,
            "an event must fit into the mailbox of a shard",
        ),
        (
            ("header_bytes_max", settings.header_bytes_max),
            target,
            "the request target is part of the request head",
        ),
        (
            ("header_bytes_max", settings.header_bytes_max),
            ("token_bytes_max", settings.token_bytes_max),
            "a token is part of the request head",
        ),
    ]
    .into_iter()
    .filter(|((_, larger), (_, smaller), _)| larger < smaller)
    .map(
        |((larger, larger_bytes), (smaller, smaller_bytes), reason)| Conflict::Smaller {
            larger,
            larger_bytes,
            smaller,
            smaller_bytes,
            reason,
        },
    )
}
