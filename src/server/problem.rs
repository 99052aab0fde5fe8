//! Errors as a client reads them: problem documents (RFC 9457).
//!
//! Every refusal of this layer is a [`Problem`], so that each has a status, a sentence and, where
//! that helps, the field. A problem must never carry data that the client neither sent nor can
//! change: no addresses, no internals.

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::json;
use super::media_type::accepts;
use super::response_body::ResponseBody;
use crate::web::request_target::TargetError;

/// Media type of a problem document.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document and the headers of its response. Boxed, because many a `Result` carries it.
#[derive(Debug)]
pub(crate) struct Problem(Box<Document>);

#[derive(Debug, Serialize)]
struct Document {
    /// RFC 9457 §4.2.1: no more than the status says.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    /// Header, parameter or member at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Place in a JSON body (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Line of an NDJSON body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// Events of this call that were published before it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<u64>,
    /// `unknown` where the events may have been published.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<&'static str>,
    #[serde(skip)]
    retry_after_s: Option<u64>,
    #[serde(skip)]
    header: Option<(header::HeaderName, HeaderValue)>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem with a sentence about this occurrence.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Document {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            field: None,
            pointer: None,
            line: None,
            accepted: None,
            published: None,
            retry_after_s: None,
            header: None,
        }))
    }

    /// Names the header, parameter or member at fault.
    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Points into a JSON body.
    pub(crate) fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// Names the line of an NDJSON body, and the number of events before it that were published.
    pub(crate) fn at_line(mut self, line: u64, accepted: u64) -> Self {
        self.0.line = Some(line);
        self.0.accepted = Some(accepted);
        self
    }

    /// Says that it is unknown whether the call was done.
    pub(crate) fn of_unknown_outcome(mut self) -> Self {
        self.0.published = Some("unknown");
        self
    }

    /// Adds `Retry-After`, in seconds.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Adds one more response header.
    pub(crate) fn header(self, name: header::HeaderName, value: &'static str) -> Self {
        self.header_value(name, HeaderValue::from_static(value))
    }

    /// The same, for a value computed at run time.
    pub(crate) fn header_value(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// The document without its response.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        json::line(&self.0)
    }

    /// The whole response.
    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::full(self.to_json()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some((name, value)) = self.0.header {
            headers.insert(name, value);
        }
        response
    }
}

/// Whether a person opened the address in a browser: only browsers ask for `text/html` here.
pub(crate) fn is_opened_in_browser(request: &HeaderMap) -> bool {
    accepts(request, "text/html")
}

/// Makes a browser show a problem as text: some browsers offer unknown media types as a file.
pub(crate) fn show_in_browser(response: &mut Response<ResponseBody>) {
    let kind = response.headers_mut().get_mut(header::CONTENT_TYPE);
    if let Some(kind) = kind.filter(|kind| kind.as_bytes() == MEDIA_TYPE.as_bytes()) {
        *kind = HeaderValue::from_static("text/plain; charset=utf-8");
    }
}

impl From<TargetError> for Problem {
    fn from(error: TargetError) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, error.to_string());
        match error {
            TargetError::Form | TargetError::Asterisk | TargetError::Connect => problem,
            _ => problem.field("host"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_told() {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "no topic").field("topic");
        let text = String::from_utf8(problem.to_json()).expect("text");
        assert_eq!(
            text,
            r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"no topic","field":"topic"}"#.to_owned() + "\n"
        );
    }

    #[test]
    fn headers_come_along() {
        let response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "x")
            .header(header::ALLOW, "GET")
            .retry_after(3)
            .into_response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[header::ALLOW], "GET");
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
    }
}
