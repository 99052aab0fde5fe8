//! Many subscribers, each as an `EventSource` is: it comes back with its last event id, here to any
//! node of the cluster.

use std::collections::BTreeSet;
use std::io::Result;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{sleep, timeout, timeout_at};

use crate::id::Id;
use crate::judge::{Account, Gap, Item};
use crate::support::{DEADLINE, wait_until};
use crate::wire::{Block, Connection, block};

/// Pause before the next attempt, in milliseconds; each client has another.
const PAUSE_MS: Range<u64> = 50..150;

/// Longest silence. A node's heartbeats come more often.
const SILENCE: Duration = Duration::from_secs(40);

/// When a client goes to another node.
#[derive(Clone, Debug)]
pub(crate) enum Hops {
    /// Only when its stream ends.
    Never,
    /// After so many milliseconds, too: a random number of them each time.
    Every(Range<u64>),
}

/// What a client has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// For the judge.
    pub(crate) account: Account,
    /// Its last event id, as it was sent.
    pub(crate) cursor: String,
    /// The marks of the orders that its ids had.
    pub(crate) marks: BTreeSet<String>,
    /// Streams that were opened.
    pub(crate) opened: usize,
    /// Requests that were answered with another status, the newest of them.
    pub(crate) refused: Option<u16>,
    /// What it could not read.
    pub(crate) nonsense: Option<String>,
    /// What it waits for, and at which of the nodes.
    pub(crate) waits: (&'static str, usize),
}

impl Seen {
    /// Takes a block; ids that are none are remembered as a fault.
    fn take(&mut self, block: Block) {
        let Some(text) = block.id else {
            return;
        };
        let Some(id) = Id::parse(&text) else {
            self.nonsense = Some(format!("the id {text:?}"));
            return;
        };
        if let Some((_, mark)) = text.split_once('.') {
            self.marks.insert(mark.to_owned());
        }
        if self.cursor.is_empty() {
            self.account.begin = id;
        }
        self.cursor = text;
        let Some(data) = block.data else {
            return;
        };
        let item = match &*block.event {
            "gap" => gap(&data).map(Item::Gap),
            _ => number(&data).map(|number| Item::Event(id, number)),
        };
        match item {
            Some(item) => self.account.items.push(item),
            None => self.nonsense = Some(format!("the data {data:?}")),
        }
    }
}

/// The number of an event, the first word of its data.
pub(crate) fn number(data: &str) -> Option<u64> {
    data.split(' ').next()?.parse().ok()
}

fn gap(data: &str) -> Option<Gap> {
    let json: serde_json::Value = serde_json::from_str(data).ok()?;
    let text = |name: &str| json[name].as_str();
    Some(Gap {
        // A cursor that is no id: everything may be missing.
        from: Id::parse(text("from")?).unwrap_or_default(),
        to: Id::parse(text("to")?)?,
        reason: text("reason")?.to_owned(),
    })
}

/// Clients on a runtime of their own.
pub(crate) struct Streams {
    runtime: Runtime,
    clients: Vec<Arc<Mutex<Seen>>>,
    stop: watch::Sender<bool>,
}

struct Client {
    nodes: Arc<[SocketAddr]>,
    at: usize,
    hops: Hops,
    dice: fastrand::Rng,
    seen: Arc<Mutex<Seen>>,
    stop: watch::Receiver<bool>,
}

