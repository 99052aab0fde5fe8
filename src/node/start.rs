//! The start of a node: it begins, or takes over from the former program of its process.
//!
//! A node that begins loads its history and its keys before it serves anything but health checks.
//! One that takes over has open streams and waiting publishers: they must not wait for keys.

use std::fs::File;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::files::{self, FileLimit};
use super::inherited::Inherited;
use super::keys::{self, Keys, Loaded};
use super::parts::Parts;
use super::shared_log::SharedLog;
use super::sockets::{self, ListenSocket, Sockets};
use super::state_dir::{Locked, StateDir, StateDirError, Taken, tell_of_loss};
use super::take_over::TakeOver;
use super::{Listeners, Node, ServerError, config, past};
use crate::admin::Upgrades;
use crate::auth::Auth;
use crate::bridge::pubsub;
use crate::hub::{Hub, Room};
use crate::orders::{Control, control};
use crate::settings::Settings;
use crate::state::Port;
use crate::{admin, api, ingest, server};

/// Interval at which events are checked for their age. Publishing itself checks the topics that it
/// publishes to.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for the first subscription to Redis channels before streams are served.
const PUBSUB_WAIT_MAX: Duration = Duration::from_secs(2);

/// What a node begins with.
#[derive(Default)]
pub(super) struct Origin {
    pub(super) inherited: Inherited,
    pub(super) take_over: Option<TakeOver>,
    /// `None` = another program's process, which is not replaced.
    pub(super) upgrades: Option<Upgrades>,
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
    pub(super) async fn start_with(
        settings: Settings,
        loaded: Loaded,
        origin: Origin,
    ) -> Result<Self, ServerError> {
        let Origin {
            inherited,
            mut take_over,
            upgrades,
        } = origin;
        let configured = sockets::configured(&settings);
        let Opened {
            settings,
            limit,
            room,
            directory,
            log,
            sockets,
        } = Opened::open(settings, inherited, take_over.is_some()).await?;
        let (stop_rest, rest_stopped) = watch::channel(false);
        let former_keys = take_over.as_mut().map(TakeOver::key_sets);
        let former_keys = former_keys.unwrap_or_default();
        let mut start_keys = pin!(Keys::start(loaded, &settings, &rest_stopped, former_keys));
        let mut joined = None;
        let (hub, directory, keys) = match (&mut take_over, log) {
            (Some(take_over), _) => {
                let hub = take_over.hub(config::hub(&settings), room).await?;
                joined = config::shared_log(&settings)
                    .map(|log| SharedLog::take_over(log, &hub, take_over.node()));
                (hub, directory.retake(take_over.state_lock()), None)
            }
            (None, Some((hub, log))) => {
                joined = Some(log);
                (hub, None, Some(start_keys.as_mut().await))
            }
            (None, None) => {
                let keys = start_keys.as_mut().await;
                let admin = &sockets.admin.socket;
                let (hub, directory) = directory.load(admin, &settings, room).await?;
                (hub, directory, Some(keys))
            }
        };
        let keeper = directory.map(|directory| directory.keep(hub.clone()));
        let keeper = keeper.transpose()?.flatten();
        let mut serving = Serving::new(&settings, &hub);
        let ingest = serving.ingest(sockets.ingest, take_over.as_mut());
        // Publishers of the ingest port need no keys: after an upgrade they do not wait for a fetch.
        let keys = match keys {
            Some(keys) => keys,
            None => start_keys.await,
        };
        let working = serving.pubsub(stop_rest.subscribe());
        // With a log, the gap has its place there.
        if let (Some(mut working), None, None) = (working, &take_over, &joined) {
            // Streams that open after the first subscription are told no gap.
            let working = timeout(PUBSUB_WAIT_MAX, working.wait_for(|working| *working));
            let _ = past::while_starting(&sockets.admin.socket, &settings, working).await;
        }
        let listeners = Listeners {
            public: serving.public(sockets.public, take_over.as_mut(), keys.auth()),
            ingest,
            admin: serving.admin(sockets.admin, take_over.as_mut(), upgrades.clone()),
        };
        serving.tasks(stop_rest.subscribe());
        if let (Some(take_over), Some(upgrades)) = (take_over, upgrades) {
            take_over.report(sockets.addresses, &upgrades);
        }
        let Serving { doors, parts, .. } = serving;
        Ok(Self {
            hub,
            keys,
            addresses: sockets.addresses,
            configured,
            limit,
            drain_delay: settings.drain_delay,
            listeners,
            stop_rest,
            doors,
            parts,
            keeper,
            log: joined,
        })
    }
}

/// All that a node opens before it has a hub.
struct Opened {
    /// Adapted to the limit on open files.
    settings: Settings,
    limit: FileLimit,
    room: Room,
    directory: Directory,
    /// The log and a hub that has read it, of a node that begins with one.
    log: Option<(Hub, SharedLog)>,
    sockets: Sockets,
}

