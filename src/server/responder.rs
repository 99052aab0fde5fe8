//! The service that hyper calls for each request of a connection.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response};

use super::activity::Activity;
use super::connections::Place;
use super::exchange::Exchange;
use super::listener::Listener;
use super::outcome::{Ending, Outcome};
use super::response_body::ResponseBody;
use super::seats::{Asking, Seat};
use super::settle::settle;
use super::transport::Transport;
use crate::orders::Hand;

/// The state that a connection shares with its driver.
pub(crate) enum Carrier {
    /// One request at a time (HTTP/1).
    One(Arc<Exchange>),
    /// Many at once (HTTP/2).
    Many(Arc<Activity>),
}

/// Answers the requests of one connection.
pub(crate) struct Responder {
    listener: Arc<Listener>,
    peer: IpAddr,
    carrier: Carrier,
    seat: Option<Arc<Seat>>,
}

impl Responder {
    /// For the connection with this place.
    pub(crate) fn new(listener: Arc<Listener>, place: &Place, carrier: Carrier) -> Self {
        Self {
            listener,
            peer: place.address(),
            carrier,
            seat: place.seat().cloned(),
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Responder {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Reply;

    fn call(&self, request: Request<Incoming>) -> Reply {
        let is_head = request.method() == Method::HEAD;
        let transport = match &self.carrier {
            Carrier::One(exchange) => {
                exchange.begin_request();
                Transport::Socket(Arc::clone(exchange))
            }
            Carrier::Many(activity) => Transport::Body(activity.begin()),
        };
        let asking = self.seat.as_ref().map(Seat::ask);
        let hand = self.listener.orders.begin();
        let state = match self.listener.answer(self.peer, &transport, request) {
            Outcome::Now(response) => State::Now(Some(response)),
            Outcome::Later(ending) => State::Later(ending),
            Outcome::Stream(detach) => {
                if let Transport::Socket(exchange) = &transport {
                    exchange.request_detach(detach);
                }
                State::Never
            }
        };
        Reply {
            transport,
            is_head,
            state,
            _asking: asking,
            _hand: hand,
        }
    }
}

/// The response to one request, as hyper waits for it. Small and `Unpin`, so that hyper can hold it
/// without a task.
pub(crate) struct Reply {
    transport: Transport,
    is_head: bool,
    state: State,
    _asking: Option<Asking>,
    _hand: Hand,
}

enum State {
    /// Ready; taken when hyper polls.
    Now(Option<Response<ResponseBody>>),
    Later(Pin<Box<dyn Future<Output = Ending> + Send>>),
    /// Only the rest of the request's body is in the way.
    Settling(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>),
    /// The socket is about to leave hyper; an answer would corrupt the stream.
    Never,
}

/// Removes the body from a response to `HEAD` (RFC 9110 §9.3.2). Over HTTP/1 hyper does this
/// itself.
fn leave_body_out(response: &mut Response<ResponseBody>) {
    if let Some(length) = response.body().size_hint().exact()
        && length > 0
    {
        let headers = response.headers_mut();
        let length = HeaderValue::from(length);
        headers.entry(header::CONTENT_LENGTH).or_insert(length);
    }
    *response.body_mut() = ResponseBody::empty();
}

impl Future for Reply {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let response = match &mut self.state {
                State::Now(response) => match response.take() {
                    Some(response) => response,
                    None => return Poll::Pending,
                },
                State::Later(ending) => match ready!(ending.as_mut().poll(cx)) {
                    Ending::Response(response) => response,
                    Ending::Stream(detach) => {
                        // The driver checks for it as soon as hyper, which polls this, returns.
                        if let Some(exchange) = self.transport.exchange() {
                            exchange.request_detach(detach);
                        }
                        self.state = State::Never;
                        return Poll::Pending;
                    }
                },
                State::Settling(response) => ready!(response.as_mut().poll(cx)),
                State::Never => return Poll::Pending,
            };
            let exchange = match &self.transport {
                Transport::Socket(exchange) => Arc::clone(exchange),
                Transport::Body(flow) => {
                    let mut response = response;
                    if self.is_head {
                        leave_body_out(&mut response);
                    }
                    response.body_mut().go_by(flow);
                    return Poll::Ready(Ok(response));
                }
            };
            let Some(unread) = exchange.take_unread() else {
                exchange.end_request();
                return Poll::Ready(Ok(response));
            };
            self.state = State::Settling(Box::pin(async move {
                settle(unread, &exchange, response).await
            }));
        }
    }
}
