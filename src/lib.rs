//! Fantail: a Server-Sent Events fan-out node.
//!
//! Events come in over an internal TCP port (Redis protocol) or HTTP and go out as Server-Sent Events to hundreds of
//! thousands of open streams held by one process. `docs/ARCHITECTURE.md` tells how and why.
//!
//! The modules form layers, and imports point down only:
//!
//! | layer | modules | knows |
//! |---|---|---|
//! | 4 | [`cli`], [`node`], [`token`] | everything: builds, runs, drains |
//! | 3 | [`api`], [`ingest`], [`admin`] | the outside world's words; siblings never import each other |
//! | 2 | [`server`] | HTTP as such: connections, requests, answers |
//! | 2 | [`hub`] | order |
//! | 1 | [`shard`] | sockets as file descriptors; never hyper, never tokio |
//! | 0 | [`core`] | what is decided: events, history, delivery; no I/O at all |
//! | 0 | [`auth`], [`settings`], [`bom`], [`web`], [`metrics`], [`once_a_minute`], [`secret`], [`logging`] | no I/O but the log's |

pub mod admin;
pub mod api;
pub mod auth;
pub mod bom;
pub mod cli;
pub mod core;
pub mod hub;
pub mod ingest;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod once_a_minute;
pub mod secret;
pub mod server;
pub mod settings;
pub mod shard;
pub mod token;
pub mod web;
