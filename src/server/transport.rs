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
    /// The state shared with the driver of an HTTP/1 connection.
    pub(crate) fn exchange(&self) -> Option<&Arc<Exchange>> {
        match self {
            Self::Socket(exchange) => Some(exchange),
            Self::Body(_) => None,
        }
    }

    /// The connection's room for long answers; `None` on HTTP/1, which has one answer at a time.
    pub(crate) fn answer_room(&self) -> Option<&Arc<Room>> {
        match self {
            Self::Socket(_) => None,
            Self::Body(flow) => Some(flow.answer_room()),
        }
    }

    /// The connection's room for request bodies; `None` on HTTP/1, which has one at a time.
    pub(crate) fn body_room(&self) -> Option<&Arc<Room>> {
        match self {
            Self::Socket(_) => None,
            Self::Body(flow) => Some(flow.body_room()),
        }
    }

    /// Waits for a permit to build a long list. On HTTP/1 none is needed, because the next request
    /// waits anyway. Never call it in the accept loop, which would wait too.
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
