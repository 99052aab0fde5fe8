//! Serves a listener to its end.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::accept;
use super::answers::Answers;
use super::config::ServerConfig;
use super::connections::{Connections, Limit};
use super::listener::Listener;
use super::service::Service;
use crate::core::budget::Budget;
use crate::metrics::HttpMetrics;

/// Why serving could not begin.
#[derive(Debug, Error)]
#[error("cannot watch a listener: {0}")]
pub struct ServeError(#[from] io::Error);

/// What a listener needs besides its socket.
pub(crate) struct Setup {
    pub(crate) config: ServerConfig,
    /// How many connections it may have.
    pub(crate) limit: Limit,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// The memory of its answers. Shared with the service, which asks for room before it makes a long one.
    pub(crate) answers: Arc<Answers>,
    /// The account that its request bodies are charged to.
    pub(crate) budget: Arc<Budget>,
    pub(crate) service: Box<dyn Service>,
}

/// Serves `socket` until `shutdown` turns true (or its sender is gone), then closes it and lets the requests in hand finish.
///
/// Returns when the last connection has ended. Streams do not count, except those over HTTP/2, whose connection they need; a client that sends
/// a body without end would be waited for, so the caller bounds the wait. Must run on a tokio runtime with I/O and time enabled.
///
/// # Errors
/// [`ServeError`] when the socket cannot be watched; nothing was served then.
pub(crate) async fn serve(
    socket: TcpListener,
    setup: Setup,
    shutdown: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    socket.set_nonblocking(true)?;
    // tokio's own listener would register every accepted socket at once, which is what this module avoids.
    //
    // SAFETY: a `TcpListener` owns its descriptor, which is open as long as it lives; nothing replaces or closes it while the `AsyncFd` owns it.
    let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }
        .map_err(io::Error::from)?;
    let connections = Arc::new(Connections::new(
        setup.limit.clone(),
        Arc::clone(&setup.metrics),
    ));
    let listener = Arc::new(Listener::new(
        setup,
        Arc::clone(&connections),
        shutdown.clone(),
    ));
    accept::run(&listener, &socket, shutdown).await;
    drop(socket);
    connections.emptied().await;
    Ok(())
}
