//! All streams of a client process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use hdrhistogram::Histogram;
use mio::{Interest, Registry, Token};

use super::WorkerError;
use super::ledger::Tally;
use super::restless::Restless;
use super::source::Source;
use super::stream::{Context, End, Stream};
use crate::latency;
use crate::message::{Checked, Job, Pace};
use crate::stamp;
use crate::template::Template;
use crate::transport::{TlsClient, Transport};

/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 * 1024;
/// Different reasons that are told apart; a server that makes up a new one each time is counted under the last.
const REASONS_MAX: usize = 100;
/// The streams, and what they share.
pub(crate) struct Fleet {
    pub(super) job: Job,
    registry: Registry,
    tls: Option<TlsClient>,
    path: Template,
    headers: Vec<Template>,
    source: Source,
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
    /// Streams that do not come back.
    pub(super) failed: usize,
    /// Streams that the waiting order waits for, and the events it names.
    pub(super) awaited: usize,
    pub(super) awaited_events: u64,
    /// Numbers of events that the server refused, topic by topic.
    pub(super) refused: BTreeMap<usize, BTreeSet<u64>>,
    pub(super) tally: Tally,
    pub(super) latencies: Latencies,
    pub(super) counts: Checked,
    reasons: BTreeMap<String, u64>,
    /// When something was last achieved, by both clocks.
    pub(super) progress: Instant,
    pub(super) progress_at: u64,
}

/// What the kernel said of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    /// There is something to read.
    pub(super) readable: bool,
    /// The end of the connection is among it, which is not announced again.
    pub(super) last: bool,
}

/// Latencies since the last sample, in nanoseconds.
pub(super) struct Latencies {
    pub(super) delivery: Histogram<u64>,
    pub(super) slow: Histogram<u64>,
    pub(super) open: Histogram<u64>,
}

impl Latencies {
    fn new() -> Self {
        Self {
            delivery: latency::histogram(),
            slow: latency::histogram(),
            open: latency::histogram(),
        }
    }
}

impl Fleet {
    /// No streams yet.
    pub(super) fn new(job: Job, registry: Registry) -> Result<Self, WorkerError> {
        let tls = job.endpoint.tls.as_ref().map(TlsClient::new).transpose()?;
        let template = |text: &String| Template::new(text, &crate::target::STREAM_PLACEHOLDERS);
        Ok(Self {
            path: template(&job.path)?,
            headers: job.headers.iter().map(template).collect::<Result<_, _>>()?,
            source: Source::new(&job),
            registry,
            tls,
            buffer: vec![0; READ_BYTES],
            streams: Vec::new(),
            restless: Restless::new(&job),
            target: 0,
            connecting: 0,
            rate: None,
            open: 0,
            opened: 0,
            failed: 0,
            awaited: 0,
            awaited_events: 0,
            refused: BTreeMap::new(),
            tally: Tally::default(),
            latencies: Latencies::new(),
            counts: Checked::default(),
            reasons: BTreeMap::new(),
            progress: Instant::now(),
            progress_at: stamp::now(),
            job,
        })
    }

    /// Does what the clock asks for: opens streams, brings some back, lets some leave, reads slowly.
    pub(super) fn turn(&mut self) {
        while self.streams.len() < self.target
            && self.connecting < self.job.connecting
            && self.may_connect()
        {
            self.streams.push(Stream::new(self.job.layout.each()));
            self.connect(self.streams.len() - 1);
        }
        self.move_restless();
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

    /// The number of a stream among those of all processes.
    pub(super) fn global(&self, number: usize) -> usize {
        number * self.job.processes + self.job.process
    }

    /// Begins a connection for the stream.
    pub(super) fn connect(&mut self, number: usize) {
        let slow = self.restless.is_slow(self.global(number));
        let buffer = slow.then_some(self.job.slow_buffer_bytes);
        self.connecting += 1;
        let result = self.source.connect(buffer).map_err(End::from);
        let result = result.and_then(|mut socket| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.registry
                .register(&mut socket, Token(number), interest)?;
            let connection =
                Transport::new(socket, self.tls.as_ref()).map_err(std::io::Error::other)?;
            self.streams[number].begin(connection);
            Ok(())
        });
        if let Err(end) = result {
            self.connecting -= 1;
            self.ended(number, &end);
        }
    }

