//! Opens a requested stream: on its bare socket if it has one of its own, else as a response body.
//!
//! Both protocols with streams (the native API and Mercure) use this module; their differences are
//! in their [`Dialect`].

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Response, Version};

use super::access::Credentials;
use super::node::Node;
use super::presentation::Presentation;
use super::refusals;
use super::subscribe::{self, Dialect, NotOpened, Opening};
use crate::core::event::IdForm;
use crate::hub::{Encoding, Hub, Interest, Shed, Start, Subscribe};
use crate::server::detach::Detach;
use crate::server::fields::Fields;
use crate::server::head;
use crate::server::outcome::{Ending, Outcome};
use crate::server::problem::Problem;
use crate::server::response_body::{ResponseBody, StreamBody};
use crate::server::transport::Transport;
use crate::shard::wire::{BodyQueue, Incoming};

/// The client of a stream, and the way to it.
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// Address of the connection's other end. Behind a proxy, it is the proxy's.
    pub(crate) peer: IpAddr,
    pub(crate) transport: Transport,
    pub(crate) fields: Fields,
}

/// `GET`: opens the stream.
pub(crate) fn open(
    node: &Arc<Node>,
    client: Client,
    dialect: &'static Dialect,
    topic: Option<&str>,
    parts: &Parts,
    credentials: Credentials,
) -> Outcome {
    let private = credentials.in_query;
    let opening = subscribe::open(
        &node.hub,
        node.bounds(),
        client.address,
        dialect,
        topic,
        parts,
        credentials.caller,
    );
    match opening {
        Ok(opening) if opening.last.is_some() || opening.early.is_some() => {
            later(node, client, dialect, private, parts, opening)
        }
        Ok(opening) => attach(node, client, dialect, private, Asking::of(parts), opening),
        Err(error) => {
            if let NotOpened::Shed(why) = &error {
                let expected = *why == Shed::Draining;
                refusals::stream(client.address, parts, why, expected);
            }
            Outcome::Now(error.into_response(&node.hub, &parts.headers))
        }
    }
}

/// `HEAD`: the head of the stream, without a place for one.
pub(crate) fn head_only(
    node: &Arc<Node>,
    dialect: &'static Dialect,
    topic: Option<&str>,
    parts: &Parts,
    credentials: &Credentials,
) -> Outcome {
    let query = parts.uri.query();
    let selectors = subscribe::selectors(dialect, topic, query, &credentials.caller, node.bounds());
    let checked = selectors.and_then(|selectors| {
        subscribe::past_of(query)?;
        Presentation::parse(query)?;
        Ok(selectors)
    });
    let selectors = match checked {
        Err(error) => return Outcome::Now(Problem::from(error).into_response()),
        Ok(selectors) => selectors,
    };
    let cursor = subscribe::cursor_of(dialect, parts);
    let grant = credentials.caller.grant();
    let private = credentials.in_query;
    let start = node.hub.resolve(&selectors, grant, cursor.as_deref());
    let Some(cursor) = cursor.filter(|_| node.hub.may_be_early(&start)) else {
        return Outcome::Now(head_of(&node.hub, dialect, private, &start));
    };
    let (node, cursor, grant) = (Arc::clone(node), cursor.into_owned(), grant.to_vec());
    let accept = accept_only(&parts.headers);
    Outcome::Later(Box::pin(async move {
        let hub = &node.hub;
        Ending::Response(match hub.resolve_late(&selectors, &grant, &cursor).await {
            Ok(start) => head_of(hub, dialect, private, &start),
            Err(why) => subscribe::shed(why, hub, &accept),
        })
    }))
}

fn head_of(hub: &Hub, dialect: &Dialect, private: bool, start: &Start) -> Response<ResponseBody> {
    let last_event_id = last_event_id(hub, dialect, start);
    let mut response = Response::new(ResponseBody::empty());
    *response.headers_mut() = head::headers(last_event_id.as_deref(), private);
    response
}

/// The value of the response header `Last-Event-ID`.
fn last_event_id(hub: &Hub, dialect: &Dialect, start: &Start) -> Option<String> {
    let write = |id| match dialect.ids {
        IdForm::Urn => hub.marked(id).urn(),
        IdForm::Native => hub.marked(id).to_string(),
    };
    start.last_event_id.as_ref().map(|id| id.text(write))
}

