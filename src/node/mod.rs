//! A node's life: it opens its listeners, runs, and drains when it is told to end.

mod announce;
pub mod config;
mod drain;
#[cfg(test)]
mod dropped;
pub mod files;
mod inherited;
pub mod keys;
mod parts;
mod past;
mod report;
mod signals;
mod sockets;
mod state_dir;
pub(crate) mod supervisor;
mod upkeep;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::auth::Auth;
use crate::hub::Hub;
use crate::orders::{Control, control};
use crate::settings::Settings;
use crate::{admin, api, ingest, server};

pub use state_dir::StateDirError;

use announce::Announcement;
use files::FileLimit;
pub use inherited::{Inherited, InheritedError};
use keys::{Keys, Loaded};
use parts::Parts;
use report::Report;
use signals::{Hangups, Signals};
use sockets::Sockets;
use state_dir::{Keeper, StateDir};
use supervisor::{Supervisor, keep_alive};
use upkeep::NodeUpkeep;

/// Interval at which events are checked for their age. Publishing itself checks the topics that it
/// publishes to.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

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
        /// The system's error.
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
    /// The history cannot be kept on disk.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The system gives no signals.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// A part of the node stopped by itself.
    #[error("a part of the node ended by itself, {name}: {reason}")]
    Ended {
        /// Its name.
        name: &'static str,
        /// The reason.
        reason: String,
    },
}

/// Runs a node, of which `config` is the configuration file, until SIGTERM or SIGINT; it then
/// drains. A second signal ends it at once.
///
/// # Errors
/// [`ServerError`] if it cannot start, or cannot go on.
pub async fn run(
    settings: Settings,
    keys: Loaded,
    inherited: Inherited,
    config: Option<PathBuf>,
) -> Result<Outcome, ServerError> {
    let mut signals = Signals::listen().map_err(ServerError::Signals)?;
    let mut hangups = Hangups::listen().map_err(ServerError::Signals)?;
    let mut node = Node::start_with(settings.clone(), keys, inherited).await?;
    node.announce(settings, config);
    let supervisor = Supervisor::from_environment();
    let watchdog = keep_alive(supervisor.clone(), node.hub.clone());
    // Ends with the runtime.
    tokio::spawn(watchdog);
    serve(&mut node, &mut signals, &mut hangups, &supervisor).await
}

/// Runs a started node until a signal ends it, or one of its parts fails. Both drain it.
async fn serve(
    node: &mut Node,
    signals: &mut Signals,
    hangups: &mut Hangups,
    supervisor: &Supervisor,
) -> Result<Outcome, ServerError> {
    let mut upkeep = NodeUpkeep::new(&node.hub);
    let mut report = Report::begin(supervisor);
    let mut reloaded: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    let mut drain_at = None;
    let failure = loop {
        tokio::select! {
            () = signals.next() => match drain_at {
                None => {
                    let begins = node.leave();
                    report.stopping(node.drained_by(begins));
                    drain_at = Some(begins);
                }
                Some(_) => return Ok(forced()),
            },
            () = due(drain_at) => break None,
            () = hangups.next() => {
                supervisor.reloading();
                node.reload();
                reloaded = Some(Box::pin(node.keys.reloaded()));
            }
            () = ended(&mut reloaded) => {
                reloaded = None;
                supervisor.ready();
            }
            () = report.next() => report.make(&node.hub),
            () = upkeep.next() => upkeep.turn(&node.hub),
            error = node.failed() => break Some(error),
        }
    };
    if let Some(error) = &failure {
        tracing::error!("{error}; the node drains and ends");
        report.stopping(node.drained_by(Instant::now()));
    }
    let hub = node.hub.clone();
    let mut drain = pin!(node.drain());
    let outcome = loop {
        tokio::select! {
            drained = &mut drain => break Outcome::from(drained),
            () = signals.next() => break forced(),
            () = report.next() => report.make(&hub),
            () = upkeep.next() => upkeep.turn(&hub),
        }
    };
    failure.map_or(Ok(outcome), Err)
}

fn forced() -> Outcome {
    tracing::warn!("ended by a second signal, without draining");
    Outcome::Forced
}

/// Waits for the end of a future, if there is one.
async fn ended(future: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// Waits for a time, if there is one.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
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
}

/// The node's control of its listeners.
struct Listeners {
    public: Control<server::Listening>,
    ingest: Control<ingest::Listening>,
    admin: Control<server::Listening>,
}

impl Node {
    /// Reads the keys of tokens, opens the listeners and starts the shards.
    ///
    /// # Errors
    /// [`ServerError`] if an address is taken, a key cannot be read or the system refuses.
    pub async fn start(settings: Settings) -> Result<Self, ServerError> {
        let keys = keys::load(&settings)?;
        Self::start_with(settings, keys, Inherited::default()).await
    }

