//! The HTTP API over real sockets, byte by byte: a hub and its public listener run within the test,
//! so that settings, counters and the moment of shutdown are the test's own.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// The listener and its hub.
mod node;

/// Input that no client should send, and bounds on slow clients.
mod bad_input;
/// A browser's questions before it lets a page call.
mod browsers;
/// The byte order mark before some UTF-8 texts.
mod byte_order_mark;
/// Requests that come while the node drains.
mod draining;
/// A listener that freezes, and what it was frozen with.
mod frozen;
/// RFC 9112, request by request.
mod grammar;
/// `GET /topics/{topic}/events`.
mod history;
/// The host of a request: parsed strictly, and answered only if it cannot be a stranger's.
mod hosts;
/// HTTP/2 with prior knowledge, by hyper's client.
mod http2;
/// Idempotency keys.
mod idempotency;
/// Bounds on connections and streams.
mod limits;
/// Unknown parameters of a call.
mod parameters;
/// `POST /publish` in its three forms.
mod publish;
/// A refusal's word on its connection.
mod refusals;
/// Events that no publisher may send.
mod refused_events;
/// Routing, methods, keep-alive and pipelining.
mod requests;
/// The end of the listener.
mod shutdown;
/// `GET /events`: topics, cursors, heads and odd clients.
mod subscribe;
