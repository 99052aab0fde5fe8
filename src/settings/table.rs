//! The one table that names every setting: key, meaning, bounds and field.
//!
//! Flags, environment, file, checks, help, `Debug` and the documentation are all made from it. A setting that is not here
//! cannot be given; a row whose bounds change is documented by `UPDATE_DOCS=1 cargo test --test command_line`.

use std::time::Duration;

use super::environment::PREFIX;
use super::key_source::Form;
use super::kind::{Bounds, Kind};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// How alike an unknown key and a setting must be (1 = equal) for a "did you mean": a letter or two, a missing word.
const LIKENESS_MIN: f64 = 0.85;

/// One setting.
pub(super) struct Setting {
    /// Its key in the file; flag and variable follow from it.
    pub(super) key: &'static str,
    /// What it means, in one sentence.
    pub(super) help: &'static str,
    /// What it takes and where that goes.
    pub(super) kind: Kind,
}

impl Setting {
    /// Its flag, without the leading dashes.
    pub(super) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The flag for one value of a list: `--trace-topic` beside `--trace-topics`.
    pub(super) fn one(&self) -> String {
        self.flag().trim_end_matches('s').to_owned()
    }

    /// Its environment variable.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.to_ascii_uppercase())
    }
}

/// Settings that belong together.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) settings: &'static [Setting],
}

/// Every setting, in the order of the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

/// The setting with this key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.key == key)
}

/// The key that was probably meant by `key`, which is none.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    all()
        .map(|setting| (strsim::jaro_winkler(key, setting.key), setting.key))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key)
}

const fn from_to<T: Copy>(min: T, max: T) -> Bounds<T> {
    Bounds {
        min,
        max,
        zero: None,
    }
}

