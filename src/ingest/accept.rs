//! Accepts connections: bounds their number, and keeps the listener alive when the system runs out
//! of a resource.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout_at};
use tracing::{debug, info, warn};

use super::connection::Connection;
use super::{Port, socket};
use crate::backoff::Backoff;
use crate::closing::Closing;
use crate::hub::Hub;
use crate::once_a_minute::OnceAMinute;

/// Guard of the log line about failures of `accept`, which can alternate quickly with successes.
static FAILING: OnceAMinute = OnceAMinute::new();
/// Guard of the log line about the end of such failures.
static RECOVERED: OnceAMinute = OnceAMinute::new();

/// Waits for the next connection. If `accept` fails for lack of descriptors or memory, it pauses
/// and tries again; the connection waits in the kernel's queue meanwhile. Cancelling loses nothing.
pub(super) async fn next(
    listener: &TcpListener,
    backoff: &mut Backoff,
    hub: &Hub,
) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                if backoff.succeeded() && RECOVERED.due().is_some() {
                    info!("ingest connections are accepted again");
                }
                return accepted;
            }
            // The client left before it was accepted, which needs no action.
            Err(error) if is_of_the_peer(&error) => debug!("ingest accept: {error}"),
            Err(error) => {
                hub.node_metrics().ingest_accept_errors.add(1);
                if let Some(left_out) = FAILING.due() {
                    warn!(
                        left_out,
                        "cannot accept ingest connections, trying again until it works: {error}"
                    );
                }
                sleep(backoff.failed()).await;
            }
        }
    }
}

/// The next connection that waits in the kernel's queue, which a close would reset; `None` once the
/// socket is to be closed.
pub(super) async fn next_before_close(
    listener: &TcpListener,
    closing: &mut Closing,
) -> Option<(TcpStream, SocketAddr)> {
    while !closing.is_over(listener) {
        match timeout_at(closing.next(), listener.accept()).await {
            Ok(Ok(accepted)) => {
                closing.accepted();
                return Some(accepted);
            }
            Ok(Err(error)) if is_of_the_peer(&error) => {}
            // Out of descriptors or memory: the connection is lost, as is the listener.
            Ok(Err(_)) => return None,
            Err(_elapsed) => {}
        }
    }
    None
}

/// Whether an error of `accept` concerns one connection, not this process (accept(2), "Error
/// handling").
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

/// Makes a connection of an accepted socket. If `ingest_connections_max` connections are open, it
/// answers with an error and closes the socket.
pub(super) fn admit(
    (stream, address): (TcpStream, SocketAddr),
    port: &Arc<Port>,
) -> Option<Connection> {
    socket::configure(&stream, port.timeouts.write);
    match Connection::enter(stream, address, port) {
        Ok(connection) => Some(connection),
        Err(stream) => {
            port.hub.node_metrics().ingest_refused.add(1);
            refuse(&stream);
            None
        }
    }
}

/// Answers a client that there is no room. It writes to the kernel directly, because the runtime
/// does not know yet that a new socket is writable.
fn refuse(stream: &TcpStream) {
    let now = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // The send buffer of a new socket has room for a line. If not, the closed connection is answer
    // enough.
    let _ = send(stream, b"-ERR max number of clients reached\r\n", now);
    // Unread bytes of the client would make the kernel reset the connection, and the reset could
    // overtake the line.
    let _ = recv(stream, &mut [0; 16 * 1024], RecvFlags::DONTWAIT);
}
