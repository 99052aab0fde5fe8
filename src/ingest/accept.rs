//! Takes connections in: keeps the limit on their number, and the listener alive when the system
//! runs out of something.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::Port;
use super::connection::Connection;
use crate::hub::Hub;
use crate::once_a_minute::OnceAMinute;

/// First pause after a failed `accept`: long enough not to spin, short enough not to be felt.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// Longest pause: when descriptors are free again, publishers wait no longer than this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Questions of the kernel that a peer may leave unanswered before it is taken for gone.
const KEEPALIVE_PROBES: u32 = 3;

/// That accepting fails. Streaks of failures can be short and many, so it is not said for each.
static FAILING: OnceAMinute = OnceAMinute::new();
/// That it works again, likewise.
static RECOVERED: OnceAMinute = OnceAMinute::new();

/// The pause between failed accepts: it doubles in a streak of failures.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pause: Option<Duration>,
}

impl Backoff {
    /// Notes a failure; how long to wait.
    fn failed(&mut self) -> Duration {
        let pause = self
            .pause
            .map_or(BACKOFF_MIN, |last| (last * 2).min(BACKOFF_MAX));
        self.pause = Some(pause);
        pause
    }

    /// Notes a success; true when it ends a streak of failures.
    fn succeeded(&mut self) -> bool {
        self.pause.take().is_some()
    }
}

/// Waits for the next connection. When `accept` fails for want of descriptors or memory it pauses
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
            // The client was gone before it was accepted; that is nobody's trouble.
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

/// Whether `accept` reports what happened to one connection, not to this process (accept(2), "Error
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

/// Makes a connection of an accepted socket, unless `ingest_connections_max` are open: then it is
/// told so, and closed.
pub(super) fn admit(
    (stream, address): (TcpStream, SocketAddr),
    port: &Arc<Port>,
) -> Option<Connection> {
    // A socket that cannot be configured is about to fail anyway; the connection will notice.
    if let Err(error) = configure(&stream, port.timeouts.write) {
        debug!("ingest socket options: {error}");
    }
    match Connection::enter(stream, address, port) {
        Ok(connection) => Some(connection),
        Err(stream) => {
            port.hub.node_metrics().ingest_refused.add(1);
            refuse(&stream);
            None
        }
    }
}

/// Tells a client that there is no room. Straight to the kernel, since the runtime does not know
/// yet that a fresh socket can be written to.
fn refuse(stream: &TcpStream) {
    let now = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // The send buffer of a fresh socket takes a line; if not, the closed connection says enough.
    let _ = send(stream, b"-ERR max number of clients reached\r\n", now);
    // What the client has sent already would make the kernel reset the connection, and the reset
    // overtake the line.
    let _ = recv(stream, &mut [0; 16 * 1024], RecvFlags::DONTWAIT);
}

/// Answers leave at once (they are gathered here already), and peers that vanished without a word
/// are found out by the kernel: after `timeout` where they owe it an acknowledgement, and after
/// twice that where nothing was on the way. A publisher behind a cut cable must not hold one of
/// `ingest_connections_max` places for ever.
fn configure(stream: &TcpStream, timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probe = (timeout / KEEPALIVE_PROBES).max(Duration::from_secs(1));
    sockopt::set_tcp_keepidle(stream, timeout.max(Duration::from_secs(1)))?;
    sockopt::set_tcp_keepintvl(stream, probe)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, timeout_ms)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_to_a_second_and_starts_over() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..10).map(|_| backoff.failed()).collect();
        assert_eq!(pauses[0], BACKOFF_MIN);
        assert_eq!(pauses[1], BACKOFF_MIN * 2);
        assert_eq!(pauses[9], BACKOFF_MAX);
        assert!(backoff.succeeded());
        assert!(!backoff.succeeded());
        assert_eq!(backoff.failed(), BACKOFF_MIN);
    }
}
