//! One shard's fan-out against a bare loop of `send()` on the same sockets.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use fantail::core::event::{Event, EventId};
use fantail::core::history::HistoryLimits;
use fantail::core::limits::EventLimits;
use fantail::core::sse::{Draft, Encoding, topic_lines};
use fantail::shard::bench::{BenchShard, stamp};

use super::bare::send_whole;
use super::cost::{Cost, measure};
use super::sockets;
use super::swallow::Swallow;

/// Names of topics; a stream of one topic has the first.
const TOPICS: [&str; 3] = ["fanout", "fanout/2", "fanout/3"];

/// Topics of a stream that has several.
pub(crate) const SEVERAL: usize = TOPICS.len();

/// Time for bytes that were sent to arrive; loopback takes microseconds.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);

/// A shard with streams, and the means to write past it.
pub(crate) struct Fanout {
    shard: BenchShard,
    /// The shard's own sockets under a second descriptor.
    bare: Vec<OwnedFd>,
    clients: Vec<TcpStream>,
    swallow: Swallow,
    data: String,
    last_id: EventId,
    topics: &'static [&'static str],
    encoding: Encoding,
}

impl Fanout {
    /// Opens `streams` streams on one topic; events will have `data_bytes` of data.
    pub(crate) fn open(streams: usize, data_bytes: usize) -> io::Result<Self> {
        Self::open_on(1, streams, data_bytes)
    }

    /// The same with up to [`SEVERAL`] topics for each stream, to which events are published in
    /// turn.
    pub(crate) fn open_on(topics: usize, streams: usize, data_bytes: usize) -> io::Result<Self> {
        Self::open_as(Encoding::CHUNKED, topics, streams, data_bytes)
    }

    /// The same on one topic, for streams that are told the topic of each event.
    pub(crate) fn open_told(streams: usize, data_bytes: usize) -> io::Result<Self> {
        Self::open_as(Encoding::CHUNKED.with_topics(), 1, streams, data_bytes)
    }

    fn open_as(
        encoding: Encoding,
        topics: usize,
        streams: usize,
        data_bytes: usize,
    ) -> io::Result<Self> {
        let mut fanout = Self {
            encoding,
            topics: &TOPICS[..topics],
            shard: BenchShard::new(HistoryLimits::default())?,
            bare: Vec::with_capacity(streams),
            clients: Vec::with_capacity(streams),
            swallow: Swallow::new(),
            data: "x".repeat(data_bytes),
            last_id: EventId::ZERO,
        };
        for (server, client) in sockets::connect(streams)? {
            fanout.bare.push(server.try_clone()?);
            fanout.clients.push(client);
            let topics = fanout.topics;
            fanout.shard.attach_as(encoding, server, topics, None)?;
        }
        while fanout.shard.turn()? {}
        let greetings = fanout.shard.counters().bytes.get();
        fanout.drain(greetings as usize)?;
        fanout.last_id = fanout.shard.head();
        Ok(fanout)
    }

    /// Number of streams.
    pub(crate) fn streams(&self) -> usize {
        self.clients.len()
    }

    /// `burst` waiting events go through the shard to every stream; returns the cost of its turns.
    /// Waits until all has arrived.
    pub(crate) fn by_shard(&mut self, burst: usize) -> io::Result<Cost> {
        let before = self.shard.counters().deliveries.get();
        let mut bytes = 0;
        for number in 0..burst {
            let topic = self.topics[number % self.topics.len()];
            let mut draft = draft(topic, &self.data)?;
            bytes += self.shard.publish(std::slice::from_mut(&mut draft))?;
            if self.encoding.has_topics() {
                bytes += topic_lines([topic]).len();
            }
        }
        let (cost, turns) = measure(|| {
            while self.shard.turn()? {}
            io::Result::Ok(())
        });
        turns?;
        self.drain(bytes * self.clients.len())?;
        let counted = self.shard.counters().deliveries.get() - before;
        if counted != (burst * self.clients.len()) as u64 {
            return Err(io::Error::other(format!("{counted} deliveries counted")));
        }
        Ok(cost)
    }

    /// The same by a loop of `send()`, which joins the waiting events; returns the cost of joining
    /// and sending.
    pub(crate) fn by_loop(&mut self, burst: usize) -> io::Result<Cost> {
        let mut frames = Vec::with_capacity(burst);
        for _ in 0..burst {
            self.last_id = self.last_id.next(0);
            frames.push(stamp(&mut draft(TOPICS[0], &self.data)?, self.last_id));
        }
        let (cost, sent) = measure(|| {
            let frames: Vec<&[u8]> = frames.iter().map(|frame| &frame.chunked()[..]).collect();
            let joined = frames.concat();
            let mut sockets = self.bare.iter();
            sockets.try_for_each(|socket| send_whole(socket, &joined))?;
            io::Result::Ok(joined.len())
        });
        self.drain(sent? * self.clients.len())?;
        Ok(cost)
    }

    /// Empties all clients, which must have exactly `expected` bytes.
    fn drain(&mut self, expected: usize) -> io::Result<()> {
        let deadline = Instant::now() + ARRIVAL_MAX;
        let mut arrived = 0;
        loop {
            for client in &self.clients {
                arrived += self.swallow.all_of(client)?.0;
            }
            if arrived == expected {
                return Ok(());
            }
            if arrived > expected || Instant::now() > deadline {
                let error = format!("{arrived} bytes arrived where {expected} were sent");
                return Err(io::Error::other(error));
            }
        }
    }
}

fn draft<'d>(topic: &'d str, data: &'d str) -> io::Result<Draft<'d>> {
    Draft::new(Event::new(topic, data), &EventLimits::default()).map_err(io::Error::other)
}
