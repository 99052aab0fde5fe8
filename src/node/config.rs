//! Makes the checked config of each component from the settings of the node.
//!
//! This is the only place that knows both. A component holds its own part and never sees the rest.

use std::num::NonZero;
use std::thread;
use std::time::Duration;

use super::state_dir::StateDirConfig;
use crate::admin::AdminConfig;
use crate::api::{
    AccessConfig, ApiConfig, CorsConfig, HostsConfig, PublishConfig, SubscribeConfig,
};
use crate::auth::{Policy, Role};
use crate::bridge;
use crate::bridge::pubsub::{Forwarding, LEASE, Pace, PubSubConfig};
use crate::bridge::redis::Stream;
use crate::core::delivery::{ShardConfig, TurnBudget};
use crate::core::history::{HistoryLimits, HoldLimits, ShardSet, SlowConsumerPolicies};
use crate::core::idempotency::KeyLimits;
use crate::core::limits::EventLimits;
use crate::core::places::Share;
use crate::hub::{CATCH_UP_MAX, HubConfig, Order, TracesConfig};
use crate::ingest::{IngestConfig, NamedUser, Timeouts, TransactionLimits};
use crate::logging::LogConfig;
use crate::server::{ServerConfig, SocketConfig};
use crate::settings::Settings;
use crate::web::host::HostRule;

/// Config of the hub.
#[must_use]
pub fn hub(settings: &Settings) -> HubConfig {
    HubConfig {
        shards: shards(settings.shards),
        shard: ShardConfig {
            index: 0,
            heartbeat_ms: ms(settings.heartbeat_interval),
            write_timeout_ms: ms(settings.write_timeout),
            gap_spread_ms: ms(settings.gap_spread),
            retry_ms: settings.retry.map(ms),
            mailbox_batches: settings.mailbox_batches,
            mailbox_bytes: settings.mailbox_bytes,
            budget: TurnBudget::default(),
        },
        history: HistoryLimits {
            events: settings.history_events,
            bytes: settings.history_bytes,
            age_ms: ms(settings.history_age),
            budget_bytes: settings.history_budget_bytes,
        },
        keys: KeyLimits {
            window_ms: ms(settings.idempotency_window),
            count: settings.idempotency_keys_max,
        },
        order: Order::Local,
        log_lost_unready: settings.log_lost_unready,
        catch_up_max: CATCH_UP_MAX,
        hold: HoldLimits::default(),
        event_limits: EventLimits {
            has_subscriber_keys: settings.keys_of(Role::Subscriber).is_some(),
            ..settings.event_limits.clone()
        },
        clients: Share {
            streams: settings.max_connections_per_address,
            ipv6_prefix: u32::try_from(settings.ipv6_prefix).unwrap_or(u32::MAX),
            proxies: settings.trusted_proxies.clone(),
        },
        slow_consumer: SlowConsumerPolicies {
            default: settings.slow_consumer,
            rules: settings.slow_consumer_rules.clone(),
        },
        memory_bytes: settings.memory_beside_history(),
        drain_period: settings.drain_period,
        patterns_max: settings.max_patterns,
        patterns_per_address_max: settings.patterns_per_address_max,
        traces: TracesConfig {
            selectors: settings.trace_topics.clone(),
            max: settings.trace_topics_max,
        },
    }
}

/// Config of the ingest port.
#[must_use]
pub fn ingest(settings: &Settings) -> IngestConfig {
    let users = settings.ingest_users.iter().map(|user| NamedUser {
        name: user.name.clone(),
        password: user.password.clone(),
        publish: user.publish.clone(),
    });
    let idle = settings.ingest_idle_timeout;
    IngestConfig {
        shared_socket: false,
        password: settings.ingest_password.clone(),
        users: users.collect(),
        connections_max: settings.ingest_connections_max,
        unauthenticated_max: match settings.ingest_unauthenticated_max {
            0 => settings.ingest_connections_max / 2,
            max => max,
        },
        unauthenticated_bytes_max: settings.ingest_unauthenticated_bytes_max,
        array_max: settings.ingest_array_max,
        bulk_bytes_max: settings.ingest_bulk_bytes_max,
        reply_bytes_max: settings.ingest_reply_bytes_max,
        transaction: TransactionLimits {
            commands_max: settings.ingest_transaction_commands_max,
            bytes_max: settings.ingest_transaction_bytes_max,
        },
        timeouts: Timeouts {
            authentication: settings.ingest_authentication_timeout,
            command: settings.ingest_command_timeout,
            write: settings.write_timeout,
            idle: (!idle.is_zero()).then_some(idle),
        },
    }
}

