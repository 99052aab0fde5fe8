//! Requests and answers over HTTP.

use super::super::bounds::{DAY, HOUR, KIB, MIB, TIB, from_to, secs};
use super::super::kind::Kind;
use super::setting::{Group, Setting};

pub(super) const HTTP: Group = Group {
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
            // The upper bound is the longest that the `http` crate supports.
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
            // The lower bound is the smallest read buffer that hyper supports.
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
