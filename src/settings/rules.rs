//! The rules between settings: combinations that are refused although each value is allowed.
//!
//! Safe by default: a listener that is open to anyone stays on loopback unless a setting explicitly
//! allows more.

use std::net::SocketAddr;

use super::checked::Settings;
use super::conflict::Conflict;
use super::key_source::KeySource;
use crate::auth::{KeySet, Role};
use crate::bridge::redis::Address;
use crate::core::topic;
use crate::secret::Secret;
use crate::web::origin::OriginPattern;

/// All conflicts between `settings`.
pub(super) fn conflicts(settings: &Settings) -> Vec<Conflict> {
    let mut conflicts = open(settings);
    conflicts.extend(same_address(settings));
    conflicts.extend(sizes(settings));
    if settings.cors_credentials && settings.cors_origins.contains(&OriginPattern::Any) {
        conflicts.push(Conflict::CredentialsForAll);
    }
    let topic_bytes_max = settings.event_limits.topic_bytes_max;
    let traced = settings.trace_topics.iter();
    conflicts.extend(
        traced
            .filter_map(|topic| topic::check(topic.text(), topic_bytes_max).err())
            .map(|error| Conflict::TracedTopic(error.into())),
    );
    let (count, max) = (settings.trace_topics.len(), settings.trace_topics_max);
    if count > max {
        conflicts.push(Conflict::TracedTopics(count, max));
    }
    if settings.state_dir.is_none() && !settings.history_snapshot_interval.is_zero() {
        conflicts.push(Conflict::SnapshotsWithoutDirectory);
    }
    conflicts.extend(log(settings));
    conflicts.extend(tokens(settings));
    conflicts.extend(redis_channels(settings));
    conflicts
}

fn redis_channels(settings: &Settings) -> Vec<Conflict> {
    let half = |given, missing| vec![Conflict::HalfPubSub { given, missing }];
    let password = settings.redis_pubsub_password.as_ref();
    let mut conflicts = match &settings.redis_pubsub {
        None if password.is_some() => return half("redis_pubsub_password", "redis_pubsub"),
        None => Vec::new(),
        Some(address) => Vec::from_iter(login(
            "redis_pubsub",
            address,
            "redis_pubsub_password",
            password,
        )),
    };
    let has_server = settings.redis_pubsub.is_some();
    let has_channels = !settings.redis_channels.is_empty();
    match (has_server, has_channels) {
        (true, false) => return half("redis_pubsub", "redis_channels"),
        (false, true) => return half("redis_channels", "redis_pubsub"),
        (false, false) if !settings.redis_topics.is_empty() => {
            return half("redis_topics", "redis_channels");
        }
        _ => {}
    }
    let message = settings.redis_message_bytes_max;
    let data = settings.event_limits.data_bytes_max;
    if has_server && message < data {
        conflicts.push(Conflict::Smaller {
            larger: "redis_message_bytes_max",
            larger_bytes: message,
            smaller: "data_bytes_max",
            smaller_bytes: data,
            reason: "the data of an event comes in one message",
        });
    }
    for row in &settings.redis_topics {
        if !row.is_of_some(&settings.redis_channels) {
            conflicts.push(Conflict::TopicOfNoChannel(row.to_string()));
        }
        if let Err(error) = topic::check(row.topic(), settings.event_limits.topic_bytes_max) {
            let row = row.to_string();
            conflicts.push(Conflict::ChannelTopic { row, error });
        }
    }
    conflicts
}

fn log(settings: &Settings) -> Vec<Conflict> {
    let Some(address) = &settings.log else {
        let is_alone = settings.log_password.is_some();
        return is_alone
            .then_some(Conflict::LogPasswordAlone)
            .into_iter()
            .collect();
    };
    let password = settings.log_password.as_ref();
    let mut conflicts = Vec::from_iter(login("log", address, "log_password", password));
    if !settings.history_snapshot_interval.is_zero() {
        conflicts.push(Conflict::SnapshotsWithLog);
    }
    conflicts
}

/// The conflict between the login of an address and the setting for its password.
fn login(
    address: &'static str,
    value: &Address,
    password: &'static str,
    given: Option<&Secret>,
) -> Option<Conflict> {
    let login = &value.login;
    match (&login.password, given) {
        (Some(_), Some(_)) => Some(Conflict::TwoPasswords { address, password }),
        (None, None) if login.user.is_some() => Some(Conflict::NoPassword { address, password }),
        _ => None,
    }
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

/// The calls that are open to clients without a token. (`anonymous` opens subscribing explicitly.)
fn anyone_may(settings: &Settings) -> Option<&'static str> {
    let open = |role| settings.keys_of(role).is_none();
    match (open(Role::Subscriber), open(Role::Publisher)) {
        (true, true) => Some("subscribe and publish"),
        (true, false) => Some("subscribe"),
        // Cannot happen as long as publishers fall back on the keys of subscribers.
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
        if let Err(error) = rule.check_length(topic_bytes_max) {
            let rule = rule.to_string();
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
        // Port 0 is a different free port each time.
        (address == other && address.port() != 0).then_some(Conflict::SameAddress {
            first,
            second,
            address,
        })
    })
}

fn sizes(settings: &Settings) -> impl Iterator<Item = Conflict> {
    let history = settings.history_budget_bytes;
    let memory = match settings.memory_budget {
        0 => usize::MAX,
        bytes => bytes,
    };
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
        (
            ("memory_budget", memory),
            (
                "history_budget_bytes` + 2 * `publish_body_bytes_max",
                history.saturating_add(2 * settings.publish_body_bytes_max),
            ),
            "a publish call must find room beside a full history",
        ),
        (
            ("memory_budget", memory),
            (
                "history_budget_bytes` + 2 * `ingest_transaction_bytes_max",
                history.saturating_add(2 * settings.ingest_transaction_bytes_max),
            ),
            "a transaction must find room beside a full history",
        ),
        (
            ("memory_budget", memory),
            (
                "history_budget_bytes` + 6 * `ingest_bulk_bytes_max",
                history.saturating_add(6 * settings.ingest_bulk_bytes_max),
            ),
            "a command must find room beside a full history",
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
