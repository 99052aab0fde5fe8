//! How a request is answered: at once, after waiting, or not here at all.

use std::future::Future;
use std::pin::Pin;

use hyper::Response;

use super::body::ResponseBody;
use super::exchange::Detach;
use super::problem::Problem;

/// How a request is answered.
#[expect(
    clippy::large_enum_variant,
    reason = "a stream is what most requests become, and it costs no allocation to say so"
)]
pub(crate) enum Outcome {
    /// At once.
    Now(Response<ResponseBody>),
    /// After waiting: for a body, for room, for newer keys.
    Later(Pin<Box<dyn Future<Output = Ending> + Send>>),
    /// Not here: its socket goes to a shard.
    Detach(Detach),
}

/// How a request that waited is answered.
#[expect(
    clippy::large_enum_variant,
    reason = "a stream is what most requests become, and it costs no allocation to say so"
)]
pub(crate) enum Ending {
    /// Here.
    Response(Response<ResponseBody>),
    /// Not here: its socket goes to a shard.
    Detach(Detach),
}

impl Outcome {
    /// A refusal.
    pub(crate) fn problem(problem: impl Into<Problem>) -> Self {
        Self::Now(problem.into().into_response())
    }

    /// A response that takes some waiting.
    pub(crate) fn later(
        response: impl Future<Output = Response<ResponseBody>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(async { Ending::Response(response.await) }))
    }

    /// Waits for it.
    pub(crate) async fn ended(self) -> Ending {
        match self {
            Self::Now(response) => Ending::Response(response),
            Self::Later(ending) => ending.await,
            Self::Detach(detach) => Ending::Detach(detach),
        }
    }

    /// Applies `change` to the response, if there is one and as soon as there is. The head of a stream that leaves is written already.
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
            Self::Detach(detach) => Self::Detach(detach),
        }
    }
}
