//! What the tasks and the hub's handle share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep, sleep_until, timeout};
use uuid::Uuid;

use super::LogConfig;
use super::membership::{Membership, NotJoined};
use super::prints::Prints;
use super::queue::{Answer, Full, Known, Queue};
use super::reader::Reader;
use crate::bridge::entry::{self, Fields, Token};
use crate::bridge::redis::{Batch, Connection, Error, Host, RosterWrite};
use crate::core::event::EventId;
use crate::hub::Closed;
use crate::hub::log::{
    AppendError, Away, BoxFuture, Log, LogState, Outcome, Record, RosterPage, RosterPlace,
};
use crate::hub::presence::{Listed, RosterChange};
use crate::metrics::LogMetrics;

/// When publishers are told to come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Interval at which a publisher of a written batch checks whether the log is still there.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Longest time for the last batches when the node ends.
const LAST_MAX: Duration = Duration::from_millis(500);

/// Interval at which an ending node checks whether the last batch is done.
const LAST_CHECK: Duration = Duration::from_millis(5);

/// Most questions about the newest entry that wait. More wait for their place.
pub(super) const QUESTIONS_MAX: usize = 1_024;

/// What the newest entry is. All questions that wait are answered together.
pub(super) type Question = oneshot::Sender<Result<EventId, String>>;

/// How the tail stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing {
    /// Before the first time that all was applied.
    Refilling { behind: u64 },
    /// It follows; it was last at the end of the log at this time, and is there now if it waits.
    Live { at_end: Instant, waits: bool },
    /// It has no connection.
    Away { since: Instant },
}

/// A write that has not come back yet.
#[derive(Clone, Copy, Debug)]
struct Unseen {
    id: EventId,
    since: Instant,
}

pub(super) struct Shared {
    /// Names this process in tokens.
    node: u64,
    pub(super) config: LogConfig,
    pub(super) metrics: Arc<LogMetrics>,
    queue: Mutex<Queue>,
    /// Notified when a batch waits.
    pub(super) queued: Notify,
    /// The newest id that was applied, or told as lost.
    pub(super) head: watch::Sender<EventId>,
    /// The digest of the newest entry that was applied.
    pub(super) prints: Prints,
    /// The server of which the tail has applied everything; none while it is behind.
    pub(super) live: watch::Sender<Option<u64>>,
    /// As many replicas as must have them have all entries up to this id, on the server that is
    /// written to.
    pub(super) confirmed: AtomicU64,
    /// Times that a part of the log was lost, or never read.
    pub(super) losses: AtomicU64,
    standing: Mutex<Standing>,
    /// Why the log is away.
    why: Mutex<String>,
    /// When the last entry came.
    pub(super) last_entry: Mutex<Instant>,
    unseen: Mutex<Option<Unseen>>,
    ask: mpsc::Sender<Question>,
    /// The server that Sentinel has made the master, once it was another one than before.
    pub(super) master: watch::Sender<Option<Host>>,
    /// This node's roster.
    pub(super) roster: Membership,
    /// Reads the rosters for lists.
    lists: tokio::sync::Mutex<Reader>,
}

impl Shared {
    pub(super) fn new(
        config: LogConfig,
        metrics: Arc<LogMetrics>,
        head: EventId,
        ask: mpsc::Sender<Question>,
        roster: Membership,
    ) -> Self {
        let node = uuid::Uuid::new_v4().as_u64_pair().0;
        Self {
            node,
            queue: Mutex::new(Queue::new(config.queue_bytes)),
            config,
            metrics,
            queued: Notify::new(),
            head: watch::Sender::new(head),
            prints: Prints::default(),
            live: watch::Sender::new(None),
            confirmed: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            standing: Mutex::new(Standing::Refilling { behind: 0 }),
            why: Mutex::default(),
            last_entry: Mutex::new(Instant::now()),
            unseen: Mutex::default(),
            ask,
            master: watch::Sender::new(None),
            roster,
            lists: tokio::sync::Mutex::default(),
        }
    }

    /// Names this process in tokens.
    pub(super) fn node(&self) -> u64 {
        self.node
    }

