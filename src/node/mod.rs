//! A node's life: it opens its listeners, runs, and drains when it is told to end.

mod announce;
pub mod config;
pub mod files;
pub mod keys;
mod signals;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::auth::Auth;
use crate::hub::Hub;
use crate::settings::Settings;
use crate::{admin, api, ingest, server};

use announce::Announcement;
use files::FileLimit;
use keys::{Keys, Loaded};
use signals::{Hangups, Signals};

/// Time beyond `drain_period` for the last streams, and once more for the last requests; whatever is left then is cut. With the default
/// `drain_period` a node has ended well before 10 s are over, when Docker and others kill it.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// How often a drain looks whether the last stream has gone.
const DRAIN_CHECK: Duration = Duration::from_millis(10);

/// How often events are looked over for their age. Topics that are published to are looked over by the publishing itself.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every stream was told to come back, and ended.
    Drained,
    /// A second signal ended it at once.
    Forced,
}

/// Why the node could not run.
#[derive(Debug, Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (`{setting}`)")]
    Bind {
        /// Setting that names the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The public listener cannot be opened.
    #[error(transparent)]
    Public(#[from] server::BindError),
    /// A delivery shard cannot be started.
    #[error(transparent)]
    Shard(#[from] crate::shard::StartError),
    /// The keys of tokens cannot be read.
    #[error(transparent)]
    Keys(#[from] keys::LoadError),
    /// The system gives no signals.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// A part of the node stopped by itself.
    #[error("a part of the node ended by itself, {name}: {reason}")]
    Ended {
        /// Which one.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

/// Runs a node, of which `config` is the configuration file, until it is told to end by SIGTERM or SIGINT and has drained, or by a second signal at once.
///
/// # Errors
/// [`ServerError`] when it cannot start, or cannot go on.
pub async fn run(
    settings: Settings,
    keys: Loaded,
    config: Option<PathBuf>,
) -> Result<Outcome, ServerError> {
    let mut signals = Signals::listen().map_err(ServerError::Signals)?;
    let mut hangups = Hangups::listen().map_err(ServerError::Signals)?;
    let mut node = Node::start_with(settings, keys).await?;
    node.announce(config);
    loop {
        tokio::select! {
            () = signals.next() => break,
            () = hangups.next() => node.reload(),
            error = node.failed() => return Err(error),
        }
    }
    tokio::select! {
        () = node.drain() => {
            tracing::info!("drained");
            Ok(Outcome::Drained)
        }
        () = signals.next() => {
            tracing::warn!("ended by a second signal, without draining");
            Ok(Outcome::Forced)
        }
    }
}

/// Where a running node can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Subscribing and publishing over HTTP.
    pub http: SocketAddr,
    /// Publishing over the Redis protocol.
    pub ingest: SocketAddr,
    /// Health, metrics, streams.
    pub admin: SocketAddr,
}

/// A running node.
pub struct Node {
    hub: Hub,
    keys: Keys,
    addresses: Addresses,
    limit: FileLimit,
    /// Ends the public listener first, the others when the streams are gone.
    stop_public: watch::Sender<bool>,
    stop_rest: watch::Sender<bool>,
    /// Listeners, and what runs beside them.
    tasks: JoinSet<Ended>,
}

/// A part that has ended, and why if it did so by itself.
struct Ended {
    name: &'static str,
    reason: Option<String>,
}

impl Node {
    /// Reads the keys of tokens, opens the listeners and starts the shards.
    ///
    /// # Errors
    /// [`ServerError`] when an address is taken, a key cannot be read or the system refuses.
    pub async fn start(settings: Settings) -> Result<Self, ServerError> {
        let keys = keys::load(&settings)?;
        Self::start_with(settings, keys).await
    }

    /// The same with keys that were read before.
    async fn start_with(settings: Settings, loaded: Loaded) -> Result<Self, ServerError> {
        let limit = files::raise();
        let plan = files::Plan::new(limit, &settings);
        plan.warn(limit, &settings);
        let settings = plan.apply(settings);
        let public = server::bind(settings.listen, &settings)?;
        let ingest_listener = bind("ingest_listen", settings.ingest_listen).await?;
        let admin_listener = bind("admin_listen", settings.admin_listen).await?;
        let local = |setting, address, found: io::Result<SocketAddr>| {
            found.map_err(|source| ServerError::Bind {
                setting,
                address,
                source,
            })
        };
        let addresses = Addresses {
            http: local("listen", settings.listen, public.local_addr())?,
            ingest: local(
                "ingest_listen",
                settings.ingest_listen,
                ingest_listener.local_addr(),
            )?,
            admin: local(
                "admin_listen",
                settings.admin_listen,
                admin_listener.local_addr(),
            )?,
        };
        let (stop_public, public_stopped) = watch::channel(false);
        let (stop_rest, rest_stopped) = watch::channel(false);
        let keys = Keys::start(loaded, &settings, &rest_stopped).await;
        let hub = Hub::start(config::hub(&settings), plan.room)?;
        let mut tasks = JoinSet::new();
        let public = api::serve(public, hub.clone(), Arc::clone(keys.auth()), public_stopped);
        tasks.spawn(ended("the public listener", public));
        let ingest = ingest::serve(ingest_listener, hub.clone(), rest_stopped.clone());
        tasks.spawn(ended("the ingest listener", ingest));
        let admin = serve_admin(admin_listener, hub.clone(), rest_stopped.clone());
        tasks.spawn(ended("the admin listener", admin));
        let expiry = expire(hub.clone(), rest_stopped);
        tasks.spawn(ended("the expiry of events", expiry));
        Ok(Self {
            hub,
            keys,
            addresses,
            limit,
            stop_public,
            stop_rest,
            tasks,
        })
    }

    /// Where it can be reached.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its core.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What checks tokens.
    #[must_use]
    pub fn auth(&self) -> &Arc<Auth> {
        self.keys.auth()
    }

    /// Reads the keys of tokens again; no stream notices.
    fn reload(&self) {
        tracing::info!("reading keys again (SIGHUP)");
        self.keys.reload();
    }

    /// Says where it listens, and what is in force.
    fn announce(&self, config: Option<PathBuf>) {
        let announcement = Announcement {
            addresses: self.addresses,
            settings: self.hub.settings().clone(),
            auth: Arc::clone(self.keys.auth()),
            config,
            limit: self.limit,
            streams_max: self.hub.streams_max(),
        };
        announcement.make();
    }

    /// Waits for a part of the node to end by itself, which none should. A node without it would look alive: it ends, and is started again.
    async fn failed(&mut self) -> ServerError {
        let ended = tokio::select! {
            ended = self.tasks.join_next() => ended,
            panic = self.keys.failed() => Some(Err(panic)),
        };
        let (name, reason) = match ended {
            Some(Ok(Ended { name, reason })) => (name, reason),
            Some(Err(panic)) => ("(unknown)", Some(panic.to_string())),
            None => ("(any)", None),
        };
        ServerError::Ended {
            name,
            reason: reason.unwrap_or_else(|| "it gave no reason".to_owned()),
        }
    }

    /// Ends the node: no new streams, the open ones closed in even steps over `drain_period` and told when to come back, publishers
    /// served until the last stream is gone, then the rest.
    pub async fn drain(&mut self) {
        let streams = self.hub.streams();
        let period = self.hub.settings().drain_period;
        tracing::info!(streams, ?period, "draining");
        self.stop_public.send_replace(true);
        let deadline = Instant::now() + period + DRAIN_GRACE;
        self.hub.drain().await;
        let mut check = interval(DRAIN_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.hub.streams() > 0 && Instant::now() < deadline {
            check.tick().await;
        }
        self.stop_rest.send_replace(true);
        // Whoever does not end in time is cut by the runtime's own end.
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(DRAIN_GRACE, all_ended).await;
        let hub = self.hub.clone();
        // The shards' threads are joined where blocking is allowed; a panic there has been reported by the shard.
        let _ = tokio::task::spawn_blocking(move || hub.stop()).await;
    }
}

async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServerError::Bind {
            setting,
            address,
            source,
        })
}

async fn ended<E: std::fmt::Display>(
    name: &'static str,
    serving: impl Future<Output = Result<(), E>>,
) -> Ended {
    let reason = serving.await.err().map(|error| error.to_string());
    Ended { name, reason }
}

async fn serve_admin(
    listener: TcpListener,
    hub: Hub,
    stopped: watch::Receiver<bool>,
) -> Result<(), std::convert::Infallible> {
    admin::serve(listener, hub, stopped).await;
    Ok(())
}

/// Forgets events that are too old, also where nothing is published.
async fn expire(
    hub: Hub,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), std::convert::Infallible> {
    let mut next = Instant::now() + EXPIRE_EVERY;
    loop {
        tokio::select! {
            () = sleep_until(next) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
        }
        hub.expire().await;
        next = Instant::now() + EXPIRE_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging;

    #[test]
    fn a_drain_ends_well_before_a_supervisor_loses_its_patience() {
        // Docker's; Kubernetes and systemd have more.
        let patience = Duration::from_secs(10);
        let longest = Settings::default().drain_period + 2 * DRAIN_GRACE + logging::FLUSH_MAX;
        assert!(longest + Duration::from_secs(2) <= patience, "{longest:?}");
    }
}
