//! The longest stop of a node while something large happens to it.
//!
//! Nothing in the node is instrumented. A watcher thread takes the store's lock again and again for
//! a call that costs nothing, as a publisher would, and times each call: its longest call is at
//! least the longest hold of any other thread. It also contains the scheduler's noise, which the
//! *floor* shows: the same watcher on a lock that others hold for nanoseconds.

use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fantail::core::event::{Event, EventId};
use fantail::core::limits::EventLimits;
use fantail::core::selector::{Selector, Syntax};
use fantail::core::sse::Draft;
use fantail::hub::{self, Encoding, Hub, HubConfig, Start, Subscribe, TopicWalk};
use fantail::metrics::Source;
use fantail::shard::wire::Incoming;
use parking_lot::Mutex;
use socket2::SockRef;

use super::sockets;

/// Threads that use the lock at once in the floor: the operation's, the shard's and the watcher's.
const FLOOR_THREADS: usize = 2;

/// Events of one publish call.
const BATCH: usize = 100;

/// Streams that end at once.
const STREAMS: usize = 1_000;

/// Longest time for the node to finish the work of a case.
const PATIENCE: Duration = Duration::from_secs(60);

const EVERYTHING: (EventId, EventId) = (EventId::ZERO, EventId::new(u64::MAX));

/// How large things are: 1 as in the table of the docs, more to divide by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(pub(crate) usize);

impl Scale {
    fn of(self, full: usize) -> usize {
        (full / self.0).max(1)
    }
}

/// Something large that happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Floor,
    NewTopics,
    MassReset,
    OneTopic,
    TopicList,
    Range,
    Expiry,
    Erase,
    Grant,
    WideStreams,
    Resolve,
    Stop,
}

pub(crate) const CASES: [Case; 12] = [
    Case::Floor,
    Case::NewTopics,
    Case::MassReset,
    Case::OneTopic,
    Case::TopicList,
    Case::Range,
    Case::Expiry,
    Case::Erase,
    Case::Grant,
    Case::WideStreams,
    Case::Resolve,
    Case::Stop,
];

impl Case {
    /// The case's name, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor: a bare lock, as many threads",
            Self::NewTopics => "topic tables grow to 2,000,000 topics",
            Self::MassReset => "1,000 streams of 1,000 topics each are reset at once",
            Self::OneTopic => "two GET /topics/{topic}, 9,900 templates held",
            Self::TopicList => "GET /topics, 10,000 topics, 990 templates held",
            Self::Range => "XRANGE over 1,000,000 events",
            Self::Expiry => "1,000,000 events of as many topics expire",
            Self::Erase => "DELETE of a topic with 1,000,000 events",
            Self::Grant => "100 streams with different grants of 1,000 selectors",
            Self::WideStreams => "100 streams subscribe to 1,000 topics each",
            Self::Resolve => "100 cursors over 1,000 selectors are looked up",
            Self::Stop => "the node stops with 1,000 streams of 100 topics",
        }
    }
}

/// The longest waits that were seen while a case ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// For the store's lock.
    pub(crate) lock: Duration,
    /// Longest wait for a turn of the runtime that the case ran on, where a request would wait.
    pub(crate) turn: Duration,
}

/// Runs a case once.
pub(crate) fn run(case: Case, scale: Scale) -> io::Result<Stop> {
    if case == Case::Floor {
        return floor(Duration::from_secs(2) / scale.0.min(100) as u32);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let stop = runtime.block_on(async {
        let stage = Stage::set(case, scale).await?;
        let watcher = Watcher::on(&stage.hub);
        let (stop, turn) = stage.play(case, scale).await?;
        let lock = watcher.end()?;
        stop();
        Ok::<_, io::Error>(Stop { lock, turn })
    })?;
    runtime.shutdown_timeout(PATIENCE);
    Ok(stop)
}

/// Takes the store's lock again and again, as briefly as possible.
struct Watcher {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Watcher {
    fn on(hub: &Hub) -> Self {
        let hub = hub.clone();
        Self::of(move || _ = black_box(hub.head()))
    }

    fn of(call: impl Fn() + Send + 'static) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            // At least once, however late the system schedules it.
            while longest.is_zero() || !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                call();
                longest = longest.max(began.elapsed());
                // Others are to have the lock most of the time.
                for _ in 0..1_000 {
                    std::hint::spin_loop();
                }
            }
            longest
        });
        Self { ends, thread }
    }

    fn end(self) -> io::Result<Duration> {
        self.ends.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.map_err(|_| io::Error::other("the watcher panicked"))
    }
}

