//! HTTP/2 with prior knowledge (RFC 9113 §3.3): the same service, many requests on one connection.
//!
//! A stream here cannot be detached, since its connection carries others: a shard feeds it through a body queue. hyper and h2 do the protocol; this
//! module only sets their limits and ends connections that nobody uses.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::addresses::Place;
use super::lazy_stream::LazyStream;
use super::service::{Activity, Service, Transport};
use super::{Node, stopped};
use crate::config::Settings;

/// The first bytes of an HTTP/2 connection (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most concurrent requests on one connection: a proxy in front carries the streams of many clients on each of its connections.
const CONCURRENT_STREAMS_MAX: u32 = 1_000;

/// Bytes that h2 buffers for one stream before it asks the body for no more. With the body queue's own bound, this is what a stalled stream holds.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of request bodies that all streams of a connection may have under way.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// A silent connection is asked for a sign of life so often…
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// …and closed when none comes within this time.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// hyper's side of it, for all connections.
pub(super) fn builder(settings: &Settings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Serves a connection to its end; `io` has the preface read ahead.
pub(super) async fn serve(node: Arc<Node>, io: LazyStream, place: Place) {
    let activity = Arc::new(Activity::default());
    let transport = Transport::Body(Arc::clone(&activity));
    let service = Service::new(Arc::clone(&node), place.address(), transport);
    let mut connection = pin!(node.http2.serve_connection(io, service));
    // Ours, and the service's; one more is held by every stream.
    let holders_when_idle = Arc::strong_count(&activity);

    let idle_timeout = node.hub.settings().idle_timeout;
    let mut look_again = pin!(tokio::time::sleep(idle_timeout));
    let mut requests = 0;
    let mut shutdown = node.shutdown.clone();
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            _served = connection.as_mut() => return,
            () = stopped(&mut shutdown), if !ending => {
                connection.as_mut().graceful_shutdown();
                ending = true;
            }
            () = look_again.as_mut(), if !ending => {
                let quiet = activity.requests() == requests
                    && Arc::strong_count(&activity) <= holders_when_idle;
                if quiet {
                    connection.as_mut().graceful_shutdown();
                    ending = true;
                }
                requests = activity.requests();
                look_again.as_mut().reset(Instant::now() + idle_timeout);
            }
        }
    }
}
