//! Connections and streams.

use std::time::Duration;

use super::super::bounds::{HOUR, KIB, MIB, MINUTE, from_to, or_zero, secs};
use super::super::kind::Kind;
use super::setting::{Group, Setting};

/// Ten times the million streams that one process is built for.
const CONNECTIONS_MAX: u64 = 10_000_000;

pub(super) const STREAMS: Group = Group {
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
            key: "gap_spread",
            help: "Time over which all streams are told of a gap that concerns everybody, as a loss of the log of several nodes does; until its turn, a stream is sent nothing",
            kind: Kind::Time(
                or_zero(from_to(Duration::from_millis(1), MINUTE), "all at once"),
                |s| &mut s.gap_spread,
            ),
        },
        Setting {
            key: "drain_delay",
            help: "Time from the 503 of `/readyz` to the drain, on shutdown: a load balancer notices, and all is served as before",
            kind: Kind::Time(
                or_zero(from_to(Duration::from_millis(1), HOUR), "none"),
                |s| &mut s.drain_delay,
            ),
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
