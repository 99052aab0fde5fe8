//! All streams of a client process.

use std::collections::BTreeMap;
use std::time::Instant;

use hdrhistogram::Histogram;
use mio::{Interest, Registry, Token};

use super::WorkerError;
use super::faults::Faults;
use super::ids::Ids;
use super::ledger::Tally;
use super::restless::Restless;
use super::source::Source;
use super::stream::{Comparing, Context, End, Position, Silence, Stream};
use crate::latency;
use crate::message::{Checked, Job, Pace};
use crate::stamp;
use crate::template::Template;
use crate::token::Store;
use crate::transport::{TlsClient, Transport};

/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes read from one stream before the others have their turn: one that never runs dry must not
/// starve them.
const BYTES_PER_TURN: usize = 1 << 20;
/// Bytes that a slow stream reads to be open: a response head and a first block.
const PRIME_BYTES: usize = 4096;
/// The streams, and their shared state.
pub(crate) struct Fleet {
    pub(super) job: Job,
    registry: Registry,
    /// The nodes on which streams are opened.
    nodes: Vec<Node>,
    /// Ids of the events that came, if nodes are compared.
    pub(super) ids: Ids,
    /// Examples of what is wrong with them.
    pub(super) faults: Faults,
    headers: Vec<Template>,
    tokens: Store,
    buffer: Vec<u8>,
    pub(super) streams: Vec<Stream>,
    pub(super) restless: Restless,
    /// Streams to have.
    pub(super) target: usize,
    /// Connections being opened.
    pub(super) connecting: usize,
    /// When opening began, and how many streams a second there may be.
    pub(super) rate: Option<(Instant, usize, f64)>,
    /// Streams open now.
    pub(super) open: usize,
    /// Times that a stream opened.
    pub(super) opened: u64,
    /// Times that the server ended an open stream.
    pub(super) cut: u64,
    /// Streams that do not reconnect.
    pub(super) failed: usize,
    /// Streams that the waiting order waits for, and the events it names.
    pub(super) awaited: usize,
    pub(super) awaited_events: u64,
    /// Numbers of events that the server refused, topic by topic, ascending.
    pub(super) refused: BTreeMap<usize, Vec<u32>>,
    pub(super) tally: Tally,
    pub(super) latencies: Latencies,
    pub(super) counts: Checked,
    pub(super) reasons: BTreeMap<String, u64>,
    /// When a connection last opened or ended.
    pub(super) moved: Instant,
    /// When a stream last opened, on the monotonic clock.
    pub(super) opened_at: u64,
    /// When an event last came for the first time.
    pub(super) received: Received,
    /// Times without an event on any stream.
    pub(super) silence: Silence,
    /// Positions at which streams are to be opened later.
    pub(super) positions: Vec<Position>,
    /// Streams that were requested and never tried, because no connection opened any more.
    pub(super) untried: usize,
    /// Streams that had more to read than one turn allows.
    unfinished: Vec<usize>,
}

/// How streams are opened on a node.
struct Node {
    source: Source,
    tls: Option<TlsClient>,
    path: Template,
    host: String,
}

/// When something came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// On this process's clock; also set when waiting for it begins.
    pub(super) since: Instant,
    /// On the monotonic clock; zero until an event arrives after the wait began.
    pub(super) at: u64,
}

impl Received {
    /// Waiting begins.
    pub(super) fn now() -> Self {
        Self {
            since: Instant::now(),
            at: 0,
        }
    }
}

/// The kernel's report on a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    /// Bytes can be read.
    pub(super) readable: bool,
    /// The end of the connection is among it, which is not announced again.
    pub(super) last: bool,
}

/// Latencies since the last sample, in nanoseconds.
pub(super) struct Latencies {
    pub(super) delivery: Histogram<u64>,
    pub(super) slow: Histogram<u64>,
    /// Of events that were due before the stream was let in, where nodes are compared.
    pub(super) replay: Histogram<u64>,
    pub(super) open: Histogram<u64>,
    /// From the end of a stream by the server until it is open again.
    pub(super) away: Histogram<u64>,
}

impl Latencies {
    fn new() -> Self {
        Self {
            delivery: latency::histogram(),
            slow: latency::histogram(),
            replay: latency::histogram(),
            open: latency::histogram(),
            away: latency::histogram(),
        }
    }
}

