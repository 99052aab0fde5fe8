//! Publishing through the hub of a whole node, with and without streams.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fantail::core::event::Event;
use fantail::core::selector::Selector;
use fantail::core::sse::{self, Draft};
use fantail::hub::{self, Encoding, Hub, Receipt, Start, Subscribe};
use fantail::metrics::Source;
use fantail::node;
use fantail::settings::Settings;
use fantail::shard::bench::stamp;
use fantail::shard::wire::Incoming;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{ClockId, clock_gettime};

use super::sockets;
use super::swallow::Swallow;

const TOPIC: &str = "publish/0";

/// What the topics of a workload start with, unless it says otherwise.
pub(crate) const TOPICS: &str = "publish/";

/// Events published before all streams have to have them: what history keeps is more, so that a
/// stream that falls behind loses none.
const EVENTS_PER_STRETCH: usize = 512;

/// Time for the streams to be sent one stretch.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);

/// Readiness events taken at once.
const POLL_EVENTS: usize = 256;

/// A node's hub, and clients that read all that their streams are sent.
pub(crate) struct Node {
    hub: Hub,
    data: String,
    audience: Audience,
    clients: Clients,
    /// Bytes that the clients have to have read by now.
    owed: usize,
    /// Topics that were new so far.
    topics: u64,
}

/// The time that a publisher took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    /// By the clock.
    pub(crate) time: Duration,
    /// Of a processor. On few cores the shards deliver in the rest.
    pub(crate) cpu: Duration,
}

/// Processor time of this thread so far.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// The streams of a node: what each subscribes to, and what of it hears the events.
pub(crate) struct Audience {
    /// For each stream, its selectors.
    pub(crate) selectors: Vec<Vec<Selector>>,
    /// Streams that hear the events.
    pub(crate) streams: usize,
    /// Selectors of theirs that match them.
    pub(crate) subscriptions: u64,
    /// Each event has a topic that was never heard of.
    pub(crate) new_topics: bool,
    /// What the topics start with.
    pub(crate) topics: &'static str,
}

impl Audience {
    /// So many streams on the one topic.
    pub(crate) fn on_topic(streams: usize) -> Self {
        Self {
            selectors: vec![vec![Selector::exact(TOPIC)]; streams],
            streams,
            subscriptions: streams as u64,
            new_topics: false,
            topics: TOPICS,
        }
    }
}

impl Node {
    /// Starts shards and opens streams; events will have `data_bytes` of data.
    pub(crate) async fn start(audience: Audience, data_bytes: usize) -> io::Result<Self> {
        let streams = audience.selectors.len();
        let hub = Hub::start(node::config::hub(&Settings::default()), streams)
            .map_err(io::Error::other)?;
        let mut clients = Vec::with_capacity(streams);
        let sockets = sockets::connect(streams)?;
        for ((server, client), selectors) in sockets.into_iter().zip(&audience.selectors) {
            clients.push(client);
            let subscribe = Subscribe {
                wire: Incoming::Socket(server),
                encoding: Encoding::CHUNKED,
                head: Bytes::new(),
                interest: hub::Interest {
                    selectors: selectors.clone(),
                    ..hub::Interest::default()
                },
                start: Start::default(),
            };
            let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let permit = hub.reserve(here).map_err(io::Error::other)?;
            let opened = hub.subscribe(permit, subscribe).await;
            opened.map_err(io::Error::other)?;
        }
        let mut node = Self {
            owed: streams * sse::prime(None, 15_000, hub.marked(hub.head())).len(),
            hub,
            data: "x".repeat(data_bytes),
            audience,
            clients: Clients::start(clients)?,
            topics: 0,
        };
        node.settle(Vec::new())?;
        Ok(node)
    }

