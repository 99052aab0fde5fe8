//! The checked settings of a node, as the rest of the program receives them.
//!
//! Only values. `super::table` has their forms, bounds and descriptions; `super::rules` has the
//! rules between them. Must never print a secret: `Debug` is written by hand for that reason.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::key_source::KeySource;
use super::user::IngestUser;
use crate::auth::{Algorithm, Role, TopicRule};
use crate::bridge::pubsub::{Channel, ChannelTopic};
use crate::bridge::redis::Address;
use crate::core::delivery::GAP_SPREAD_MS;
use crate::core::history::{SlowConsumerPolicy, SlowConsumerRule};
use crate::core::idempotency::KEY_MEMORY_BYTES;
use crate::core::limits::EventLimits;
use crate::core::selector::Selector;
use crate::logging::{LogFilter, LogFormat};
use crate::secret::Secret;
use crate::web::host::HostPattern;
use crate::web::origin::OriginPattern;

/// Every setting, checked; see `docs/OPERATIONS.md` for the table that is generated from the same
/// source.
#[derive(Clone)]
pub struct Settings {
    /// Public listener: subscribe and publish over HTTP.
    pub listen: SocketAddr,
    /// Ingest listener: Redis protocol.
    pub ingest_listen: SocketAddr,
    /// Admin listener: health, metrics, streams.
    pub admin_listen: SocketAddr,
    /// Other processes may listen on the same ports.
    pub reuse_port: bool,
    /// Allows the public listener beyond loopback even if anyone there may publish or subscribe.
    pub allow_open_http: bool,
    /// Names of the public listener, beside addresses and `localhost`. If none is listed and it
    /// asks for tokens, all names are answered.
    pub hosts: Vec<HostPattern>,
    /// Names of the admin listener, beside addresses and `localhost`.
    pub admin_hosts: Vec<HostPattern>,
    /// Allows the admin listener beyond loopback (it has no authentication of its own).
    pub allow_open_admin: bool,

    /// Delivery shards (threads); 0 = one per core.
    pub shards: usize,
    /// Threads for HTTP handshakes, publishing and ingest; 0 = one per core.
    pub io_threads: usize,

    /// Most open streams; 0 = as many as the file limit allows.
    pub max_streams: usize,
    /// Most HTTP connections that are not streams; 0 = no bound but the file limit.
    pub max_connections: usize,
    /// Most connections and streams of one client address; 0 = no bound.
    pub max_connections_per_address: usize,
    /// Bits of an IPv6 address that identify one client.
    pub ipv6_prefix: usize,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Most connections to the admin listener.
    pub admin_connections_max: usize,

    /// Silence after which the node sends a stream its cursor.
    pub heartbeat_interval: Duration,
    /// Time after which a stream, or an ingest connection with answers to read, is closed if its
    /// socket accepts nothing.
    pub write_timeout: Duration,
    /// Time over which all streams are told of a gap that concerns everybody; zero = all at once.
    pub gap_spread: Duration,
    /// Time over which streams are closed on shutdown.
    pub drain_period: Duration,
    /// Time from the 503 of `/readyz` to the drain.
    pub drain_delay: Duration,
    /// Reconnection delay sent to clients at the start of a stream; `None` sends none.
    pub retry: Option<Duration>,
    /// Kernel send buffer of a connection, in bytes; 0 leaves it to the kernel.
    pub send_buffer_bytes: usize,
    /// Policy for slow streams that no rule matches.
    pub slow_consumer: SlowConsumerPolicy,
    /// Exceptions by topic prefix.
    pub slow_consumer_rules: Vec<SlowConsumerRule>,

    /// Most events kept per topic.
    pub history_events: usize,
    /// Most bytes of events kept per topic.
    pub history_bytes: usize,
    /// Largest age of a kept event.
    pub history_age: Duration,
    /// Most bytes of events kept on the node, all topics together.
    pub history_budget_bytes: usize,
    /// Most bytes that the node holds for its clients, history included; 0 = 256 MiB more than the
    /// history may have, or eight times the largest body, command or transaction, or four times
    /// the idempotency keys.
    pub memory_budget: usize,
    /// Directory of the history file; `None` = the history is in memory only.
    pub state_dir: Option<PathBuf>,
    /// Time between two history files of a running node; zero = on a stop only.
    pub history_snapshot_interval: Duration,
    /// Time for which a start waits for another node that has the directory.
    pub state_dir_wait: Duration,

    /// Bounds on one event and one subscription.
    pub event_limits: EventLimits,
    /// Time for which idempotency keys are remembered; zero = they are not.
    pub idempotency_window: Duration,
    /// Most idempotency keys that are remembered.
    pub idempotency_keys_max: usize,

