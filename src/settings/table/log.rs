//! The log, and traced topics.

use super::super::bounds::{KIB, MIB, from_to};
use super::super::kind::Kind;
use super::setting::{Group, Setting};

pub(super) const LOG: Group = Group {
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
