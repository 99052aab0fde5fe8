//! History, events, and subscriptions.

use super::super::bounds::{DAY, GIB, KIB, MIB, TIB, from_to, or_zero, secs};
use super::super::kind::Kind;
use super::setting::{Group, Setting};
use crate::core::limits::TOPIC_BYTES_CEILING;

pub(super) const HISTORY: Group = Group {
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
        Setting {
            key: "memory_budget",
            help: "Most bytes that the node holds for its clients: history, request bodies, commands, answers, subscriptions, HTTP/2 streams. At least `history_budget_bytes`, which no other part takes, and twice `publish_body_bytes_max` and `ingest_transaction_bytes_max`",
            kind: Kind::Bytes(
                or_zero(
                    from_to(32 * MIB, 16 * TIB),
                    "`history_budget_bytes` and 256MiB, or eight times the largest body, command or transaction, or four times the idempotency keys",
                ),
                |s| &mut s.memory_budget,
            ),
        },
        Setting {
            key: "state_dir",
            help: "Directory of the history file, which outlives the process; not set: the history is in memory only",
            kind: Kind::Directory(|s| &mut s.state_dir),
        },
        Setting {
            key: "history_snapshot_interval",
            help: "Time between two history files of a running node: after a crash, at most the events of this time are lost. Needs `state_dir`",
            kind: Kind::Time(
                or_zero(from_to(secs(1), DAY), "the file is written on a stop only"),
                |s| &mut s.history_snapshot_interval,
            ),
        },
        Setting {
            key: "state_dir_wait",
            help: "Time for which a start waits for another node that has the `state_dir`, such as one that drains",
            kind: Kind::Time(or_zero(from_to(secs(1), secs(600)), "not at all"), |s| {
                &mut s.state_dir_wait
            }),
        },
    ],
};

pub(super) const EVENTS: Group = Group {
    title: "Events and subscriptions",
    settings: &[
        Setting {
            key: "topic_bytes_max",
            help: "Longest topic name",
            kind: Kind::Bytes(from_to(1, TOPIC_BYTES_CEILING as u64), |s| {
                &mut s.event_limits.topic_bytes_max
            }),
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
        Setting {
            key: "idempotency_window",
            help: "Time for which the idempotency key of an event is remembered: a repeat with the same key publishes nothing and gets the first receipt",
            kind: Kind::Time(
                or_zero(
                    from_to(secs(1), DAY),
                    "none is remembered, and events with keys are refused",
                ),
                |s| &mut s.idempotency_window,
            ),
        },
        Setting {
            key: "idempotency_keys_max",
            help: "Most idempotency keys that are remembered, 64 bytes each in `memory_budget`; with more, and while the node's memory is short, the oldest are forgotten before the window ends",
            kind: Kind::Count(from_to(1_000, 50_000_000), |s| &mut s.idempotency_keys_max),
        },
    ],
};
