//! HTTP/2 with prior knowledge (RFC 9113 §3.3): the same service, many requests on one connection.
//!
//! A stream here cannot be detached, because its connection carries others: a shard feeds it
//! through a body queue. hyper and h2 implement the protocol. This module sets their limits, keeps
//! the connection's clock, and ends what they would keep for ever: unused connections, connections
//! without progress, and streams whose clients read nothing.

mod clock;
mod tasks;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

use self::clock::{Clock, Due, Look};
use self::tasks::Tasks;
use super::activity::Activity;
use super::config::ServerConfig;
use super::connections::Place;
use super::exchange::Exchange;
use super::guard::http2::Http2;
use super::guard::{Fault, Guard};
use super::heads::Head;
use super::lazy_stream::LazyStream;
use super::linger::Linger;
use super::listener::Listener;
use super::phase_timer::poll_timer;
use super::responder::{Carrier, Responder};
use crate::once_a_minute::OnceAMinute;

/// The first bytes of an HTTP/2 connection (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most concurrent requests on one connection. It is high because a proxy in front carries the
/// streams of many clients on each of its connections.
const CONCURRENT_STREAMS_MAX: u32 = 1_000;

/// Bytes that h2 buffers for one stream before it stops polling the body. Together with the body
/// queue's own bound, this is the memory of a stalled stream.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of request bodies that all streams of a connection together may have in flight…
const CONNECTION_WINDOW_BYTES: u32 = 2 << 20;

/// …and those of one stream. h2 ends a connection with too many small `DATA` frames that wait to be
/// read: the bytes by which they fall short of 256 may add up to half of the connection's window.
/// This window stops a publisher long before that, even if it sends lines in single frames faster
/// than they are published.
const STREAM_WINDOW_BYTES: u32 = 1 << 16;

/// Interval at which a connection that ends checks whether its requests are answered.
const SETTLED_CHECK_EVERY: Duration = Duration::from_millis(10);

/// The configuration of hyper's side.
fn builder(config: &ServerConfig, tasks: Tasks) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(config.header_bytes_max).unwrap_or(u32::MAX))
        // A silent client is pinged well before its connection counts as idle…
        .keep_alive_interval(config.idle_timeout / 2)
        // …and has as long to answer as for a request head.
        .keep_alive_timeout(config.header_timeout);
    builder
}

/// Serves a connection that was accepted at `accepted` to its end. `io` has read the preface ahead.
pub(crate) async fn serve(
    listener: Arc<Listener>,
    mut io: LazyStream,
    exchange: Arc<Exchange>,
    mut place: Place,
    accepted: Instant,
) {
    let guard = Arc::new(Mutex::new(Http2::new(accepted.into_std())));
    io.set_guard(Guard::Http2(Arc::clone(&guard)));
    io.charge_heads(Head::of_http2(listener.budget()));
    let config = &listener.config;
    let activity = Activity::new(
        accepted,
        config.answer_bytes_per_connection_max,
        config.body_bytes_per_connection_max,
    );
    drive(
        &listener, io, &exchange, &guard, &activity, &mut place, accepted,
    )
    .await;
    if let Some(refusal) = guard.lock().refusal() {
        report(&listener, refusal.fault, &place);
    }
    // The last bytes sent must not be lost because the client is still sending.
    if let Some(socket) = exchange.take_left() {
        let mut linger = Linger::new(LazyStream::again(socket, exchange));
        poll_fn(|cx| linger.poll(cx)).await;
    }
}

/// Runs until hyper is done with the connection, or the connection is dropped.
async fn drive(
    listener: &Arc<Listener>,
    io: LazyStream,
    exchange: &Exchange,
    guard: &Mutex<Http2>,
    activity: &Arc<Activity>,
    place: &mut Place,
    accepted: Instant,
) {
    let config = &listener.config;
    let carrier = Carrier::Many(Arc::clone(activity));
    let responder = Responder::new(Arc::clone(listener), place, carrier);
    let builder = builder(config, Tasks(Arc::clone(activity)));
    let mut connection = pin!(builder.serve_connection(io, responder));
    let mut clock = Clock::new(accepted, config);
    let mut orders = listener.orders.clone();
    // A client that uses up every turn of the task must not hide the node's shutdown. A freeze ends
    // the connection too: it cannot be carried.
    let mut interrupted = pin!(coop::unconstrained(orders.interrupted()));
    let mut ending = false;
    let mut settling = Settling::default();
    poll_fn(|cx: &mut Context<'_>| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let now = Instant::now();
            if ending {
                settling.poll(cx, activity, place);
            } else if interrupted.as_mut().poll(cx).is_ready() {
                ending = true;
                clock.end(now);
                connection.as_mut().graceful_shutdown();
                continue;
            }
            let look = Look {
                guard,
                exchange,
                activity,
                config,
            };
            match clock.poll(cx, &look) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Due::Idle) => {
                    ending = true;
                    clock.end(now);
                    connection.as_mut().graceful_shutdown();
                }
                Poll::Ready(Due::Slow) => {
                    guard.lock().refuse(Fault::Slow);
                    // hyper reads, finds that no more bytes pass, and sends its last frames if it
                    // can.
                    let _ended = connection.as_mut().poll(cx);
                    return Poll::Ready(());
                }
                Poll::Ready(Due::Deaf) => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// Checks for a connection that ends whether its requests are answered. Then a freeze need not wait
/// for it: its streams of events end with the hub's.
#[derive(Default)]
struct Settling {
    settled: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Settling {
    fn poll(&mut self, cx: &mut Context<'_>, activity: &Activity, place: &mut Place) {
        while !self.settled {
            if !activity.is_answering() {
                place.settle();
                self.settled = true;
                return;
            }
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(SETTLED_CHECK_EVERY)));
            if poll_timer(sleep.as_mut(), cx).is_pending() {
                return;
            }
            self.sleep = None;
        }
    }
}

/// Counts a connection that was ended for its client's fault, and logs that now and then.
fn report(listener: &Listener, fault: Fault, place: &Place) {
    static FLOODS: OnceAMinute = OnceAMinute::new();
    let address = place.address();
    tracing::debug!(target: "fantail::http", %address, "HTTP/2 connection ended: {fault}");
    if !fault.is_flood() {
        return;
    }
    listener.metrics.http2_floods.add(1);
    if let Some(left_out) = FLOODS.due() {
        tracing::warn!(
            target: "fantail::http", %address,
            left_out,
            "an HTTP/2 connection was ended: {fault}"
        );
    }
}
