//! The admin listener: health, metrics and open streams, for operators and their tools.
//!
//! It is a service of [`crate::server`], like the public API, and has no HTTP of its own. It has no
//! authentication and is meant for loopback or a private network. So every call is either read-only
//! or undone by a client that reconnects, with one exception: an erased history is lost. It reads
//! the shards' counters and asks the hub. It must never hold a lock that publishing or delivery
//! waits for longer than a copy takes, and the cost of a scrape must not depend on the number of
//! open streams.

mod classic;
mod config;
mod exposition;
mod negotiate;
mod node_metrics;
mod page;
mod process;
mod query;
mod routes;
mod starting;
#[cfg(test)]
mod tests;
mod upgrade;
mod writer;

use std::sync::Arc;
use std::time::Duration;

pub use self::config::AdminConfig;
use self::routes::Admin;
use self::starting::Starting;
pub use self::upgrade::{UpgradeRefused, UpgradeReport, UpgradeRequest, UpgradeStatus, Upgrades};
use crate::core::budget::Budget;
use crate::hub::Hub;
use crate::metrics::HttpMetrics;
use crate::orders::Follower;
use crate::server::answers::Answers;
use crate::server::connections::Limit;
use crate::server::service::Service;
use crate::server::{self, Listening, ServeError, Setup};

/// Time after which a connection is asked to end: it bounds how long a client that reads next to
/// nothing can keep it. Scrapers reconnect.
const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(300);

/// A connection that has been quiet for this long gives way to a new one.
const QUIET_MIN: Duration = Duration::from_millis(100);

/// Serves the admin listener as the orders say: a fresh one, or one that was released. After a stop
/// it returns when the open requests are answered.
///
/// At most `connections_max` connections are served at the same time. A further one takes the place
/// of one without an open request, or waits.
///
/// Without `upgrades`, the node is part of another program, which it cannot replace.
///
/// # Errors
/// [`ServeError`] when the listener cannot be watched; nothing was served then.
pub async fn serve(
    listening: impl Into<Listening>,
    config: AdminConfig,
    hub: Hub,
    upgrades: Option<Upgrades>,
    follower: Follower<Listening>,
) -> Result<(), ServeError> {
    let metrics = Arc::clone(&hub.node_metrics().admin);
    // Operators are answered even if clients have used up the node's memory budget.
    let budget = Budget::new(usize::MAX);
    let answers = Answers::new(
        config.server.answer_bytes_max,
        Arc::clone(&budget),
        Arc::clone(&metrics),
    );
    let answers = Arc::new(answers);
    let admin = Admin::new(&config, hub, upgrades, Arc::clone(&answers));
    let setup = setup(config, Box::new(admin), metrics, answers, budget);
    server::serve(listening.into(), setup, follower).await
}

/// Serves the same listener until the node has started: it is alive, and not ready.
///
/// # Errors
/// [`ServeError`] when the listener cannot be watched; nothing was served then.
pub async fn serve_starting(
    listening: impl Into<Listening>,
    config: AdminConfig,
    follower: Follower<Listening>,
) -> Result<(), ServeError> {
    let metrics = Arc::<HttpMetrics>::default();
    let budget = Budget::new(usize::MAX);
    let answers = Answers::new(usize::MAX, Arc::clone(&budget), Arc::clone(&metrics));
    let service = Box::new(Starting);
    let setup = setup(config, service, metrics, Arc::new(answers), budget);
    server::serve(listening.into(), setup, follower).await
}

fn setup(
    config: AdminConfig,
    service: Box<dyn Service>,
    metrics: Arc<HttpMetrics>,
    answers: Arc<Answers>,
    budget: Arc<Budget>,
) -> Setup {
    Setup {
        limit: Limit::GiveWay {
            connections_max: config.connections_max,
            quiet_min: QUIET_MIN,
            life_max: CONNECTION_LIFE_MAX,
        },
        metrics,
        service,
        answers,
        budget,
        config: config.server,
    }
}