/// The longest wait for a lock that is never held longer than an addition takes.
fn floor(time: Duration) -> io::Result<Stop> {
    let lock = Arc::new(Mutex::new(0_u64));
    let ends = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (0..FLOOR_THREADS)
        .map(|_| {
            let (lock, ends) = (Arc::clone(&lock), Arc::clone(&ends));
            thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    *lock.lock() += 1;
                }
            })
        })
        .collect();
    let watched = Arc::clone(&lock);
    let watcher = Watcher::of(move || *watched.lock() += 1);
    thread::sleep(time);
    let longest = watcher.end();
    ends.store(true, Ordering::Relaxed);
    for other in others {
        _ = other.join();
    }
    let longest = longest?;
    Ok(Stop {
        lock: longest,
        turn: Duration::ZERO,
    })
}

/// A node, with its state from before the watcher starts.
struct Stage {
    hub: Hub,
    clients: Vec<TcpStream>,
}

fn exact(number: usize) -> Selector {
    Selector::exact(&format!("topic/{number}"))
}

fn template(number: usize) -> io::Result<Selector> {
    // Different names of parameters, so that none is superfluous beside another.
    let text = format!("{{+v}}{{?q{number}}}");
    Selector::parse(&text, Syntax::Native, 100).map_err(io::Error::other)
}

fn templates(from: usize, count: usize) -> io::Result<Vec<Selector>> {
    (from..from + count).map(template).collect()
}

