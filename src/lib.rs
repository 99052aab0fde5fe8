//! Fantail: a Server-Sent Events fan-out node.
//!
//! Events come in over an internal TCP port (Redis protocol) or HTTP and go out as Server-Sent Events to hundreds of
//! thousands of open streams held by one process. `docs/ARCHITECTURE.md` tells how and why.
//!
//! The modules form layers, and imports point down only. `tests/layers` reads the source and fails on one that does not:
//!
//! | modules | know |
//! |---|---|
//! | [`node`], [`cli`], [`token`] | everything: builds, runs, drains |
//! | [`api`], [`ingest`], [`admin`] | the outside world's words; they never import each other |
//! | [`hub`], [`server`] | order; HTTP as such, and no topics; they never import each other |
//! | [`settings`] | what may be configured |
//! | [`shard`] | sockets as file descriptors; no hyper, no tokio |
//! | [`logging`] | the log |
//! | [`auth`] | tokens |
//! | [`core`] | what is decided: events, history, delivery; no I/O at all, and no clock |
//! | [`web`], [`metrics`], [`clock`], [`once_a_minute`], [`bom`], [`memory`], [`secret`] | nothing of this crate |

pub mod admin;
pub mod api;
pub mod auth;
pub mod bom;
pub mod cli;
pub mod clock;
pub mod core;
pub mod hub;
pub mod ingest;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod node;
pub mod once_a_minute;
pub mod secret;
pub mod server;
pub mod settings;
pub mod shard;
pub mod token;
pub mod web;