const fn or_zero<T: Copy>(bounds: Bounds<T>, meaning: &'static str) -> Bounds<T> {
    Bounds {
        zero: Some(meaning),
        ..bounds
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const HOUR: Duration = secs(60 * 60);
const DAY: Duration = secs(24 * 60 * 60);

/// More threads than any machine has cores for; beyond it each costs and none helps.
const THREADS: Bounds<u64> = or_zero(from_to(1, 256), "one a core");
/// Ten times the million streams that one process is built for.
const CONNECTIONS_MAX: u64 = 10_000_000;

pub(super) static GROUPS: &[Group] = &[
    LISTENERS, THREADING, STREAMS, HISTORY, EVENTS, HTTP, TOKENS, INGEST, LOG,
];

const LISTENERS: Group = Group {
    title: "Listeners",
    settings: &[
        Setting {
            key: "listen",
            help: "Public listener: subscribe and publish over HTTP",
            kind: Kind::Address(|s| &mut s.listen),
        },
        Setting {
            key: "ingest_listen",
            help: "Ingest listener: publish over the Redis protocol",
            kind: Kind::Address(|s| &mut s.ingest_listen),
        },
        Setting {
            key: "admin_listen",
            help: "Admin listener: health, metrics, streams",
            kind: Kind::Address(|s| &mut s.admin_listen),
        },
        Setting {
            key: "allow_open_http",
            help: "Allows `listen` beyond loopback although anyone there may subscribe or publish",
            kind: Kind::Switch(|s| &mut s.allow_open_http),
        },
        Setting {
            key: "allow_open_admin",
            help: "Allows `admin_listen` beyond loopback although it has no authentication of its own",
            kind: Kind::Switch(|s| &mut s.allow_open_admin),
        },
        Setting {
            key: "hosts",
            help: "Names under which the public listener is reached; where they are listed, or where it lets in somebody without a token because there are no keys, it answers beside them for addresses and `localhost` only, so that no web page uses it under a name of its own",
            kind: Kind::Hosts(|s| &mut s.hosts),
        },
        Setting {
            key: "admin_hosts",
            help: "Names under which the admin listener is reached; beside them it answers for addresses and `localhost` only, so that no web page reads it under a name of its own",
            kind: Kind::Hosts(|s| &mut s.admin_hosts),
        },
        Setting {
            key: "admin_connections_max",
            help: "Most connections to the admin listener; fewer where the limit on open files is small",
            kind: Kind::Count(from_to(1, 1_000), |s| &mut s.admin_connections_max),
        },
    ],
};

const THREADING: Group = Group {
    title: "Threads",
    settings: &[
        Setting {
            key: "shards",
            help: "Delivery shards, a thread each",
            kind: Kind::Count(THREADS, |s| &mut s.shards),
        },
        Setting {
            key: "io_threads",
            help: "Threads for HTTP requests, publishing and ingest",
            kind: Kind::Count(THREADS, |s| &mut s.io_threads),
        },
        Setting {
            key: "mailbox_batches",
            help: "Most batches of events and calls that wait for one shard; publishers wait when it is full",
            kind: Kind::Count(from_to(1, 1_000_000), |s| &mut s.mailbox_batches),
        },
        Setting {
            key: "mailbox_bytes",
            help: "Most bytes of events that wait for one shard; publishers wait when it is full",
            kind: Kind::Bytes(from_to(64 * KIB, 16 * GIB), |s| &mut s.mailbox_bytes),
        },
    ],
};

const STREAMS: Group = Group {
    title: "Streams",
    settings: &[
        Setting {
            key: "max_streams",
            help: "Most open streams",
            kind: Kind::Count(
                or_zero(
                    from_to(1, CONNECTIONS_MAX),
                    "as many as the file limit allows",
                ),
                |s| &mut s.max_streams,
            ),
        },
        Setting {
            key: "max_connections",
            help: "Most HTTP connections that are not streams",
            kind: Kind::Count(
                or_zero(
                    from_to(1, CONNECTIONS_MAX),
                    "as many as the file limit leaves beside streams",
                ),
                |s| &mut s.max_connections,
            ),
        },
        Setting {
            key: "max_connections_per_address",
            help: "Most connections and streams of one client address",
            kind: Kind::Count(or_zero(from_to(1, CONNECTIONS_MAX), "no bound"), |s| {
                &mut s.max_connections_per_address
            }),
        },
        Setting {
            key: "ipv6_prefix",
            help: "Bits of an IPv6 address that are one client's: its network counts as one address",
            kind: Kind::Count(from_to(1, 128), |s| &mut s.ipv6_prefix),
        },
        Setting {
            key: "trusted_proxies",
            help: "Proxies in front whose `X-Forwarded-For` tells the client's address: `max_connections_per_address` counts the streams of that one, and connections of proxies not at all",
            kind: Kind::Networks(|s| &mut s.trusted_proxies),
        },
        Setting {
            key: "heartbeat_interval",
            help: "Silence after which a stream is sent its cursor",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| &mut s.heartbeat_interval),
        },
        Setting {
            key: "write_timeout",
            help: "Time after which a stream, or an ingest connection with answers to read, whose socket accepts nothing is closed; a client that acknowledges nothing is dead after it, too",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| &mut s.write_timeout),
        },
        Setting {
            key: "drain_period",
            help: "Time over which streams are closed, in even steps, on shutdown",
            kind: Kind::Time(
                or_zero(from_to(Duration::from_millis(1), HOUR), "all at once"),
                |s| &mut s.drain_period,
            ),
        },
        Setting {
            key: "retry",
            help: "Reconnection delay told to clients at the start of a stream",
            kind: Kind::OptionalTime(from_to(Duration::from_millis(1), HOUR), |s| &mut s.retry),
        },
        Setting {
            key: "send_buffer_bytes",
            help: "Kernel send buffer of a connection, which bounds what a stalled reader holds",
            kind: Kind::Bytes(
                or_zero(from_to(4 * KIB, 16 * MIB), "left to the kernel"),
                |s| &mut s.send_buffer_bytes,
            ),
        },
        Setting {
            key: "slow_consumer",
            help: "What happens to a stream when an event it has not seen leaves the history: its end, a jump to the oldest event \
                   kept, or always a jump to the newest; the gap is told",
            kind: Kind::Policy(|s| &mut s.slow_consumer),
        },
        Setting {
            key: "slow_consumer_rules",
            help: "Other policies for topics that start with a prefix; the longest prefix wins",
            kind: Kind::Rules(|s| &mut s.slow_consumer_rules),
        },
    ],
};

