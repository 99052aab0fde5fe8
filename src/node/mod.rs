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
mod take_over;
mod upgrade;
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

use crate::admin::Upgrades;
use crate::auth::Auth;
use crate::hub::Hub;
use crate::orders::{Control, control};
use crate::settings::Settings;
use crate::{admin, api, ingest, server};

pub use state_dir::StateDirError;

use announce::Announcement;
use files::FileLimit;
pub use inherited::{Activated, Inherited, InheritedError, apply_addresses};
use keys::{Keys, Loaded};
use parts::Parts;
use report::Report;
pub use signals::block as block_signals;
use signals::{Signals, Told};
use sockets::Sockets;
use state_dir::{Keeper, StateDir};
use supervisor::{Supervisor, keep_alive};
use take_over::TakeOver;
pub use upgrade::{Handover, HandoverError, Image, Role, check, end_with_parent, rehearse};
use upgrade::{Next, Upgrader};
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
    /// The state of the former program does not fit.
    #[error(transparent)]
    Restore(#[from] crate::hub::RestoreError),
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

/// How a process starts.
pub struct Start {
    /// Its program file.
    pub image: Image,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Inherited sockets.
    pub inherited: Inherited,
    /// The state of the program that ran in this process before.
    pub handover: Option<Handover>,
}

/// Runs a node until SIGTERM or SIGINT; it then drains. A second signal ends it at once. The
/// signals must be blocked ([`block_signals`]).
///
/// # Errors
/// [`ServerError`] if it cannot start, or cannot go on.
pub async fn run(settings: Settings, keys: Loaded, start: Start) -> Result<Outcome, ServerError> {
    let mut signals = Signals::listen().map_err(ServerError::Signals)?;
    let (upgrades, requests) = Upgrades::new();
    let has_taken_over = start.handover.is_some();
    let take_over = start
        .handover
        .map(|handover| TakeOver::new(handover, &settings));
    let mut origin = Origin {
        inherited: start.inherited,
        take_over,
        upgrades: Some(upgrades.clone()),
    };
    if let Some(take_over) = &mut origin.take_over {
        origin.inherited = take_over.inherited();
    }
    let mut node = tokio::select! {
        node = Node::start_with(settings.clone(), keys, origin) => node?,
        // It may take a while to load a history, or to wait for it.
        () = signals.end(), if !has_taken_over => {
            tracing::info!("ended by a signal before it served");
            return Ok(Outcome::Drained);
        }
    };
    if !has_taken_over {
        node.announce(settings, start.config);
    }
    let supervisor = Supervisor::from_environment();
    let watchdog = keep_alive(supervisor.clone(), node.hub.clone());
    // Ends with the runtime.
    tokio::spawn(watchdog);
    let mut upgrader = Upgrader::new(start.image, upgrades, requests);
    serve(&mut node, &mut signals, Some(&mut upgrader), &supervisor).await
}

/// Runs a started node until a signal ends it, or one of its parts fails. Both drain it.
async fn serve(
    node: &mut Node,
    signals: &mut Signals,
    mut upgrader: Option<&mut Upgrader>,
    supervisor: &Supervisor,
) -> Result<Outcome, ServerError> {
    let mut upkeep = NodeUpkeep::new(&node.hub);
    let mut report = Report::begin(supervisor);
    let mut reloaded: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    let mut drain_at = None;
    let failure = loop {
        let upgrade = async {
            match &mut upgrader {
                // A node that is about to end has nothing to hand over.
                Some(upgrader) if drain_at.is_none() => upgrader.next().await,
                _ => pending().await,
            }
        };
        tokio::select! {
            told = signals.next() => match (told, drain_at) {
                (Told::End, None) => {
                    let begins = node.leave();
                    report.stopping(node.drained_by(begins));
                    drain_at = Some(begins);
                }
                (Told::End, Some(_)) => return Ok(forced()),
                (Told::Reload, _) => {
                    supervisor.reloading();
                    node.reload();
                    reloaded = Some(Box::pin(node.keys.reloaded()));
                }
                (Told::Upgrade, None) => {
                    if let Some(upgrader) = &mut upgrader {
                        upgrader.check(node, None);
                    }
                }
                (Told::Upgrade, Some(_)) => {
                    tracing::warn!("the node is about to end and is not upgraded");
                }
            },
            () = due(drain_at) => break None,
            () = ended(&mut reloaded) => {
                reloaded = None;
                supervisor.ready();
            }
            () = report.next() => report.make(&node.hub),
            () = upkeep.next() => upkeep.turn(&node.hub),
            error = node.failed() => break Some(error),
            next = upgrade => if let Some(upgrader) = &mut upgrader {
                match next {
                    Next::Requested(request) => upgrader.check(node, Some(request)),
                    Next::Checked(checked) => {
                        supervisor.reloading();
                        upgrader.hand_over(node, checked).await;
                        supervisor.ready();
                    }
                }
            },
        }
    };
    if let Some(upgrader) = upgrader {
        upgrader.close();
    }
    if let Some(error) = &failure {
        tracing::error!("{error}; the node drains and ends");
        report.stopping(node.drained_by(Instant::now()));
    }
    let hub = node.hub.clone();
    let mut drain = pin!(node.drain());
    let outcome = loop {
        tokio::select! {
            drained = &mut drain => break Outcome::from(drained),
            () = signals.end() => break forced(),
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
}

/// The node's control of its listeners.
struct Listeners {
    public: Control<server::Listening>,
    ingest: Control<ingest::Listening>,
    admin: Control<server::Listening>,
}

/// What a node begins with.
#[derive(Default)]
struct Origin {
    inherited: Inherited,
    take_over: Option<TakeOver>,
    /// `None` = another program's process, which is not replaced.
    upgrades: Option<Upgrades>,
}

impl Node {
    /// Reads the keys of tokens, opens the listeners and starts the shards.
    ///
    /// # Errors
    /// [`ServerError`] if an address is taken, a key cannot be read or the system refuses.
    pub async fn start(settings: Settings) -> Result<Self, ServerError> {
        let keys = keys::load(&settings)?;
        Self::start_with(settings, keys, Origin::default()).await
    }

    /// The same with keys that were read before, and with what the node begins with.
    async fn start_with(
        settings: Settings,
        loaded: Loaded,
        origin: Origin,
    ) -> Result<Self, ServerError> {
        let Origin {
            mut inherited,
            mut take_over,
            upgrades,
        } = origin;
        let configured = [
            settings.listen,
            settings.ingest_listen,
            settings.admin_listen,
        ];
        let state_dir = config::state_dir(&settings).map(StateDir::prepare);
        let state_dir = match state_dir.transpose() {
            // A node that has taken over goes on without it.
            Err(error) if take_over.is_some() => {
                tracing::error!("the history is not kept in the state directory any more: {error}");
                None
            }
            state_dir => state_dir?,
        };
        let limit = files::raise();
        let plan = files::Plan::new(limit, &settings);
        plan.warn(limit, &settings);
        let settings = plan.apply(settings);
        let admin = Sockets::open_admin(&settings, &mut inherited)?;
        let (locked, former) = match (&take_over, state_dir) {
            (None, Some(directory)) => {
                let locked = past::lock(directory, &admin.socket, &settings).await?;
                (Some(locked), None)
            }
            (_, directory) => (None, directory),
        };
        let sockets = Sockets::open(&settings, inherited, admin)?;
        let (public_control, public_follower) = control();
        let (ingest_control, ingest_follower) = control();
        let (admin_control, admin_follower) = control();
        let (stop_rest, rest_stopped) = watch::channel(false);
        // Streams go on before keys are fetched.
        let taken_over = match &mut take_over {
            Some(take_over) => Some(take_over.hub(config::hub(&settings), plan.room).await?),
            None => None,
        };
        let keys_stopped = rest_stopped.clone();
        let former_keys = take_over.as_mut().map(TakeOver::key_sets);
        let former_keys = former_keys.unwrap_or_default();
        let mut start_keys = pin!(Keys::start(loaded, &settings, &keys_stopped, former_keys));
        let mut keys = None;
        if taken_over.is_none() {
            keys = Some(start_keys.as_mut().await);
        }
        let (hub, directory) = match taken_over {
            Some(hub) => (hub, former.and_then(StateDir::retake)),
            None => {
                let past = match locked {
                    Some(directory) => {
                        Some(past::load(directory, &sockets.admin.socket, &settings).await?)
                    }
                    None => None,
                };
                let (store, directory) =
                    past.map_or((None, None), |past| (past.store, Some(past.directory)));
                let hub = Hub::start_with(config::hub(&settings), plan.room, store)?;
                (hub, directory)
            }
        };
        let keeper = directory.map(|directory| directory.keep(hub.clone()));
        let keeper = keeper.transpose()?.flatten();
        let [public, admin] = [sockets.public.socket, sockets.admin.socket];
        let (mut public, mut admin) = (public.into(), admin.into());
        let mut ingest = sockets.ingest.socket.into();
        if let Some(take_over) = &mut take_over {
            take_over.connections(&mut public, &mut ingest, &mut admin);
        }
        let mut doors = Parts::default();
        let mut parts = Parts::default();
        let ingest = ingest::serve(
            ingest,
            config::shared_ingest(&settings, sockets.ingest.is_shared),
            hub.clone(),
            ingest_follower,
        );
        doors.start("the ingest listener", ingest);
        // Publishers of the ingest port need no keys: after an upgrade they do not wait for a fetch.
        let keys = match keys {
            Some(keys) => keys,
            None => start_keys.await,
        };
        let public = api::serve(
            public,
            config::shared_api(&settings, sockets.public.is_shared),
            hub.clone(),
            Arc::clone(keys.auth()),
            public_follower,
        );
        doors.start("the public listener", public);
        let admin = admin::serve(
            admin,
            config::shared_admin(&settings, sockets.admin.is_shared),
            hub.clone(),
            upgrades.clone(),
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
        if let (Some(take_over), Some(upgrades)) = (take_over, upgrades) {
            take_over.report(sockets.addresses, &upgrades);
        }
        Ok(Self {
            hub,
            keys,
            addresses: sockets.addresses,
            configured,
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
        node.parts
            .start("a listener", async { Err::<(), _>("no such device") });
        let outcome = serve(&mut node, &mut signals, None, &Supervisor::default()).await;
        let error = outcome.expect_err("it cannot go on").to_string();
        assert!(error.contains("a listener: no such device"), "{error}");
        let rest = reader.join().expect("no panic").expect("no reset");
        assert_eq!(rest.matches("retry: ").count(), 1, "{rest}");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    }
}
