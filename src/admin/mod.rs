//! The admin listener: health, metrics, and a look at the streams, for operators and their tools.
//!
//! It is a service of [`crate::server`], like the public API, and has no HTTP of its own. It has no
//! authentication and is meant for loopback or a private network, so everything in it is either
//! read-only or undone by a client that reconnects, but for one call: what an operator erases of a
//! topic's history is gone. It reads what the shards count and asks the hub; it must never take a
//! lock that publishing or delivery waits for longer than a copy takes, and a scrape must cost the
//! same however many streams are open.

mod classic;
mod config;
mod exposition;
mod negotiate;
mod node_metrics;
mod page;
mod process;
mod query;
mod routes;
#[cfg(test)]
mod tests;
mod writer;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use self::config::AdminConfig;
use self::routes::Admin;
use crate::core::budget::Budget;
use crate::hub::Hub;
use crate::server::answers::Answers;
use crate::server::connections::Limit;
use crate::server::{self, ServeError, Setup};

/// A connection is asked to end after so long: it bounds what a client that reads next to nothing
/// can hold. Scrapers reconnect.
const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(300);

/// Serves the admin listener until `shutdown` turns true (or its sender is gone) and the requests
/// at hand are answered.
///
/// At most `connections_max` connections are served at the same time. One more takes the place of
/// one that asks for nothing, or waits.
///
/// # Errors
/// [`ServeError`] when the listener cannot be watched; nothing was served then.
pub async fn serve(
    listener: TcpListener,
    config: AdminConfig,
    hub: Hub,
    shutdown: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let metrics = Arc::clone(&hub.node_metrics().admin);
    // Operators are answered also where clients have used up what the node may hold for them.
    let budget = Budget::new(usize::MAX);
    let answers = Answers::new(
        config.server.answer_bytes_max,
        Arc::clone(&budget),
        Arc::clone(&metrics),
    );
    let setup = Setup {
        limit: Limit::GiveWay {
            connections_max: config.connections_max,
            life_max: CONNECTION_LIFE_MAX,
        },
        metrics,
        answers: Arc::new(answers),
        budget,
        service: Box::new(Admin::new(&config, hub)),
        config: config.server,
    };
    server::serve(listener, setup, shutdown).await
}
