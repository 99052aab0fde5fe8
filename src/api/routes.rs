//! Routes each request to the code that answers it.
//!
//! Routing never waits. Calls that have to wait (publishing, streams that are fed through a body,
//! tokens whose key is not known yet) are returned as a future.

mod advice;
mod host;
mod resource;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode, Version};

use self::resource::Resource;
use super::access::{AccessError, Caller, Checked, Credentials};
use super::forwarded;
use super::history;
use super::mercure;
use super::node::Node;
use super::publish::{self, Permission};
use super::refusals;
use super::stream::{self, Client};
use super::subscribe::{self, Dialect};
use super::topics;
use crate::auth::Role;
use crate::hub::{Hub, Shed};
use crate::server::answers::{List, ListRoom};
use crate::server::fields::Fields;
use crate::server::outcome::{Ending, Outcome};
use crate::server::problem::Problem;
use crate::server::request_body::RequestBody;
use crate::server::response_body::ResponseBody;
use crate::server::retry::retry_after_s;
use crate::server::service::{Request, Service};
use crate::server::transport::Transport;
use crate::web::request_target;

/// The public API as a service.
pub(super) struct Api(pub(super) Arc<Node>);

impl Service for Api {
    fn fields(&self, head: &Parts) -> Fields {
        let Self(node) = self;
        let mut fields = Vec::new();
        let grant = node.cors.grant(&head.headers);
        node.cors
            .each_header(&grant, |name, value| fields.push((name, value)));
        // The next request of this client goes to another node, or comes on a connection that was
        // accepted for it: none is sent at the moment in which this connection is closed. HTTP/2
        // says it with a frame, at the end.
        if node.hub.draining() && head.version < Version::HTTP_2 {
            fields.push((header::CONNECTION, HeaderValue::from_static("close")));
        }
        fields.into_iter().collect()
    }

    fn answer(&self, request: Request) -> Outcome {
        let Self(node) = self;
        match host::check(&request.parts, node.hosts.as_ref()) {
            Ok(()) => dispatch(node, request),
            Err(problem) => Outcome::problem(problem),
        }
    }
}

