//! The admin listener: health, metrics, and a look at the streams, for operators and their tools.
//!
//! It has no authentication of its own and is meant for loopback or a private network, so everything in it is either read-only
//! or undone by a client that reconnects, but for one call: what an operator erases of a topic's history is gone. It reads what the shards count and asks the hub; it must never take a lock that
//! publishing or delivery waits for longer than a copy takes, and a scrape must cost the same however many streams are open.

mod classic;
mod connections;
mod exposition;
mod guard;
mod negotiate;
mod node_metrics;
mod problem;
mod process;
mod query;
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
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use self::connections::{Connections, Place};
use crate::hub::Hub;
use crate::once_a_minute::OnceAMinute;
use routes::Admin;

/// A connection is asked to end after so long: it bounds what a client that reads nothing can hold. Scrapers reconnect.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);

/// Time for the request at hand to be answered once a connection is asked to end.
const CONNECTION_GRACE: Duration = Duration::from_secs(5);

/// Pause after a failed `accept`: out of file descriptors, trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The line that says so.
static ACCEPT_ERRORS: OnceAMinute = OnceAMinute::new();

/// The least that hyper's read buffer can be.
const HEAD_BUFFER_BYTES_MIN: usize = 8 * 1024;

/// Serves the admin listener until `shutdown` turns true (or its sender is gone) and the requests at hand are answered.
///
/// At most `admin_connections_max` connections are served at the same time. One more takes the place of one that asks for nothing, or waits.
pub async fn serve(listener: TcpListener, hub: Hub, mut shutdown: watch::Receiver<bool>) {
    let admin = Arc::new(Admin::new(hub.clone()));
    let open = Connections::new(hub.settings().admin_connections_max);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &open) => accepted,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((socket, place)) => {
                connections.spawn(converse(
                    socket,
                    place,
                    Arc::clone(&admin),
                    shutdown.clone(),
                ));
            }
            Err(error) => {
                hub.node_metrics().accept_errors.add(1);
                if let Some(left_out) = ACCEPT_ERRORS.due() {
                    warn!(%error, left_out, "the admin listener could not accept a connection, and tries again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        // Ended connections leave nothing behind.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, with its place.
async fn accept(listener: &TcpListener, open: &Connections) -> io::Result<(TcpStream, Place)> {
    let (socket, _) = listener.accept().await?;
    Ok((socket, open.enter().await?))
}

/// Serves one connection to its end.
async fn converse(
    socket: TcpStream,
    place: Place,
    admin: Arc<Admin>,
    mut shutdown: watch::Receiver<bool>,
) {
    let settings = admin.settings();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_headers(settings.header_count_max)
        .max_buf_size(settings.header_bytes_max.max(HEAD_BUFFER_BYTES_MIN));
    let service = service_fn(|request| {
        let admin = Arc::clone(&admin);
        let place = &place;
        async move {
            let _asking = place.ask();
            Ok::<_, std::convert::Infallible>(admin.answer(request).await)
        }
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = tokio::time::sleep(CONNECTION_LIFE) => None,
        _ = shutdown.wait_for(|stop| *stop) => None,
        () = place.evicted() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        // Nothing is owed to one that never asked for anything.
        None if !place.has_asked() => return,
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
