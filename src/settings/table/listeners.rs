//! Listeners and threads.

use super::super::bounds::{Bounds, GIB, KIB, from_to, or_zero};
use super::super::kind::Kind;
use super::setting::{Group, Setting};
use crate::core::history::ShardSet;

/// More threads than any machine has cores; further threads cost and do not help.
const THREADS: Bounds<u64> = or_zero(from_to(1, 256), "one a core");

/// As many shards as a set of shards holds.
const SHARDS: Bounds<u64> = or_zero(from_to(1, ShardSet::SHARDS_MAX as u64), "one a core");

pub(super) const LISTENERS: Group = Group {
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
            key: "reuse_port",
            help: "Lets another process of the same user listen on the same ports (`SO_REUSEPORT`), so that the next node starts beside one that drains",
            kind: Kind::Switch(|s| &mut s.reuse_port),
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

pub(super) const THREADING: Group = Group {
    title: "Threads",
    settings: &[
        Setting {
            key: "shards",
            help: "Delivery shards, a thread each",
            kind: Kind::Count(SHARDS, |s| &mut s.shards),
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
