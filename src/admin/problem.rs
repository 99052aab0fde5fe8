//! Errors of the admin listener as problem documents (RFC 9457).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// What went wrong with a request.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(skip)]
    code: StatusCode,
    /// RFC 9457 §4.2.1: the title says no more than the status.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip)]
    allow: Option<&'static str>,
    #[serde(skip)]
    is_last: bool,
}

impl Problem {
    /// A problem with a sentence about this very occurrence.
    pub(super) fn new(code: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            kind: "about:blank",
            title: code.canonical_reason().unwrap_or("Error"),
            status: code.as_u16(),
            detail: detail.into(),
            allow: None,
            is_last: false,
        }
    }

    /// `405`, with the methods that are allowed (RFC 9110 §15.5.6).
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("allowed here: {allow}"),
            )
        }
    }

    /// The same as the last answer of its connection.
    pub(super) fn last(self) -> Self {
        Self {
            is_last: true,
            ..self
        }
    }

    /// The response.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        // Strings and numbers only: there is nothing in it that could fail to serialize.
        let mut body = serde_json::to_vec(&self).unwrap_or_default();
        body.push(b'\n');
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = self.code;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.is_last {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}