    /// Most batches that wait for one shard.
    pub mailbox_batches: usize,
    /// Most bytes of events that wait for one shard.
    pub mailbox_bytes: usize,

    /// Largest body of one publish call that is read whole (JSON or raw); NDJSON streams are
    /// unbounded in length.
    pub publish_body_bytes_max: usize,
    /// Most events in one JSON array.
    pub publish_batch_max: usize,
    /// Time for a request head to arrive; over HTTP/2 also for the opening, for a frame other than
    /// `DATA`, and for the answer to a `PING`.
    pub header_timeout: Duration,
    /// Longest pause within a request body.
    pub body_timeout: Duration,
    /// Longest time for a whole request body, or for one line of NDJSON.
    pub body_time_max: Duration,
    /// Time that a kept-alive connection may be idle.
    pub idle_timeout: Duration,
    /// Most bytes of answers that wait to be read, all connections together.
    pub answer_budget_bytes: usize,
    /// Most bytes of answers that wait to be read on one HTTP/2 connection.
    pub answer_bytes_per_connection_max: usize,
    /// Most bytes of unfinished request bodies, all connections together.
    pub body_budget_bytes: usize,
    /// Most bytes of unfinished request bodies on one HTTP/2 connection.
    pub body_bytes_per_connection_max: usize,
    /// Longest request target, in bytes.
    pub request_target_bytes_max: usize,
    /// Most header fields.
    pub header_count_max: usize,
    /// Largest request head, in bytes.
    pub header_bytes_max: usize,
    /// Origins that browsers may call from; `*` = any (without credentials).
    pub cors_origins: Vec<OriginPattern>,
    /// Whether those origins may send cookies.
    pub cors_credentials: bool,

    /// Keys that check tokens, and those of publishers unless they have their own; `None` = no
    /// tokens are used.
    pub jwt_keys: Option<KeySource>,
    /// Algorithm of keys that do not name one.
    pub jwt_algorithm: Option<Algorithm>,
    /// Keys that check the tokens of publishers; `None` = `jwt_keys`.
    pub publisher_jwt_keys: Option<KeySource>,
    /// Algorithm of publishers' keys that do not name one.
    pub publisher_jwt_algorithm: Option<Algorithm>,
    /// The only accepted `iss`.
    pub jwt_issuer: Option<String>,
    /// The value that `aud` must contain.
    pub jwt_audience: Option<String>,
    /// Allowed clock difference when `exp` and `nbf` are checked.
    pub jwt_leeway: Duration,
    /// Time for a key set to be fetched.
    pub jwks_timeout: Duration,
    /// Age at which a fetched key set is fetched again.
    pub jwks_max_age: Duration,
    /// Shortest time between two fetches because of unknown keys.
    pub jwks_refresh_min: Duration,
    /// Largest key set, in bytes; also of a PEM file.
    pub jwks_bytes_max: usize,
    /// Longest token, in bytes.
    pub token_bytes_max: usize,
    /// Most selectors that one token grants.
    pub selectors_per_token_max: usize,
    /// Rules that make topics of claims.
    pub topics_from: Vec<TopicRule>,
    /// Accepts streams without a token although keys are configured; they hear public events only.
    pub anonymous: bool,
    /// Cookie that holds a token.
    pub cookie_name: String,
    /// Whether subscriptions can be listed, and are published when they start and end.
    pub mercure_subscriptions: bool,
    /// Most distinct patterns that streams and their tokens hold together.
    pub max_patterns: usize,
    /// Most patterns of one stream that its token does not name.
    pub patterns_per_stream_max: usize,
    /// Most distinct patterns of one client address that the tokens of its streams do not name; 0 =
    /// no bound.
    pub patterns_per_address_max: usize,
    /// Most steps of comparing one event's topics with its publisher's token.
    pub publish_check_steps_max: usize,