const HISTORY: Group = Group {
    title: "History",
    settings: &[
        Setting {
            key: "history_events",
            help: "Most events kept of a topic",
            kind: Kind::Count(or_zero(from_to(1, 1_000_000), "none are kept"), |s| {
                &mut s.history_events
            }),
        },
        Setting {
            key: "history_bytes",
            help: "Most bytes of events kept of a topic",
            kind: Kind::Bytes(or_zero(from_to(1, GIB), "none are kept"), |s| {
                &mut s.history_bytes
            }),
        },
        Setting {
            key: "history_age",
            help: "Age at which an event is no longer kept",
            kind: Kind::Time(from_to(secs(1), secs(30 * DAY.as_secs())), |s| {
                &mut s.history_age
            }),
        },
        Setting {
            key: "history_budget_bytes",
            help: "Most bytes of events kept on the node, all topics together",
            kind: Kind::Bytes(or_zero(from_to(1, TIB), "none are kept"), |s| {
                &mut s.history_budget_bytes
            }),
        },
    ],
};

const EVENTS: Group = Group {
    title: "Events and subscriptions",
    settings: &[
        Setting {
            key: "topic_bytes_max",
            help: "Longest topic name",
            kind: Kind::Bytes(from_to(1, KIB), |s| &mut s.event_limits.topic_bytes_max),
        },
        Setting {
            key: "topics_per_event_max",
            help: "Most topics of one event",
            kind: Kind::Count(from_to(1, 1_000), |s| {
                &mut s.event_limits.topics_per_event_max
            }),
        },
        Setting {
            key: "topics_per_stream_max",
            help: "Most topics of one stream",
            kind: Kind::Count(from_to(1, 1_000), |s| {
                &mut s.event_limits.topics_per_stream_max
            }),
        },
        Setting {
            key: "data_bytes_max",
            help: "Longest data of one event",
            kind: Kind::Bytes(from_to(1, 64 * MIB), |s| &mut s.event_limits.data_bytes_max),
        },
        Setting {
            key: "event_name_bytes_max",
            help: "Longest event name",
            kind: Kind::Bytes(from_to(1, 4 * KIB), |s| {
                &mut s.event_limits.event_name_bytes_max
            }),
        },
        Setting {
            key: "event_id_bytes_max",
            help: "Longest id that a publisher gives its event",
            kind: Kind::Bytes(from_to(1, 4 * KIB), |s| {
                &mut s.event_limits.event_id_bytes_max
            }),
        },
    ],
};

