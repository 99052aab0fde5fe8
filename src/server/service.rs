//! The service that hyper calls for each request of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::sync::SemaphorePermit;

use super::body::ResponseBody;
use super::exchange::Exchange;
use super::h2::{Activity, Flow};
use super::outcome::{Ending, Outcome};
use super::room::Room;
use crate::api::Node;
use crate::api::routes;

/// How a stream reaches the client of this request.
#[derive(Clone)]
pub(crate) enum Transport {
    /// Over the connection's own socket, which is taken from hyper.
    Socket(Arc<Exchange>),
    /// Through a response body: the connection carries other responses too (HTTP/2).
    Body(Arc<Flow>),
}

impl Transport {
    /// What is shared with the driver of an HTTP/1 connection.
    pub(crate) fn exchange(&self) -> Option<&Arc<Exchange>> {
        match self {
            Self::Socket(exchange) => Some(exchange),
            Self::Body(_) => None,
        }
    }

    /// The room that long answers of its connection have; an HTTP/1 connection has one answer at a time.
    pub(crate) fn answer_room(&self) -> Option<&Arc<Room>> {
        match self {
            Self::Socket(_) => None,
            Self::Body(flow) => Some(flow.answer_room()),
        }
    }

    /// The room that request bodies of its connection have; an HTTP/1 connection has one at a time.
    pub(crate) fn body_room(&self) -> Option<&Arc<Room>> {
        match self {
            Self::Socket(_) => None,
            Self::Body(flow) => Some(flow.body_room()),
        }
    }

    /// Leave to put a long list together, as soon as there is; over HTTP/1 the next request waits anyway. Never in the accept loop, which would wait, too.
    pub(crate) async fn list_turn(&self) -> Option<SemaphorePermit<'_>> {
        match self {
            Self::Socket(_) => {
                tokio::task::yield_now().await;
                None
            }
            Self::Body(flow) => flow.list_turn().await,
        }
    }
}

/// What a connection shares with what drives it.
pub(crate) enum Carrier {
    /// One request at a time (HTTP/1).
    One(Arc<Exchange>),
    /// Many at once (HTTP/2).
    Many(Arc<Activity>),
}

/// Answers the requests of one connection.
pub(crate) struct Service {
    node: Arc<Node>,
    client: IpAddr,
    carrier: Carrier,
}

impl Service {
    /// For the connection of `client`.
    pub(crate) fn new(node: Arc<Node>, client: IpAddr, carrier: Carrier) -> Self {
        Self {
            node,
            client,
            carrier,
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let is_head = request.method() == Method::HEAD;
        let transport = match &self.carrier {
            Carrier::One(exchange) => {
                exchange.begin_request();
                Transport::Socket(Arc::clone(exchange))
            }
            Carrier::Many(activity) => Transport::Body(activity.begin()),
        };
        let state = match routes::route(&self.node, self.client, &transport, request) {
            Outcome::Now(response) => State::Now(Some(response)),
            Outcome::Later(answer) => State::Later(answer),
            Outcome::Detach(detach) => {
                if let Transport::Socket(exchange) = &transport {
                    exchange.request_detach(detach);
                }
                State::Never
            }
        };
        Answer {
            transport,
            is_head,
            state,
        }
    }
}

/// The answer to one request. Small and `Unpin`, so that hyper can hold it without a task.
pub(crate) struct Answer {
    transport: Transport,
    is_head: bool,
    state: State,
}

enum State {
    /// Taken when it is given.
    Now(Option<Response<ResponseBody>>),
    Later(Pin<Box<dyn Future<Output = Ending> + Send>>),
    /// Only the request's body is in the way.
    Settling(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>),
    /// The socket is about to leave hyper; an answer would corrupt the stream.
    Never,
}

/// The response to `HEAD` (RFC 9110 §9.3.2). Over HTTP/1 hyper does this itself.
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

impl Future for Answer {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let response = match &mut self.state {
                State::Now(response) => match response.take() {
                    Some(response) => response,
                    None => return Poll::Pending,
                },
                State::Later(answer) => match ready!(answer.as_mut().poll(cx)) {
                    Ending::Response(response) => response,
                    Ending::Detach(detach) => {
                        // The driver looks for it as soon as hyper, which is polling this, returns.
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
            self.state =
                State::Settling(Box::pin(
                    async move { unread.settle(&exchange, response).await },
                ));
        }
    }
}
