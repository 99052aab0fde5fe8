//! Serves a listener to its end.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::answers::Answers;
use super::carried::Listening;
use super::config::ServerConfig;
use super::connections::{Connections, Limit};
use super::listener::Listener;
use super::service::Service;
use super::{accept, connection};
use crate::backoff;
use crate::core::budget::Budget;
use crate::metrics::HttpMetrics;
use crate::orders::{FREEZE_MAX, Follower, Order};

/// Why serving could not begin.
#[derive(Debug, Error)]
#[error("cannot watch a listener: {0}")]
pub struct ServeError(#[from] io::Error);

/// Everything that a listener needs besides its socket.
pub(crate) struct Setup {
    pub(crate) config: ServerConfig,
    /// How many connections it may have.
    pub(crate) limit: Limit,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// The memory of its answers. Shared with the service, which asks for room before it builds a
    /// long one.
    pub(crate) answers: Arc<Answers>,
    /// The account that its request bodies are charged to.
    pub(crate) budget: Arc<Budget>,
    pub(crate) service: Box<dyn Service>,
}

/// Serves a listener as the orders say: a fresh one, or one that was released.
///
/// In a freeze the listener accepts nothing, and new connections wait in the kernel. Requests in
/// hand are finished if they can be soon; others end with the listener, or go on when it thaws. At
/// a stop the socket is closed, and open requests finish.
///
/// Returns after a stop or release, when the last connection has ended. Streams do not count,
/// except those over HTTP/2, which need their connection. A client that sends a body without end
/// would be waited for, so the caller bounds the wait. Must run on a tokio runtime with I/O and time
/// enabled.
///
/// # Errors
/// [`ServeError`] when the socket cannot be watched; nothing was served then.
pub(crate) async fn serve(
    mut listening: Listening,
    setup: Setup,
    mut follower: Follower<Listening>,
) -> Result<(), ServeError> {
    let connections = Arc::new(Connections::new(
        setup.limit.clone(),
        Arc::clone(&setup.metrics),
    ));
    let mut orders = follower.orders();
    let listener = Arc::new(Listener::new(
        setup,
        Arc::clone(&connections),
        orders.clone(),
    ));
    let metrics = &listener.metrics;
    metrics.carried.add(listening.connections.len() as u64);
    metrics.left.add(listening.left as u64);
    loop {
        let socket = watch(listening.socket).await?;
        for carried in listening.connections {
            connection::resume(&listener, carried);
        }
        let order = accept::run(&listener, &socket, &mut orders).await;
        let socket = socket.into_inner();
        if order != Order::Freeze {
            break;
        }
        // A freeze that is given up meanwhile ends at once in `rest`.
        tokio::select! {
            () = connections.all_settled() => {}
            () = tokio::time::sleep(FREEZE_MAX) => {}
            _thaw_or_stop = orders.thawed() => {}
        }
        let frozen = Listening {
            socket,
            connections: listener.take_kept(),
            left: connections.unsettled(),
        };
        match follower.rest(frozen).await {
            Some(thawed) => listening = thawed,
            None => break,
        }
        // Connections that were put aside too late for the release.
        listening.connections.extend(listener.take_kept());
    }
    for late in listener.take_kept() {
        connection::resume(&listener, late);
    }
    connections.emptied().await;
    Ok(())
}

/// Lets tokio watch a listening socket. tokio's own listener would register every accepted socket
/// at once, which is what this module avoids.
async fn watch(socket: TcpListener) -> Result<AsyncFd<TcpListener>, ServeError> {
    socket.set_nonblocking(true)?;
    let mut unwatched = Some(socket);
    let watch = || {
        let socket = unwatched.take().ok_or(io::ErrorKind::NotFound)?;
        // SAFETY: a `TcpListener` owns its descriptor, which is open as long as it lives; nothing
        // replaces or closes it while the `AsyncFd` owns it.
        let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        watched.map_err(|refused| {
            let (socket, error) = refused.into_parts();
            unwatched = Some(socket);
            error
        })
    };
    Ok(backoff::outlast_in_task(watch).await?)
}

#[cfg(test)]
mod tests;