impl Opened {
    async fn open(
        settings: Settings,
        mut inherited: Inherited,
        takes_over: bool,
    ) -> Result<Self, ServerError> {
        let prepared = prepare(&settings, takes_over)?;
        let limit = files::raise();
        let plan = files::Plan::new(limit, &settings);
        plan.warn(limit, &settings);
        let settings = plan.apply(settings);
        let admin = Sockets::open_admin(&settings, &mut inherited)?;
        let directory = match prepared {
            None => Directory::None,
            Some(directory) if takes_over => Directory::Former(directory),
            Some(directory) => {
                Directory::Locked(past::lock(directory, &admin.socket, &settings).await?)
            }
        };
        let log = match config::shared_log(&settings) {
            Some(log) if !takes_over => {
                Sockets::check(&settings, &inherited)?;
                Some(SharedLog::begin(log, &admin.socket, &settings, plan.room).await?)
            }
            _ => None,
        };
        Ok(Self {
            sockets: Sockets::open(&settings, inherited, admin)?,
            settings,
            limit,
            room: plan.room,
            directory,
            log,
        })
    }
}

/// Checks that the state directory can be used, if there is one. A node that has taken over goes on
/// without one that cannot.
fn prepare(settings: &Settings, takes_over: bool) -> Result<Option<StateDir>, StateDirError> {
    match config::state_dir(settings)
        .map(StateDir::prepare)
        .transpose()
    {
        Err(error) if takes_over => {
            tell_of_loss(&error);
            Ok(None)
        }
        prepared => prepared,
    }
}

/// The state directory of a node that starts.
enum Directory {
    /// It has none.
    None,
    /// This process has it; its history is not loaded yet.
    Locked(Locked),
    /// That of a node that takes over, which has its history.
    Former(StateDir),
}

impl Directory {
    /// Takes it for a node that takes over. Without a directory, the former lock ends here.
    fn retake(self, lock: Option<File>) -> Option<Taken> {
        match self {
            Self::Former(directory) => directory.retake(lock),
            Self::None | Self::Locked(_) => None,
        }
    }

    /// Makes the hub of a node that begins, with the history in the directory.
    async fn load(
        self,
        admin: &TcpListener,
        settings: &Settings,
        room: Room,
    ) -> Result<(Hub, Option<Taken>), ServerError> {
        let (store, directory) = match self {
            Self::Locked(directory) => {
                let past = past::load(directory, admin, settings).await?;
                (past.store, Some(past.directory))
            }
            Self::None | Self::Former(_) => (None, None),
        };
        let hub = Hub::start_with(config::hub(settings), room, store)?;
        Ok((hub, directory))
    }
}

/// The listeners and tasks of a node, which are started one after the other.
struct Serving<'s> {
    settings: &'s Settings,
    hub: &'s Hub,
    /// The public listener and the ingest listener.
    doors: Parts,
    /// The admin listener and background tasks.
    parts: Parts,
}

impl<'s> Serving<'s> {
    fn new(settings: &'s Settings, hub: &'s Hub) -> Self {
        Self {
            settings,
            hub,
            doors: Parts::default(),
            parts: Parts::default(),
        }
    }

    fn ingest(
        &mut self,
        ListenSocket { socket, is_shared }: ListenSocket,
        take_over: Option<&mut TakeOver>,
    ) -> Control<ingest::Listening> {
        let mut listening = socket.into();
        if let Some(take_over) = take_over {
            take_over.resp(&mut listening);
        }
        let (control, follower) = control();
        let config = config::shared_ingest(self.settings, is_shared);
        let ingest = ingest::serve(listening, config, self.hub.clone(), follower);
        self.doors.start("the ingest listener", ingest);
        control
    }

    fn public(
        &mut self,
        ListenSocket { socket, is_shared }: ListenSocket,
        take_over: Option<&mut TakeOver>,
        auth: &Arc<Auth>,
    ) -> Control<server::Listening> {
        let mut listening = socket.into();
        if let Some(take_over) = take_over {
            take_over.http(Port::Public, &mut listening);
        }
        let (control, follower) = control();
        let config = config::shared_api(self.settings, is_shared);
        let (hub, auth) = (self.hub.clone(), Arc::clone(auth));
        let public = api::serve(listening, config, hub, auth, follower);
        self.doors.start("the public listener", public);
        control
    }

    fn admin(
        &mut self,
        ListenSocket { socket, is_shared }: ListenSocket,
        take_over: Option<&mut TakeOver>,
        upgrades: Option<Upgrades>,
    ) -> Control<server::Listening> {
        let mut listening = socket.into();
        if let Some(take_over) = take_over {
            take_over.http(Port::Admin, &mut listening);
        }
        let (control, follower) = control();
        let config = config::shared_admin(self.settings, is_shared);
        let admin = admin::serve(listening, config, self.hub.clone(), upgrades, follower);
        self.parts.start("the admin listener", admin);
        control
    }

    /// Starts the source of events from Redis channels, if there is one. The returned value becomes
    /// true when its first subscription works.
    fn pubsub(&mut self, stopped: watch::Receiver<bool>) -> Option<watch::Receiver<bool>> {
        let config = config::pubsub(self.settings)?;
        let (working, first) = watch::channel(false);
        let source = pubsub::run(config, self.hub.clone(), stopped, working);
        self.parts
            .start_infallible("the source of Redis channels", source);
        Some(first)
    }

    fn tasks(&mut self, stopped: watch::Receiver<bool>) {
        if self.settings.mercure_subscriptions {
            // Ends with the hub and not with a listener: streams end later, and their ends are
            // announced.
            let hub = self.hub.clone();
            let presence = async move { hub.announce().await };
            self.parts
                .start_infallible("the announcements of subscriptions", presence);
        }
        let expiry = expire(self.hub.clone(), stopped);
        self.parts.start_infallible("the expiry of events", expiry);
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