const HTTP: Group = Group {
    title: "HTTP",
    settings: &[
        Setting {
            key: "publish_body_bytes_max",
            help: "Largest body of one publish call that is read whole (JSON or raw); NDJSON is unbounded in length",
            kind: Kind::Bytes(from_to(KIB, 256 * MIB), |s| &mut s.publish_body_bytes_max),
        },
        Setting {
            key: "publish_batch_max",
            help: "Most events of one JSON array",
            kind: Kind::Count(from_to(1, 100_000), |s| &mut s.publish_batch_max),
        },
        Setting {
            key: "header_timeout",
            help: "Time for a request head to arrive; over HTTP/2 also for any other frame but DATA, and for the answer to a PING",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| &mut s.header_timeout),
        },
        Setting {
            key: "body_timeout",
            help: "Longest pause within a request body; between two lines of NDJSON it is `idle_timeout`, if that is longer",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| &mut s.body_timeout),
        },
        Setting {
            key: "body_time_max",
            help: "Longest time for a whole request body; of NDJSON, which may stay open, for one line",
            kind: Kind::Time(from_to(secs(1), DAY), |s| &mut s.body_time_max),
        },
        Setting {
            key: "idle_timeout",
            help: "Time that a kept-alive connection may be idle",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| &mut s.idle_timeout),
        },
        Setting {
            key: "answer_budget_bytes",
            help: "Most bytes of answers that wait for their clients to read them, all connections together; beyond it, calls are answered 503",
            kind: Kind::Bytes(from_to(MIB, TIB), |s| &mut s.answer_budget_bytes),
        },
        Setting {
            key: "answer_bytes_per_connection_max",
            help: "The same of one HTTP/2 connection",
            kind: Kind::Bytes(from_to(64 * KIB, TIB), |s| {
                &mut s.answer_bytes_per_connection_max
            }),
        },
        Setting {
            key: "body_budget_bytes",
            help: "Most bytes of unfinished request bodies and their heads, all connections together; one may grow while as much is left as it has, or else is answered 503. At least twice `publish_body_bytes_max`",
            kind: Kind::Bytes(from_to(MIB, TIB), |s| &mut s.body_budget_bytes),
        },
        Setting {
            key: "body_bytes_per_connection_max",
            help: "The same of one HTTP/2 connection",
            kind: Kind::Bytes(from_to(64 * KIB, TIB), |s| {
                &mut s.body_bytes_per_connection_max
            }),
        },
        Setting {
            key: "request_target_bytes_max",
            help: "Longest request target",
            // The upper end is the longest that the `http` crate holds.
            kind: Kind::Bytes(from_to(256, 65_534), |s| &mut s.request_target_bytes_max),
        },
        Setting {
            key: "header_count_max",
            help: "Most fields of a request head",
            kind: Kind::Count(from_to(8, 1_000), |s| &mut s.header_count_max),
        },
        Setting {
            key: "header_bytes_max",
            help: "Largest request head",
            // The lower end is the smallest read buffer that hyper works with.
            kind: Kind::Bytes(from_to(8 * KIB, MIB), |s| &mut s.header_bytes_max),
        },
        Setting {
            key: "cors_origins",
            help: "Origins whose pages may call from a browser",
            kind: Kind::Origins(|s| &mut s.cors_origins),
        },
        Setting {
            key: "cors_credentials",
            help: "Whether those pages may send cookies",
            kind: Kind::Switch(|s| &mut s.cors_credentials),
        },
    ],
};