    /// The same with keys that were read before, and with inherited sockets.
    async fn start_with(
        settings: Settings,
        loaded: Loaded,
        inherited: Inherited,
    ) -> Result<Self, ServerError> {
        let state_dir = config::state_dir(&settings).map(StateDir::prepare);
        let state_dir = state_dir.transpose()?;
        let limit = files::raise();
        let plan = files::Plan::new(limit, &settings);
        plan.warn(limit, &settings);
        let settings = plan.apply(settings);
        let sockets = Sockets::open(&settings, inherited)?;
        let (public_control, public_follower) = control();
        let (ingest_control, ingest_follower) = control();
        let (admin_control, admin_follower) = control();
        let (stop_rest, rest_stopped) = watch::channel(false);
        let keys = Keys::start(loaded, &settings, &rest_stopped).await;
        let past = match state_dir {
            Some(directory) => Some(past::load(directory, &sockets.admin.socket, &settings).await?),
            None => None,
        };
        let (store, directory) =
            past.map_or((None, None), |past| (past.store, Some(past.directory)));
        let hub = Hub::start_with(config::hub(&settings), plan.room, store)?;
        let keeper = directory.map(|directory| directory.keep(hub.clone()));
        let keeper = keeper.transpose()?;
        let mut doors = Parts::default();
        let mut parts = Parts::default();
        let public = api::serve(
            sockets.public.socket,
            config::shared_api(&settings, sockets.public.is_shared),
            hub.clone(),
            Arc::clone(keys.auth()),
            public_follower,
        );
        doors.start("the public listener", public);
        let ingest = ingest::serve(
            sockets.ingest.socket,
            config::shared_ingest(&settings, sockets.ingest.is_shared),
            hub.clone(),
            ingest_follower,
        );
        doors.start("the ingest listener", ingest);
        let admin = admin::serve(
            sockets.admin.socket,
            config::shared_admin(&settings, sockets.admin.is_shared),
            hub.clone(),
            admin_follower,
        );
        parts.start("the admin listener", admin);
        if settings.mercure_subscriptions {
            // Ends with the hub and not with a listener: streams end later, and their ends are
            // announced.
            let hub = hub.clone();
            let presence = async move { hub.announce().await };
            parts.start_infallible("the announcements of subscriptions", presence);
        }
        parts.start_infallible("the expiry of events", expire(hub.clone(), rest_stopped));
        Ok(Self {
            hub,
            keys,
            addresses: sockets.addresses,
            limit,
            drain_delay: settings.drain_delay,
            listeners: Listeners {
                public: public_control,
                ingest: ingest_control,
                admin: admin_control,
            },
            stop_rest,
            doors,
            parts,
            keeper,
        })
    }

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
            ended = self.doors.ended_early() => ended,
            ended = self.parts.ended_early() => ended,
            panic = self.keys.failed() => ("the keeper of keys", panic.to_string()),
        };
        ServerError::Ended { name, reason }
    }
}

impl Drop for Node {
    /// Tasks end because their set is dropped; connections, because the senders that would stop
    /// them are; streams, with their shard.
    fn drop(&mut self) {
        self.hub.end();
    }
}

/// Removes expired events, also from topics without publishers.
async fn expire(hub: Hub, mut stopped: watch::Receiver<bool>) {
    let mut next = Instant::now() + EXPIRE_EVERY;
    loop {
        tokio::select! {
            () = sleep_until(next) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        hub.expire().await;
        next = Instant::now() + EXPIRE_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_part_that_failed_cut_all_streams_without_a_word() {
        let settings = Settings {
            drain_period: Duration::ZERO,
            ..Settings::on_free_ports()
        };
        let mut node = Node::start(settings).await.expect("a node");
        let mut stream = TcpStream::connect(node.addresses.http).expect("it listens");
        let request = b"GET /events/t HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).expect("a request");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("an answer");
        let reader = std::thread::spawn(move || {
            let mut rest = String::new();
            stream.read_to_string(&mut rest).map(|_| rest)
        });

        let mut signals = Signals::listen().expect("signals");
        let mut hangups = Hangups::listen().expect("signals");
        node.parts
            .start("a listener", async { Err::<(), _>("no such device") });
        let outcome = serve(
            &mut node,
            &mut signals,
            &mut hangups,
            &Supervisor::default(),
        )
        .await;
        let error = outcome.expect_err("it cannot go on").to_string();
        assert!(error.contains("a listener: no such device"), "{error}");
        let rest = reader.join().expect("no panic").expect("no reset");
        assert_eq!(rest.matches("retry: ").count(), 1, "{rest}");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    }
}
