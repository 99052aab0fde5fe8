//! A stream that resumes with its cursor and reads missed events from history.

use std::io;
use std::os::unix::net::UnixStream;

use bytes::Bytes;
use fantail::core::event::{Event, EventId, OrderMark};
use fantail::core::history::HistoryLimits;
use fantail::core::limits::EventLimits;
use fantail::core::sse::Draft;
use fantail::shard::bench::{BenchShard, NEVER_MS, stamp};
use socket2::SockRef;

use super::bare::send_whole;
use super::cost::{Cost, measure};
use super::swallow::Swallow;

/// Send buffer of a stream. It accepts the whole replay, so that no wait for the reader is
/// measured.
const SEND_BUFFER_BYTES: usize = 2 << 20;

/// Events joined for one bare `send`: as many as the shard reads from history at once.
const EVENTS_PER_SEND: usize = 60;

/// A shard with a history and no streams.
pub(crate) struct Replay {
    shard: BenchShard,
    topics: Vec<String>,
    /// Before the first event.
    cursor: EventId,
    events: usize,
    /// All frames as a stream gets them, in the pieces of a bare loop.
    pieces: Vec<Bytes>,
    swallow: Swallow,
}

impl Replay {
    /// Publishes `events` events of `data_bytes` of data, dealt to `topics` topics in turn.
    pub(crate) fn new(topics: usize, events: usize, data_bytes: usize) -> io::Result<Self> {
        let shard = BenchShard::new(HistoryLimits::default())?;
        let topics: Vec<String> = (0..topics)
            .map(|number| format!("replay-{number}"))
            .collect();
        let data = "x".repeat(data_bytes);
        let cursor = shard.head();
        let mut frames = Vec::with_capacity(events);
        for number in 0..events {
            let event = || Event::new(&*topics[number % topics.len()], &*data);
            let draft = || Draft::new(event(), &EventLimits::default()).map_err(io::Error::other);
            shard.publish(&mut [draft()?])?;
            frames.push(stamp(&mut draft()?, shard.head()));
        }
        let pieces = frames.chunks(EVENTS_PER_SEND).map(|frames| {
            let frames: Vec<&[u8]> = frames.iter().map(|frame| &frame.chunked()[..]).collect();
            Bytes::from(frames.concat())
        });
        Ok(Self {
            pieces: pieces.collect(),
            shard,
            topics,
            cursor,
            events,
            swallow: Swallow::new(),
        })
    }

    /// Number of events in history.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// Bytes of their frames.
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// A stream on all topics reads all events; returns the cost of attaching it and of the turns.
    /// Waits until all has arrived and it is closed.
    pub(crate) fn by_shard(&mut self) -> io::Result<Cost> {
        let (server, client) = pair()?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let cursor = self.cursor.marked(OrderMark::default()).to_string();
        let before = self.shard.counters().replayed.get();
        let (cost, turns) = measure(|| {
            self.shard.attach(server.into(), &topics, Some(&cursor))?;
            while self.shard.turn()? {}
            io::Result::Ok(())
        });
        turns?;
        // The greeting names the cursor; its length is the one thing here that is not the events'.
        let cursor = self.cursor.marked(OrderMark::default());
        let greeting = fantail::core::sse::prime(None, NEVER_MS, cursor).len();
        self.arrived(&client, greeting + self.bytes())?;
        let replayed = self.shard.counters().replayed.get() - before;
        if replayed != self.events as u64 {
            return Err(io::Error::other(format!("{replayed} events were replayed")));
        }
        drop(client);
        while self.shard.counters().streams_socket.get() > 0 {
            self.shard.turn()?;
        }
        Ok(cost)
    }

    /// The same bytes by a bare loop of `send()`; returns the cost.
    pub(crate) fn by_loop(&mut self) -> io::Result<Cost> {
        let (server, client) = pair()?;
        let (cost, sent) = measure(|| {
            let mut pieces = self.pieces.iter();
            pieces.try_for_each(|piece| send_whole(&server, piece))
        });
        sent?;
        self.arrived(&client, self.bytes())?;
        Ok(cost)
    }

    fn arrived(&mut self, client: &UnixStream, expected: usize) -> io::Result<()> {
        let (arrived, _) = self.swallow.all_of(client)?;
        if arrived == expected {
            return Ok(());
        }
        let error = format!("{arrived} bytes arrived where {expected} were sent");
        Err(io::Error::other(error))
    }
}

/// A connection without TCP's own costs and left-overs: a bench opens a hundred thousand of them.
fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (server, client) = UnixStream::pair()?;
    server.set_nonblocking(true)?;
    SockRef::from(&server).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    Ok((server, client))
}
