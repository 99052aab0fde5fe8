//! The public listener: subscribing and publishing over HTTP.
//!
//! [`crate::server`] reads every request and writes every answer. This layer decides the answer:
//!
//! ```text
//!  routes ─► access ─► subscribe ─► stream
//!                 ├──► publish::{json, ndjson, raw}
//!                 ├──► mercure::{publish, subscriptions}
//!                 └──► topics, history
//! ```
//!
//! It must never hold a stream, never order events, and never import `ingest` or `admin`.

mod access;
mod config;
mod cors;
mod forwarded;
mod history;
mod mercure;
mod node;
mod parameters;
mod past;
mod presentation;
mod publish;
mod reach;
mod refusals;
mod routes;
mod stream;
mod subscribe;
mod topics;

use std::sync::Arc;

pub use self::config::{
    AccessConfig, ApiConfig, CorsConfig, HostsConfig, PublishConfig, SubscribeConfig,
};
pub use self::publish::idempotency_key_of;
pub use self::publish::json::{Events, JsonError, parse as parse_publish_json};
pub use self::subscribe::cursor as choose_cursor;
pub use crate::server::ServeError;

use self::node::Node;
use self::routes::Api;
use crate::auth::Auth;
use crate::hub::Hub;
use crate::orders::Follower;
use crate::server::answers::Answers;
use crate::server::connections::Limit;
use crate::server::{self, Listening, Setup};

/// Serves the public listener as the orders say: a fresh one, or one that was released. At a stop it
/// closes the socket and lets open requests finish.
///
/// Returns when the last connection has ended. Streams do not count, except those over HTTP/2,
/// which end when the hub drains. A publisher that streams without end would be waited for, so the
/// caller bounds the wait. Must run on a tokio runtime with I/O and time enabled.
///
/// # Errors
/// [`ServeError`] when the listener cannot be watched; nothing was served then.
pub async fn serve(
    listening: impl Into<Listening>,
    config: ApiConfig,
    hub: Hub,
    auth: Arc<Auth>,
    follower: Follower<Listening>,
) -> Result<(), ServeError> {
    let metrics = Arc::clone(&hub.node_metrics().http);
    let answers = Answers::new(
        config.server.answer_bytes_max,
        Arc::clone(hub.budget()),
        Arc::clone(&metrics),
    );
    let answers = Arc::new(answers);
    let node = Arc::new(Node::new(&config, hub, auth, Arc::clone(&answers)));
    let setup = Setup {
        limit: Limit::Refuse {
            connections_max: config.connections_max,
            streams: Arc::clone(node.hub.places()),
        },
        config: config.server,
        metrics,
        answers,
        budget: Arc::clone(node.hub.budget()),
        service: Box::new(Api(node)),
    };
    server::serve(listening.into(), setup, follower).await
}
