//! A node and its log in a real `redis-server`: how it begins, what it refuses, how its program is
//! replaced and how it ends; and each call that a node makes. `tests/cluster` has what several nodes
//! promise together.

#![cfg(feature = "external-tests")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/redis_server.rs"]
mod redis_server;
/// The server of a test.
mod server;

/// What a node refuses to follow.
mod checks;
/// Calls of a connection, one by one.
mod connection;
/// A start, a new program, a drain, another order.
mod life;
/// Rosters of subscribers, call by call.
mod roster;