impl Fleet {
    /// No streams yet.
    pub(super) fn new(job: Job, registry: Registry) -> Result<Self, WorkerError> {
        let template = |text: &String| Template::new(text, &crate::target::STREAM_PLACEHOLDERS);
        let mut nodes = Vec::new();
        for (target, source) in job.nodes.iter().zip(Source::each(&job)) {
            nodes.push(Node {
                source,
                tls: target
                    .endpoint
                    .tls
                    .as_ref()
                    .map(TlsClient::new)
                    .transpose()?,
                path: template(&target.path)?,
                host: target.endpoint.host.clone(),
            });
        }
        Ok(Self {
            nodes,
            ids: Ids::default(),
            faults: Faults::default(),
            headers: job.headers.iter().map(template).collect::<Result<_, _>>()?,
            tokens: Store::default(),
            registry,
            buffer: vec![0; READ_BYTES],
            streams: Vec::new(),
            restless: Restless::new(&job),
            target: 0,
            connecting: 0,
            rate: None,
            open: 0,
            opened: 0,
            cut: 0,
            silence: Silence::default(),
            positions: Vec::new(),
            failed: 0,
            awaited: 0,
            awaited_events: 0,
            refused: BTreeMap::new(),
            tally: Tally::default(),
            latencies: Latencies::new(),
            counts: Checked::default(),
            reasons: BTreeMap::new(),
            moved: Instant::now(),
            opened_at: 0,
            received: Received::now(),
            untried: 0,
            unfinished: Vec::new(),
            job,
        })
    }

    /// Makes the tokens for this number of streams of this process.
    pub(super) fn make_tokens(&mut self, streams: usize) -> Result<(), WorkerError> {
        if let Some(order) = &self.job.tokens {
            let streams = (0..streams).map(|number| self.global(number));
            self.tokens = Store::make(order, &self.job.layout, streams)?;
        }
        Ok(())
    }

    /// Does the work that is due: opens streams, reconnects some, disconnects some, reads slowly.
    pub(super) fn turn(&mut self) {
        while self.streams.len() < self.target
            && self.connecting < self.job.connecting
            && self.may_connect()
        {
            let number = self.streams.len();
            let mut stream = Stream::new(self.job.layout.each(), self.global(number));
            stream.node = stream.number % self.nodes.len();
            self.streams.push(stream);
            self.connect(number);
        }
        self.move_restless();
        for number in std::mem::take(&mut self.unfinished) {
            let readiness = Readiness {
                readable: true,
                last: true,
            };
            self.read(number, readiness, BYTES_PER_TURN);
        }
    }

    /// Whether a stream has more to read, so that there is no time to sleep.
    pub(super) fn unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// No connection opens any more: ends the unfinished ones, and tries no other.
    pub(super) fn give_up_opening(&mut self) {
        self.untried += self.target.saturating_sub(self.streams.len());
        self.target = self.streams.len();
        for number in 0..self.streams.len() {
            let stream = &self.streams[number];
            if stream.connected() && !stream.open(self.job.no_prime) {
                self.connecting -= 1;
                self.ended(number, &End::Silent);
            }
        }
    }

    /// Whether the stream is one of the slow ones while they are slow.
    pub(super) fn is_slow_now(&self, number: usize) -> bool {
        self.restless.pace != Pace::Brisk && self.restless.is_slow(self.streams[number].number)
    }

    /// Whether something is to be done by the clock.
    pub(super) fn restless(&self) -> bool {
        self.streams.len() < self.target || self.restless.busy()
    }

    fn may_connect(&self) -> bool {
        self.rate.is_none_or(|(since, before, rate)| {
            let due = since.elapsed().as_secs_f64() * rate;
            ((self.streams.len() - before) as f64) < due
        })
    }

    /// Number of nodes.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The number of a stream among those of all processes.
    pub(super) fn global(&self, number: usize) -> usize {
        number * self.job.processes + self.job.process
    }

