//! What is left of a request body when its request is answered.
//!
//! A connection can go on only after the whole of a body. So a short rest is read and dropped, and the answer waits for that; with a long one the answer
//! says `Connection: close` (RFC 9112 §9.6). A client must never learn of the end from its next request.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::{BodyError, ResponseBody};
use super::exchange::Exchange;
use super::problem::Problem;

/// Most bytes that are read to keep a connection…
const REST_BYTES_MAX: u64 = 64 * 1024;
/// …and for how long. A client that waits for the answer before it sends on loses no more than this.
const REST_TIME: Duration = Duration::from_secs(1);

/// The unread rest of a request body.
pub(crate) struct Unread {
    incoming: Incoming,
    /// The client has been asked for it, or sends it unasked.
    is_coming: bool,
}

/// How far it was read.
enum Rest {
    Read,
    Left,
    Broken(hyper::Error),
}

impl Unread {
    /// `is_coming` is false where the client waits for `100 Continue` and has not been told to go on.
    pub(crate) fn new(incoming: Incoming, is_coming: bool) -> Self {
        Self {
            incoming,
            is_coming,
        }
    }

    /// The response to the request, once it can be sent.
    pub(crate) async fn settle(
        self,
        exchange: &Exchange,
        mut response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        let rest = if self.is_coming {
            let read = tokio::time::timeout(REST_TIME, read(self.incoming)).await;
            read.unwrap_or(Rest::Left)
        } else {
            drop(self.incoming);
            Rest::Left
        };
        match rest {
            Rest::Read => return response,
            // What had no use for the body has not looked at it.
            Rest::Broken(error) if response.status().is_success() => {
                let detail = BodyError::from(error).to_string();
                response = Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
            }
            Rest::Left | Rest::Broken(_) => {}
        }
        exchange.set_left_body();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    }
}

async fn read(mut incoming: Incoming) -> Rest {
    let mut left = REST_BYTES_MAX;
    loop {
        if incoming.size_hint().lower() > left {
            return Rest::Left;
        }
        match incoming.frame().await {
            None => return Rest::Read,
            Some(Err(error)) => return Rest::Broken(error),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(less) = left.checked_sub(bytes) else {
                    return Rest::Left;
                };
                left = less;
            }
        }
    }
}
