//! The tasks between a hub and its log in Redis.
//!
//! | task | connection | what it does |
//! |---|---|---|
//! | [`tail`] | its own | drives the [follower](super::follow), applies entries to the hub, hands receipts to waiting publishers |
//! | [`append`] | its own | writes what publishers wait for, one pipeline after the other; finds out what became of writes without an answer |
//! | [`control`] | its own; a new one for each trim | asks for the newest id, trims |
//! | [`roster`] | its own | says that this node lives, and tells the ends of subscribers of nodes that do not |
//! | [`master`] | new ones | asks the Sentinels whether another server is the master |
//!
//! A publisher's receipt comes from the tail: it waits in the [`queue`] until this node has applied its
//! events. So a receipt says that the events are in the log as this node reads it.
//!
//! **A write without an answer.** The append task connects anew, ends the old connection at the server, asks
//! for the newest entry and waits until the tail has come that far. A batch that came back has its
//! receipt. One that did not is certainly not in the log, and is written again.
//!
//! The handle that the hub has ([`Shared`]) must never hold the hub: the hub would never end.

mod append;
mod contact;
mod control;
mod master;
mod membership;
mod prints;
mod queue;
mod reader;
mod roster;
mod shared;
mod tail;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::membership::Membership;
use self::shared::Shared;
use super::redis::{Address, Stream};
use crate::core::event::EventId;
use crate::hub::Hub;
use crate::hub::log::Log;

pub use contact::{Contact, ContactError, contact};
pub use tail::TailError;

/// The checked settings of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Where it is.
    pub address: Address,
    /// The stream, and the bound on its entries.
    pub stream: Stream,
    /// Memory of the stream above which the oldest entries are dropped; 0 = no bound.
    pub bytes_max: u64,
    /// Age above which entries are dropped; zero = no bound.
    pub age: Duration,
    /// Most bytes of events that wait to be written, or to come back.
    pub queue_bytes: usize,
    /// Longest time for a publisher's events to be written.
    pub timeout: Duration,
    /// Longest time for the first contact.
    pub start_timeout: Duration,
    /// Replicas that must have an event before its publisher is answered.
    pub ack_replicas: usize,
    /// Age of the oldest event that a start reads for its history.
    pub history_age: Duration,
    /// A start also reads so far back from the newest entry, for the idempotency keys.
    pub key_window: Duration,
    /// Whether subscribers are announced.
    pub has_presence: bool,
}

/// Where a node begins in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// As its first contact found it.
    Fresh(Contact),
    /// At the newest entry that the former program of its process has applied.
    At {
        /// The entry.
        head: EventId,
        /// The entry's digest, if it is known.
        print: Option<u64>,
        /// The name of its roster, if it had one.
        roster: Option<u64>,
    },
}

/// The tasks, before they run. Each ends when `stop` is set, or by itself with an error that the node
/// must end for.
pub struct Driver {
    shared: Arc<Shared>,
    tail: tail::Tail,
    roster: roster::Keeper,
    questions: mpsc::Receiver<shared::Question>,
    stop: watch::Receiver<bool>,
}

impl Driver {
    /// Joins a hub to its log. Nothing is read before the tasks run.
    #[must_use]
    pub fn new(
        config: LogConfig,
        hub: &Hub,
        begin: Beginning,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (ask, questions) = mpsc::channel(shared::QUESTIONS_MAX);
        let metrics = Arc::clone(&hub.node_metrics().log);
        let roster = match begin {
            Beginning::At { roster, .. } => Membership::goes_on(roster),
            Beginning::Fresh(_) => Membership::goes_on(None),
        };
        let shared = Arc::new(Shared::new(config, metrics, hub.head(), ask, roster));
        hub.set_log(Arc::clone(&shared) as Arc<dyn Log>);
        Self {
            tail: tail::Tail::new(Arc::clone(&shared), hub.clone(), begin),
            roster: roster::Keeper::new(Arc::clone(&shared), hub.clone()),
            shared,
            questions,
            stop,
        }
    }

    /// The end of the refill: resolves once all that the log had was applied.
    pub fn caught_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut live = self.shared.live.subscribe();
        async move {
            let _ = live.wait_for(Option::is_some).await;
        }
    }

    /// Runs until it is told to stop. What is queued then is still written, for a moment.
    ///
    /// # Errors
    /// [`TailError`], if the node cannot follow the log any more.
    pub async fn run(self) -> Result<(), TailError> {
        let Self {
            shared,
            tail,
            roster,
            questions,
            stop,
        } = self;
        let mut stopped = stop.clone();
        let tail = tail.run();
        let append = append::run(Arc::clone(&shared));
        let control = control::run(Arc::clone(&shared), questions);
        let master = master::run(Arc::clone(&shared));
        let has_presence = shared.config.has_presence;
        let roster = async {
            if has_presence {
                roster.run().await;
            }
            std::future::pending::<()>().await;
        };
        let stopped = async {
            let _ = stopped.wait_for(|stop| *stop).await;
            shared.settled().await;
            if has_presence {
                roster::leave(&shared).await;
            }
        };
        let ended = tokio::select! {
            error = tail => Err(error),
            () = append => Ok(()),
            () = control => Ok(()),
            () = master => Ok(()),
            () = roster => Ok(()),
            () = stopped => Ok(()),
        };
        shared.close();
        ended
    }
}
