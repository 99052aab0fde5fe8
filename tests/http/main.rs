//! The HTTP API over real sockets, byte by byte: a hub and its public listener run within the test,
//! so that settings, counters and the moment of shutdown are the test's own.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// The listener and its hub.
mod node;

/// What no client should send, and what slow ones may not hold on to.
mod bad_input;
/// What browsers ask before they let a page in.
mod browsers;
/// What stands in front of some UTF-8 texts.
mod byte_order_mark;
/// RFC 9112, request by request.
mod grammar;
/// The host of a request: read strictly, and answered only where it cannot be a stranger's.
mod hosts;
/// HTTP/2 with prior knowledge, by hyper's client.
mod http2;
/// Bounds on connections and streams.
mod limits;
/// Parameters that a call does not know.
mod parameters;
/// `POST /publish` in its three forms.
mod publish;
/// What a refusal says about its connection.
mod refusals;
/// Events that no publisher may send.
mod refused_events;
/// Routing, methods, keep-alive and pipelining.
mod requests;
/// The end of the listener.
mod shutdown;
/// `GET /events`: topics, cursors, heads and odd clients.
mod subscribe;