    /// Password of the ingest port's default user; `None` leaves it open (loopback only).
    pub ingest_password: Option<Secret>,
    /// Named users of the ingest port.
    pub ingest_users: Vec<IngestUser>,
    /// Most ingest connections.
    pub ingest_connections_max: usize,
    /// Longest array of one command, in elements.
    pub ingest_array_max: usize,
    /// Longest bulk string of one command, in bytes.
    pub ingest_bulk_bytes_max: usize,
    /// Most commands of one transaction, and most events of one script.
    pub ingest_transaction_commands_max: usize,
    /// Most memory of the commands of one transaction, or of the events of one script, in bytes.
    pub ingest_transaction_bytes_max: usize,
    /// Largest answer to one command, in bytes.
    pub ingest_reply_bytes_max: usize,
    /// Largest command of a connection that has not authenticated, in bytes.
    pub ingest_unauthenticated_bytes_max: usize,
    /// Most ingest connections that have yet to authenticate; 0 = half of `ingest_connections_max`.
    pub ingest_unauthenticated_max: usize,
    /// Time for an ingest connection to authenticate.
    pub ingest_authentication_timeout: Duration,
    /// Time for an ingest command to arrive, from its first byte.
    pub ingest_command_timeout: Duration,
    /// Time that an ingest connection may be idle; zero = for ever.
    pub ingest_idle_timeout: Duration,

    /// The log that orders the events of several nodes; `None` = this node orders its own.
    pub log: Option<Address>,
    /// Password of the log's user.
    pub log_password: Option<Secret>,
    /// Key of the log's stream.
    pub log_key: String,
    /// Most entries of the log, about.
    pub log_events_max: usize,
    /// Most memory of the log, about; 0 = no bound.
    pub log_bytes_max: usize,
    /// Age at which entries are dropped from the log; zero = never.
    pub log_age: Duration,
    /// Most bytes of events that wait to be written to the log, or to come back.
    pub log_queue_bytes: usize,
    /// Longest time for a publisher's events to be written.
    pub log_timeout: Duration,
    /// Longest time for a start to reach the log.
    pub log_start_timeout: Duration,
    /// Replicas of Redis that must have an event before its publisher is answered.
    pub log_ack_replicas: usize,
    /// Time without the log after which the node is not ready; zero = never.
    pub log_lost_unready: Duration,
    /// Redis server whose channels the node subscribes to; `None` = it subscribes to none.
    pub redis_pubsub: Option<Address>,
    /// Password of the node's user there.
    pub redis_pubsub_password: Option<Secret>,
    /// Channels and patterns of that server.
    pub redis_channels: Vec<Channel>,
    /// Topics of channels whose topic is not their name.
    pub redis_topics: Vec<ChannelTopic>,
    /// Longest message of a channel, in bytes.
    pub redis_message_bytes_max: usize,

    /// Log filter (`RUST_LOG` syntax).
    pub log_level: LogFilter,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Most bytes of log lines that wait for standard error.
    pub log_buffer_bytes: usize,
    /// Topics and patterns whose events are logged one by one.
    pub trace_topics: Vec<Selector>,
    /// Most topics and patterns that operators may trace at once.
    pub trace_topics_max: usize,
}

