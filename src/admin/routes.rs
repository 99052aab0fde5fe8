//! Routes of the admin listener, and their answers.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use tracing::{debug, error, info};

use super::AdminConfig;
use super::exposition::Exposition;
use super::negotiate;
use super::query::{self, Shown};
use super::upgrade::{UpgradeRefused, Upgrades};
use super::writer;
use crate::core::selector::Selector;
use crate::hub::{Hub, NotPublished, StreamInfo, StreamQuery};
use crate::once_a_minute::OnceAMinute;
use crate::server::answers::{Answers, List};
use crate::server::json;
use crate::server::outcome::Outcome;
use crate::server::problem::Problem;
use crate::server::response_body::ResponseBody;
use crate::server::retry::{retry_after_at_least_s, retry_after_s};
use crate::server::service::{Request, Service};
use crate::server::transport::Transport;
use crate::web::host::HostRule;
use crate::web::request_target::{self, WrongHost};

/// The list of resources, for requests to unknown paths.
const RESOURCES: &str = "there are /healthz, /readyz, /metrics, /streams, /streams/{id}, /topics/{topic}, /trace and /upgrade";

/// The answer of `/readyz` without the log.
const LOG_IS_AWAY: &str = "the node has been without its log for longer than `log_lost_unready`";

/// The methods of all calls together.
const ALL_METHODS: &str = "GET, HEAD, POST, PUT, DELETE";

/// A resource of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'r> {
    Health,
    Ready,
    Metrics,
    Streams,
    Stream(&'r str),
    Topic(&'r str),
    Trace,
    Upgrade,
}

/// The answer if the log did not take an erasure, which may be repeated.
fn not_erased(error: NotPublished) -> Problem {
    let problem = |detail| Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    match error {
        NotPublished::Away(unlogged) => problem(format!("nothing was erased: {unlogged}"))
            .retry_after(retry_after_at_least_s(unlogged.retry_after)),
        NotPublished::Unknown(unlogged) => problem(format!(
            "the history may have been erased: {unlogged}; repeat the call to be sure"
        ))
        .retry_after(retry_after_at_least_s(unlogged.retry_after))
        .of_unknown_outcome(),
        other => problem(other.to_string()).retry_after(retry_after_s()),
    }
}

impl<'r> Resource<'r> {
    fn of(path: &'r str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/streams" => Self::Streams,
            "/trace" => Self::Trace,
            "/upgrade" => Self::Upgrade,
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
            Self::Upgrade => "GET, HEAD, POST",
        }
    }
}

/// The admin listener as a service.
pub(super) struct Admin(Arc<Shared>);

struct Shared {
    hub: Hub,
    hosts: HostRule,
    exposition: Exposition,
    /// `None` = the node is part of another program.
    upgrades: Option<Upgrades>,
    answers: Arc<Answers>,
}

type Answer = Result<Response<ResponseBody>, Problem>;

impl Admin {
    /// The service of this node.
    pub(super) fn new(
        config: &AdminConfig,
        hub: Hub,
        upgrades: Option<Upgrades>,
        answers: Arc<Answers>,
    ) -> Self {
        Self(Arc::new(Shared {
            hosts: config.hosts.clone(),
            exposition: Exposition::new(hub.clone()),
            hub,
            upgrades,
            answers,
        }))
    }
}

impl Service for Admin {
    fn answer(&self, request: Request) -> Outcome {
        let Self(shared) = self;
        shared
            .route(&request.parts, &request.transport)
            .unwrap_or_else(Outcome::problem)
    }
}

/// An answer that waits for the shards.
fn later(answer: impl Future<Output = Answer> + Send + 'static) -> Outcome {
    Outcome::later(async { answer.await.unwrap_or_else(Problem::into_response) })
}

impl Shared {
    fn route(self: &Arc<Self>, request: &Parts, transport: &Transport) -> Result<Outcome, Problem> {
        let path = request.uri.path();
        let resource = Resource::of(path);
        if request.method == Method::CONNECT {
            return Err(not_allowed(ALL_METHODS));
        }
        if !matches!(resource, Some(Resource::Health | Resource::Ready)) {
            self.check_host(request)?;
        }
        writer::check(request)?;
        if path == request_target::ASTERISK {
            return Ok(Outcome::Now(whole_listener()));
        }
        let Some(resource) = resource else {
            return Err(Problem::new(StatusCode::NOT_FOUND, RESOURCES));
        };
        let query = request.uri.query().unwrap_or_default();
        let shared = Arc::clone(self);
        let now = match (resource, &request.method) {
            (Resource::Health, &Method::GET | &Method::HEAD) => {
                text("ok\n", "text/plain; charset=utf-8")
            }
            (Resource::Ready, &Method::GET | &Method::HEAD) => self.ready()?,
            (Resource::Metrics, &Method::GET | &Method::HEAD) => {
                let room = self.answers.begin_list(List::Metrics, transport)?;
                room.settle(transport, self.metrics(request)?)
            }
            (Resource::Streams, &Method::GET | &Method::HEAD) => {
                let shown = query::shown(query, self.topic_bytes_max())?;
                let room = self.answers.begin_list(List::Streams, transport)?;
                let transport = transport.clone();
                return Ok(later(async move {
                    let response = shared.show(shown).await?;
                    Ok(room.settle(&transport, response))
                }));
            }
            (Resource::Streams, &Method::DELETE) => {
                let meant = query::meant(query, self.topic_bytes_max())?;
                return Ok(later(async move { shared.close_all(meant).await }));
            }
            (Resource::Stream(id), &Method::DELETE) => {
                query::none(query)?;
                let id = id.to_owned();
                return Ok(later(async move { shared.close(&id).await }));
            }
            (Resource::Topic(name), &Method::DELETE) => {
                let topic = self.erased(name, query)?;
                return Ok(later(async move { shared.erase(&topic).await }));
            }
            (Resource::Trace, &Method::GET | &Method::HEAD) => self.traces(query)?,
            (Resource::Trace, &Method::PUT) => self.trace(query)?,
            (Resource::Trace, &Method::DELETE) => self.trace_no_longer(query)?,
            (Resource::Upgrade, &Method::GET | &Method::HEAD) => {
                query::none(query)?;
                json(&self.upgrades()?.status())
            }
            (Resource::Upgrade, &Method::POST) => {
                query::none(query)?;
                let upgrades = self.upgrades()?.clone();
                return Ok(later(async move { shared.upgrade(&upgrades).await }));
            }
            (resource, _) => return Err(not_allowed(resource.methods())),
        };
        Ok(Outcome::Now(now))
    }

