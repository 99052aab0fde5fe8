//! The ingest port: publishing over the Redis protocol, from any Redis client.
//!
//! [`serve`] accepts connections and keeps the limits; each connection (`connection.rs`) reads,
//! publishes and answers in batches. A publisher that outruns the node is not read until the node
//! has caught up: TCP slows it down, nothing is dropped and no queue grows. This module must never
//! hold an event of its own and knows nothing of streams: every event is passed to the [`Hub`].

mod accept;
mod client;
mod command;
mod config;
mod connection;
mod deadline;
mod foreign;
pub mod resp;
mod script;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::closing::Closing;
use crate::core::estimate::Estimate;
use crate::hub::Hub;
use crate::once_a_minute::OnceAMinute;
use client::Clients;
pub use config::{IngestConfig, NamedUser, Timeouts, TransactionLimits};
use users::Users;

/// Time on shutdown for connections to send the answers of their current batch. A batch takes
/// milliseconds; only a client that does not read its answers needs longer, and the node does not
/// wait for it.
const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(5);

/// The state that the connections of one port share.
struct Port {
    hub: Hub,
    users: Users,
    clients: Clients,
    scripts: command::Scripts,
    /// Expected size of the list of topics.
    channels: Estimate,
    commands: command::Commands,
    foreign: foreign::Log,
    /// Bounds on a command of a client that has authenticated, and of one that has not.
    limits: resp::Limits,
    stranger_limits: resp::Limits,
    room: client::Room,
    timeouts: Timeouts,
    transaction: TransactionLimits,
    reply_bytes_max: usize,
    displaced_line: OnceAMinute,
    started: Instant,
}

impl Port {
    fn new(config: IngestConfig, hub: Hub) -> Self {
        let bulk_bytes_max = config.bulk_bytes_max;
        let limits = resp::Limits {
            array_max: config.array_max,
            bulk_bytes_max,
            // One argument is large, the data; the framing and all the others fit into a second one
            // and a bit.
            command_bytes_max: bulk_bytes_max.saturating_mul(2).saturating_add(64 * 1024),
            authenticated: true,
        };
        Self {
            users: Users::new(config.password, config.users),
            clients: Clients::default(),
            scripts: command::Scripts::new(hub.budget()),
            channels: Estimate::new(0),
            commands: command::COMMANDS,
            foreign: foreign::Log::default(),
            limits,
            stranger_limits: resp::Limits::unauthenticated(config.unauthenticated_bytes_max),
            room: client::Room {
                max: config.connections_max,
                strangers_max: config.unauthenticated_max.clamp(1, config.connections_max),
            },
            timeouts: config.timeouts,
            transaction: config.transaction,
            reply_bytes_max: config.reply_bytes_max,
            displaced_line: OnceAMinute::new(),
            started: Instant::now(),
            hub,
        }
    }
}

impl Port {
    /// Logs that a connection was ended in favour of one of `client`; at most once a minute.
    fn tell_of_displaced(&self, client: SocketAddr) {
        if let Some(left_out) = self.displaced_line.due() {
            warn!(
                %client, left_out,
                "ingest connections that have not authenticated hold all places that they may have (ingest_unauthenticated_max), so the \
                 oldest of them was ended for a new one"
            );
        }
    }
}

/// Serves the ingest port until `shutdown` turns true or its sender is dropped.
///
/// Then it accepts the connections that have come before, and no more; every connection answers the
/// commands that have come, and closes. The future ends when all have closed, or after five seconds.
/// Dropping the future closes everything at once.
pub async fn serve(
    listener: TcpListener,
    config: IngestConfig,
    hub: Hub,
    mut shutdown: watch::Receiver<bool>,
) {
    let shared_socket = config.shared_socket;
    let port = Arc::new(Port::new(config, hub));
    let mut connections = JoinSet::new();
    let mut backoff = accept::Backoff::default();
    loop {
        tokio::select! {
            () = stopped(&mut shutdown) => break,
            Some(ended) = connections.join_next() => tell_of_panic(ended),
            accepted = accept::next(&listener, &mut backoff, &port.hub) => {
                if let Some(connection) = accept::admit(accepted, &port) {
                    connections.spawn(connection.run(shutdown.clone()));
                }
            }
        }
    }
    if !shared_socket {
        let mut closing = Closing::begin(&listener);
        while let Some(accepted) = accept::next_before_close(&listener, &mut closing).await {
            if let Some(connection) = accept::admit(accepted, &port) {
                connections.spawn(connection.run(shutdown.clone()));
            }
        }
    }
    drop(listener);
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            tell_of_panic(ended);
        }
    };
    if tokio::time::timeout(SHUTDOWN_GRACE_MAX, all_ended)
        .await
        .is_err()
    {
        info!(
            "ingest connections cut off that did not read their answers: {}",
            port.clients.count()
        );
    }
}

/// Waits until the node shuts down.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is dropped, and with it the node's owner.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Logs a panic. It ends its connection only, but it is a defect that an operator should see.
fn tell_of_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        static PANICS: OnceAMinute = OnceAMinute::new();
        if let Some(left_out) = PANICS.due() {
            error!(left_out, "an ingest connection panicked: {error}");
        }
    }
}
