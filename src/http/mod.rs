//! The public listener: subscribing and publishing over HTTP.
//!
//! hyper parses every request. A subscription on HTTP/1 is then taken out of hyper and given to a delivery shard as a bare socket; all else is
//! answered here. The way of a connection through this module:
//!
//! ```text
//!  accept ─► connection ─► driver (guard, HTTP/1, may detach) ─► service ─► routes ─► subscribe
//!                     └──► h2 (HTTP/2) ─────────────────────┘   │ access  ├──► publish::{json, ndjson, raw}
//!                                                                         ├──► mercure::{publish, subscriptions}
//!                                                                         └──► topics
//! ```
//!
//! This layer must never hold a stream (a detached one leaves no task, timer or buffer behind), never order events, and never import `ingest` or `admin`.

mod accept;
mod access;
mod addresses;
mod answers;
mod bodies;
mod body;
mod connection;
mod cors;
mod driver;
mod exchange;
mod forwarded;
mod guard;
mod h2;
mod head;
mod lazy_stream;
mod linger;
mod listener;
mod media_type;
mod mercure;
mod outcome;
mod parameters;
mod phase_timer;
mod piece;
mod problem;
mod publish;
mod query;
mod reach;
mod refusals;
mod room;
mod routes;
mod service;
mod stream;
mod subscribe;
mod topics;
mod unread;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use hyper::server::conn::http1;
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

pub use self::guard::Fault as RequestFault;
pub use self::guard::http1::{Http1 as RequestGuard, Limits as RequestLimits};
pub use self::listener::{BindError, bind};
pub use self::publish::json::{Events, JsonError, parse as parse_publish_json};
pub use self::subscribe::cursor as choose_cursor;

use self::access::Policy;
use self::addresses::Connections;
use self::answers::Answers;
use self::bodies::Bodies;
use self::cors::Cors;
use self::guard::Guard;
use crate::auth::{Auth, Role};
use crate::host::HostRule;
use crate::hub::Hub;
use crate::settings::Settings;

/// hyper's own bounds on a request head are so many times the settings. Between the two, a request is read and answered with a problem document that
/// names the setting; beyond, hyper answers with a bare status.
const HEAD_SLACK: usize = 2;

/// Header fields that hyper parses without allocating; only more of them are asked for by number.
const HEADERS_INLINE: usize = 100;

/// What a connection may buffer while it reads a request or writes an answer: enough to take a large body in few calls.
const CONNECTION_BUFFER_BYTES: usize = 64 * 1024;

/// Why serving could not begin.
#[derive(Debug, Error)]
#[error("cannot watch the public listener (`listen`): {0}")]
pub struct ServeError(#[from] io::Error);

/// What all connections of the listener share.
struct Node {
    hub: Hub,
    cors: Cors,
    /// `None`: all hosts are answered.
    hosts: Option<HostRule>,
    access: Policy,
    connections: Arc<Connections>,
    answers: Answers,
    bodies: Bodies,
    http1: http1::Builder,
    shutdown: watch::Receiver<bool>,
}

impl Node {
    /// What watches a new HTTP/1 connection.
    fn http1_guard(&self) -> Guard {
        let settings = self.hub.settings();
        Guard::Http1(RequestGuard::new(RequestLimits {
            trailer_bytes_max: settings.header_bytes_max,
            trailer_count_max: settings.header_count_max,
        }))
    }
}

/// Serves the public listener until `shutdown` turns true (or its sender is gone), then closes it and lets the requests in hand finish.
///
/// Returns when the last connection has ended. Streams do not count, except those over HTTP/2, which end when the hub drains; a publisher that
/// streams without end would be waited for, so the caller bounds the wait. Must run on a tokio runtime with I/O and time enabled.
///
/// # Errors
/// [`ServeError`] when the listener cannot be watched; nothing was served then.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    auth: Arc<Auth>,
    shutdown: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    listener.set_nonblocking(true)?;
    // tokio's own listener would register every accepted socket at once, which is what this module avoids.
    //
    // SAFETY: a `TcpListener` owns its descriptor, which is open as long as it lives; nothing replaces or closes it while the `AsyncFd` owns it.
    let listener = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }
        .map_err(io::Error::from)?;
    let settings = hub.settings();
    let node = Arc::new(Node {
        cors: Cors::new(&settings.cors_origins, settings.cors_credentials),
        hosts: host_rule(settings, &auth),
        access: Policy::new(settings, auth),
        connections: Arc::new(Connections::new(hub.clone())),
        answers: Answers::new(hub.clone()),
        bodies: Bodies::new(hub.clone()),
        http1: http1_builder(settings),
        shutdown: shutdown.clone(),
        hub,
    });
    if node.access.subscriptions {
        // Ends with the hub, not with this listener: streams end after it, and their ends are told.
        let hub = node.hub.clone();
        tokio::spawn(async move { hub.presence().announce(&hub).await });
    }
    accept::run(&node, &listener, shutdown).await;
    drop(listener);
    node.connections.emptied().await;
    Ok(())
}

/// The hosts that are answered. A node that asks for a token may be reached under any name, unless its operator lists some: a page that has no token
/// learns nothing there.
fn host_rule(settings: &Settings, auth: &Auth) -> Option<HostRule> {
    let is_open = [Role::Subscriber, Role::Publisher]
        .into_iter()
        .any(|role| settings.keys_of(role).is_none() && !auth.has_keys(role));
    (is_open || !settings.hosts.is_empty()).then(|| {
        let mut names = settings.hosts.clone();
        // RFC 6761 §6.3: browsers keep all of these to this machine.
        names.push("*.localhost".to_owned());
        HostRule::new(&names)
    })
}

/// hyper's side of HTTP/1, for all connections.
fn http1_builder(settings: &Settings) -> http1::Builder {
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
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _seen_or_gone = shutdown.wait_for(|stop| *stop).await;
}