    fn topic_bytes_max(&self) -> usize {
        self.hub.event_limits().topic_bytes_max
    }

    /// Checks the host of every call but health: orchestrators send any `Host`, and health reveals
    /// nothing that must stay private.
    fn check_host(&self, request: &Parts) -> Result<(), Problem> {
        let what = match request_target::check_host(request, Some(&self.hosts)) {
            Ok(()) => return Ok(()),
            Err(WrongHost::Empty) => "an empty `Host`".to_owned(),
            Err(WrongHost::Foreign(host)) => format!("the host {host}"),
        };
        let detail = format!(
            "{what} is not one that the admin listener answers for: those are addresses, localhost, and the names in `admin_hosts`"
        );
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
    }

    fn ready(&self) -> Answer {
        if !self.hub.is_ready() {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the node is shutting down",
            ));
        }
        if self.hub.lacks_log() {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, LOG_IS_AWAY));
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

    fn upgrades(&self) -> Result<&Upgrades, Problem> {
        self.upgrades.as_ref().ok_or_else(|| {
            Problem::new(
                StatusCode::CONFLICT,
                "this node is part of another program, which it does not replace",
            )
        })
    }

    /// Begins an upgrade, once the next program has been checked.
    async fn upgrade(&self, upgrades: &Upgrades) -> Answer {
        if !self.hub.is_ready() {
            let detail = "the node is shutting down";
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        match upgrades.ask().await {
            Ok(number) => {
                let mut response = json(&Begun { number });
                *response.status_mut() = StatusCode::ACCEPTED;
                let status = HeaderValue::from_static("/upgrade");
                response.headers_mut().insert(header::LOCATION, status);
                Ok(response)
            }
            Err(UpgradeRefused::NotNow(why)) => Err(Problem::new(StatusCode::CONFLICT, why)),
            Err(UpgradeRefused::Unfit(why)) => {
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why))
            }
        }
    }

    async fn show(&self, shown: Shown) -> Answer {
        let streams = match shown {
            Shown::Slowest(count) => self.hub.slowest(count).await,
            Shown::Meant(query, count) => self.hub.find(query, count).await,
        };
        let streams: Vec<StreamView<'_>> = streams.iter().map(StreamView::of).collect();
        Ok(json(&streams))
    }

    async fn close_all(&self, query: StreamQuery) -> Answer {
        let ended = self.hub.end_streams(query.clone()).await;
        let StreamQuery {
            topic,
            subject,
            address,
        } = &query;
        let topic = topic.as_ref().map(Selector::text);
        let address = address.map(|network| network.to_string());
        let (subject, address) = (subject.as_deref(), address.as_deref());
        // A program may call this whenever one of its users logs out.
        static CLOSED: OnceAMinute = OnceAMinute::new();
        match CLOSED.due() {
            Some(left_out) => info!(
                ended,
                topic, subject, address, left_out, "streams closed by an operator"
            ),
            None => debug!(
                ended,
                topic, subject, address, "streams closed by an operator"
            ),
        }
        Ok(json(&Ended { ended }))
    }

    /// The topic whose history is to be erased.
    fn erased(&self, name: &str, query: &str) -> Result<String, Problem> {
        if !query.is_empty() {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "`DELETE /topics/{topic}` takes no parameters; a question mark in a topic is written %3F",
            ));
        }
        query::topic(name, self.topic_bytes_max())
    }

    async fn erase(&self, topic: &str) -> Answer {
        let erased = self.hub.erase_topic(topic).await.map_err(not_erased)?;
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
        let topics = query::traced(query, self.topic_bytes_max())?;
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
        let topics = query::traced(query, self.topic_bytes_max())?;
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
        Ok(no_content())
    }
}

/// Number of the upgrade that begins.
#[derive(Serialize)]
struct Begun {
    number: u64,
}

/// Number of streams ended.
#[derive(Serialize)]
struct Ended {
    ended: usize,
}

/// Number of events erased.
#[derive(Serialize)]
struct Erased {
    erased: usize,
}

/// A stream in the answer to `/streams`.
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

/// `405`, with the methods that are allowed (RFC 9110 §15.5.6).
pub(super) fn not_allowed(methods: &'static str) -> Problem {
    let detail = format!("allowed here: {methods}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).header(header::ALLOW, methods)
}

/// `OPTIONS *`.
fn whole_listener() -> Response<ResponseBody> {
    let mut response = no_content();
    let methods = HeaderValue::from_static(ALL_METHODS);
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

fn no_content() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

pub(super) fn text(body: impl Into<Bytes>, media_type: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    as_it_is_now(headers);
    response
}

fn json(value: &impl Serialize) -> Response<ResponseBody> {
    let mut response = json::response(value);
    as_it_is_now(response.headers_mut());
    response
}

/// Headers of an answer that is plain data and must not be cached.
fn as_it_is_now(headers: &mut HeaderMap) {
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