impl Stage {
    async fn set(case: Case, scale: Scale) -> io::Result<Self> {
        let mut config = HubConfig::default();
        config.history.events = 1_000_000;
        config.history.bytes = 1 << 30;
        config.history.budget_bytes = 8 << 30;
        config.patterns_max = 1_000_000;
        config.patterns_per_address_max = 0;
        if case == Case::Expiry {
            config.history.age_ms = 1;
        }
        let hub = Hub::start(config, 2 * STREAMS).map_err(io::Error::other)?;
        let mut stage = Self {
            hub,
            clients: Vec::new(),
        };
        match case {
            Case::MassReset => {
                let topics = scale.of(1_000);
                for stream in 0..scale.of(STREAMS) {
                    let own = (stream * topics..(stream + 1) * topics).map(exact);
                    stage.open(own.collect(), Vec::new()).await?;
                }
            }
            Case::OneTopic | Case::TopicList => {
                let (streams, topics) = if case == Case::OneTopic {
                    (10, 1)
                } else {
                    (1, scale.of(10_000))
                };
                let each = scale.of(990);
                stage.publish_to(topics, 1).await?;
                for stream in 0..streams {
                    stage
                        .open(templates(stream * each, each)?, Vec::new())
                        .await?;
                }
            }
            Case::Range | Case::Erase => stage.publish_to(1, scale.of(1_000_000)).await?,
            Case::Expiry => {
                // Old from the start. A publisher would evict old events of its own topic.
                stage.publish_to(scale.of(1_000_000), 1).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Case::Resolve => stage.publish_to(scale.of(1_000), 3).await?,
            Case::Stop => {
                for stream in 0..scale.of(STREAMS) {
                    let own = (stream * 100..(stream + 1) * 100).map(exact);
                    stage.open(own.collect(), Vec::new()).await?;
                }
            }
            Case::Floor | Case::NewTopics | Case::Grant | Case::WideStreams => {}
        }
        Ok(stage)
    }

    /// Runs the case; returns the longest wait for a turn of the runtime, and the node's end.
    async fn play(mut self, case: Case, scale: Scale) -> io::Result<(impl FnOnce(), Duration)> {
        let hub = self.hub.clone();
        let mut turn = Duration::ZERO;
        match case {
            Case::NewTopics => self.publish_to(scale.of(2_000_000), 1).await?,
            Case::MassReset => {
                for client in &self.clients {
                    SockRef::from(client).set_linger(Some(Duration::ZERO))?;
                }
                self.clients.clear();
                until("the topics are gone", || hub.history_size().topics == 0).await?;
            }
            Case::OneTopic => {
                let ask = || {
                    let hub = hub.clone();
                    tokio::spawn(async move { hub.topic("topic/0").await })
                };
                let asked = [ask(), ask()];
                turn = turns_until(|| asked.iter().all(|one| one.is_finished())).await;
                for answer in asked {
                    let expected = 10 * scale.of(990) as u64;
                    check(answer.await?.streams_by_pattern == expected, "all streams")?;
                }
            }
            Case::TopicList => {
                let listing = tokio::spawn(list(hub.clone()));
                turn = turns_until(|| listing.is_finished()).await;
                check(listing.await? == scale.of(10_000), "all topics")?;
            }
            Case::Range => {
                let reading = tokio::spawn(read(hub.clone()));
                turn = turns_until(|| reading.is_finished()).await;
                check(reading.await? == scale.of(1_000_000), "all events")?;
            }
            Case::Expiry => {
                hub.expire().await;
                check(hub.history_size().events == 0, "none is left")?;
            }
            Case::Erase => {
                let erased = hub.erase_topic("topic/0").await;
                check(erased == Ok(scale.of(1_000_000)), "all of them")?;
            }
            Case::Grant => {
                for stream in 0..scale.of(100) {
                    let first = stream * 1_000;
                    let grant = (first..first + scale.of(1_000)).map(exact);
                    self.open(vec![exact(0)], grant.collect()).await?;
                }
            }
            Case::WideStreams => {
                for stream in 0..scale.of(100) {
                    let first = stream * 1_000;
                    let own = (first..first + scale.of(1_000)).map(exact);
                    self.open(own.collect(), Vec::new()).await?;
                }
            }
            Case::Resolve => {
                let selectors: Vec<_> = (0..scale.of(1_000)).map(exact).collect();
                let cursor = hub.head().to_string();
                for _ in 0..scale.of(100) {
                    let start = hub.resolve(&selectors, &[], Some(&cursor));
                    check(!start.is_live(), "it has a cursor")?;
                }
            }
            Case::Stop => {
                let stopping = hub.clone();
                let stopped = tokio::task::spawn_blocking(move || stopping.stop());
                stopped.await?;
            }
            Case::Floor => {}
        }
        // Streams that are still open end unseen.
        let clients = std::mem::take(&mut self.clients);
        Ok((
            move || {
                hub.stop();
                drop(clients);
            },
            turn,
        ))
    }

    /// Publishes `each` events to each of `topics` topics.
    async fn publish_to(&self, topics: usize, each: usize) -> io::Result<()> {
        let limits = EventLimits::default();
        let mut numbers = (0..each).flat_map(|_| 0..topics).peekable();
        while numbers.peek().is_some() {
            let drafts = numbers.by_ref().take(BATCH).map(|number| {
                let event = Event::new(format!("topic/{number}"), "x");
                Draft::new(event, &limits).map_err(io::Error::other)
            });
            let mut drafts = drafts.collect::<io::Result<Vec<_>>>()?;
            let published = self.hub.publish(Source::Http, &mut drafts).await;
            published.map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Opens one stream.
    async fn open(&mut self, selectors: Vec<Selector>, mut grant: Vec<Selector>) -> io::Result<()> {
        let (server, client) = sockets::connect(1)?.remove(0);
        self.clients.push(client);
        grant.sort_unstable();
        let subscribe = Subscribe {
            wire: Incoming::Socket(server),
            encoding: Encoding::CHUNKED,
            head: Bytes::new(),
            interest: hub::Interest {
                selectors,
                grant: grant.into(),
                ..hub::Interest::default()
            },
            start: Start::default(),
        };
        let permit = self.hub.reserve(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let permit = permit.map_err(io::Error::other)?;
        let opened = self.hub.subscribe(permit, subscribe).await;
        opened.map_err(io::Error::other)
    }
}

/// Walks through the list of topics as a page does; the topics that it met.
async fn list(hub: Hub) -> usize {
    let mut walk = TopicWalk::default();
    let mut topics = 0;
    while walk.next().is_some() {
        topics += hub.topics(&mut walk).len();
        tokio::task::yield_now().await;
    }
    topics
}

/// Reads all events of a topic as the ingest port does; how many.
async fn read(hub: Hub) -> usize {
    let mut range = hub.history_range("topic/0", EVERYTHING, usize::MAX, false);
    let mut events = 0;
    loop {
        let portion = hub.history_portion(&mut range);
        if portion.is_empty() {
            return events;
        }
        events += portion.len();
        tokio::task::yield_now().await;
    }
}

/// The longest wait for a turn of the runtime until something is done.
async fn turns_until(is_done: impl Fn() -> bool) -> Duration {
    let mut longest = Duration::ZERO;
    while !is_done() {
        let began = Instant::now();
        // A new request is a new task.
        let turn = tokio::spawn(async {});
        if turn.await.is_ok() {
            longest = longest.max(began.elapsed());
        }
    }
    longest
}

async fn until(what: &str, is_done: impl Fn() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_done() {
        check(Instant::now() < deadline, what)?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn check(is_so: bool, what: &str) -> io::Result<()> {
    if is_so {
        return Ok(());
    }
    Err(io::Error::other(format!("not as it should be: {what}")))
}
