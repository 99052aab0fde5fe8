//! The log that orders the events of several nodes.

use std::time::Duration;

use super::super::bounds::{DAY, GIB, HOUR, KIB, MIB, TIB, from_to, or_zero, secs};
use super::super::kind::Kind;
use super::setting::{Group, Setting};

/// Largest bound on entries: a billion take some 200 GiB.
const EVENTS_MAX: u64 = 1_000_000_000;

pub(super) const SHARED_LOG: Group = Group {
    title: "Shared log",
    settings: &[
        Setting {
            key: "log",
            help: "Redis or Valkey whose stream orders the events of all nodes that have it (a password better not by flag: other processes see those); not set: this node orders its own",
            kind: Kind::LogAddress(|s| &mut s.log),
        },
        Setting {
            key: "log_password",
            help: "Password of the log's user, in place of one in the address (better not by flag: other processes see those)",
            kind: Kind::Password(|s| &mut s.log_password),
        },
        Setting {
            key: "log_password_file",
            help: "File that holds this password",
            kind: Kind::PasswordFile(|s| &mut s.log_password),
        },
        Setting {
            key: "log_key",
            help: "Key of the stream; nodes with the same one are one cluster",
            kind: Kind::RedisKey(|s| &mut s.log_key),
        },
        Setting {
            key: "log_events_max",
            help: "Entries above which the oldest are dropped from the log (`MAXLEN ~`)",
            kind: Kind::Count(from_to(1_000, EVENTS_MAX), |s| &mut s.log_events_max),
        },
        Setting {
            key: "log_bytes_max",
            help: "Memory of the log in Redis above which the oldest entries are dropped; looked at once a minute, so leave Redis room for the events of some minutes",
            kind: Kind::Bytes(or_zero(from_to(MIB, 16 * TIB), "no bound"), |s| {
                &mut s.log_bytes_max
            }),
        },
        Setting {
            key: "log_age",
            help: "Age at which entries are dropped from the log, once a minute; below `history_age`, a node that starts reads less than it would keep",
            kind: Kind::Time(
                or_zero(from_to(secs(60), secs(30 * DAY.as_secs())), "never"),
                |s| &mut s.log_age,
            ),
        },
        Setting {
            key: "log_queue_bytes",
            help: "Most bytes of events that wait to be written to the log, or to come back; publishers are refused above",
            kind: Kind::Bytes(from_to(64 * KIB, 16 * GIB), |s| &mut s.log_queue_bytes),
        },
        Setting {
            key: "log_timeout",
            help: "Time for events to be written to the log; then their publisher is told that they are not published, or that it is not known",
            kind: Kind::Time(from_to(Duration::from_millis(100), secs(60)), |s| {
                &mut s.log_timeout
            }),
        },
        Setting {
            key: "log_start_timeout",
            help: "Time for a start to reach the log; then the node ends",
            kind: Kind::Time(from_to(Duration::from_millis(100), HOUR), |s| {
                &mut s.log_start_timeout
            }),
        },
        Setting {
            key: "log_ack_replicas",
            help: "Replicas of Redis that must have an event before its publisher is answered (`WAIT`)",
            kind: Kind::Count(
                or_zero(from_to(1, 100), "the master's word is enough"),
                |s| &mut s.log_ack_replicas,
            ),
        },
        Setting {
            key: "log_lost_unready",
            help: "Time without the log after which `/readyz` says 503; streams stay open",
            kind: Kind::Time(or_zero(from_to(secs(1), DAY), "never"), |s| {
                &mut s.log_lost_unready
            }),
        },
    ],
};
