//! Options of a connection's socket.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tracing::debug;

/// Unanswered keep-alive probes after which a peer counts as gone.
const KEEPALIVE_PROBES: u32 = 3;

/// Sets a connection's options. A socket that cannot be configured is about to fail anyway; the
/// connection will notice.
pub(super) fn configure(stream: &TcpStream, timeout: Duration) {
    if let Err(error) = try_to_configure(stream, timeout) {
        debug!("ingest socket options: {error}");
    }
}

/// Makes answers leave at once (they are gathered here already), and makes the kernel detect
/// vanished peers: after `timeout` if an acknowledgement is missing, and after twice that if
/// nothing was in flight. A publisher behind a cut cable must not occupy one of
/// `ingest_connections_max` places for ever.
fn try_to_configure(stream: &TcpStream, timeout: Duration) -> io::Result<()> {
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