/// Config of the public API and its listener.
#[must_use]
pub fn api(settings: &Settings) -> ApiConfig {
    ApiConfig {
        server: server(settings),
        connections_max: settings.max_connections,
        hosts: HostsConfig {
            names: settings.hosts.clone(),
            guarded: [Role::Subscriber, Role::Publisher]
                .into_iter()
                .filter(|role| settings.keys_of(*role).is_some())
                .collect(),
        },
        cors: CorsConfig {
            origins: settings.cors_origins.clone(),
            credentials: settings.cors_credentials,
        },
        access: AccessConfig {
            anonymous: settings.anonymous,
            cookie_name: settings.cookie_name.clone(),
            subscriptions: settings.mercure_subscriptions,
        },
        publish: PublishConfig {
            body_bytes_max: settings.publish_body_bytes_max,
            batch_max: settings.publish_batch_max,
            check_steps_max: settings.publish_check_steps_max,
        },
        subscribe: SubscribeConfig {
            patterns_max: settings.patterns_per_stream_max,
            announces: settings.mercure_subscriptions,
        },
    }
}

/// Config of the admin listener.
#[must_use]
pub fn admin(settings: &Settings) -> AdminConfig {
    AdminConfig {
        server: ServerConfig {
            // Few connections, one answer at a time.
            answer_bytes_max: usize::MAX,
            chunked_bodies: false,
            http2: false,
            ..server(settings)
        },
        connections_max: settings.admin_connections_max,
        hosts: HostRule::new(settings.admin_hosts.clone()),
    }
}

/// The same as [`api`], for a socket that may be another process's, too.
pub(super) fn shared_api(settings: &Settings, is_shared: bool) -> ApiConfig {
    let mut config = api(settings);
    config.server.shared_socket = is_shared;
    config
}

/// The same as [`admin`], for a socket that may be another process's, too.
pub(super) fn shared_admin(settings: &Settings, is_shared: bool) -> AdminConfig {
    let mut config = admin(settings);
    config.server.shared_socket = is_shared;
    config
}

/// The same as [`ingest`], for a socket that may be another process's, too.
pub(super) fn shared_ingest(settings: &Settings, is_shared: bool) -> IngestConfig {
    IngestConfig {
        shared_socket: is_shared,
        ..ingest(settings)
    }
}

/// Config of the state directory, if there is one.
#[must_use]
pub(super) fn state_dir(settings: &Settings) -> Option<StateDirConfig> {
    let every = settings.history_snapshot_interval;
    if settings.log.is_some() {
        // The log is the history.
        return None;
    }
    Some(StateDirConfig {
        path: settings.state_dir.clone()?,
        wait: settings.state_dir_wait,
        every: (!every.is_zero()).then_some(every),
        limits: hub(settings).history,
    })
}

/// Config of the log, if there is one.
#[must_use]
pub(super) fn shared_log(settings: &Settings) -> Option<bridge::driver::LogConfig> {
    let mut address = settings.log.clone()?;
    if let Some(password) = &settings.log_password {
        address.login.password = Some(password.clone());
    }
    Some(bridge::driver::LogConfig {
        address,
        stream: Stream {
            key: settings.log_key.clone(),
            events_max: settings.log_events_max,
        },
        bytes_max: settings.log_bytes_max as u64,
        age: settings.log_age,
        queue_bytes: settings.log_queue_bytes,
        timeout: settings.log_timeout,
        start_timeout: settings.log_start_timeout,
        ack_replicas: settings.log_ack_replicas,
        history_age: settings.history_age,
        key_window: settings.idempotency_window,
        has_presence: settings.mercure_subscriptions,
    })
}

/// Config of the source of events from the channels of a Redis server, if there is one.
#[must_use]
pub fn pubsub(settings: &Settings) -> Option<PubSubConfig> {
    let mut server = settings.redis_pubsub.clone()?;
    if let Some(password) = &settings.redis_pubsub_password {
        server.login.password = Some(password.clone());
    }
    Some(PubSubConfig {
        server,
        channels: settings.redis_channels.clone(),
        topics: settings.redis_topics.clone(),
        forwarding: shared_log(settings).map(|log| Forwarding {
            address: log.address,
            stream_key: log.stream.key,
            lease: LEASE,
        }),
        message_bytes_max: settings.redis_message_bytes_max,
        pace: Pace::default(),
    })
}

/// Options of the public listener's socket, and of the admin listener's.
#[must_use]
pub fn socket(settings: &Settings) -> SocketConfig {
    SocketConfig {
        reuse_port: settings.reuse_port,
        send_buffer_bytes: settings.send_buffer_bytes,
        dead_after: settings.write_timeout,
        probe_after: settings.heartbeat_interval,
    }
}

