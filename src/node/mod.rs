//! A node's life: it starts, runs, and drains when it is told to end.

mod announce;
mod apart;
pub mod config;
mod drain;
#[cfg(test)]
mod dropped;
mod error;
pub mod files;
mod inherited;
pub mod keys;
mod parts;
mod past;
mod report;
mod run;
mod shared_log;
mod signals;
mod sockets;
mod start;
mod state_dir;
pub(crate) mod supervisor;
mod take_over;
mod upgrade;
mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::auth::Auth;
use crate::hub::Hub;
use crate::orders::Control;
use crate::settings::Settings;
use crate::{ingest, server};

use announce::Announcement;
pub use error::ServerError;
use files::FileLimit;
pub use inherited::{Activated, Inherited, InheritedError, apply_addresses};
use keys::Keys;
use parts::Parts;
pub use run::{Start, run};
use shared_log::SharedLog;
pub use signals::block as block_signals;
use state_dir::Keeper;
pub use state_dir::StateDirError;
pub use upgrade::{Handover, HandoverError, Image, Role, check, end_with_parent, rehearse};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every stream was told to reconnect, and ended.
    Drained,
    /// Number of streams that did not accept all of their end in time. Their connections are cut.
    Cut(usize),
    /// A second signal ended it at once.
    Forced,
}

/// Addresses of a running node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Subscribing and publishing over HTTP.
    pub http: SocketAddr,
    /// Publishing over the Redis protocol.
    pub ingest: SocketAddr,
    /// Health, metrics, streams.
    pub admin: SocketAddr,
}

/// A running node. Dropping it ends its listeners, its tasks and its threads, and cuts open
/// connections; [`Node::drain`] ends it gracefully.
pub struct Node {
    hub: Hub,
    keys: Keys,
    addresses: Addresses,
    /// Addresses of its listeners in the settings: the public one, ingest, admin.
    configured: [SocketAddr; 3],
    limit: FileLimit,
    /// Time from [`Node::leave`] to the drain.
    drain_delay: Duration,
    listeners: Listeners,
    /// Ends the background tasks.
    stop_rest: watch::Sender<bool>,
    /// The public listener and the ingest listener.
    doors: Parts,
    /// The admin listener and background tasks.
    parts: Parts,
    /// Keeps the history on disk, if there is a directory for it.
    keeper: Option<Keeper>,
    /// The log that orders its events, if it does not order them itself.
    log: Option<SharedLog>,
}

/// The node's control of its listeners.
struct Listeners {
    public: Control<server::Listening>,
    ingest: Control<ingest::Listening>,
    admin: Control<server::Listening>,
}

impl Node {
    /// Its addresses.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its core.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The checker of tokens.
    #[must_use]
    pub fn auth(&self) -> &Arc<Auth> {
        self.keys.auth()
    }

    /// Reads the keys of tokens again; no stream is affected.
    fn reload(&self) {
        tracing::info!("reading keys again (SIGHUP)");
        self.keys.reload();
    }

    /// Announces its addresses and its settings.
    fn announce(&self, settings: Settings, config: Option<PathBuf>) {
        let announcement = Announcement {
            addresses: self.addresses,
            settings,
            auth: Arc::clone(self.keys.auth()),
            config,
            limit: self.limit,
            streams_max: self.hub.streams_max(),
        };
        announcement.make();
    }

    /// Waits for a part of the node to end by itself. A node without it would look alive, so it has
    /// to drain and be started again.
    pub async fn failed(&mut self) -> ServerError {
        let (name, reason) = tokio::select! {
            error = log_failed(&mut self.log) => return error,
            ended = self.doors.ended_early() => ended,
            ended = self.parts.ended_early() => ended,
            panic = self.keys.failed() => ("the keeper of keys", panic.to_string()),
        };
        ServerError::Ended { name, reason }
    }
}

/// Waits until the node cannot follow its log any more, if it has one.
async fn log_failed(log: &mut Option<SharedLog>) -> ServerError {
    match log {
        Some(log) => log.failed().await,
        None => std::future::pending().await,
    }
}

impl Drop for Node {
    /// Tasks end because their set is dropped; connections, because the senders that would stop
    /// them are; streams, with their shard.
    fn drop(&mut self) {
        self.hub.end();
    }
}