fn dispatch(node: &Arc<Node>, request: Request) -> Outcome {
    let Request {
        parts,
        body,
        peer,
        transport,
        fields,
    } = request;
    let path = parts.uri.path();
    if parts.method == Method::CONNECT || path == request_target::ASTERISK {
        return whole_node(&parts.method);
    }
    let resource = Resource::of(path)
        .filter(|resource| *resource != Resource::Subscriptions || node.access.subscriptions);
    let Some(resource) = resource else {
        let detail = format!("nothing is at {path:?}; {}", advice::of_path(path));
        return Outcome::problem(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let method = parts.method.clone();
    let refusal = match (resource, &method) {
        (Resource::Publish(_) | Resource::Mercure, &Method::POST) => node.answers.refuse_call(),
        _ => None,
    };
    if let Some(problem) = refusal {
        return Outcome::problem(problem);
    }
    match (resource, &method) {
        (_, &Method::OPTIONS) => Outcome::Now(options(node, resource, &parts.headers)),
        (Resource::Events(_), &Method::GET | &Method::HEAD) => {
            subscribe(node, peer, transport, parts, fields, &subscribe::NATIVE)
        }
        (Resource::Mercure, &Method::GET | &Method::HEAD) => {
            subscribe(node, peer, transport, parts, fields, &mercure::DIALECT)
        }
        (Resource::Publish(_), &Method::POST) => publish(node, peer, parts, body),
        (Resource::Mercure, &Method::POST) => mercure_publish(node, peer, parts, body),
        (Resource::Subscriptions, &Method::GET | &Method::HEAD) => {
            subscriptions(node, peer, transport, parts)
        }
        (Resource::Topics(_), &Method::GET | &Method::HEAD) => topics(node, peer, transport, parts),
        (Resource::History(_), &Method::GET | &Method::HEAD) => {
            history(node, peer, transport, parts)
        }
        (Resource::Health, &Method::GET | &Method::HEAD) => Outcome::Now(text("ok\n")),
        (Resource::Ready, &Method::GET | &Method::HEAD) if !node.hub.is_ready() => {
            let detail = Shed::Draining.to_string();
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
            Outcome::problem(problem.retry_after(retry_after_s()))
        }
        (Resource::Ready, &Method::GET | &Method::HEAD) if node.hub.lacks_log() => {
            let detail = "the node has been without its log for a while";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
            Outcome::problem(problem.retry_after(retry_after_s()))
        }
        (Resource::Ready, &Method::GET | &Method::HEAD) => Outcome::Now(text("ready\n")),
        (_, method) => {
            let allow = resource.methods();
            let advice = advice::of_method(resource, method);
            let detail = format!("{method} is not for {path:?}, which takes {allow}; {advice}");
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
            Outcome::problem(problem.header(header::ALLOW, allow))
        }
    }
}

/// Requests that name no resource: `OPTIONS *`, and `CONNECT`, which asks for a proxy.
fn whole_node(method: &Method) -> Outcome {
    if *method == Method::CONNECT {
        let detail = "this is no proxy";
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
        return Outcome::problem(problem.header(header::ALLOW, Resource::ALL_METHODS));
    }
    Outcome::Now(allow(Resource::ALL_METHODS))
}

/// Continues with the grants of the request's token. Waits only for a token whose key is not known
/// yet.
fn authorized(
    node: &Arc<Node>,
    role: Role,
    client: IpAddr,
    parts: Parts,
    go_on: impl FnOnce(&Arc<Node>, Parts, Credentials) -> Outcome + Send + 'static,
) -> Outcome {
    let refused = move |node: &Node, parts: &Parts, error: AccessError| {
        node.hub.node_metrics().tokens_refused.add(1);
        let client = forwarded::client(client, &parts.headers, node.trusted_proxies());
        refusals::token(client, parts.uri.path(), &error);
        Problem::from(error)
    };
    match node.access.check(role, &parts, &node.cors) {
        Ok(Checked::Done(credentials)) => go_on(node, parts, credentials),
        Ok(Checked::UnknownKey(token)) => {
            let node = Arc::clone(node);
            Outcome::Later(Box::pin(async move {
                match node.access.check_again(role, &token).await {
                    Ok(credentials) => go_on(&node, parts, credentials).ended().await,
                    Err(error) => Ending::Response(refused(&node, &parts, error).into_response()),
                }
            }))
        }
        Err(error) => Outcome::problem(refused(node, &parts, error)),
    }
}

/// `GET` and `HEAD` of a stream.
fn subscribe(
    node: &Arc<Node>,
    peer: IpAddr,
    transport: Transport,
    parts: Parts,
    fields: Fields,
    dialect: &'static Dialect,
) -> Outcome {
    let trusted = node.trusted_proxies();
    let client = Client {
        address: forwarded::client(peer, &parts.headers, trusted),
        peer,
        transport,
        fields,
    };
    authorized(
        node,
        Role::Subscriber,
        peer,
        parts,
        move |node, parts, credentials| {
            let topic = Resource::topic(parts.uri.path());
            if parts.method == Method::HEAD {
                return stream::head_only(node, dialect, topic, &parts, &credentials);
            }
            stream::open(node, client, dialect, topic, &parts, credentials)
        },
    )
}

/// `GET` of the hub's subscriptions.
fn subscriptions(node: &Arc<Node>, peer: IpAddr, transport: Transport, parts: Parts) -> Outcome {
    let build: Build =
        |hub, parts, it, room| Box::pin(mercure::subscriptions::answer(hub, parts, it, room));
    list(node, peer, transport, parts, List::Subscriptions, build)
}

/// `GET /topics`, or of one of them.
fn topics(node: &Arc<Node>, peer: IpAddr, transport: Transport, parts: Parts) -> Outcome {
    let kind = match Resource::topic(parts.uri.path()) {
        Some(_) => List::Topic,
        None => List::Topics,
    };
    let build: Build = |hub, parts, credentials, room| {
        let topic = Resource::topic(parts.uri.path());
        Box::pin(topics::answer(
            hub,
            topic,
            parts.uri.query(),
            credentials,
            room,
        ))
    };
    list(node, peer, transport, parts, kind, build)
}

/// `GET /topics/{topic}/events`.
fn history(node: &Arc<Node>, peer: IpAddr, transport: Transport, parts: Parts) -> Outcome {
    let build: Build = |hub, parts, credentials, room| {
        let topic = Resource::topic(parts.uri.path()).unwrap_or_default();
        Box::pin(history::answer(
            hub,
            topic,
            parts.uri.query(),
            credentials,
            room,
        ))
    };
    list(node, peer, transport, parts, List::Events, build)
}

/// An answer for subscribers that may be long: built in its turn, and only if there is room for it
/// then.
fn list(
    node: &Arc<Node>,
    peer: IpAddr,
    transport: Transport,
    parts: Parts,
    list: List,
    build: Build,
) -> Outcome {
    authorized(
        node,
        Role::Subscriber,
        peer,
        parts,
        move |node, parts, credentials| {
            let node = Arc::clone(node);
            Outcome::later(async move {
                let _turn = transport.list_turn().await;
                let mut room = match node.answers.begin_list(list, &transport) {
                    Ok(room) => room,
                    Err(problem) => return problem.into_response(),
                };
                let response = build(&node.hub, &parts, credentials, &mut room).await;
                let response = response.unwrap_or_else(Problem::into_response);
                room.settle(&transport, response)
            })
        },
    )
}

/// Builds a list for a request.
type Build = for<'r> fn(&'r Hub, &'r Parts, Credentials, &'r mut ListRoom) -> ListFuture<'r>;

/// A list that is being built.
type ListFuture<'r> =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Problem>> + Send + 'r>>;

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

/// `OPTIONS`: the methods of the resource, and the answer to a browser's preflight.
fn options(node: &Node, resource: Resource<'_>, request: &HeaderMap) -> Response<ResponseBody> {
    let methods = resource.methods();
    let mut response = allow(methods);
    node.cors
        .apply_preflight(methods, request, response.headers_mut());
    response
}

fn allow(methods: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// `POST /publish`, unless a page of a foreign origin sends it.
fn publish(node: &Arc<Node>, peer: IpAddr, parts: Parts, body: RequestBody) -> Outcome {
    publisher(node, peer, parts, |node, parts, credentials| {
        let node = Arc::clone(node);
        let permission = Permission::of(credentials.caller);
        Outcome::later(async move {
            let topic = Resource::topic(parts.uri.path());
            let query = parts.uri.query();
            publish::publish(&node, &permission, topic, query, &parts.headers, body)
                .await
                .unwrap_or_else(|error| Problem::from(error).into_response())
        })
    })
}

/// `POST /.well-known/mercure`, likewise; it always needs a token.
fn mercure_publish(node: &Arc<Node>, peer: IpAddr, parts: Parts, body: RequestBody) -> Outcome {
    publisher(node, peer, parts, |node, parts, credentials| {
        let permission = match credentials.bearer() {
            Ok(access) => Permission::of(Caller::Bearer(access)),
            Err(error) => return Outcome::problem(error),
        };
        let node = Arc::clone(node);
        Outcome::later(async move {
            mercure::publish::publish(&node, &permission, &parts.headers, body)
                .await
                .unwrap_or_else(|error| Problem::from(error).into_response())
        })
    })
}

/// Continues with the grants of a publisher, unless a page of a foreign origin sends the request.
fn publisher(
    node: &Arc<Node>,
    peer: IpAddr,
    parts: Parts,
    go_on: impl FnOnce(&Arc<Node>, Parts, Credentials) -> Outcome + Send + 'static,
) -> Outcome {
    match may_write(node, peer, &parts) {
        Ok(()) => authorized(node, Role::Publisher, peer, parts, go_on),
        Err(problem) => Outcome::problem(problem),
    }
}

fn may_write(node: &Node, peer: IpAddr, parts: &Parts) -> Result<(), Problem> {
    if node.cors.may_write(parts) {
        return Ok(());
    }
    let trusted = node.trusted_proxies();
    let client = forwarded::client(peer, &parts.headers, trusted);
    refusals::origin(client, &parts.headers, parts.uri.path());
    let detail = "pages of this origin may not publish here; the setting `cors_origins` lists those that may";
    Err(Problem::new(StatusCode::FORBIDDEN, detail).field("origin"))
}
