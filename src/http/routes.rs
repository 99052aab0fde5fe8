//! From a request to the code that answers it: the table of the native API, and the checks that every request passes first.
//!
//! Routing never waits. What has to (publishing, and streams that are fed through a body) is returned as a future.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use super::Node;
use super::body::{RequestBody, ResponseBody, StreamBody};
use super::cors::Grant;
use super::exchange::Detach;
use super::head;
use super::problem::Problem;
use super::publish;
use super::service::Transport;
use super::subscribe::{self, Opening};
use crate::config::Settings;
use crate::hub::{Framing, Shed, Subscribe};
use crate::shard::sink::{BodyQueue, Sink};

/// How a request is answered.
pub(super) enum Outcome {
    /// At once.
    Now(Response<ResponseBody>),
    /// After waiting for a body, or for room.
    Later(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>),
    /// Not here: its socket goes to a shard.
    Detach(Detach),
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'a> {
    /// `/events` and `/events/{topic}`; all that follows `/events/` is the topic, still encoded.
    Events(Option<&'a str>),
    /// `/publish` and `/publish/{topic}`.
    Publish(Option<&'a str>),
    /// `/healthz`.
    Health,
    /// `/readyz`.
    Ready,
}

impl<'a> Resource<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/events" => return Some(Self::Events(None)),
            "/publish" => return Some(Self::Publish(None)),
            "/healthz" => return Some(Self::Health),
            "/readyz" => return Some(Self::Ready),
            _ => {}
        }
        let topic = |prefix| path.strip_prefix(prefix).map(Some);
        topic("/events/")
            .map(Self::Events)
            .or_else(|| topic("/publish/").map(Self::Publish))
    }

    /// Its methods, as the header `Allow` lists them.
    const fn methods(self) -> &'static str {
        match self {
            Self::Publish(_) => "POST, OPTIONS",
            Self::Events(_) | Self::Health | Self::Ready => "GET, HEAD, OPTIONS",
        }
    }
}

/// Answers a request, or says how it will be.
pub(super) fn route(
    node: &Arc<Node>,
    client: IpAddr,
    transport: &Transport,
    request: Request<Incoming>,
) -> Outcome {
    let (parts, incoming) = request.into_parts();
    let pause_max = node.hub.settings().body_timeout;
    let body = RequestBody::new(incoming, pause_max, transport.exchange().cloned());
    let grant = node.cors.grant(&parts.headers);
    let outcome = match check(&parts, node.hub.settings()) {
        Ok(()) => dispatch(node, client, transport, parts, body, &grant),
        Err(problem) => Outcome::Now(problem.into_response()),
    };
    match outcome {
        Outcome::Now(mut response) => {
            node.cors.apply(&grant, response.headers_mut());
            Outcome::Now(response)
        }
        Outcome::Later(answer) => {
            let node = Arc::clone(node);
            Outcome::Later(Box::pin(async move {
                let mut response = answer.await;
                node.cors.apply(&grant, response.headers_mut());
                response
            }))
        }
        // Its head has those headers already.
        detach @ Outcome::Detach(_) => detach,
    }
}

