//! The rest of a request body after its request is answered.
//!
//! A connection can go on only after the whole body. So a short rest is read and dropped, and the
//! answer waits for that; before a long rest the answer says `Connection: close` (RFC 9112 §9.6). A
//! client must never discover the end only from its next request.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use super::exchange::Exchange;
use super::problem::Problem;
use super::request_body::BodyError;
use super::response_body::ResponseBody;
use super::unread::Unread;

/// Most bytes that are read to keep a connection…
const REST_BYTES_MAX: u64 = 64 * 1024;
/// …and the longest time for it. A client that waits for the answer before it sends on loses no
/// more than this.
const REST_TIME: Duration = Duration::from_secs(1);

/// How far the rest was read.
enum Rest {
    Read,
    Left,
    Broken(hyper::Error),
}

/// Waits until the response can be sent, and returns it.
pub(crate) async fn settle(
    unread: Unread,
    exchange: &Exchange,
    mut response: Response<ResponseBody>,
) -> Response<ResponseBody> {
    let rest = if unread.is_coming {
        let read = tokio::time::timeout(REST_TIME, read(unread.incoming)).await;
        read.unwrap_or(Rest::Left)
    } else {
        drop(unread.incoming);
        Rest::Left
    };
    match rest {
        Rest::Read => return response,
        // The handler did not need the body and did not check it.
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
