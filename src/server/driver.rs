//! Drives one HTTP/1 connection, and lets go of it when it becomes a stream.
//!
//! ```text
//!            request            GET /events           attached
//!  accept ──► Serving ── … ──► (detach) ──► Attaching ──► the shard's
//!                │ hyper is done
//!                └──► Lingering (only if the client may still be sending) ──► closed
//! ```
//!
//! The first poll runs inline in the accept loop, without a task: usually it reads the request, hands the socket over and is done. The
//! socket must never leave while a byte of an earlier response waits in hyper's buffer; [`Exchange::take_detach`] guards that.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use hyper::server::conn::http1;
use tokio::task::coop;
use tokio::time::Instant;

use super::addresses::Place;
use super::exchange::{Detach, Exchange, Phase};
use super::head;
use super::lazy_stream::LazyStream;
use super::linger::Linger;
use super::phase_timer::PhaseTimer;
use super::service::{Carrier, Service};
use super::stopped;
use crate::api::Node;
use crate::hub::Subscribe;
use crate::shard::sink::Sink;

/// Last word to a client whose request head did not arrive in time (RFC 9110 §15.5.9).
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// One HTTP/1 connection.
pub(crate) struct Driver {
    stage: Stage,
    exchange: Arc<Exchange>,
    node: Arc<Node>,
    timer: PhaseTimer,
    _place: Place,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all connections are in the large one for nearly all of their time"
)]
enum Stage {
    Serving(http1::Connection<LazyStream, Service>),
    Attaching(Pin<Box<dyn Future<Output = ()> + Send>>),
    Lingering(Linger),
    Done,
}

impl Driver {
    /// Starts HTTP/1 on a connection that was accepted at `accepted`.
    pub(crate) fn new(
        node: &Arc<Node>,
        mut io: LazyStream,
        exchange: Arc<Exchange>,
        place: Place,
        accepted: Instant,
    ) -> Self {
        io.set_guard(node.http1_guard());
        let carrier = Carrier::One(Arc::clone(&exchange));
        let service = Service::new(Arc::clone(node), place.address(), carrier);
        Self {
            stage: Stage::Serving(node.http1.serve_connection(io, service)),
            exchange,
            timer: PhaseTimer::new(accepted, node.hub.settings()),
            node: Arc::clone(node),
            _place: place,
        }
    }

    /// Goes as far as it can without waiting; `true` when the connection needs no more.
    ///
    /// Nothing will wake it afterwards: an unfinished one must be given to [`Driver::run`], whose first poll leaves the right waker everywhere.
    pub(crate) fn poll_inline(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_stages(&mut cx).is_ready()
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        self.exchange.enter_task();
        let mut shutdown = self.node.shutdown.clone();
        tokio::select! {
            biased;
            () = &mut self => return,
            // A client that uses up every turn of the task must not hide the end of the node.
            () = coop::unconstrained(stopped(&mut shutdown)) => {}
        }
        if let Stage::Serving(connection) = &mut self.stage {
            Pin::new(connection).graceful_shutdown();
        }
        self.await;
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
            // What hyper read beyond the request goes with its buffer: the response says `Connection: close`.
            Stage::Serving(connection) => Some(connection.into_parts().io),
            _ => None,
        }
    }

    /// Gives the socket to a shard.
    fn detach(&mut self, detach: Detach) {
        let Some(Ok(socket)) = self.take_socket().map(LazyStream::into_fd) else {
            // The client is gone, or the system is out of memory; there is nobody to tell.
            return;
        };
        let hub = self.node.hub.clone();
        self.stage = Stage::Attaching(Box::pin(async move {
            let subscribe = Subscribe {
                sink: Sink::Socket(socket),
                framing: detach.framing,
                head: detach.head,
                interest: detach.interest,
                start: detach.start,
            };
            if hub.subscribe(detach.permit, subscribe).await.is_err() {
                tracing::debug!(target: "fantail::http", "a stream came too late for the shutdown and was closed");
            }
        }));
    }

    /// hyper has sent everything and ended our side, unless it came to a request head that the guard refuses.
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

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.poll_stages(cx).is_ready() {
            return Poll::Ready(());
        }
        if matches!(this.stage, Stage::Serving(_)) {
            let settings = this.node.hub.settings();
            let phase = ready!(this.timer.poll(cx, &this.exchange, settings));
            this.time_out(phase);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