    /// Publishes `batches` batches of `size` events; returns the time that the publisher took.
    /// The shards deliver meanwhile, and now and then, outside that time, they are given the time
    /// to finish.
    pub(crate) async fn publish(&mut self, batches: u64, size: usize) -> io::Result<Took> {
        let mut took = Took::default();
        let mut left = batches;
        while left > 0 {
            let stretch = left.min((EVENTS_PER_STRETCH / size).max(1) as u64);
            left -= stretch;
            let mut receipts = Vec::with_capacity(stretch as usize);
            let (started, cpu_before) = (Instant::now(), cpu_time());
            for _ in 0..stretch {
                receipts.push(self.publish_batch(size).await?);
            }
            took.time += started.elapsed();
            took.cpu += cpu_time() - cpu_before;
            self.settle(receipts)?;
        }
        Ok(took)
    }

    async fn publish_batch(&mut self, size: usize) -> io::Result<Vec<Receipt>> {
        let first = self.topics;
        if self.audience.new_topics {
            self.topics += size as u64;
        }
        let mut drafts = (first..first + size as u64)
            .map(|number| self.draft(number))
            .collect::<io::Result<Vec<_>>>()?;
        let published = self.hub.publish(Source::Ingest, &mut drafts).await;
        published.map_err(io::Error::other)
    }

    fn draft(&self, number: u64) -> io::Result<Draft<'_>> {
        let limits = self.hub.event_limits();
        let number = if self.audience.new_topics { number } else { 0 };
        let topic = format!("{}{number}", self.audience.topics);
        let event = Event::new(topic, &*self.data);
        Draft::new(event, limits).map_err(io::Error::other)
    }

    /// Waits until the clients have read what these receipts stand for, byte by byte.
    fn settle(&mut self, receipts: Vec<Vec<Receipt>>) -> io::Result<()> {
        if self.audience.streams == 0 && !receipts.is_empty() {
            return Ok(());
        }
        for receipt in receipts.iter().flatten() {
            if receipt.subscribers != self.audience.subscriptions {
                return Err(io::Error::other("an event was not for all streams"));
            }
            let frame = stamp(&mut self.draft(0)?, receipt.id);
            self.owed += self.audience.streams * frame.len();
        }
        let deadline = Instant::now() + ARRIVAL_MAX;
        loop {
            let read = self.clients.read.load(Ordering::Relaxed);
            if read == self.owed {
                return Ok(());
            }
            if read > self.owed || Instant::now() > deadline {
                let error = format!("{read} bytes arrived where {} were owed", self.owed);
                return Err(io::Error::other(error));
            }
            std::thread::yield_now();
        }
    }

    /// Ends the shards, and with them the streams and the clients.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.hub.stop();
        let ended = self.clients.thread.join();
        ended.map_err(|_| io::Error::other("the clients' thread panicked"))?
    }
}

/// The clients of all streams, in one thread.
struct Clients {
    read: Arc<AtomicUsize>,
    thread: JoinHandle<io::Result<()>>,
}

impl Clients {
    fn start(clients: Vec<TcpStream>) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (number, client) in clients.iter().enumerate() {
            let mut source = SourceFd(&client.as_raw_fd());
            poll.registry()
                .register(&mut source, Token(number), Interest::READABLE)?;
        }
        let read = Arc::default();
        let counter = Arc::clone(&read);
        let thread = std::thread::spawn(move || read_all(poll, clients, &counter));
        Ok(Self { read, thread })
    }
}

fn read_all(mut poll: Poll, clients: Vec<TcpStream>, read: &AtomicUsize) -> io::Result<()> {
    let mut swallow = Swallow::new();
    let mut events = Events::with_capacity(POLL_EVENTS);
    let mut open = clients.len();
    while open > 0 {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let client = &clients[event.token().0];
            let (bytes, ended) = swallow.all_of(client)?;
            read.fetch_add(bytes, Ordering::Relaxed);
            if ended {
                poll.registry()
                    .deregister(&mut SourceFd(&client.as_raw_fd()))?;
                open -= 1;
            }
        }
    }
    Ok(())
}