/// Config of a listener for HTTP.
fn server(settings: &Settings) -> ServerConfig {
    ServerConfig {
        shared_socket: false,
        http2: true,
        chunked_bodies: true,
        header_timeout: settings.header_timeout,
        idle_timeout: settings.idle_timeout,
        write_timeout: settings.write_timeout,
        body_timeout: settings.body_timeout,
        body_time_max: settings.body_time_max,
        header_bytes_max: settings.header_bytes_max,
        header_count_max: settings.header_count_max,
        target_bytes_max: settings.request_target_bytes_max,
        answer_bytes_max: settings.answer_budget_bytes,
        answer_bytes_per_connection_max: settings.answer_bytes_per_connection_max,
        body_bytes_max: settings.body_budget_bytes,
        body_bytes_per_connection_max: settings.body_bytes_per_connection_max,
    }
}

/// Config of the log.
#[must_use]
pub fn log(settings: &Settings) -> LogConfig {
    LogConfig {
        filter: settings.log_level.clone(),
        format: settings.log_format,
        buffer_bytes: settings.log_buffer_bytes,
    }
}

/// Rules by which tokens are read.
#[must_use]
pub fn tokens(settings: &Settings) -> Policy {
    Policy {
        token_bytes_max: settings.token_bytes_max,
        selectors_max: settings.selectors_per_token_max,
        topic_bytes_max: settings.event_limits.topic_bytes_max,
        leeway: settings.jwt_leeway,
        issuer: settings.jwt_issuer.clone(),
        audience: settings.jwt_audience.clone(),
        topics_from: settings.topics_from.clone(),
    }
}

/// A number of threads, of which 0 means one for each core.
#[must_use]
pub fn count_or_cores(count: usize) -> NonZero<usize> {
    let cores = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    NonZero::new(count).unwrap_or_else(cores)
}

/// Number of shards: one a core, as many as a node may have.
fn shards(count: usize) -> NonZero<usize> {
    let max = NonZero::new(ShardSet::SHARDS_MAX).unwrap_or(NonZero::<usize>::MIN);
    count_or_cores(count).min(max)
}

/// All times of the settings have an upper bound of days.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{IngestUser, KeySource};

    #[test]
    fn the_defaults_of_a_component_are_those_of_the_settings() {
        let from_settings = HubConfig {
            shards: NonZero::<usize>::MIN,
            ..hub(&Settings::default())
        };
        assert_eq!(
            format!("{from_settings:?}"),
            format!("{:?}", HubConfig::default())
        );
        assert_eq!(
            format!("{:?}", log(&Settings::default())),
            format!("{:?}", LogConfig::default())
        );
        let api = api(&Settings::default());
        assert_eq!(
            format!("{:?} {:?}", api.access, api.subscribe),
            format!(
                "{:?} {:?}",
                AccessConfig::default(),
                SubscribeConfig::default()
            )
        );
    }

    #[test]
    fn the_memory_beside_the_history_has_room_for_all_idempotency_keys() {
        let bytes = |keys| {
            let settings = Settings {
                idempotency_keys_max: keys,
                ..Settings::default()
            };
            hub(&settings).memory_bytes
        };
        assert_eq!(bytes(1_000_000), 256 << 20);
        assert_eq!(bytes(50_000_000), 4 * 64 * 50_000_000);
    }

    #[test]
    fn no_secret_reaches_the_hub_the_api_or_the_log() {
        let secret = "a secret that must not be seen anywhere";
        let settings = Settings {
            jwt_keys: Some(KeySource::Secret(secret.into())),
            publisher_jwt_keys: Some(KeySource::Secret(secret.into())),
            ingest_password: Some(secret.into()),
            ingest_users: vec![IngestUser {
                name: "shop".to_owned(),
                password: secret.into(),
                publish: Vec::new(),
            }],
            ..Settings::default()
        };
        // Where there is a secret, `Debug` says `(hidden)`; these have nothing to hide.
        for shown in [
            format!("{:?}", hub(&settings)),
            format!("{:?}", api(&settings)),
            format!("{:?}", admin(&settings)),
            format!("{:?}", log(&settings)),
            format!("{:?}", tokens(&settings)),
        ] {
            assert!(!shown.contains("secret"), "{shown}");
            assert!(!shown.contains("(hidden)"), "{shown}");
        }
        let shown = format!("{:?} {:?}", ingest(&settings), settings);
        assert!(!shown.contains(secret), "{shown}");
        assert!(
            shown.contains("shop") && shown.contains("(hidden)"),
            "{shown}"
        );
    }
}
