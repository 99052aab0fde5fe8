//! The public listener: subscribing and publishing over HTTP.
//!
//! [`crate::server`] reads every request and writes every answer. This layer decides what an answer is:
//!
//! ```text
//!  routes ─► access ─► subscribe ─► stream
//!                 ├──► publish::{json, ndjson, raw}
//!                 ├──► mercure::{publish, subscriptions}
//!                 └──► topics
//! ```
//!
//! It must never hold a stream, never order events, and never import `ingest` or `admin`.

mod access;
pub(crate) mod cors;
mod forwarded;
mod mercure;
mod parameters;
mod publish;
mod reach;
pub(crate) mod refusals;
pub(crate) mod routes;
mod stream;
pub(crate) mod subscribe;
mod topics;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use hyper::server::conn::http1;
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

pub use self::publish::json::{Events, JsonError, parse as parse_publish_json};
pub use self::subscribe::cursor as choose_cursor;

use self::access::Policy;
use self::cors::Cors;
use crate::auth::{Auth, Role};
use crate::hub::Hub;
use crate::server::addresses::Connections;
use crate::server::answers::Answers;
use crate::server::bodies::Bodies;
use crate::server::guard::Guard;
use crate::server::{RequestGuard, RequestLimits, accept, http1_builder};
use crate::settings::Settings;
use crate::web::host::HostRule;

/// Why serving could not begin.
#[derive(Debug, Error)]
#[error("cannot watch the public listener (`listen`): {0}")]
pub struct ServeError(#[from] io::Error);

/// What all connections of the listener share.
pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) cors: Cors,
    /// `None`: all hosts are answered.
    pub(crate) hosts: Option<HostRule>,
    pub(crate) access: Policy,
    pub(crate) connections: Arc<Connections>,
    pub(crate) answers: Answers,
    pub(crate) bodies: Bodies,
    pub(crate) http1: http1::Builder,
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl Node {
    /// What watches a new HTTP/1 connection.
    pub(crate) fn http1_guard(&self) -> Guard {
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