/// The parts of a request that count once the stream may be opened.
#[derive(Clone, Copy)]
struct Asking<'r> {
    version: Version,
    headers: &'r HeaderMap,
}

impl<'r> Asking<'r> {
    fn of(parts: &'r Parts) -> Self {
        Self {
            version: parts.version,
            headers: &parts.headers,
        }
    }
}

/// Opens a stream whose start has to be found first: at its newest events, or at a cursor that this
/// node does not know yet.
fn later(
    node: &Arc<Node>,
    client: Client,
    dialect: &'static Dialect,
    private: bool,
    parts: &Parts,
    mut opening: Opening,
) -> Outcome {
    let node = Arc::clone(node);
    let (version, accept) = (parts.version, accept_only(&parts.headers));
    Outcome::Later(Box::pin(async move {
        if let Err(why) = settle(&node.hub, &mut opening).await {
            return Ending::Response(subscribe::shed(why, &node.hub, &accept));
        }
        let asking = Asking {
            version,
            headers: &accept,
        };
        let opened = attach(&node, client, dialect, private, asking, opening);
        opened.ended().await
    }))
}

/// Finds the start of a stream.
async fn settle(hub: &Hub, opening: &mut Opening) -> Result<(), Shed> {
    let Interest {
        selectors, grant, ..
    } = &opening.interest;
    if let Some(count) = opening.last.take() {
        opening.start = hub.resolve_last(selectors, grant, count).await;
    }
    if let Some(cursor) = opening.early.take() {
        opening.start = hub.resolve_late(selectors, grant, &cursor).await?;
    }
    Ok(())
}

fn attach(
    node: &Arc<Node>,
    client: Client,
    dialect: &Dialect,
    private: bool,
    asking: Asking<'_>,
    opening: Opening,
) -> Outcome {
    let Opening {
        permit,
        mut interest,
        start,
        last: _,
        early: _,
        presentation,
    } = opening;
    let last_event_id = last_event_id(&node.hub, dialect, &start);
    let last_event_id = last_event_id.as_deref();
    let Transport::Body(flow) = client.transport else {
        // A body knows its client's address; of a socket, the system only knows the peer's.
        interest.identity.forwarded =
            Some(client.address).filter(|client_of| *client_of != client.peer);
        let encoding = match asking.version {
            Version::HTTP_10 => Encoding::BARE,
            _ => Encoding::CHUNKED,
        };
        let encoding = presentation.of(encoding);
        let head = head::bytes(encoding, last_event_id, private, &client.fields);
        let hub = node.hub.clone();
        return Outcome::Stream(Detach::new(async move |socket| {
            let subscribe = Subscribe {
                wire: Incoming::Socket(socket),
                encoding,
                head,
                interest,
                start,
            };
            if hub.subscribe(permit, subscribe).await.is_err() {
                tracing::debug!(target: "fantail::http", "a stream came too late for the shutdown and was closed");
            }
        }));
    };
    let permit = permit.without_socket();
    let queue = BodyQueue::charged(node.hub.budget());
    // Made before anything can fail or be dropped: its end reports to the shard that the client is
    // gone.
    let body = StreamBody::new(Arc::clone(&queue), flow);
    let mut response = Response::new(ResponseBody::Stream(body));
    *response.headers_mut() = head::headers(last_event_id, private);
    let hub = node.hub.clone();
    let closed = hub.clone();
    let address = client.address;
    let accept = accept_only(asking.headers);
    Outcome::Later(Box::pin(async move {
        let subscribe = Subscribe {
            wire: Incoming::Body(queue, Some(address)),
            encoding: presentation.of(Encoding::BARE),
            head: bytes::Bytes::new(),
            interest,
            start,
        };
        Ending::Response(match hub.subscribe(permit, subscribe).await {
            Ok(()) => response,
            Err(_closed) => subscribe::shed(Shed::Draining, &closed, &accept),
        })
    }))
}

/// The part of a request's headers that [`subscribe::shed`] needs, for use after the request itself
/// is dropped.
fn accept_only(headers: &HeaderMap) -> HeaderMap {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .map(|value| (header::ACCEPT, value.clone()))
        .collect()
}
