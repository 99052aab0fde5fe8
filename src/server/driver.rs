//! Drives one HTTP/1 connection, and detaches its socket when it becomes a stream.
//!
//! ```text
//!            request            GET /events           attached
//!  accept ──► Serving ── … ──► (detach) ──► Attaching ──► the shard's
//!                │ hyper is done
//!                └──► Lingering (only if the client may still be sending) ──► closed
//! ```
//!
//! The first poll runs inline in the accept loop, without a task: usually it reads the request,
//! hands the socket over and is done. The socket must never leave while a byte of an earlier
//! response waits in hyper's buffer; [`Exchange::take_detach`] guards that.
//!
//! When the listener freezes, the request in hand is finished, and then the connection is taken out
//! of hyper and kept ([`Exchange::can_be_carried`]).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use tokio::task::coop;
use tokio::time::{Instant, sleep_until};

use super::carried::Carried;
use super::connections::Place;
use super::detach::{Attaching, Detach};
use super::exchange::{Exchange, Phase};
use super::head;
use super::heads::Head;
use super::lazy_stream::LazyStream;
use super::linger::Linger;
use super::listener::Listener;
use super::phase_timer::PhaseTimer;
use super::responder::{Carrier, Responder};
use super::seats::Seat;
use crate::closing;
use crate::orders::{Order, Orders};

/// The answer to a client whose request head did not arrive in time (RFC 9110 §15.5.9).
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Time for the last request of a connection that gives way. A connection that never sent a request
/// is owed no answer.
const LAST_REQUEST_MAX: Duration = Duration::from_secs(5);

/// One HTTP/1 connection.
pub(crate) struct Driver {
    stage: Stage,
    exchange: Arc<Exchange>,
    listener: Arc<Listener>,
    timer: PhaseTimer,
    place: Place,
    /// Time at which it was accepted, here or before it was carried.
    since: Instant,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all connections are in the large one for nearly all of their time"
)]
enum Stage {
    Serving(http1::Connection<LazyStream, Responder>),
    Attaching(Attaching),
    Lingering(Linger),
    /// Taken out of hyper, to be kept until the end of a freeze.
    Carried(Carried),
    Done,
}

/// Why a connection is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interruption {
    /// The listener freezes.
    Freeze,
    /// The listener stops, the seat is needed for another connection, or its time is over.
    End,
}

impl Driver {
    /// Starts HTTP/1 on a connection that has waited for its client since `since`.
    pub(crate) fn new(
        listener: &Arc<Listener>,
        mut io: LazyStream,
        exchange: Arc<Exchange>,
        place: Place,
        since: Instant,
    ) -> Self {
        io.set_guard(listener.http1_guard());
        io.charge_heads(Head::of_http1(listener.budget()));
        let carrier = Carrier::One(Arc::clone(&exchange));
        let responder = Responder::new(Arc::clone(listener), &place, carrier);
        Self {
            stage: Stage::Serving(listener.http1.serve_connection(io, responder)),
            timer: PhaseTimer::new(&exchange, since, &listener.config),
            exchange,
            listener: Arc::clone(listener),
            place,
            since,
        }
    }

    /// Advances as far as possible without waiting; `true` when the connection is finished.
    ///
    /// Nothing wakes the connection afterwards: an unfinished one must be passed to
    /// [`Driver::run`], whose first poll registers the right waker everywhere.
    pub(crate) fn poll_inline(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_stages(&mut cx).is_ready()
    }

    /// Serves the connection to its end; or until it has come to rest in a freeze, and returns it.
    pub(crate) async fn run(mut self) -> Option<Carried> {
        self.exchange.turns().enter_task();
        let mut orders = self.listener.orders.clone();
        let seat = self.place.seat().cloned();
        let exchange = Arc::clone(&self.exchange);
        let since = self.since;
        loop {
            let interrupted = interrupted(&mut orders, seat.as_deref(), &exchange, since);
            let interruption = tokio::select! {
                biased;
                () = &mut self => return self.into_carried(),
                // A client that uses up every turn of the task must not hide the node's shutdown.
                interruption = coop::unconstrained(interrupted) => interruption,
            };
            if interruption == Interruption::End {
                break;
            }
            if self.freeze(&mut orders).await {
                return self.into_carried();
            }
        }
        if let Stage::Serving(connection) = &mut self.stage {
            Pin::new(connection).graceful_shutdown();
        }
        if seat.is_none() {
            self.await;
        } else if self.exchange.requests() > 0 {
            // Another connection may wait for the seat.
            let _cut = tokio::time::timeout(LAST_REQUEST_MAX, self).await;
        }
        None
    }

