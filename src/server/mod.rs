//! A listener for HTTP that can let go of a connection.
//!
//! hyper parses every request. A stream on HTTP/1 is then taken out of hyper and given away as a bare socket; all else is
//! answered here. The way of a connection through this module:
//!
//! ```text
//!  accept ─► connection ─► driver (guard, HTTP/1, may detach) ─► service
//!                     └──► h2 (HTTP/2) ──────────────────────────┘
//! ```
//!
//! This layer must never hold a stream: a detached one leaves no task, timer or buffer behind.

pub(crate) mod accept;
pub(crate) mod addresses;
pub(crate) mod answers;
pub(crate) mod bodies;
pub(crate) mod body;
pub(crate) mod connection;
pub(crate) mod driver;
pub(crate) mod exchange;
pub(crate) mod guard;
pub(crate) mod h2;
pub(crate) mod head;
pub(crate) mod lazy_stream;
pub(crate) mod linger;
pub(crate) mod listener;
pub(crate) mod media_type;
pub(crate) mod outcome;
pub(crate) mod phase_timer;
pub(crate) mod piece;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod room;
pub(crate) mod service;
pub(crate) mod unread;

use hyper::server::conn::http1;
use tokio::sync::watch;

pub use self::guard::Fault as RequestFault;
pub use self::guard::http1::{Http1 as RequestGuard, Limits as RequestLimits};
pub use self::listener::{BindError, bind};

use crate::settings::Settings;

/// hyper's own bounds on a request head are so many times the settings. Between the two, a request is read and answered with a problem document that
/// names the setting; beyond, hyper answers with a bare status.
const HEAD_SLACK: usize = 2;

/// Header fields that hyper parses without allocating; only more of them are asked for by number.
const HEADERS_INLINE: usize = 100;

/// What a connection may buffer while it reads a request or writes an answer: enough to take a large body in few calls.
const CONNECTION_BUFFER_BYTES: usize = 64 * 1024;

/// hyper's side of HTTP/1, for all connections.
pub(crate) fn http1_builder(settings: &Settings) -> http1::Builder {
    let head_bytes_max = settings.header_bytes_max.saturating_mul(HEAD_SLACK);
    let mut builder = http1::Builder::new();
    builder
        // Time is kept by `phase_timer`, for less.
        .header_read_timeout(None)
        // A client may end its side and still read. This also spares a second read for every request.
        .half_close(true)
        // Answers are short: one buffer and one write.
        .writev(false)
        .max_header_size(head_bytes_max)
        .max_buf_size(CONNECTION_BUFFER_BYTES.max(head_bytes_max));
    if settings.header_count_max > HEADERS_INLINE {
        builder.max_headers(settings.header_count_max);
    }
    builder
}

/// Waits for the signal to stop; a sender that is gone is one too.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _seen_or_gone = shutdown.wait_for(|stop| *stop).await;
}
