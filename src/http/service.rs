//! The service that hyper calls for each request of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use hyper::body::Incoming;
use hyper::{Request, Response};

use super::Node;
use super::body::ResponseBody;
use super::exchange::Exchange;
use super::outcome::{Ending, Outcome};
use super::routes;

/// How a stream reaches the client of this connection.
#[derive(Clone)]
pub(super) enum Transport {
    /// Over the connection's own socket, which is taken from hyper.
    Socket(Arc<Exchange>),
    /// Through a response body: the connection carries other responses too (HTTP/2).
    Body(Arc<Activity>),
}

impl Transport {
    /// What is shared with the driver of an HTTP/1 connection.
    pub(super) fn exchange(&self) -> Option<&Arc<Exchange>> {
        match self {
            Self::Socket(exchange) => Some(exchange),
            Self::Body(_) => None,
        }
    }
}

/// Whether an HTTP/2 connection is in use. Every open response holds a clone, so their number needs no counter of its own.
#[derive(Default)]
pub(super) struct Activity {
    requests: AtomicU64,
}

impl Activity {
    /// Requests begun so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Answers the requests of one connection.
pub(super) struct Service {
    node: Arc<Node>,
    client: IpAddr,
    transport: Transport,
}

impl Service {
    /// For the connection of `client`.
    pub(super) fn new(node: Arc<Node>, client: IpAddr, transport: Transport) -> Self {
        Self {
            node,
            client,
            transport,
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        match &self.transport {
            Transport::Socket(exchange) => exchange.begin_request(),
            Transport::Body(activity) => {
                activity.requests.fetch_add(1, Ordering::Relaxed);
            }
        }
        let state = match routes::route(&self.node, self.client, &self.transport, request) {
            Outcome::Now(response) => State::Now(Some(response)),
            Outcome::Later(answer) => State::Later(answer),
            Outcome::Detach(detach) => {
                if let Transport::Socket(exchange) = &self.transport {
                    exchange.request_detach(detach);
                }
                State::Never
            }
        };
        Answer {
            exchange: self.transport.exchange().cloned(),
            state,
        }
    }
}

/// The answer to one request. Small and `Unpin`, so that hyper can hold it without a task.
pub(super) struct Answer {
    exchange: Option<Arc<Exchange>>,
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
                        if let Some(exchange) = &self.exchange {
                            exchange.request_detach(detach);
                        }
                        self.state = State::Never;
                        return Poll::Pending;
                    }
                },
                State::Settling(response) => ready!(response.as_mut().poll(cx)),
                State::Never => return Poll::Pending,
            };
            let Some(exchange) = self.exchange.clone() else {
                return Poll::Ready(Ok(response));
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