    /// Finishes the request in hand while the listener freezes. True if the connection has ended or
    /// is to be kept; false at a thaw or stop before that, where it goes on.
    async fn freeze(&mut self, orders: &mut Orders) -> bool {
        self.exchange.set_freezing(true);
        let done = tokio::select! {
            biased;
            () = poll_fn(|cx| self.poll_in_freeze(cx)) => true,
            _thaw_or_stop = coop::unconstrained(orders.thawed()) => false,
        };
        if !done {
            self.exchange.set_freezing(false);
            self.place.unsettle();
        }
        done
    }

    /// The connection, if it was taken out of hyper to be kept.
    fn into_carried(self) -> Option<Carried> {
        match self.stage {
            Stage::Carried(carried) => Some(carried.with_place(self.place)),
            _ => None,
        }
    }

    fn poll_in_freeze(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = Pin::new(&mut *self).poll(cx);
        if let Stage::Lingering(_) = self.stage {
            // Its answer is on the way. The freeze does not wait for its client.
            self.place.settle();
        }
        polled
    }

    fn poll_stages(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Serving(connection) => {
                    let served = Pin::new(connection).poll(cx);
                    if let Some(detach) = self.exchange.take_detach() {
                        self.detach(detach);
                    } else if served.is_pending() && self.exchange.can_be_carried() {
                        self.carry();
                    } else {
                        let served = ready!(served);
                        self.finish(served.is_err_and(|error| error.is_parse()));
                    }
                }
                Stage::Attaching(attached) => {
                    ready!(attached.as_mut().poll(cx));
                    self.stage = Stage::Done;
                }
                Stage::Lingering(linger) => {
                    ready!(linger.poll(cx));
                    self.stage = Stage::Done;
                }
                Stage::Carried(_) | Stage::Done => return Poll::Ready(()),
            }
        }
    }

    /// Takes the socket from hyper, with the bytes that hyper has read beyond its last request.
    fn take_from_hyper(&mut self) -> Option<(LazyStream, Bytes)> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Serving(connection) => {
                let parts = connection.into_parts();
                Some((parts.io, parts.read_buf))
            }
            _ => None,
        }
    }

    /// Takes the socket from hyper.
    fn take_socket(&mut self) -> Option<LazyStream> {
        // Bytes beyond the request are dropped: the response says `Connection: close`.
        self.take_from_hyper().map(|(io, _)| io)
    }

    /// Takes the connection out of hyper, to be kept.
    fn carry(&mut self) {
        let asked = self.exchange.requests() > 0;
        let waited = self.timer.waited(&self.exchange, &self.listener.config);
        let Some((io, read)) = self.take_from_hyper() else {
            return;
        };
        // If it cannot be taken out of epoll, the system is out of memory.
        if let Ok((socket, unread)) = io.into_carried(read) {
            self.stage = Stage::Carried(Carried::new(socket, unread, asked, waited));
        }
    }

    /// Detaches the socket.
    fn detach(&mut self, detach: Detach) {
        let Some(Ok(socket)) = self.take_socket().map(LazyStream::into_fd) else {
            // The client is gone, or the system is out of memory; no answer is possible.
            return;
        };
        self.stage = Stage::Attaching(detach.attach(socket));
    }

    /// hyper has sent everything and ended our side, unless it reached a request head that the
    /// guard refuses.
    fn finish(&mut self, malformed: bool) {
        let linger = malformed || self.exchange.left_body();
        let Some(io) = self.take_socket() else {
            return;
        };
        if let Some(fault) = io.wrong_head() {
            let answer = head::refusal(fault.status(), &fault.to_string(), None);
            self.stage = Stage::Lingering(Linger::answering(io, answer));
        } else if linger {
            self.stage = Stage::Lingering(Linger::new(io));
        }
    }

    fn time_out(&mut self, phase: Phase) {
        let heard = self.exchange.heard();
        if let Some(io) = self.take_socket()
            && phase == Phase::Head
            && heard
        {
            io.send_now(REQUEST_TIMEOUT);
        }
    }
}

/// Waits until the listener gives an order other than to serve, or the seat is needed.
async fn interrupted(
    orders: &mut Orders,
    seat: Option<&Seat>,
    exchange: &Exchange,
    since: Instant,
) -> Interruption {
    let ordered = async {
        if orders.interrupted().await == Order::Freeze {
            return Interruption::Freeze;
        }
        // A client that has only just come is about to ask.
        if !exchange.heard() {
            sleep_until(since + closing::FIRST_REQUEST).await;
        }
        Interruption::End
    };
    let Some(seat) = seat else {
        return ordered.await;
    };
    tokio::select! {
        interruption = ordered => interruption,
        () = seat.is_over() => Interruption::End,
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.poll_stages(cx).is_ready() {
            return Poll::Ready(());
        }
        if matches!(this.stage, Stage::Serving(_)) {
            let phase = ready!(this.timer.poll(cx, &this.exchange, &this.listener.config));
            this.time_out(phase);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
