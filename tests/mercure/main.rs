//! Who may hear and publish what, and the Mercure protocol, over real sockets: tokens in every
//! place and state, the hub, the subscription API and the topics of the native API.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// The listener, its hub and its keys.
mod node;

/// Tokens: where they come from, and what each is answered.
mod access;
/// Tokens of every algorithm.
mod algorithms;
/// Cookies with publishing calls.
mod cookies;
/// What patterns may cost.
mod costly_patterns;
/// `examples/mercure.toml`, with the program itself.
mod example;
/// Streams that end with their token.
mod expiry;
/// The same over HTTP/2.
mod http2;
/// Keys that come while a request waits.
mod keys;
/// Starts and ends of subscriptions, told as events.
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