const TOKENS: Group = Group {
    title: "Tokens",
    settings: &[
        Setting {
            key: "jwt_secret",
            help: "Secret that signs tokens (better not by flag: other processes see those)",
            kind: Kind::Keys(Form::Secret, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwt_secret_file",
            help: "File that holds this secret",
            kind: Kind::Keys(Form::SecretFile, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwt_key_file",
            help: "File with the public keys or certificates that check tokens",
            kind: Kind::Keys(Form::PemFile, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwks_file",
            help: "File with the key set that checks tokens",
            kind: Kind::Keys(Form::JwksFile, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwks_url",
            help: "URL of the key set that checks tokens, as identity providers have one",
            kind: Kind::Keys(Form::JwksUrl, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwt_algorithm",
            help: "Algorithm of a key that names none; or else HS256, RS256, or what its curve says",
            kind: Kind::Algorithm(|s| &mut s.jwt_algorithm),
        },
        Setting {
            key: "publisher_jwt_secret",
            help: "Secret that signs the tokens of publishers, in place of the keys above (better not by flag: other processes see those)",
            kind: Kind::Keys(Form::Secret, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwt_secret_file",
            help: "File that holds this secret",
            kind: Kind::Keys(Form::SecretFile, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwt_key_file",
            help: "File with the public keys or certificates that check the tokens of publishers, in place of the keys above",
            kind: Kind::Keys(Form::PemFile, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwks_file",
            help: "File with the key set that checks the tokens of publishers, in place of the keys above",
            kind: Kind::Keys(Form::JwksFile, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwks_url",
            help: "URL of the key set that checks the tokens of publishers, in place of the keys above, as identity providers have one",
            kind: Kind::Keys(Form::JwksUrl, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwt_algorithm",
            help: "Algorithm of a publisher's key that names none",
            kind: Kind::Algorithm(|s| &mut s.publisher_jwt_algorithm),
        },
        Setting {
            key: "jwt_issuer",
            help: "The only issuer (`iss`) whose tokens are taken",
            kind: Kind::Claim(|s| &mut s.jwt_issuer),
        },
        Setting {
            key: "jwt_audience",
            help: "What the audience (`aud`) of a token must hold",
            kind: Kind::Claim(|s| &mut s.jwt_audience),
        },
        Setting {
            key: "jwt_leeway",
            help: "By how much clocks may differ where `exp` and `nbf` are checked",
            kind: Kind::Time(
                or_zero(from_to(secs(1), secs(10 * 60)), "not at all"),
                |s| &mut s.jwt_leeway,
            ),
        },
        Setting {
            key: "jwks_timeout",
            help: "Time for a key set to be fetched",
            kind: Kind::Time(from_to(Duration::from_millis(100), secs(60)), |s| {
                &mut s.jwks_timeout
            }),
        },
        Setting {
            key: "jwks_max_age",
            help: "Age at which a fetched key set is fetched anew",
            kind: Kind::Time(from_to(secs(1), DAY), |s| &mut s.jwks_max_age),
        },
        Setting {
            key: "jwks_refresh_min",
            help: "Shortest time between two fetches that tokens with unknown keys cause",
            kind: Kind::Time(from_to(Duration::from_millis(100), HOUR), |s| {
                &mut s.jwks_refresh_min
            }),
        },
        Setting {
            key: "jwks_bytes_max",
            help: "Largest key set or PEM file",
            kind: Kind::Bytes(from_to(KIB, 16 * MIB), |s| &mut s.jwks_bytes_max),
        },
        Setting {
            key: "token_bytes_max",
            help: "Longest token",
            kind: Kind::Bytes(from_to(256, 64 * KIB), |s| &mut s.token_bytes_max),
        },
        Setting {
            key: "selectors_per_token_max",
            help: "Most selectors that one token grants, claims and `topics_from` together",
            kind: Kind::Count(from_to(1, 100_000), |s| &mut s.selectors_per_token_max),
        },
        Setting {
            key: "topics_from",
            help: "Rules that make topics of claims, for tokens that know nothing of topics",
            kind: Kind::TopicRules(|s| &mut s.topics_from),
        },
        Setting {
            key: "anonymous",
            help: "Lets streams in that have no token although there are keys; they hear public events only",
            kind: Kind::Switch(|s| &mut s.anonymous),
        },
        Setting {
            key: "cookie_name",
            help: "Cookie that holds a token",
            kind: Kind::CookieName(|s| &mut s.cookie_name),
        },
        Setting {
            key: "mercure_subscriptions",
            help: "Whether subscriptions can be listed, and are published when they start and end",
            kind: Kind::Switch(|s| &mut s.mercure_subscriptions),
        },
        Setting {
            key: "max_patterns",
            help: "Most distinct patterns that streams and their tokens hold together; a stream that asks for others is shed",
            kind: Kind::Count(from_to(1, 1_000_000), |s| &mut s.max_patterns),
        },
        Setting {
            key: "patterns_per_stream_max",
            help: "Most patterns of one stream, those not counted that its token names",
            kind: Kind::Count(from_to(1, 1_000), |s| &mut s.patterns_per_stream_max),
        },
        Setting {
            key: "patterns_per_address_max",
            help: "Most distinct patterns of all streams of one client address, those not counted that their tokens name; a stream that asks for others is shed",
            kind: Kind::Count(or_zero(from_to(1, 1_000_000), "no bound"), |s| {
                &mut s.patterns_per_address_max
            }),
        },
        Setting {
            key: "publish_check_steps_max",
            help: "Most steps, about a nanosecond each, of comparing the topics of one event with its publisher's token; beyond, it is refused",
            kind: Kind::Count(from_to(100_000, 1_000_000_000), |s| {
                &mut s.publish_check_steps_max
            }),
        },
    ],
};

const INGEST: Group = Group {
    title: "Ingest",
    settings: &[
        Setting {
            key: "ingest_password",
            help: "Password of the default user of the ingest port (better not by flag: other processes see those)",
            kind: Kind::Password(|s| &mut s.ingest_password),
        },
        Setting {
            key: "ingest_password_file",
            help: "File that holds this password",
            kind: Kind::PasswordFile(|s| &mut s.ingest_password),
        },
        Setting {
            key: "ingest_users",
            help: "Named users of the ingest port, each with the topics it may publish to as globs (better not by flag)",
            kind: Kind::Users(|s| &mut s.ingest_users),
        },
        Setting {
            key: "ingest_connections_max",
            help: "Most ingest connections; fewer where the limit on open files is small",
            kind: Kind::Count(from_to(1, 100_000), |s| &mut s.ingest_connections_max),
        },
        Setting {
            key: "ingest_array_max",
            help: "Longest array of one command, in elements",
            kind: Kind::Count(from_to(16, 1 << 20), |s| &mut s.ingest_array_max),
        },
        Setting {
            key: "ingest_bulk_bytes_max",
            help: "Longest bulk string of one command; at least `data_bytes_max`",
            kind: Kind::Bytes(from_to(KIB, 512 * MIB), |s| &mut s.ingest_bulk_bytes_max),
        },
        Setting {
            key: "ingest_transaction_commands_max",
            help: "Most commands between MULTI and EXEC, most topics of WATCH, and most events of one script",
            kind: Kind::Count(from_to(1, 100_000), |s| {
                &mut s.ingest_transaction_commands_max
            }),
        },
        Setting {
            key: "ingest_transaction_bytes_max",
            help: "Memory that the commands between MULTI and EXEC take, or the events of one script",
            kind: Kind::Bytes(from_to(KIB, 512 * MIB), |s| {
                &mut s.ingest_transaction_bytes_max
            }),
        },
        Setting {
            key: "ingest_reply_bytes_max",
            help: "Largest answer to one ingest command; at least `data_bytes_max`",
            kind: Kind::Bytes(from_to(64 * KIB, GIB), |s| &mut s.ingest_reply_bytes_max),
        },
        Setting {
            key: "ingest_unauthenticated_bytes_max",
            help: "Largest command of a connection that has yet to authenticate",
            // The lower end holds `AUTH` with the longest name and password.
            kind: Kind::Bytes(from_to(2 * KIB, MIB), |s| {
                &mut s.ingest_unauthenticated_bytes_max
            }),
        },
        Setting {
            key: "ingest_unauthenticated_max",
            help: "Most ingest connections that have yet to authenticate; beyond it the oldest of them is ended for a new one",
            kind: Kind::Count(
                or_zero(from_to(1, 100_000), "half of `ingest_connections_max`"),
                |s| &mut s.ingest_unauthenticated_max,
            ),
        },
        Setting {
            key: "ingest_authentication_timeout",
            help: "Time for an ingest connection to authenticate, where it has to",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| {
                &mut s.ingest_authentication_timeout
            }),
        },
        Setting {
            key: "ingest_command_timeout",
            help: "Time for an ingest command to arrive, from its first byte",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| &mut s.ingest_command_timeout),
        },
        Setting {
            key: "ingest_idle_timeout",
            help: "Time that an ingest connection may be idle",
            kind: Kind::Time(or_zero(from_to(secs(1), DAY), "for ever"), |s| {
                &mut s.ingest_idle_timeout
            }),
        },
    ],
};

const LOG: Group = Group {
    title: "Log",
    settings: &[
        Setting {
            key: "log_level",
            help: "What is logged; a level alone concerns the node's own lines; the variable `RUST_LOG`, in its own grammar, wins over it",
            kind: Kind::Filter(|s| &mut s.log_level),
        },
        Setting {
            key: "log_format",
            help: "Form of the log: for people, or one JSON object a line",
            kind: Kind::Format(|s| &mut s.log_format),
        },
        Setting {
            key: "log_buffer_bytes",
            help: "Most bytes of log lines that wait for standard error to take them; more are dropped and counted",
            kind: Kind::Bytes(from_to(64 * KIB, 64 * MIB), |s| &mut s.log_buffer_bytes),
        },
        Setting {
            key: "trace_topics",
            help: "Topics and patterns whose events are logged one by one, for debugging",
            kind: Kind::Topics(|s| &mut s.trace_topics),
        },
        Setting {
            key: "trace_topics_max",
            help: "Most topics and patterns that are traced at once; `/trace` of the admin listener adds no more",
            kind: Kind::Count(from_to(1, 1_000), |s| &mut s.trace_topics_max),
        },
    ],
};
