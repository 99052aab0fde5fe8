//! Several nodes with one log: a real `redis-server` or `valkey-server`, Sentinels, and `fantail`
//! processes, which the tests start, kill, stop and cut off from each other.
//!
//! Built with the feature `external-tests`. `cargo xtask test` runs every scenario small;
//! `cargo xtask cluster` runs them as long and as large as asked.

#[path = "../support/mod.rs"]
mod support;

/// The course of a scenario, and its end: everything is compared with the log.
mod course;
/// Places in a log.
mod id;
/// What streams and publishers were promised, and whether it was kept.
mod judge;
/// Several nodes with one log.
mod nodes;
/// A proxy that delays, holds and cuts.
#[path = "../support/proxy.rs"]
mod proxy;
/// Publishers that remember their answers.
mod publishers;
/// How large and how long.
mod scale;
/// Redis, Valkey and Sentinel.
#[path = "../support/redis_server.rs"]
mod server;
/// Subscribers that come back to any node.
mod streams;
/// HTTP and Server-Sent Events for many clients at once.
mod wire;

/// The log is away for a while.
mod away;
/// Anything, in any order.
mod chaos;
/// Failovers, with and without loss.
mod failover;
/// A node that is behind the others.
mod faster;
/// Entries of applications that write to the log themselves.
mod foreign;
/// A server that stops, and replies that are lost: what happened to the event?
mod ghost;
/// Connections that are open and dead, and servers that are the wrong one.
mod half_open;
/// Streams that hop among nodes.
mod hop;
/// Nodes that are killed.
mod kills;
/// Upgrades, drains, erased topics, repeats, transactions.
mod life;
/// What docs/CLUSTER.md and examples/cluster show.
mod manual;
/// From a node that stands alone to several.
mod moved;
/// Subscribers of a node that is killed.
mod presence;
/// Losses that nodes learn of at different times.
mod split;
/// The tests' own servers and proxy.
mod tools;
/// Entries that are gone before they were read.
mod trim;
