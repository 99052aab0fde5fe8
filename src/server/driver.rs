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

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::sync::watch;
use tokio::task::coop;
use tokio::time::{Instant, sleep_until};

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
use super::stop::stopped;
use crate::closing;

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
    accepted: Instant,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all connections are in the large one for nearly all of their time"
)]
enum Stage {
    Serving(http1::Connection<LazyStream, Responder>),
    Attaching(Attaching),
    Lingering(Linger),
    Done,
}

impl Driver {
    /// Starts HTTP/1 on a connection that was accepted at `accepted`.
    pub(crate) fn new(
        listener: &Arc<Listener>,
        mut io: LazyStream,
        exchange: Arc<Exchange>,
        place: Place,
        accepted: Instant,
    ) -> Self {
        io.set_guard(listener.http1_guard());
        io.charge_heads(Head::of_http1(listener.budget()));
        let carrier = Carrier::One(Arc::clone(&exchange));
        let responder = Responder::new(Arc::clone(listener), &place, carrier);
        Self {
            stage: Stage::Serving(listener.http1.serve_connection(io, responder)),
            exchange,
            timer: PhaseTimer::new(accepted, &listener.config),
            listener: Arc::clone(listener),
            place,
            accepted,
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

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        self.exchange.turns().enter_task();
        let mut shutdown = self.listener.shutdown.clone();
        let seat = self.place.seat().cloned();
        let exchange = Arc::clone(&self.exchange);
        let accepted = self.accepted;
        let over = is_over(&mut shutdown, seat.as_deref(), &exchange, accepted);
        tokio::select! {
            biased;
            () = &mut self => return,
            // A client that uses up every turn of the task must not hide the node's shutdown.
            () = coop::unconstrained(over) => {}
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
    }

    fn poll_stages(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Serving(connection) => {
                    let served = Pin::new(connection).poll(cx);
                    if let Some(detach) = self.exchange.take_detach() {
                        self.detach(detach);
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
                Stage::Done => return Poll::Ready(()),
            }
        }
    }

    /// Takes the socket from hyper.
    fn take_socket(&mut self) -> Option<LazyStream> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            // Bytes that hyper read beyond the request are dropped with its buffer: the response
            // says `Connection: close`.
            Stage::Serving(connection) => Some(connection.into_parts().io),
            _ => None,
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

/// Waits until the connection must end: with the listener, or because its seat is needed.
async fn is_over(
    shutdown: &mut watch::Receiver<bool>,
    seat: Option<&Seat>,
    exchange: &Exchange,
    accepted: Instant,
) {
    let shut_down = async {
        stopped(shutdown).await;
        // A client that has only just come is about to ask.
        if !exchange.heard() {
            sleep_until(accepted + closing::FIRST_REQUEST).await;
        }
    };
    let Some(seat) = seat else {
        return shut_down.await;
    };
    tokio::select! {
        () = shut_down => {}
        () = seat.is_over() => {}
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