    /// Begins a connection for the stream.
    pub(super) fn connect(&mut self, number: usize) {
        let slow = self.restless.is_slow(self.streams[number].number);
        let buffer = slow.then_some(self.job.slow_buffer_bytes);
        self.connecting += 1;
        let node = &mut self.nodes[self.streams[number].node];
        self.streams[number].via = node.source.first() as u8;
        let result = node.source.connect(buffer).map_err(End::from);
        let result = result.and_then(|mut socket| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.registry
                .register(&mut socket, Token(number), interest)?;
            let connection =
                Transport::new(socket, node.tls.as_ref()).map_err(std::io::Error::other)?;
            self.streams[number].begin(connection);
            Ok(())
        });
        if let Err(end) = result {
            self.connecting -= 1;
            self.not_connected(number, &end);
        }
    }

    /// No connection was made: another address of the server may accept one.
    fn not_connected(&mut self, number: usize, end: &End) {
        let stream = &mut self.streams[number];
        stream.turned_away += 1;
        let source = &mut self.nodes[stream.node].source;
        if usize::from(stream.turned_away) >= source.targets() {
            stream.turned_away = 0;
            self.ended(number, end);
            return;
        }
        let via = usize::from(stream.via);
        stream.end();
        source.turn_away(via);
        self.connect(number);
    }

    /// The stream's socket can be written to or read from, the latter perhaps for the last time.
    pub(super) fn ready(&mut self, number: usize, readable: bool, last: bool) {
        let Some(stream) = self.streams.get(number) else {
            return;
        };
        if !stream.connected() {
            return;
        }
        let open = stream.open(self.job.no_prime);
        let most = match self.is_slow_now(number) {
            true if open => return,
            // It has to open, and no more.
            true => PRIME_BYTES,
            false => BYTES_PER_TURN,
        };
        self.read(number, Readiness { readable, last }, most);
    }

    /// Sends the request if that is due, and reads at most `limit` bytes.
    pub(super) fn read(&mut self, number: usize, readiness: Readiness, most: usize) {
        let was_open = self.streams[number].open(self.job.no_prime);
        let received = self.tally.received;
        let mut result = Ok(false);
        let was_connecting = self.streams[number].connecting();
        if was_connecting {
            let head = self.request(number);
            result = self.streams[number].request(&head).map(|()| false);
        }
        if result.is_ok() && readiness.readable && !self.streams[number].connecting() {
            result = self.receive(number, most, readiness.last);
        }
        let now_open = self.streams[number].open(self.job.no_prime);
        if now_open && !was_open {
            self.has_opened(number);
        }
        if now_open {
            self.has_received(number);
        }
        if self.tally.received != received {
            let at = stamp::now();
            self.received = Received {
                since: Instant::now(),
                at,
            };
            self.silence.ends(at);
            self.no_longer_awaited(number);
        }
        match result {
            Ok(true) if !self.is_slow_now(number) => self.unfinished.push(number),
            Ok(_) => {}
            Err(end) => {
                if now_open {
                    self.has_been_cut(number);
                } else {
                    self.connecting -= 1;
                }
                match end {
                    End::Io(_) if was_connecting => self.not_connected(number, &end),
                    _ => self.ended(number, &end),
                }
            }
        }
    }

    fn receive(&mut self, number: usize, most: usize, last: bool) -> Result<bool, End> {
        let latency = if self.restless.is_slow(self.streams[number].number) {
            &mut self.latencies.slow
        } else {
            &mut self.latencies.delivery
        };
        let mut context = Context {
            layout: &self.job.layout,
            run: self.job.run,
            gap_event: &self.job.gap_event,
            keep_cursor: self.job.reconnect,
            tally: &mut self.tally,
            latency,
            comparing: self.job.compares_nodes.then_some(Comparing {
                ids: &mut self.ids,
                faults: &mut self.faults,
                replay: &mut self.latencies.replay,
            }),
            buffer: &mut self.buffer,
            to_the_end: last,
        };
        self.streams[number].read(most, &mut context)
    }

    /// The request head of a stream, with its cursor when it reconnects.
    fn request(&mut self, number: usize) -> Vec<u8> {
        let node = &self.nodes[self.streams[number].node];
        let stream = self.streams[number].number;
        // Its place among those of this process.
        let place = stream / self.job.processes;
        let fill = |template: &Template, escape: bool| {
            template.fill(|name| match name {
                // Its characters have no meaning in a URL.
                "token" => self.tokens.get(place).to_owned(),
                _ => crate::target::stream_value(&self.job.layout, stream, name, escape),
            })
        };
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n",
            fill(&node.path, true),
            node.host
        );
        for field in &self.headers {
            head.push_str(&fill(field, false));
            head.push_str("\r\n");
        }
        let cursor = self.streams[number].cursor();
        if let Some(cursor) = cursor {
            head.push_str("Last-Event-ID: ");
            head.push_str(cursor);
            head.push_str("\r\n");
        }
        self.streams[number].gave_cursor = cursor.is_some();
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// A connection has opened or ended.
    pub(super) fn moved(&mut self) {
        self.moved = Instant::now();
    }

    /// Why connections ended until now.
    pub(super) fn reasons(&self) -> Vec<(String, u64)> {
        self.reasons
            .iter()
            .map(|(text, count)| (text.clone(), *count))
            .collect()
    }
}
