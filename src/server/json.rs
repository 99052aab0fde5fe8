//! The one way to write JSON.

use hyper::Response;
use hyper::header::{self, HeaderValue};
use serde::Serialize;

use super::response_body::ResponseBody;

/// A value as JSON.
pub(crate) fn text(value: &impl Serialize) -> Vec<u8> {
    // Answers hold strings, numbers and JSON that was parsed before. None of these can fail to
    // serialize.
    serde_json::to_vec(value).unwrap_or_default()
}

/// A buffer that has grown can be twice as large as its text. A long text may wait for long.
const SPARE_BYTES_MAX: usize = 4 * 1024;

/// The text in a buffer of its own size.
pub(crate) fn exact(text: Vec<u8>) -> Vec<u8> {
    if text.capacity() - text.len() <= SPARE_BYTES_MAX {
        return text;
    }
    // The allocator would not shrink it in its place.
    text.as_slice().to_vec()
}

/// A value as JSON with a line end, so that a terminal's next line starts where it should.
pub(crate) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut text = text(value);
    text.push(b'\n');
    text
}

/// The response with `value` as its JSON body.
pub(crate) fn response(value: &impl Serialize) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(exact(line(value))));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
