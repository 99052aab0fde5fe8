//! How a request is answered: at once, after waiting, or with a stream.

use std::future::Future;
use std::pin::Pin;

use hyper::Response;

use super::detach::Detach;
use super::problem::Problem;
use super::response_body::ResponseBody;

/// How a request is answered.
pub(crate) enum Outcome {
    /// At once.
    Now(Response<ResponseBody>),
    /// After waiting: for a body, for room, for newer keys.
    Later(Pin<Box<dyn Future<Output = Ending> + Send>>),
    /// With a stream on the connection's own socket, which the listener detaches.
    Stream(Detach),
}

/// How a request that waited is answered.
pub(crate) enum Ending {
    /// With a response.
    Response(Response<ResponseBody>),
    /// With a stream on the connection's own socket, which the listener detaches.
    Stream(Detach),
}

impl Outcome {
    /// A refusal.
    pub(crate) fn problem(problem: impl Into<Problem>) -> Self {
        Self::Now(problem.into().into_response())
    }

    /// A response that needs waiting.
    pub(crate) fn later(
        response: impl Future<Output = Response<ResponseBody>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(async { Ending::Response(response.await) }))
    }

    /// Waits for the ending.
    pub(crate) async fn ended(self) -> Ending {
        match self {
            Self::Now(response) => Ending::Response(response),
            Self::Later(ending) => ending.await,
            Self::Stream(detach) => Ending::Stream(detach),
        }
    }

    /// Applies `change` to the response, as soon as one exists. The head of a stream is written
    /// already.
    pub(crate) fn with_response(
        self,
        change: impl FnOnce(&mut Response<ResponseBody>) + Send + 'static,
    ) -> Self {
        match self {
            Self::Now(mut response) => {
                change(&mut response);
                Self::Now(response)
            }
            Self::Later(ending) => Self::Later(Box::pin(async {
                let mut ending = ending.await;
                if let Ending::Response(response) = &mut ending {
                    change(response);
                }
                ending
            })),
            Self::Stream(detach) => Self::Stream(detach),
        }
    }
}
