//! The response head of a stream: as bytes for a socket that leaves hyper, as headers where hyper
//! writes it.
//!
//! Both say the same. A value from outside must never reach the bytes unchecked: only a
//! [`HeaderValue`] can be written.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::fields::Fields;
use super::problem::{MEDIA_TYPE, Problem};
use crate::core::sse::{Encoding, Wrap};

/// Media type of an event stream.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// Header of the cursor, in requests and responses.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Keeps caches away and asks proxies to pass on every byte as it comes.
const CACHE_CONTROL: &str = "no-cache, no-transform";

/// The same for a request whose address holds a token (RFC 6750 §2.3).
const CACHE_CONTROL_PRIVATE: &str = "private, no-cache, no-transform";

/// The value of `Cache-Control`; `private` if the request's address holds a token.
const fn cache_control(private: bool) -> &'static str {
    if private {
        CACHE_CONTROL_PRIVATE
    } else {
        CACHE_CONTROL
    }
}

/// Tells nginx not to buffer.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A usual head has some 230 bytes; with a cursor and CORS it has some 450.
const HEAD_BYTES: usize = 512;

/// The head of a stream on a bare socket, up to and including the empty line.
pub(crate) fn bytes(
    encoding: Encoding,
    last_event_id: Option<&str>,
    private: bool,
    fields: &Fields,
) -> Bytes {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(match encoding.wrap() {
        Wrap::Chunked => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".as_slice(),
        Wrap::Bare => b"HTTP/1.0 200 OK\r\n".as_slice(),
    });
    head.extend_from_slice(
        b"Content-Type: text/event-stream\r\n\
          Cache-Control: ",
    );
    head.extend_from_slice(cache_control(private).as_bytes());
    head.extend_from_slice(
        b"\r\n\
          X-Accel-Buffering: no\r\n\
          Connection: close\r\n\
          Date: ",
    );
    with_date(|date| head.extend_from_slice(date));
    head.extend_from_slice(b"\r\n");
    let mut line = |name: &HeaderName, value: &HeaderValue| {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    };
    if let Some(id) = last_event_id.and_then(id_value) {
        line(&LAST_EVENT_ID, &id);
    }
    for (name, value) in fields.iter() {
        line(name, value);
    }
    head.extend_from_slice(b"\r\n");
    Bytes::from(head)
}

/// A whole refusal as bytes, for answers that hyper does not write. The connection ends after it.
pub(crate) fn refusal(status: StatusCode, detail: &str, retry_after_s: Option<u64>) -> Bytes {
    let problem = Problem::new(status, detail).to_json();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut answer = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {}\r\nConnection: close\r\n",
        status.as_u16(),
        problem.len()
    )
    .into_bytes();
    if let Some(seconds) = retry_after_s {
        answer.extend_from_slice(format!("Retry-After: {seconds}\r\n").as_bytes());
    }
    answer.extend_from_slice(b"Cache-Control: no-store\r\nDate: ");
    with_date(|date| answer.extend_from_slice(date));
    answer.extend_from_slice(b"\r\n\r\n");
    answer.extend_from_slice(&problem);
    Bytes::from(answer)
}

/// The same as headers, without the fields of the connection and the date, which hyper adds.
pub(crate) fn headers(last_event_id: Option<&str>, private: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(cache_control(private)),
    );
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    if let Some(id) = last_event_id.and_then(id_value) {
        headers.insert(LAST_EVENT_ID, id);
    }
    headers
}

/// An id that a header can carry, else `None`. A publisher's own id may hold control characters,
/// which would end the line.
fn id_value(id: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(id.as_bytes()).ok()
}

/// Calls `each` with the current date (RFC 9110 §5.6.7). Each thread formats it once a second.
fn with_date(each: impl FnOnce(&[u8])) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(of, text)| {
        if *of != second || text.is_empty() {
            *of = second;
            *text = httpdate::fmt_http_date(now);
        }
        each(text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encoding: Encoding, id: Option<&str>) -> String {
        let bytes = bytes(encoding, id, false, &Fields::default());
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[test]
    fn each_version_gets_its_own_framing() {
        let chunked = text(Encoding::CHUNKED, None);
        assert!(chunked.starts_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"));
        assert!(chunked.ends_with("GMT\r\n\r\n"));
        let plain = text(Encoding::BARE, None);
        assert!(plain.starts_with("HTTP/1.0 200 OK\r\n"));
        assert!(!plain.contains("Transfer-Encoding"));
        assert!(plain.contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn bytes_and_headers_say_the_same() {
        let text = text(Encoding::CHUNKED, Some("1-0")).to_ascii_lowercase();
        for (name, value) in &headers(Some("1-0"), false) {
            let line = format!("\r\n{name}: {}\r\n", value.to_str().expect("text"));
            assert!(text.contains(&line), "{line:?} in {text}");
        }
    }

    #[test]
    fn an_id_cannot_end_its_line() {
        assert!(!text(Encoding::CHUNKED, Some("a\r\nSet-Cookie: b")).contains("Set-Cookie"));
        assert!(text(Encoding::CHUNKED, Some("ä")).contains("last-event-id: ä\r\n"));
    }

    #[test]
    fn a_usual_head_fits_its_first_allocation() {
        let fields = Fields::from_iter([
            (header::VARY, HeaderValue::from_static("origin")),
            (
                header::ACCESS_CONTROL_ALLOW_ORIGIN,
                HeaderValue::from_static("https://app.example"),
            ),
            (
                header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            ),
            (
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(
                    "Last-Event-ID, Link, ETag, WWW-Authenticate, Retry-After",
                ),
            ),
        ]);
        let head = bytes(
            Encoding::CHUNKED,
            Some("1732269600000-1048575"),
            false,
            &fields,
        );
        assert!(head.len() <= HEAD_BYTES, "{}", head.len());
    }
}
