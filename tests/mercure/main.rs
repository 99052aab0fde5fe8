//! Rights to hear and to publish, and the Mercure protocol, over real sockets: tokens in every
//! place and state, the hub, the subscription API and the topics of the native API.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// The listener, its hub and its keys.
mod node;

/// Tokens: the places that they are sent in, and the answer to each.
mod access;
/// Tokens of every algorithm.
mod algorithms;
/// Cookies with publishing calls.
mod cookies;
/// The cost of patterns.
mod costly_patterns;
/// `examples/mercure.toml`, with the program itself.
mod example;
/// Streams that end with their token.
mod expiry;
/// The same over HTTP/2.
mod http2;
/// `Idempotency-Key`.
mod idempotency;
/// Keys that arrive while a request waits.
mod keys;
/// The past of a topic: what a new stream begins with, and the history as JSON.
mod past;
/// Starts and ends of subscriptions, as events.
mod presence;
/// Private events, live and replayed.
mod private;
/// Publishing to the hub.
mod publish;
/// Streams from the hub.
mod subscribe;
/// The subscription API.
mod subscriptions;
/// `GET /topics`.
mod topics;