    /// Connects to the server that has the log.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let (address, key) = (&self.config.address, &self.config.stream.key);
        let master = self.master.borrow().clone();
        let Some(master) = master else {
            return Connection::connect(address, key).await;
        };
        if let Ok(connection) = Connection::connect_to(address, master.clone(), key).await {
            return Ok(connection);
        }
        let connection = Connection::connect(address, key).await?;
        // It has left that place, so the place says nothing of other connections any more.
        self.master.send_if_modified(|current| {
            let is_old = current.as_ref() == Some(&master);
            if is_old {
                *current = None;
            }
            is_old
        });
        Ok(connection)
    }

    /// The server that has become the master, if it is another one than that of a connection.
    pub(super) fn elsewhere(&self, connection: &Connection) -> Option<Host> {
        let master = self.master.borrow();
        master.clone().filter(|master| master != connection.host())
    }

    pub(super) fn queue<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        change(&mut self.queue.lock())
    }

    pub(super) fn standing(&self) -> Standing {
        *self.standing.lock()
    }

    pub(super) fn stand(&self, standing: Standing) {
        *self.standing.lock() = standing;
    }

    /// Notes that the connection to the log is lost. A node that does not serve yet goes on with its
    /// refill.
    pub(super) fn lose(&self, why: String, is_serving: bool) {
        let mut standing = self.standing.lock();
        let is_new = match *standing {
            Standing::Live { .. } => true,
            Standing::Refilling { .. } => is_serving,
            Standing::Away { .. } => false,
        };
        if is_new {
            let since = Instant::now();
            *standing = Standing::Away { since };
        }
        drop(standing);
        *self.why.lock() = why;
    }

    /// Notes why writes fail.
    pub(super) fn note(&self, why: String) {
        *self.why.lock() = why;
    }

    fn why(&self) -> String {
        match self.why.lock().as_str() {
            "" => "the log is away".to_owned(),
            why => format!("the log is away: {why}"),
        }
    }

    /// An entry of this node's own came back, or of another node.
    pub(super) fn came(&self, token: Option<Token>, outcome: Outcome) {
        if let Some(token) = token.filter(|token| token.node == self.node) {
            let needs_confirmation = self.config.ack_replicas > 0;
            self.queue(|queue| queue.came(token.number, outcome, needs_confirmation));
        }
    }

    /// The server says that it has written an entry with this id, which the tail must bring.
    pub(super) fn expect(&self, id: EventId) {
        let mut unseen = self.unseen.lock();
        if *self.head.borrow() < id && unseen.is_none() {
            let since = Instant::now();
            *unseen = Some(Unseen { id, since });
        }
    }

    /// Nothing that was written before has to come.
    pub(super) fn expect_nothing(&self) {
        *self.unseen.lock() = None;
    }

    /// Time since an entry was written that is above `head`.
    pub(super) fn unseen_above(&self, head: EventId) -> Option<Duration> {
        let mut unseen = self.unseen.lock();
        if unseen.is_some_and(|unseen| unseen.id <= head) {
            *unseen = None;
        }
        unseen.map(|unseen| unseen.since.elapsed())
    }

    /// Waits until the last batches are done, for a moment.
    pub(super) async fn settled(&self) {
        let settled = async {
            while !self.queue(|queue| queue.is_empty()) {
                sleep(LAST_CHECK).await;
            }
        };
        let _ = timeout(LAST_MAX, settled).await;
    }

    /// Takes no more batches.
    pub(super) fn close(&self) {
        let sent = unknown("the node ends before it knows whether the log has the events");
        self.queue(|queue| queue.close(&AppendError::Closed(Closed), &sent));
    }

    /// Reads rosters of the server whose log the tail has applied.
    async fn read_rosters<T>(
        &self,
        read: impl AsyncFnOnce(&mut Reader) -> Result<T, Error>,
    ) -> Result<T, Away> {
        let live = *self.live.borrow();
        let (Some(server), Standing::Live { .. }) = (live, self.standing()) else {
            return Err(away(self.why()));
        };
        let read = async {
            let mut reader = self.lists.lock().await;
            let connected = async {
                if !reader.is_of(server) {
                    reader.connect(self.connect().await?);
                }
                read(&mut reader).await
            };
            let answer = connected.await;
            if answer.is_err() {
                *reader = Reader::default();
            }
            answer
        };
        match timeout(self.config.timeout, read).await {
            Ok(answer) => answer.map_err(|error| away(error.to_string())),
            Err(_) => Err(away(
                "the log gave no answer in time (`log_timeout`)".to_owned(),
            )),
        }
    }

    /// Publishes entries as one batch.
    async fn publish<B: Into<Batch>>(&self, make: impl FnOnce(Token) -> B) -> Answer {
        self.check_standing()?;
        let node = self.node;
        let added = self.queue(|queue| queue.add(|number| make(Token { node, number })));
        let (number, mut answer) = match added {
            Ok(added) => added,
            Err(Full::Closed) => return Err(Closed.into()),
            Err(Full::Bytes) => {
                let bytes = self.config.queue_bytes;
                let why = format!(
                    "queue full: events of {bytes} bytes wait to be written to the log (`log_queue_bytes`)"
                );
                self.metrics.not_published.add(1);
                return Err(not_published(why));
            }
        };
        self.queued.notify_one();
        let mut until = tokio::time::Instant::now() + self.config.timeout;
        loop {
            tokio::select! {
                answer = &mut answer => {
                    let answer = answer.unwrap_or_else(|_| Err(Closed.into()));
                    self.count(&answer);
                    return answer;
                }
                () = sleep_until(until) => {}
            }
            self.expire(number);
            until = tokio::time::Instant::now() + CHECK_EVERY;
        }
    }

    /// A publisher has waited for its longest time.
    fn expire(&self, number: u64) {
        let is_live = self.live.borrow().is_some();
        let why = self.why();
        let head = *self.head.borrow();
        self.queue(|queue| match queue.known(number) {
            Known::Waits => queue.give_up(number, not_published(why)),
            // It comes: the node is busy, or its streams are.
            Known::Written(id) if is_live && head < id => {}
            // Or the tail has passed its place, and somebody has removed it before it was read.
            Known::Sent | Known::Written(_) => queue.give_up(
                number,
                unknown("the log gave no answer in time (`log_timeout`)"),
            ),
            Known::Gone => {}
        });
    }

    /// A log that has been away for longer than a publisher waits is not waited for.
    fn check_standing(&self) -> Result<(), AppendError> {
        match self.standing() {
            Standing::Away { since } if since.elapsed() >= self.config.timeout => {
                self.metrics.not_published.add(1);
                Err(not_published(self.why()))
            }
            _ => Ok(()),
        }
    }

    fn count(&self, answer: &Answer) {
        let metrics = &self.metrics;
        match answer {
            Ok(_) => metrics.published.add(1),
            Err(AppendError::Unknown(_)) => metrics.unknown.add(1),
            Err(_) => metrics.not_published.add(1),
        }
    }
}

