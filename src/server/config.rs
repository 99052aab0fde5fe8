//! The checked settings of an HTTP listener. They hold no secret.

use std::time::Duration;

/// How one listener treats its connections and requests.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The listening socket is another process's, too, such as systemd's. Connections that wait in
    /// its queue when the listener stops are left for the next process.
    pub shared_socket: bool,
    /// HTTP/2 with prior knowledge is spoken beside HTTP/1.
    pub http2: bool,
    /// Requests may have chunked bodies. If no call has a body, a request with a
    /// `Transfer-Encoding` is refused.
    pub chunked_bodies: bool,
    /// Longest time for a request head.
    pub header_timeout: Duration,
    /// Longest time between two requests of one connection.
    pub idle_timeout: Duration,
    /// Longest time in which the client reads nothing of an answer.
    pub write_timeout: Duration,
    /// Longest pause in a request body.
    pub body_timeout: Duration,
    /// Longest time for a request body, or for one line of it.
    pub body_time_max: Duration,
    /// Most bytes of a request head.
    pub header_bytes_max: usize,
    /// Most header fields of a request.
    pub header_count_max: usize,
    /// Most bytes of a request target.
    pub target_bytes_max: usize,
    /// Most bytes of long answers that wait to be read, over all connections.
    pub answer_bytes_max: usize,
    /// Most bytes of long answers that wait to be read, of one HTTP/2 connection.
    pub answer_bytes_per_connection_max: usize,
    /// Most bytes of unfinished request bodies, over all connections.
    pub body_bytes_max: usize,
    /// Most bytes of unfinished request bodies, of one HTTP/2 connection.
    pub body_bytes_per_connection_max: usize,
}

/// Options of the listening socket, which accepted sockets inherit.
#[derive(Clone, Copy, Debug)]
pub struct SocketConfig {
    /// Another process may listen on the same port (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Size of the kernel's send buffer; 0 = the system's own.
    pub send_buffer_bytes: usize,
    /// A peer that acknowledges nothing for this long is dead.
    pub dead_after: Duration,
    /// Time without traffic after which the kernel asks a peer for a sign of life.
    pub probe_after: Duration,
}
