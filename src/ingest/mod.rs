//! The ingest port: publishing over the Redis protocol, from any Redis client.
//!
//! [`serve`] accepts connections and keeps the limits; each connection (`connection.rs`) reads,
//! publishes and answers in batches. A publisher that outruns the node is not read until the node
//! has caught up: TCP slows it down, nothing is dropped and no queue grows. This module must never
//! hold an event of its own and knows nothing of streams: every event is passed to the [`Hub`].

mod accept;
mod carried;
mod client;
mod command;
mod config;
mod connection;
mod deadline;
mod foreign;
pub mod resp;
mod script;
mod socket;
mod users;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::backoff::{self, Backoff};
use crate::closing::Closing;
use crate::core::estimate::Estimate;
use crate::hub::Hub;
use crate::metrics::IngestEnd;
use crate::once_a_minute::OnceAMinute;
use crate::orders::{FREEZE_MAX, Follower, Order, Orders};
pub use carried::{Carried, Listening};
use client::Clients;
pub use config::{IngestConfig, NamedUser, Timeouts, TransactionLimits};
use connection::Connection;
pub use resp::Muted;
use users::Users;
pub use users::{CarriedUser, Proof};

/// Time on shutdown for connections to send the answers of their current batch. A batch takes
/// milliseconds; only a client that does not read its answers needs longer, and the node does not
/// wait for it.
const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(5);

/// Why serving could not begin, or go on after a freeze.
#[derive(Debug, Error)]
#[error("cannot watch the ingest listener: {0}")]
pub struct ServeError(#[from] io::Error);

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
    /// Key of the proofs by which users are recognized after a freeze.
    proof_key: Proof,
    /// Connections that wait for the end of a freeze.
    kept: Mutex<Vec<Carried>>,
    /// Connections that have all their answers and are about to be closed.
    ending: Ending,
}

/// Counts connections that end, and wakes the port when one begins to.
#[derive(Default)]
struct Ending {
    count: AtomicUsize,
    one_more: Notify,
}

impl Ending {
    fn add(&self, one: usize) {
        self.count.fetch_add(one, Ordering::SeqCst);
        self.one_more.notify_waiters();
    }

    fn sub(&self, one: usize) {
        self.count.fetch_sub(one, Ordering::SeqCst);
    }
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
            proof_key: draw_key(),
            kept: Mutex::default(),
            ending: Ending::default(),
            hub,
        }
    }
}

impl Port {
    /// Keeps a connection until the end of the freeze. Returns it if that has come.
    fn keep(&self, carried: Carried, orders: &Orders) -> Option<Carried> {
        // The port takes the kept ones after the order has changed, so none is forgotten.
        let mut kept = self.kept.lock();
        if orders.current() != Order::Freeze {
            return Some(carried);
        }
        kept.push(carried);
        None
    }

    fn count_end(&self, end: IngestEnd) {
        self.hub.node_metrics().ingest_ended[end as usize].add(1);
    }

    fn take_kept(&self) -> Vec<Carried> {
        std::mem::take(&mut *self.kept.lock())
    }

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

/// Serves the ingest port as the orders say: a fresh listener, or one that was released.
///
/// In a freeze it accepts nothing, new clients wait in the kernel, and connections come to rest
/// between two commands. At a stop it accepts the connections that have come before, and no more;
/// every connection answers the commands that have come, and closes. The future ends when all have
/// closed, or after five seconds. Dropping the future closes everything at once.
///
/// # Errors
/// [`ServeError`] when the socket cannot be watched.
pub async fn serve(
    listening: impl Into<Listening>,
    config: IngestConfig,
    hub: Hub,
    mut follower: Follower<Listening>,
) -> Result<(), ServeError> {
    let mut listening = listening.into();
    let shared_socket = config.shared_socket;
    let port = Arc::new(Port::new(config, hub));
    let mut orders = follower.orders();
    let mut connections = JoinSet::new();
    port.clients.go_on(listening.accepted);
    let metrics = port.hub.node_metrics();
    metrics
        .ingest_carried
        .add(listening.connections.len() as u64);
    metrics.ingest_left.add(listening.left as u64);
    loop {
        listening.socket.set_nonblocking(true)?;
        // A socket that tokio refuses to watch is dropped.
        let watch = || TcpListener::from_std(listening.socket.try_clone()?);
        let listener = backoff::outlast_in_task(watch).await?;
        // As long as there is another descriptor, the end of the listener closes nothing.
        drop(listening.socket);
        let proof_key = listening.proof_key;
        for carried in listening.connections {
            if let Some(connection) = Connection::resume(carried, &port, &proof_key) {
                connections.spawn(connection.run(orders.clone()));
            }
        }
        let order = accept_until_ordered(&port, &listener, &mut connections, &mut orders).await;
        if order != Order::Freeze {
            if !shared_socket {
                let mut closing = Closing::begin(&listener);
                while let Some(accepted) = accept::next_before_close(&listener, &mut closing).await
                {
                    if let Some(connection) = accept::admit(accepted, &port) {
                        connections.spawn(connection.run(orders.clone()));
                    }
                }
            }
            break;
        }
        let socket = listener.into_std()?;
        tokio::select! {
            () = come_to_rest(&port, &mut connections) => {}
            () = tokio::time::sleep(FREEZE_MAX) => {}
            _thaw_or_stop = orders.thawed() => {}
        }
        let frozen = Listening {
            socket,
            connections: port.take_kept(),
            left: unrested(&port, &connections),
            accepted: port.clients.accepted(),
            proof_key: port.proof_key,
        };
        match follower.rest(frozen).await {
            Some(thawed) => listening = thawed,
            None => break,
        }
        // Connections that came to rest too late for the release.
        listening.connections.extend(port.take_kept());
    }
    finish(&port, connections).await;
    Ok(())
}

/// Accepts and serves until the order is another than to serve; returns that.
async fn accept_until_ordered(
    port: &Arc<Port>,
    listener: &TcpListener,
    connections: &mut JoinSet<()>,
    orders: &mut Orders,
) -> Order {
    let mut backoff = Backoff::ACCEPT;
    let for_connections = orders.clone();
    loop {
        tokio::select! {
            order = orders.interrupted() => return order,
            Some(ended) = connections.join_next() => tell_of_panic(ended),
            accepted = accept::next(listener, &mut backoff, &port.hub) => {
                if let Some(connection) = accept::admit(accepted, port) {
                    connections.spawn(connection.run(for_connections.clone()));
                }
            }
        }
    }
}

/// Waits until every connection is kept, has ended, or is about to.
async fn come_to_rest(port: &Port, connections: &mut JoinSet<()>) {
    loop {
        let one_more = port.ending.one_more.notified();
        if unrested(port, connections) == 0 {
            return;
        }
        tokio::select! {
            Some(ended) = connections.join_next() => tell_of_panic(ended),
            () = one_more => {}
        }
    }
}

/// Connections that a freeze waits for.
fn unrested(port: &Port, connections: &JoinSet<()>) -> usize {
    let ending = port.ending.count.load(Ordering::SeqCst);
    connections.len().saturating_sub(ending)
}

/// Waits until all connections have ended, but no longer than [`SHUTDOWN_GRACE_MAX`].
async fn finish(port: &Port, mut connections: JoinSet<()>) {
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

/// Draws a key from the system's randomness. It guards proofs that never leave memory, so a weaker
/// source will do where the system has none.
fn draw_key() -> Proof {
    let mut key = [0; 32];
    if aws_lc_rs::rand::fill(&mut key).is_err() {
        fastrand::fill(&mut key);
    }
    key
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
