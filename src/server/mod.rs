//! An HTTP listener whose connections can be detached.
//!
//! hyper parses every request and writes every response. A `Service` decides the answer. If the
//! answer is a stream, on HTTP/1 the socket is taken out of hyper and passed on. The path of a
//! connection through this module:
//!
//! ```text
//!  accept ─► connection ─► driver (guard, HTTP/1, may detach) ─► responder ─► listener ─► the service
//!                     └──► h2 (HTTP/2) ──────────────────────────┘
//! ```
//!
//! This layer must never keep a stream: a detached one leaves no task, timer or buffer behind. It
//! must never know topics, tokens or the hub: the public API and the admin listener stand on it
//! side by side. TLS would be one more step between `accept` and `connection`.

mod accept;
pub(crate) mod activity;
pub(crate) mod answers;
mod bind;
mod bodies;
mod carried;
mod charge;
mod check;
mod config;
mod connection;
pub(crate) mod connections;
pub(crate) mod detach;
mod driver;
mod exchange;
pub(crate) mod fields;
mod guard;
mod h2;
pub(crate) mod head;
mod heads;
pub(crate) mod json;
mod lazy_stream;
mod linger;
mod listener;
pub(crate) mod media_type;
pub(crate) mod outcome;
mod phase_timer;
mod piece;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod request_body;
mod responder;
pub(crate) mod response_body;
pub(crate) mod retry;
mod room;
mod seats;
pub(crate) mod segments;
mod serve;
pub(crate) mod service;
mod settle;
mod socket;
pub(crate) mod transport;
mod turns;
mod unread;

pub use self::bind::{BindError, Options, adopt, bind, open};
pub use self::carried::{Carried, Listening};
pub use self::config::{ServerConfig, SocketConfig};
pub use self::guard::http1::Http1 as RequestGuard;
pub use self::guard::{Fault as RequestFault, Limits as RequestLimits};
pub use self::serve::ServeError;
pub(crate) use self::serve::{Setup, serve};