impl Streams {
    /// None yet.
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        Self {
            runtime,
            clients: Vec::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// Opens a stream of these topics, at one of the nodes first.
    pub(crate) fn open(
        &mut self,
        nodes: &Arc<[SocketAddr]>,
        at: usize,
        topics: Vec<u32>,
        hops: Hops,
        seed: u64,
    ) {
        let seen = Arc::new(Mutex::new(Seen {
            account: Account {
                topics,
                ..Account::default()
            },
            ..Seen::default()
        }));
        self.clients.push(Arc::clone(&seen));
        let client = Client {
            nodes: Arc::clone(nodes),
            at,
            hops,
            dice: fastrand::Rng::with_seed(seed),
            seen,
            stop: self.stop.subscribe(),
        };
        self.runtime.spawn(client.run());
    }

    /// Waits until each has its first cursor.
    pub(crate) fn wait_until_open(&self) {
        wait_until("all streams are open", || {
            self.all(|seen| !seen.cursor.is_empty())
        });
    }

    /// Waits until the cursor of each has reached this id.
    pub(crate) fn wait_for(&self, id: Id) {
        let began = Instant::now();
        let mut behind = self.behind(id);
        let mut moved = began;
        // A busy machine takes its time, as long as streams arrive.
        while !behind.is_empty() {
            assert!(
                moved.elapsed() < DEADLINE,
                "{} streams do not reach {id} after {:?}: {behind:?}",
                behind.len(),
                began.elapsed()
            );
            std::thread::park_timeout(Duration::from_millis(20));
            let now = self.behind(id);
            if now != behind {
                moved = Instant::now();
            }
            behind = now;
        }
    }

    /// The first streams whose cursor is below, with what was wrong with them last.
    fn behind(&self, id: Id) -> Vec<String> {
        let mut behind = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            let seen = client.lock().expect("no panic");
            if Id::parse(&seen.cursor).is_none_or(|cursor| cursor < id) {
                behind.push(format!(
                    "{number} at {} waits for {:?} {:?} {:?}",
                    seen.cursor, seen.waits, seen.refused, seen.nonsense
                ));
            }
        }
        behind
    }

    /// Whether this holds for all.
    pub(crate) fn all(&self, holds: impl Fn(&Seen) -> bool) -> bool {
        let mut clients = self.clients.iter();
        clients.all(|client| holds(&client.lock().expect("no panic")))
    }

    /// Ends all; what each has seen.
    pub(crate) fn end(self) -> Vec<Seen> {
        self.stop.send_replace(true);
        self.runtime.shutdown_timeout(Duration::from_secs(10));
        let take =
            |client: Arc<Mutex<Seen>>| std::mem::take(&mut *client.lock().expect("no panic"));
        self.clients.into_iter().map(take).collect()
    }
}

impl Client {
    async fn run(mut self) {
        while !*self.stop.borrow() {
            let leaves = match &self.hops {
                Hops::Never => Duration::from_secs(86_400),
                Hops::Every(ms) => Duration::from_millis(self.dice.u64(ms.clone())),
            };
            let leaves = tokio::time::Instant::now() + leaves;
            let mut stop = self.stop.clone();
            let outcome = tokio::select! {
                outcome = timeout_at(leaves, self.read()) => outcome,
                _ = stop.changed() => return,
            };
            // One that leaves by itself is at the next node at once.
            if outcome.is_ok() {
                let pause = self.dice.u64(PAUSE_MS);
                sleep(Duration::from_millis(pause)).await;
            }
            self.at = self.dice.usize(..self.nodes.len());
        }
    }

    /// One connection, from its request to its end.
    async fn read(&self) -> Result<()> {
        self.waits_for("a connection");
        let mut connection = Connection::open(self.nodes[self.at]).await?;
        connection.send(self.request().as_bytes()).await?;
        self.waits_for("an answer");
        let status = connection.head().await?;
        if status != 200 {
            self.seen.lock().expect("no panic").refused = Some(status);
            return Ok(());
        }
        self.seen.lock().expect("no panic").opened += 1;
        self.waits_for("events");
        let mut text = Vec::new();
        while timeout(SILENCE, connection.part(&mut text)).await?? {
            while let Some(block) = block(&mut text) {
                self.seen.lock().expect("no panic").take(block);
            }
        }
        Ok(())
    }

    fn waits_for(&self, what: &'static str) {
        self.seen.lock().expect("no panic").waits = (what, self.at);
    }

    fn request(&self) -> String {
        let seen = self.seen.lock().expect("no panic");
        let topics: Vec<String> = seen
            .account
            .topics
            .iter()
            .map(|topic| format!("topic=t{topic}"))
            .collect();
        let mut request = format!(
            "GET /events?{} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n",
            topics.join("&")
        );
        if !seen.cursor.is_empty() {
            request.push_str(&format!("Last-Event-ID: {}\r\n", seen.cursor));
        }
        request.push_str("\r\n");
        request
    }
}