    /// The stream's socket can be written to or read from, the latter perhaps for the last time.
    pub(super) fn ready(&mut self, number: usize, readable: bool, last: bool) {
        let Some(stream) = self.streams.get(number) else {
            return;
        };
        if !stream.connected() {
            return;
        }
        let slow = self.restless.is_slow(self.global(number)) && stream.open(self.job.no_prime);
        if slow && self.restless.pace != Pace::Brisk {
            return;
        }
        let readiness = Readiness { readable, last };
        self.read(number, readiness, usize::MAX);
    }

    /// Sends the request if that is due, and reads at most so many bytes.
    pub(super) fn read(&mut self, number: usize, readiness: Readiness, most: usize) {
        let was_open = self.streams[number].open(self.job.no_prime);
        let received = self.tally.received;
        let mut result = Ok(());
        if self.streams[number].connecting() {
            let head = self.request(number);
            result = self.streams[number].request(&head);
        }
        if result.is_ok() && readiness.readable && !self.streams[number].connecting() {
            result = self.receive(number, most, readiness.last);
        }
        let now_open = self.streams[number].open(self.job.no_prime);
        if now_open && !was_open {
            self.has_opened(number);
        }
        if self.tally.received != received {
            self.achieved();
            self.no_longer_awaited(number);
        }
        if let Err(end) = result {
            if now_open {
                self.open -= 1;
            } else {
                self.connecting -= 1;
            }
            self.ended(number, &end);
        }
    }

    fn receive(&mut self, number: usize, most: usize, last: bool) -> Result<(), End> {
        let global = self.global(number);
        let latency = if self.restless.is_slow(global) {
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
            buffer: &mut self.buffer,
            to_the_end: last,
        };
        self.streams[number].read(global, most, &mut context)
    }

    /// The request head of a stream, with its cursor when it comes back.
    fn request(&self, number: usize) -> Vec<u8> {
        let stream = self.global(number);
        let fill = |template: &Template, escape: bool| {
            template
                .fill(|name| crate::target::stream_value(&self.job.layout, stream, name, escape))
        };
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n",
            fill(&self.path, true),
            self.job.endpoint.host
        );
        for field in &self.headers {
            head.push_str(&fill(field, false));
            head.push_str("\r\n");
        }
        if let Some(cursor) = self.streams[number].cursor() {
            head.push_str("Last-Event-ID: ");
            head.push_str(cursor);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn has_opened(&mut self, number: usize) {
        self.connecting -= 1;
        self.open += 1;
        self.opened += 1;
        let stream = &mut self.streams[number];
        let took = stamp::now().saturating_sub(stream.begun);
        if stream.was_open {
            self.counts.returned += 1;
            self.counts.returned_without_cursor += u64::from(stream.cursor().is_none());
        }
        stream.was_open = true;
        self.latencies.open.saturating_record(took);
        self.achieved();
    }

    /// The stream's connection ended, not by its own will.
    fn ended(&mut self, number: usize, end: &End) {
        let text = end.to_string();
        let text = if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&text) {
            text
        } else {
            "something else".to_owned()
        };
        *self.reasons.entry(text).or_default() += 1;
        self.achieved();
        let stream = &mut self.streams[number];
        stream.end();
        if self.job.reconnect && stream.was_open {
            let retry = stream.retry_ms;
            self.restless.come_back_after_end(number, retry);
            return;
        }
        stream.finished = true;
        self.failed += 1;
        if std::mem::take(&mut stream.awaited) {
            self.awaited -= 1;
        }
    }

    pub(super) fn achieved(&mut self) {
        self.progress = Instant::now();
        self.progress_at = stamp::now();
    }

    /// Why connections ended until now.
    pub(super) fn reasons(&self) -> Vec<(String, u64)> {
        self.reasons
            .iter()
            .map(|(text, count)| (text.clone(), *count))
            .collect()
    }
}