fn dispatch(
    node: &Arc<Node>,
    client: IpAddr,
    transport: &Transport,
    parts: Parts,
    body: RequestBody,
    grant: &Grant,
) -> Outcome {
    let path = parts.uri.path();
    let Some(resource) = Resource::of(path) else {
        let detail =
            format!("nothing is at {path:?}; see `/events`, `/publish`, `/healthz`, `/readyz`");
        return now(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    match (resource, &parts.method) {
        (_, &Method::OPTIONS) => Outcome::Now(options(node, resource, grant)),
        (Resource::Events(topic), &Method::GET) => {
            let opening =
                subscribe::open(&node.hub, client, topic, parts.uri.query(), &parts.headers);
            match opening {
                Ok(opening) => stream(node, client, transport, &parts, grant, opening),
                Err(error) => Outcome::Now(error.into_response(&parts.headers)),
            }
        }
        (Resource::Events(topic), &Method::HEAD) => Outcome::Now(events_head(node, topic, &parts)),
        (Resource::Publish(_), &Method::POST) => publish(node, parts, body),
        (Resource::Health, &Method::GET | &Method::HEAD) => Outcome::Now(text("ok\n")),
        (Resource::Ready, &Method::GET | &Method::HEAD) if node.hub.draining() => {
            let detail = Shed::Draining.to_string();
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
            now(problem.retry_after(subscribe::retry_after_s()))
        }
        (Resource::Ready, &Method::GET | &Method::HEAD) => Outcome::Now(text("ready\n")),
        (_, method) => {
            let allow = resource.methods();
            let detail = format!("{method} is not for {path:?}; it takes {allow}");
            now(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).header(header::ALLOW, allow))
        }
    }
}

fn now(problem: Problem) -> Outcome {
    Outcome::Now(problem.into_response())
}

fn text(text: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(text));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `OPTIONS`: what the resource can do, and the answer to a browser's preflight.
fn options(node: &Node, resource: Resource<'_>, grant: &Grant) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = resource.methods();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    node.cors.apply_preflight(grant, methods, headers);
    response
}

/// `HEAD /events`: what a stream would begin with, without taking a place for one.
fn events_head(node: &Node, topic: Option<&str>, parts: &Parts) -> Response<ResponseBody> {
    let limits = &node.hub.settings().event_limits;
    if let Err(error) = subscribe::selectors(topic, parts.uri.query(), limits) {
        return Problem::from(error).into_response();
    }
    let mut response = Response::new(ResponseBody::empty());
    *response.headers_mut() = head::headers(None);
    response
}

/// Opens a checked stream: on its bare socket where there is one of its own, else as a response body.
fn stream(
    node: &Arc<Node>,
    client: IpAddr,
    transport: &Transport,
    parts: &Parts,
    grant: &Grant,
    opening: Opening,
) -> Outcome {
    let Opening {
        permit,
        interest,
        start,
    } = opening;
    let last_event_id = start.last_event_id.as_ref().map(ToString::to_string);
    let last_event_id = last_event_id.as_deref();
    let Transport::Body(activity) = transport else {
        let framing = match parts.version {
            Version::HTTP_10 => Framing::Plain,
            _ => Framing::Chunked,
        };
        return Outcome::Detach(Detach {
            permit,
            framing,
            head: head::bytes(framing, last_event_id, &node.cors, grant),
            interest,
            start,
        });
    };
    let queue = BodyQueue::new();
    // Made before anything can fail or be dropped: its end is what tells the shard that the client is gone.
    let body = StreamBody::new(Arc::clone(&queue), Arc::clone(activity));
    let mut response = Response::new(ResponseBody::Stream(body));
    *response.headers_mut() = head::headers(last_event_id);
    let hub = node.hub.clone();
    let accept = accept_only(&parts.headers);
    Outcome::Later(Box::pin(async move {
        let subscribe = Subscribe {
            sink: Sink::Body(queue, Some(client)),
            framing: Framing::Plain,
            head: bytes::Bytes::new(),
            interest,
            start,
        };
        match hub.subscribe(permit, subscribe).await {
            Ok(()) => response,
            Err(_closed) => subscribe::shed(Shed::Draining, &accept),
        }
    }))
}

/// The part of a request's headers that [`subscribe::shed`] looks at, for when the request itself is gone.
fn accept_only(headers: &HeaderMap) -> HeaderMap {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .map(|value| (header::ACCEPT, value.clone()))
        .collect()
}

/// `POST /publish`, unless a page of a foreign origin sends it.
fn publish(node: &Arc<Node>, parts: Parts, body: RequestBody) -> Outcome {
    if !node.cors.may_write(&parts.headers) {
        let detail = "pages of this origin may not publish here; the setting `cors_origins` lists those that may";
        return now(Problem::new(StatusCode::FORBIDDEN, detail).field("origin"));
    }
    let hub = node.hub.clone();
    Outcome::Later(Box::pin(async move {
        let topic = match Resource::of(parts.uri.path()) {
            Some(Resource::Publish(topic)) => topic,
            _ => None,
        };
        publish::publish(&hub, topic, parts.uri.query(), &parts.headers, body)
            .await
            .unwrap_or_else(|error| Problem::from(error).into_response())
    }))
}

/// What holds for every request: the limits on its head, and `Host` (RFC 9112 §3.2).
fn check(parts: &Parts, settings: &Settings) -> Result<(), Problem> {
    let headers = &parts.headers;
    let target_bytes = target_bytes(&parts.uri);
    let target_max = settings.request_target_bytes_max;
    if target_bytes > target_max {
        let detail = format!(
            "a request target of {target_bytes} bytes is longer than the {target_max} that `request_target_bytes_max` allows"
        );
        return Err(Problem::new(StatusCode::URI_TOO_LONG, detail));
    }
    let (count, count_max) = (headers.len(), settings.header_count_max);
    if count > count_max {
        let detail = format!(
            "{count} header fields are more than the {count_max} that `header_count_max` allows"
        );
        return Err(too_large(detail));
    }
    // Name, colon, space, value, line break.
    let fields: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let bytes_max = settings.header_bytes_max;
    if target_bytes + fields > bytes_max {
        let bytes = target_bytes + fields;
        let detail = format!(
            "a request head of {bytes} bytes is larger than the {bytes_max} that `header_bytes_max` allows"
        );
        return Err(too_large(detail));
    }
    if parts.version == Version::HTTP_11 {
        check_host(headers)?;
    }
    Ok(())
}

fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
}

fn target_bytes(uri: &Uri) -> usize {
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    authority + path
}

fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let wrong = match (hosts.next(), hosts.next()) {
        (None, _) => "HTTP/1.1 requires a `Host` header",
        (Some(_), Some(_)) => "there must be one `Host` header, not several",
        // An empty one is right where the target has no authority.
        (Some(host), None) if host.is_empty() || Authority::try_from(host.as_bytes()).is_ok() => {
            return Ok(());
        }
        (Some(_), None) => {
            "the `Host` header must be a host name or address, and a port if need be"
        }
    };
    Err(Problem::new(StatusCode::BAD_REQUEST, wrong).field("host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_have_slashes() {
        assert_eq!(Resource::of("/events"), Some(Resource::Events(None)));
        assert_eq!(
            Resource::of("/events/a/b"),
            Some(Resource::Events(Some("a/b")))
        );
        assert_eq!(Resource::of("/events/"), Some(Resource::Events(Some(""))));
        assert_eq!(
            Resource::of("/publish/t"),
            Some(Resource::Publish(Some("t")))
        );
        for unknown in ["/", "", "*", "/eventsx", "/healthz/", "/Events"] {
            assert_eq!(Resource::of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn host_is_required_single_and_valid() {
        let of = |values: &[&'static str]| {
            let headers: HeaderMap = values
                .iter()
                .map(|value| (header::HOST, HeaderValue::from_static(value)))
                .collect();
            check_host(&headers).is_ok()
        };
        assert!(of(&["a.example:80"]) && of(&["[::1]:80"]) && of(&[""]));
        assert!(!of(&[]) && !of(&["a", "a"]) && !of(&["a b"]) && !of(&["a/b"]));
    }
}