pub(super) fn not_published(why: String) -> AppendError {
    AppendError::NotPublished(away(why))
}

pub(super) fn unknown(why: impl Into<String>) -> AppendError {
    AppendError::Unknown(away(why.into()))
}

fn away(why: String) -> Away {
    Away {
        retry_after: RETRY_AFTER,
        why,
    }
}

impl Log for Shared {
    fn is_confirmed(&self, id: EventId) -> bool {
        self.config.ack_replicas == 0 || id.get() <= self.confirmed.load(Ordering::Acquire)
    }

    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let make = |token| {
                let fields = |record| entry::of_record(record, token);
                records.into_iter().map(fields).collect::<Vec<Fields>>()
            };
            self.publish(make).await
        })
    }

    fn announce(&self, records: Vec<Record>, changes: Vec<RosterChange>) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let joined = self.roster.joined(self.config.timeout).await;
            let name = joined.map_err(|error| match error {
                NotJoined::Waits => not_published(self.why()),
                NotJoined::Dead => AppendError::Reaped,
                NotJoined::Left => Closed.into(),
            })?;
            let make = |token| {
                let fields = |record| entry::of_record(record, token);
                Batch {
                    entries: records.into_iter().map(fields).collect(),
                    roster: Some(RosterWrite { name, changes }),
                }
            };
            let answer = self.publish(make).await;
            if answer == Err(AppendError::Reaped) {
                self.roster.died(name);
            }
            answer
        })
    }

    fn roster(&self, from: RosterPlace) -> BoxFuture<'_, Result<RosterPage, Away>> {
        Box::pin(self.read_rosters(async move |reader| reader.page(from).await))
    }

    fn subscriber(&self, id: Uuid) -> BoxFuture<'_, Result<Option<Listed>, Away>> {
        Box::pin(self.read_rosters(async move |reader| reader.subscriber(id).await))
    }

    fn print_of(&self, head: EventId) -> Option<u64> {
        self.prints.of(head)
    }

    fn roster_name(&self) -> u64 {
        self.roster.name()
    }

    fn erase(&self, topic: &str) -> BoxFuture<'_, Result<usize, AppendError>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let make = |token| vec![entry::of_erase(&topic, token)];
            Ok(match self.publish(make).await?[..] {
                [Outcome::Erased(count)] => count,
                _ => 0,
            })
        })
    }

    fn newest(&self) -> BoxFuture<'_, Result<EventId, Away>> {
        Box::pin(async move {
            if let Standing::Away { since } = self.standing()
                && since.elapsed() >= self.config.timeout
            {
                return Err(away(self.why()));
            }
            let (reply, answer) = oneshot::channel();
            // A full channel has questions that were asked a moment ago, and are answered together.
            let asked = self.ask.send(reply).await;
            match (asked, answer.await) {
                (Ok(()), Ok(answer)) => answer.map_err(away),
                _ => Err(away("the node ends".to_owned())),
            }
        })
    }

    fn state(&self) -> LogState {
        match self.standing() {
            Standing::Refilling { behind } => LogState::Refilling { behind },
            Standing::Away { since } => LogState::Away { since },
            Standing::Live { waits: true, .. } => LogState::Live {
                lag: Duration::ZERO,
            },
            Standing::Live { at_end, .. } => LogState::Live {
                lag: at_end.elapsed(),
            },
        }
    }
}
