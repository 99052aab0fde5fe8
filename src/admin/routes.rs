//! What the admin listener answers to which request.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tracing::{error, info};

use super::exposition::Exposition;
use super::guard::Guard;
use super::negotiate;
use super::problem::Problem;
use crate::config::Settings;
use crate::hub::{Hub, StreamInfo};

/// Streams shown when the request does not say how many.
const SLOWEST_DEFAULT: usize = 20;

/// Most streams shown at once: finding them looks at every stream, and the answer is built in memory.
const SLOWEST_MAX: usize = 1_000;

/// What there is, for those who ask for something else.
const RESOURCES: &str = "there are /healthz, /readyz, /metrics, /streams and /streams/{id}";

/// What the listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'r> {
    Health,
    Ready,
    Metrics,
    Streams,
    Stream(&'r str),
}

impl<'r> Resource<'r> {
    fn of(path: &'r str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/streams" => Self::Streams,
            path => Self::Stream(path.strip_prefix("/streams/")?),
        })
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Health | Self::Ready | Self::Metrics | Self::Streams => "GET, HEAD",
            Self::Stream(_) => "DELETE",
        }
    }
}

/// Answers requests; one for the whole listener.
pub(super) struct Admin {
    hub: Hub,
    guard: Guard,
    exposition: Exposition,
}

type Answer = Result<Response<Full<Bytes>>, Problem>;

impl Admin {
    /// Answers for this node.
    pub(super) fn new(hub: Hub) -> Self {
        Self {
            guard: Guard::new(hub.settings()),
            exposition: Exposition::new(hub.clone()),
            hub,
        }
    }

    /// The checked settings.
    pub(super) fn settings(&self) -> &Settings {
        self.hub.settings()
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.route(&request)
            .await
            .unwrap_or_else(Problem::into_response)
    }

    async fn route<B>(&self, request: &Request<B>) -> Answer {
        self.guard.check(request)?;
        let resource = Resource::of(request.uri().path());
        if !matches!(resource, Some(Resource::Health | Resource::Ready)) {
            self.guard.check_host(request)?;
        }
        self.guard.check_writer(request)?;
        let Some(resource) = resource else {
            return Err(Problem::new(StatusCode::NOT_FOUND, RESOURCES));
        };
        let method = request.method();
        let read = method == Method::GET || method == Method::HEAD;
        match resource {
            Resource::Health if read => Ok(text("ok\n", "text/plain; charset=utf-8")),
            Resource::Ready if read => self.ready(),
            Resource::Metrics if read => self.metrics(request),
            Resource::Streams if read => self.slowest(request.uri().query()).await,
            Resource::Stream(id) if method == Method::DELETE => self.close(id).await,
            resource => Err(Problem::method_not_allowed(resource.methods())),
        }
    }

    fn ready(&self) -> Answer {
        if self.hub.draining() {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the node is shutting down",
            ));
        }
        Ok(text("ready\n", "text/plain; charset=utf-8"))
    }

    fn metrics<B>(&self, request: &Request<B>) -> Answer {
        match self.exposition.text(negotiate::format(request.headers())) {
            Ok((page, media_type)) => {
                let mut response = text(page, media_type);
                let accept = HeaderValue::from_static("accept");
                response.headers_mut().insert(header::VARY, accept);
                Ok(response)
            }
            Err(fmt::Error) => {
                error!("the metrics could not be written");
                Err(Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the metrics could not be written",
                ))
            }
        }
    }

    async fn slowest(&self, query: Option<&str>) -> Answer {
        let count = slowest_count(query.unwrap_or_default())?;
        let streams = self.hub.slowest(count).await;
        let streams: Vec<StreamView<'_>> = streams.iter().map(StreamView::of).collect();
        // Strings and numbers only: there is nothing in it that could fail to serialize.
        let mut body = serde_json::to_vec(&streams).unwrap_or_default();
        body.push(b'\n');
        Ok(text(body, "application/json"))
    }

    async fn close(&self, id: &str) -> Answer {
        if !self.hub.close_stream(id).await {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "there is no such stream; GET /streams shows ids",
            ));
        }
        info!(stream = id, "closed by an operator");
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }
}

/// Reads `slowest` from the query.
fn slowest_count(query: &str) -> Result<usize, Problem> {
    let mut count = SLOWEST_DEFAULT;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let problem = |text: String| Problem::new(StatusCode::BAD_REQUEST, text);
        if name != "slowest" {
            return Err(problem(format!(
                "unknown parameter {name:?}; there is `slowest`"
            )));
        }
        count = match value.parse() {
            Ok(count @ 1..=SLOWEST_MAX) => count,
            _ => {
                return Err(problem(format!(
                    "`slowest` is {value:?}; it must be a number from 1 to {SLOWEST_MAX}"
                )));
            }
        };
    }
    Ok(count)
}

/// A stream as `/streams` shows it.
#[derive(Serialize)]
struct StreamView<'a> {
    id: &'a str,
    client: Option<IpAddr>,
    topics: &'a [String],
    topic_count: usize,
    age_s: u64,
    cursor: String,
    lag_ms: u64,
    bytes: u64,
}

impl<'a> StreamView<'a> {
    fn of(stream: &'a StreamInfo) -> Self {
        Self {
            id: &stream.id,
            client: stream.client,
            topics: &stream.topics,
            topic_count: stream.topic_count,
            age_s: stream.age.as_secs(),
            cursor: stream.cursor.to_string(),
            lag_ms: u64::try_from(stream.lag.as_millis()).unwrap_or(u64::MAX),
            bytes: stream.bytes,
        }
    }
}

fn text(body: impl Into<Bytes>, media_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_streams_is_bounded() {
        for (query, count) in [("", 20), ("slowest=1", 1), ("slowest=1000", 1000)] {
            assert_eq!(slowest_count(query).expect(query), count);
        }
        for query in ["slowest=0", "slowest=1001", "slowest=", "slowest=-1", "n=5"] {
            let response = slowest_count(query).expect_err(query).into_response();
            assert_eq!(response.status(), 400, "{query}");
        }
    }
}
