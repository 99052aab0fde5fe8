//! The admin listener: health, metrics, and a look at the streams, for operators and their tools.
//!
//! It has no authentication of its own and is meant for loopback or a private network, so everything in it is either read-only
//! or undone by a client that reconnects. It reads what the shards count and asks the hub; it must never take a lock that
//! publishing or delivery waits for longer than a copy takes, and a scrape must cost the same however many streams are open.

mod classic;
mod exposition;
mod negotiate;
mod node_metrics;
mod problem;
mod process;
mod routes;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::hub::Hub;
use routes::Admin;

/// Most connections at the same time; more wait in the kernel's queue. A few scrapers and a person need a handful.
pub const CONNECTIONS_MAX: usize = 64;

/// A connection is asked to end after so long: it bounds what a client that reads nothing can hold. Scrapers reconnect.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);

/// Time for the request at hand to be answered once a connection is asked to end.
const CONNECTION_GRACE: Duration = Duration::from_secs(5);

/// Pause after a failed `accept`: out of file descriptors, trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The least that hyper's read buffer can be.
const HEAD_BUFFER_BYTES_MIN: usize = 8 * 1024;

/// Serves the admin listener until `shutdown` turns true (or its sender is gone) and the requests at hand are answered.
pub async fn serve(listener: TcpListener, hub: Hub, mut shutdown: watch::Receiver<bool>) {
    let admin = Arc::new(Admin::new(hub.clone()));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((socket, place)) => {
                let connection = converse(socket, Arc::clone(&admin), shutdown.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                hub.node_metrics().accept_errors.add(1);
                warn!(%error, "the admin listener could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        // Ended connections leave nothing behind.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits for a place first, so that a connection is accepted only once it can be served.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (socket, _) = listener.accept().await?;
    Ok((socket, place))
}

/// Serves one connection to its end.
async fn converse(socket: TcpStream, admin: Arc<Admin>, mut shutdown: watch::Receiver<bool>) {
    let settings = admin.settings();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_headers(settings.header_count_max)
        .max_buf_size(settings.header_bytes_max.max(HEAD_BUFFER_BYTES_MIN));
    let service = service_fn(|request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, std::convert::Infallible>(admin.answer(request).await) }
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = tokio::time::sleep(CONNECTION_LIFE) => None,
        _ = shutdown.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            let last = tokio::time::timeout(CONNECTION_GRACE, connection).await;
            last.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "an admin connection ended early");
    }
}
