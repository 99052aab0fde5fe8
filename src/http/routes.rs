//! From a request to the code that answers it: the table of paths, and the checks that every request passes first.
//!
//! Routing never waits. What has to (publishing, streams that are fed through a body, tokens whose key is not known yet) is returned as a future.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use super::Node;
use super::access::{AccessError, Caller, Checked, Credentials};
use super::body::{RequestBody, ResponseBody};
use super::cors::Grant;
use super::mercure;
use super::outcome::{Ending, Outcome};
use super::problem::{self, Problem};
use super::publish::{self, Permission};
use super::service::Transport;
use super::stream::{self, Client};
use super::subscribe::{self, Dialect};
use super::topics;
use crate::auth::Role;
use crate::config::Settings;
use crate::hub::Shed;
use crate::hub::presence::SUBSCRIPTIONS_PATH;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'a> {
    /// `/events` and `/events/{topic}`; all that follows `/events/` is the topic, still encoded.
    Events(Option<&'a str>),
    /// `/publish` and `/publish/{topic}`.
    Publish(Option<&'a str>),
    /// `/topics` and `/topics/{topic}`.
    Topics(Option<&'a str>),
    /// `/.well-known/mercure`.
    Mercure,
    /// `/.well-known/mercure/subscriptions` and what follows it.
    Subscriptions,
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
            "/topics" => return Some(Self::Topics(None)),
            mercure::PATH => return Some(Self::Mercure),
            SUBSCRIPTIONS_PATH => return Some(Self::Subscriptions),
            "/healthz" => return Some(Self::Health),
            "/readyz" => return Some(Self::Ready),
            _ => {}
        }
        let topic = |prefix| path.strip_prefix(prefix).map(Some);
        topic("/events/")
            .map(Self::Events)
            .or_else(|| topic("/publish/").map(Self::Publish))
            .or_else(|| topic("/topics/").map(Self::Topics))
            .or_else(|| {
                let rest = path.strip_prefix(SUBSCRIPTIONS_PATH)?;
                rest.starts_with('/').then_some(Self::Subscriptions)
            })
    }

    /// The topic in a path, still encoded.
    fn topic(path: &'a str) -> Option<&'a str> {
        match Self::of(path)? {
            Self::Events(topic) | Self::Publish(topic) | Self::Topics(topic) => topic,
            Self::Mercure | Self::Subscriptions | Self::Health | Self::Ready => None,
        }
    }

    /// Its methods, as the header `Allow` lists them.
    const fn methods(self) -> &'static str {
        match self {
            Self::Publish(_) => "POST, OPTIONS",
            Self::Mercure => "GET, HEAD, POST, OPTIONS",
            Self::Events(_)
            | Self::Topics(_)
            | Self::Subscriptions
            | Self::Health
            | Self::Ready => "GET, HEAD, OPTIONS",
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
    let by_browser = problem::is_opened_in_browser(&parts.headers);
    let outcome = match check(&parts, node.hub.settings()) {
        Ok(()) => dispatch(node, client, transport, parts, body, &grant),
        Err(problem) => Outcome::problem(problem),
    };
    let node = Arc::clone(node);
    outcome.with_response(move |response| {
        node.cors.apply(&grant, response.headers_mut());
        if by_browser {
            problem::show_in_browser(response);
        }
    })
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
    let resource = Resource::of(path)
        .filter(|resource| *resource != Resource::Subscriptions || node.access.subscriptions);
    let Some(resource) = resource else {
        let detail = format!(
            "nothing is at {path:?}; see `/events`, `/publish`, `/topics`, `{}`, `/healthz`, `/readyz`",
            mercure::PATH
        );
        return Outcome::problem(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let method = parts.method.clone();
    match (resource, &method) {
        (_, &Method::OPTIONS) => Outcome::Now(options(node, resource, grant)),
        (Resource::Events(_), &Method::GET | &Method::HEAD) => {
            subscribe(node, client, transport, parts, grant, &subscribe::NATIVE)
        }
        (Resource::Mercure, &Method::GET | &Method::HEAD) => {
            subscribe(node, client, transport, parts, grant, &mercure::DIALECT)
        }
        (Resource::Publish(_), &Method::POST) => publish(node, parts, body),
        (Resource::Mercure, &Method::POST) => mercure_publish(node, parts, body),
        (Resource::Subscriptions, &Method::GET | &Method::HEAD) => subscriptions(node, parts),
        (Resource::Topics(_), &Method::GET | &Method::HEAD) => topics(node, parts),
        (Resource::Health, &Method::GET | &Method::HEAD) => Outcome::Now(text("ok\n")),
        (Resource::Ready, &Method::GET | &Method::HEAD) if node.hub.draining() => {
            let detail = Shed::Draining.to_string();
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
            Outcome::problem(problem.retry_after(subscribe::retry_after_s()))
        }
        (Resource::Ready, &Method::GET | &Method::HEAD) => Outcome::Now(text("ready\n")),
        (_, method) => {
            let allow = resource.methods();
            let detail = format!("{method} is not for {path:?}; it takes {allow}");
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
            Outcome::problem(problem.header(header::ALLOW, allow))
        }
    }
}

/// Goes on with what the request's token allows. Waits only for a token whose key is not known yet.
fn authorized(
    node: &Arc<Node>,
    role: Role,
    parts: Parts,
    go_on: impl FnOnce(&Arc<Node>, Parts, Credentials) -> Outcome + Send + 'static,
) -> Outcome {
    let refused = |node: &Node, error: AccessError| {
        node.hub.node_metrics().tokens_refused.add(1);
        Problem::from(error)
    };
    match node.access.check(role, &parts, &node.cors) {
        Ok(Checked::Done(credentials)) => go_on(node, parts, credentials),
        Ok(Checked::UnknownKey(token)) => {
            let node = Arc::clone(node);
            Outcome::Later(Box::pin(async move {
                match node.access.check_again(role, &token).await {
                    Ok(credentials) => go_on(&node, parts, credentials).ended().await,
                    Err(error) => Ending::Response(refused(&node, error).into_response()),
                }
            }))
        }
        Err(error) => Outcome::problem(refused(node, error)),
    }
}

/// `GET` and `HEAD` of a stream.
fn subscribe(
    node: &Arc<Node>,
    client: IpAddr,
    transport: &Transport,
    parts: Parts,
    grant: &Grant,
    dialect: &'static Dialect,
) -> Outcome {
    let client = Client {
        address: client,
        transport: transport.clone(),
        grant: grant.clone(),
    };
    authorized(
        node,
        Role::Subscriber,
        parts,
        move |node, parts, credentials| {
            let topic = Resource::topic(parts.uri.path());
            if parts.method == Method::HEAD {
                let response = stream::head_only(node, dialect, topic, &parts, &credentials);
                return Outcome::Now(response);
            }
            stream::open(node, client, dialect, topic, &parts, credentials)
        },
    )
}

/// `GET` of the hub's subscriptions.
fn subscriptions(node: &Arc<Node>, parts: Parts) -> Outcome {
    authorized(node, Role::Subscriber, parts, |node, parts, credentials| {
        let hub = node.hub.clone();
        Outcome::later(async move {
            mercure::subscriptions::answer(&hub, &parts, credentials)
                .await
                .unwrap_or_else(Problem::into_response)
        })
    })
}

/// `GET /topics`.
fn topics(node: &Arc<Node>, parts: Parts) -> Outcome {
    authorized(node, Role::Subscriber, parts, |node, parts, credentials| {
        let hub = node.hub.clone();
        Outcome::later(async move {
            let topic = Resource::topic(parts.uri.path());
            topics::answer(&hub, topic, parts.uri.query(), credentials)
                .await
                .unwrap_or_else(Problem::into_response)
        })
    })
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

/// `POST /publish`, unless a page of a foreign origin sends it.
fn publish(node: &Arc<Node>, parts: Parts, body: RequestBody) -> Outcome {
    if let Err(problem) = may_write(node, &parts) {
        return Outcome::problem(problem);
    }
    authorized(node, Role::Publisher, parts, |node, parts, credentials| {
        let hub = node.hub.clone();
        let permission = Permission::of(credentials.caller);
        Outcome::later(async move {
            let topic = Resource::topic(parts.uri.path());
            let query = parts.uri.query();
            publish::publish(&hub, &permission, topic, query, &parts.headers, body)
                .await
                .unwrap_or_else(|error| Problem::from(error).into_response())
        })
    })
}

/// `POST /.well-known/mercure`, likewise; and never without a token.
fn mercure_publish(node: &Arc<Node>, parts: Parts, body: RequestBody) -> Outcome {
    if let Err(problem) = may_write(node, &parts) {
        return Outcome::problem(problem);
    }
    authorized(node, Role::Publisher, parts, |node, parts, credentials| {
        let permission = match credentials.bearer() {
            Ok(access) => Permission::of(Caller::Bearer(access)),
            Err(error) => return Outcome::problem(error),
        };
        let hub = node.hub.clone();
        Outcome::later(async move {
            mercure::publish::publish(&hub, &permission, &parts.headers, body)
                .await
                .unwrap_or_else(|error| Problem::from(error).into_response())
        })
    })
}

fn may_write(node: &Node, parts: &Parts) -> Result<(), Problem> {
    if node.cors.may_write(&parts.headers, parts.uri.authority()) {
        return Ok(());
    }
    let detail = "pages of this origin may not publish here; the setting `cors_origins` lists those that may";
    Err(Problem::new(StatusCode::FORBIDDEN, detail).field("origin"))
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
        assert_eq!(Resource::topic("/topics/a/b"), Some("a/b"));
        let subscriptions = Some(Resource::Subscriptions);
        assert_eq!(
            Resource::of("/.well-known/mercure/subscriptions"),
            subscriptions
        );
        assert_eq!(
            Resource::of("/.well-known/mercure/subscriptions/a"),
            subscriptions
        );
        for unknown in [
            "/",
            "",
            "*",
            "/eventsx",
            "/healthz/",
            "/Events",
            "/.well-known/mercure/",
            "/.well-known/mercure/subscriptionsx",
        ] {
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
