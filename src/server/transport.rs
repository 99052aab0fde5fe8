//! How a stream reaches the client of a request.

use std::sync::Arc;

use tokio::sync::SemaphorePermit;

use super::activity::Flow;
use super::exchange::Exchange;
use super::room::Room;

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

    /// The room that long answers of its connection have; an HTTP/1 connection has one answer at a
    /// time.
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

    /// Leave to put a long list together, as soon as there is; over HTTP/1 the next request waits
    /// anyway. Never in the accept loop, which would wait, too.
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
