//! What the admin listener answers to which request.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tracing::{debug, error, info};

use super::exposition::Exposition;
use super::guard::Guard;
use super::negotiate;
use super::problem::Problem;
use super::query::{self, Shown};
use crate::core::selector::Selector;
use crate::hub::{Hub, StreamInfo};
use crate::once_a_minute::OnceAMinute;
use crate::settings::Settings;
use crate::web::request_target;

/// What there is, for those who ask for something else.
const RESOURCES: &str =
    "there are /healthz, /readyz, /metrics, /streams, /streams/{id}, /topics/{topic} and /trace";

/// Methods that some call takes.
const ALL_METHODS: &str = "GET, HEAD, PUT, DELETE";

/// What the listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'r> {
    Health,
    Ready,
    Metrics,
    Streams,
    Stream(&'r str),
    Topic(&'r str),
    Trace,
}

impl<'r> Resource<'r> {
    fn of(path: &'r str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/streams" => Self::Streams,
            "/trace" => Self::Trace,
            path => match path.strip_prefix("/streams/") {
                Some(id) => Self::Stream(id),
                None => Self::Topic(path.strip_prefix("/topics/")?),
            },
        })
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Health | Self::Ready | Self::Metrics => "GET, HEAD",
            Self::Streams => "GET, HEAD, DELETE",
            Self::Stream(_) | Self::Topic(_) => "DELETE",
            Self::Trace => "GET, HEAD, PUT, DELETE",
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
        let (parts, _body) = request.into_parts();
        self.route(&parts)
            .await
            .unwrap_or_else(Problem::into_response)
    }

    async fn route(&self, request: &Parts) -> Answer {
        self.guard.check(request)?;
        let path = request.uri.path();
        let resource = Resource::of(path);
        if request.method == Method::CONNECT {
            return Err(Problem::method_not_allowed(ALL_METHODS));
        }
        if !matches!(resource, Some(Resource::Health | Resource::Ready)) {
            self.guard.check_host(request)?;
        }
        self.guard.check_writer(request)?;
        if path == request_target::ASTERISK {
            return Ok(whole_listener());
        }
        let Some(resource) = resource else {
            return Err(Problem::new(StatusCode::NOT_FOUND, RESOURCES));
        };
        let query = request.uri.query().unwrap_or_default();
        match (resource, &request.method) {
            (Resource::Health, &Method::GET | &Method::HEAD) => {
                Ok(text("ok\n", "text/plain; charset=utf-8"))
            }
            (Resource::Ready, &Method::GET | &Method::HEAD) => self.ready(),
            (Resource::Metrics, &Method::GET | &Method::HEAD) => self.metrics(request),
            (Resource::Streams, &Method::GET | &Method::HEAD) => self.show(query).await,
            (Resource::Streams, &Method::DELETE) => self.close_all(query).await,
            (Resource::Stream(id), &Method::DELETE) => {
                query::none(query)?;
                self.close(id).await
            }
            (Resource::Topic(name), &Method::DELETE) => self.erase(name, query).await,
            (Resource::Trace, &Method::GET | &Method::HEAD) => self.traces(query),
            (Resource::Trace, &Method::PUT) => self.trace(query),
            (Resource::Trace, &Method::DELETE) => self.trace_no_longer(query),
            (resource, _) => Err(Problem::method_not_allowed(resource.methods())),
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

    fn metrics(&self, request: &Parts) -> Answer {
        match self.exposition.text(negotiate::format(&request.headers)) {
            Ok((page, media_type)) => {
                let mut response = text(page, media_type);
                let accept = HeaderValue::from_static("accept");
                response.headers_mut().insert(header::VARY, accept);
                Ok(response)
            }
            Err(fmt::Error) => {
                static UNWRITTEN: OnceAMinute = OnceAMinute::new();
                if let Some(left_out) = UNWRITTEN.due() {
                    error!(left_out, "the metrics could not be written");
                }
                Err(Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the metrics could not be written",
                ))
            }
        }
    }

    async fn show(&self, query: &str) -> Answer {
        let streams = match query::shown(query, self.settings())? {
            Shown::Slowest(count) => self.hub.slowest(count).await,
            Shown::Meant(query, count) => self.hub.find(query, count).await,
        };
        let streams: Vec<StreamView<'_>> = streams.iter().map(StreamView::of).collect();
        Ok(json(&streams))
    }

    async fn close_all(&self, query: &str) -> Answer {
        let query = query::meant(query, self.settings())?;
        let ended = self.hub.end_streams(query.clone()).await;
        info!(ended, ?query, "streams closed by an operator");
        Ok(json(&Ended { ended }))
    }

    async fn erase(&self, name: &str, query: &str) -> Answer {
        if !query.is_empty() {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "`DELETE /topics/{topic}` takes no parameters; a question mark in a topic is written %3F",
            ));
        }
        let topic = query::topic(name, self.settings())?;
        let erased = self.hub.erase_topic(&topic).await;
        info!(erased, topic, "history erased by an operator");
        Ok(json(&Erased { erased }))
    }

    fn traces(&self, query: &str) -> Answer {
        query::none(query)?;
        let traces = self.hub.traces().list();
        let topics: Vec<&str> = traces.iter().map(Selector::text).collect();
        Ok(json(&topics))
    }

    fn trace(&self, query: &str) -> Answer {
        let topics = query::traced(query, self.settings())?;
        if topics.is_empty() {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "name at least one `topic` to trace: a name, or a pattern",
            ));
        }
        let added = self.hub.traces().add(topics);
        added.map_err(|error| Problem::new(StatusCode::CONFLICT, error.to_string()))?;
        self.log_traces();
        self.traces("")
    }

    fn trace_no_longer(&self, query: &str) -> Answer {
        let topics = query::traced(query, self.settings())?;
        self.hub.traces().remove(&topics);
        self.log_traces();
        self.traces("")
    }

    fn log_traces(&self) {
        let traces = self.hub.traces().list();
        let topics: Vec<&str> = traces.iter().map(Selector::text).collect();
        info!(?topics, "an operator has changed what is traced");
    }

    async fn close(&self, id: &str) -> Answer {
        if !self.hub.close_stream(id).await {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "there is no such stream; GET /streams shows ids",
            ));
        }
        static CLOSED: OnceAMinute = OnceAMinute::new();
        match CLOSED.due() {
            Some(left_out) => info!(stream = id, left_out, "closed by an operator"),
            None => debug!(stream = id, "closed by an operator"),
        }
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }
}

/// How many streams were ended.
#[derive(Serialize)]
struct Ended {
    ended: usize,
}

/// How many events were erased.
#[derive(Serialize)]
struct Erased {
    erased: usize,
}

/// A stream as `/streams` shows it.
#[derive(Serialize)]
struct StreamView<'a> {
    id: &'a str,
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
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
            subject: stream.subject.as_deref(),
            topics: &stream.topics,
            topic_count: stream.topic_count,
            age_s: stream.age.as_secs(),
            cursor: stream.cursor.to_string(),
            lag_ms: u64::try_from(stream.lag.as_millis()).unwrap_or(u64::MAX),
            bytes: stream.bytes,
        }
    }
}

/// `OPTIONS *`.
fn whole_listener() -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::from_static(ALL_METHODS);
    response.headers_mut().insert(header::ALLOW, methods);
    response
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

/// Strings and numbers only: there is nothing in it that could fail to serialize.
fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    text(body, "application/json")
}
