//! Fantail: a Server-Sent Events fan-out node.
//!
//! Publishers send events over an internal TCP port (Redis protocol) or HTTP. One process sends
//! them as Server-Sent Events to hundreds of thousands of open streams. `docs/ARCHITECTURE.md`
//! explains how and why.
//!
//! Most users run the program. A Rust program may also embed a node:
//!
//! ```no_run
//! use fantail::{Event, Node, Settings};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings {
//!     history_events: 10_000,
//!     ..Settings::on_free_ports()
//! };
//! let node = Node::start(settings).await?;
//! let receipt = node.hub().publish(Event::new("news", "hello")).await?;
//! println!("{} went to {} streams", receipt.id, receipt.subscribers);
//! node.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embed.rs` is a whole program. A program may rely on [`Node`], [`Settings`], [`Hub`],
//! [`Event`], [`EventId`], [`Selector`], [`Receipt`], their errors, and the types of single
//! settings in [`value`]. All other items are private, unless the feature `internals` is on; it
//! exists for the tests and benches of this repository, and may change at any time.
//!
//! # Layers
//!
//! The modules form layers, and imports point down only. `tests/layers` reads the source and fails
//! on an import that does not:
//!
//! | modules | know |
//! |---|---|
//! | `node`, `cli`, `token` | everything: builds, runs, drains |
//! | `settings` | what may be configured; no component reads it, each has its own config |
//! | `api`, `ingest`, `admin`, `bridge` | the outside world's words; they never import each other |
//! | `hub`, `server` | order; HTTP as such, and no topics; they never import each other |
//! | `shard` | sockets as file descriptors; no hyper, no tokio |
//! | `logging` | the log |
//! | `auth` | tokens |
//! | `state` | the format of a node's state: what a new process or a file is given |
//! | `core` | what is decided: events, history, delivery; no I/O at all, and no clock |
//! | `web`, `metrics`, `clock`, `backoff`, `closing`, `once_a_minute`, `orders`, `plural`, `bom`, `json`, `memory`, `secret` | nothing of this crate |

#![cfg_attr(
    not(feature = "internals"),
    // With the feature, tests and benches use these items and docs link to them.
    allow(dead_code, unreachable_pub, unused_imports),
    allow(rustdoc::private_intra_doc_links)
)]

#[cfg(feature = "internals")]
pub mod admin;
#[cfg(not(feature = "internals"))]
mod admin;
#[cfg(feature = "internals")]
pub mod api;
#[cfg(not(feature = "internals"))]
mod api;
#[cfg(feature = "internals")]
pub mod auth;
#[cfg(not(feature = "internals"))]
mod auth;
mod backoff;
#[cfg(feature = "internals")]
pub mod bom;
#[cfg(not(feature = "internals"))]
mod bom;
#[cfg(feature = "internals")]
pub mod bridge;
#[cfg(not(feature = "internals"))]
mod bridge;
#[cfg(feature = "internals")]
pub mod cli;
#[cfg(not(feature = "internals"))]
mod cli;
#[cfg(feature = "internals")]
pub mod clock;
#[cfg(not(feature = "internals"))]
mod clock;
mod closing;
#[cfg(feature = "internals")]
pub mod core;
#[cfg(not(feature = "internals"))]
mod core;
#[cfg(feature = "internals")]
pub mod hub;
#[cfg(not(feature = "internals"))]
mod hub;
#[cfg(feature = "internals")]
pub mod ingest;
#[cfg(not(feature = "internals"))]
mod ingest;
mod json;
#[cfg(feature = "internals")]
pub mod logging;
#[cfg(not(feature = "internals"))]
mod logging;
#[cfg(feature = "internals")]
pub mod memory;
#[cfg(not(feature = "internals"))]
mod memory;
#[cfg(feature = "internals")]
pub mod metrics;
#[cfg(not(feature = "internals"))]
mod metrics;
#[cfg(feature = "internals")]
pub mod node;
#[cfg(not(feature = "internals"))]
mod node;
#[cfg(feature = "internals")]
pub mod once_a_minute;
#[cfg(not(feature = "internals"))]
mod once_a_minute;
#[cfg(feature = "internals")]
pub mod orders;
#[cfg(not(feature = "internals"))]
mod orders;
mod plural;
#[cfg(feature = "internals")]
pub mod secret;
#[cfg(not(feature = "internals"))]
mod secret;
#[cfg(feature = "internals")]
pub mod server;
#[cfg(not(feature = "internals"))]
mod server;
#[cfg(feature = "internals")]
pub mod settings;
#[cfg(not(feature = "internals"))]
mod settings;
#[cfg(feature = "internals")]
pub mod shard;
#[cfg(not(feature = "internals"))]
mod shard;
#[cfg(feature = "internals")]
pub mod state;
#[cfg(not(feature = "internals"))]
mod state;
#[cfg(feature = "internals")]
pub mod token;
#[cfg(not(feature = "internals"))]
mod token;
#[cfg(feature = "internals")]
pub mod web;
#[cfg(not(feature = "internals"))]
mod web;

mod embed;
mod program;
pub mod value;

pub use crate::core::desk::Receipt;
pub use crate::core::event::{EventId, ParseEventIdError};
pub use crate::core::selector::{Selector, SelectorError};
pub use crate::embed::{Event, Hub, Node, NodeError, PublishError};
pub use crate::node::Addresses;
pub use crate::settings::{ConfigError, Settings};

#[doc(hidden)]
pub use crate::program::run_program;