impl Default for Settings {
    /// The result of an empty configuration.
    fn default() -> Self {
        Self {
            listen: loopback(8080),
            ingest_listen: loopback(7379),
            admin_listen: loopback(8081),
            reuse_port: false,
            allow_open_http: false,
            allow_open_admin: false,
            hosts: Vec::new(),
            admin_hosts: Vec::new(),

            shards: 0,
            io_threads: 0,

            max_streams: 0,
            max_connections: 0,
            max_connections_per_address: 0,
            ipv6_prefix: 64,
            trusted_proxies: Vec::new(),
            admin_connections_max: 64,

            heartbeat_interval: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            gap_spread: Duration::from_millis(GAP_SPREAD_MS),
            drain_period: Duration::from_secs(5),
            drain_delay: Duration::ZERO,
            retry: None,
            send_buffer_bytes: 16 << 10,
            slow_consumer: SlowConsumerPolicy::Disconnect,
            slow_consumer_rules: Vec::new(),

            history_events: 1_000,
            history_bytes: 1 << 20,
            history_age: Duration::from_secs(60 * 60),
            history_budget_bytes: 256 << 20,
            memory_budget: 0,
            state_dir: None,
            history_snapshot_interval: Duration::ZERO,
            state_dir_wait: Duration::from_secs(30),

            event_limits: EventLimits::default(),
            idempotency_window: Duration::from_secs(10 * 60),
            idempotency_keys_max: 1_000_000,

            mailbox_batches: 1_024,
            mailbox_bytes: 16 << 20,

            publish_body_bytes_max: 8 << 20,
            publish_batch_max: 1_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_time_max: Duration::from_secs(5 * 60),
            idle_timeout: Duration::from_secs(75),
            answer_budget_bytes: 64 << 20,
            answer_bytes_per_connection_max: 4 << 20,
            body_budget_bytes: 64 << 20,
            body_bytes_per_connection_max: 16 << 20,
            request_target_bytes_max: 16 << 10,
            header_count_max: 100,
            header_bytes_max: 32 << 10,
            cors_origins: Vec::new(),
            cors_credentials: false,

            jwt_keys: None,
            jwt_algorithm: None,
            publisher_jwt_keys: None,
            publisher_jwt_algorithm: None,
            jwt_issuer: None,
            jwt_audience: None,
            jwt_leeway: Duration::ZERO,
            jwks_timeout: Duration::from_secs(5),
            jwks_max_age: Duration::from_secs(10 * 60),
            jwks_refresh_min: Duration::from_secs(30),
            jwks_bytes_max: 256 << 10,
            token_bytes_max: 8 << 10,
            selectors_per_token_max: 1_000,
            topics_from: Vec::new(),
            anonymous: false,
            cookie_name: "mercureAuthorization".to_owned(),
            mercure_subscriptions: false,
            max_patterns: 2_000,
            patterns_per_stream_max: 20,
            patterns_per_address_max: 100,
            publish_check_steps_max: 100_000_000,

            ingest_password: None,
            ingest_users: Vec::new(),
            ingest_connections_max: 1_000,
            ingest_array_max: 1_024,
            ingest_bulk_bytes_max: 1 << 20,
            ingest_transaction_commands_max: 4_096,
            ingest_transaction_bytes_max: 8 << 20,
            ingest_reply_bytes_max: 16 << 20,
            ingest_unauthenticated_bytes_max: 16 << 10,
            ingest_unauthenticated_max: 0,
            ingest_authentication_timeout: Duration::from_secs(10),
            ingest_command_timeout: Duration::from_secs(60),
            ingest_idle_timeout: Duration::ZERO,

            log: None,
            log_password: None,
            log_key: "fantail".to_owned(),
            log_events_max: 1_000_000,
            log_bytes_max: 1 << 30,
            log_age: Duration::ZERO,
            log_queue_bytes: 64 << 20,
            log_timeout: Duration::from_secs(5),
            log_start_timeout: Duration::from_secs(30),
            log_ack_replicas: 0,
            log_lost_unready: Duration::from_secs(30),
            redis_pubsub: None,
            redis_pubsub_password: None,
            redis_channels: Vec::new(),
            redis_topics: Vec::new(),
            redis_message_bytes_max: 1 << 20,

            log_level: LogFilter::default(),
            log_format: LogFormat::Text,
            log_buffer_bytes: 1 << 20,
            trace_topics: Vec::new(),
            trace_topics_max: 16,
        }
    }
}

impl Settings {
    /// The defaults, but with every listener on a free port of 127.0.0.1 that the kernel chooses.
    /// Tests and examples start nodes with these, any number of them side by side.
    pub fn on_free_ports() -> Self {
        Self {
            listen: loopback(0),
            ingest_listen: loopback(0),
            admin_listen: loopback(0),
            ..Self::default()
        }
    }
}

/// Default of the bytes that the node may hold for its clients beside the history.
const MEMORY_BESIDE_HISTORY_BYTES: usize = 256 << 20;

impl Settings {
    /// Bytes that the node may hold for its clients beside the history.
    #[must_use]
    pub fn memory_beside_history(&self) -> usize {
        match self.memory_budget {
            0 => MEMORY_BESIDE_HISTORY_BYTES
                .max(8 * self.largest_in_memory())
                .max(4 * self.idempotency_keys_max * KEY_MEMORY_BYTES),
            bytes => bytes.saturating_sub(self.history_budget_bytes),
        }
    }

    /// The largest item of one client that is held whole.
    fn largest_in_memory(&self) -> usize {
        self.publish_body_bytes_max
            .max(self.ingest_transaction_bytes_max)
            .max(self.ingest_bulk_bytes_max)
    }

    /// The source of a role's keys and the algorithm that was set with it. Publishers have the keys
    /// of subscribers unless they have their own.
    #[must_use]
    pub fn keys_of(&self, role: Role) -> Option<(&KeySource, Option<Algorithm>)> {
        let own = match role {
            Role::Publisher => self.publisher_jwt_keys.as_ref(),
            Role::Subscriber => None,
        };
        match own {
            Some(source) => Some((source, self.publisher_jwt_algorithm)),
            None => Some((self.jwt_keys.as_ref()?, self.jwt_algorithm)),
        }
    }

    /// The setting that names the source of a role's keys.
    #[must_use]
    pub fn keys_setting(&self, role: Role) -> Option<&'static str> {
        let (source, _) = self.keys_of(role)?;
        let own = match role {
            Role::Publisher if self.publisher_jwt_keys.is_some() => Role::Publisher,
            _ => Role::Subscriber,
        };
        Some(source.key(own))
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
