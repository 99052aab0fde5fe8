//! Streams that move between shards, over real wires.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::task::Waker;

use parking_lot::Mutex;

use super::*;
use crate::core::delivery::{Attach, Key, Parked, StreamKey, TurnBudget};
use crate::core::desk::{Arrival, Desk, DeskConfig, Publication, Stamps, Untraced};
use crate::core::event::Event;
use crate::core::history::{HistoryLimits, SelectorIds, ShardSet};
use crate::core::limits::EventLimits;
use crate::core::places::{Places, Share};
use crate::core::presence::Presence;
use crate::core::selector::Selector;
use crate::core::sse::{self, Draft, Encoding};
use crate::shard::mailbox::Message;
use crate::shard::wire::{self, BodyQueue, Incoming};

const TOPIC: &str = "t";

/// Far longer than loopback takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Two shards whose turns the test makes, and one stream.
struct Two {
    shared: Shared,
    shards: [(Reactor, Mailbox); 2],
    encoding: Encoding,
    /// The bytes that the stream's client must receive.
    expected: Vec<u8>,
}

impl Two {
    fn new(wire: Incoming, encoding: Encoding) -> Self {
        let history = HistoryLimits {
            events: 100_000,
            bytes: 64 << 20,
            age_ms: u64::MAX,
            budget_bytes: 256 << 20,
        };
        let desk = DeskConfig {
            history,
            ..DeskConfig::default()
        };
        let places = Places::new(usize::MAX, Share::default());
        let presence = Presence::new(&history, Share::default(), || {});
        let shared = Shared::new(Desk::new(desk, places, presence, unix_ms()));
        let shards = [0, 1].map(|index| {
            let config = ShardConfig {
                index,
                heartbeat_ms: 3_600_000,
                write_timeout_ms: 3_600_000,
                gap_spread_ms: 0,
                retry_ms: None,
                mailbox_batches: 10_000,
                mailbox_bytes: 1 << 30,
                budget: TurnBudget::default(),
            };
            Reactor::new(config, shared.clone(), Counters::default()).expect("a poller")
        });
        let mut two = Self {
            shared,
            shards,
            encoding,
            expected: Vec::new(),
        };
        two.attach(wire);
        two
    }

    fn attach(&mut self, wire: Incoming) {
        let here = std::net::Ipv4Addr::LOCALHOST.into();
        let permit = self.shared.places.reserve(here).expect("room");
        let mut desk = self.shared.desk.lock();
        let seat = desk.attach(Arrival {
            shard: 0,
            permit,
            selectors: &[Selector::exact(TOPIC)],
            grant: &[],
            pinned: None,
            start: Default::default(),
            announce: None,
        });
        let prime = sse::prime(None, 3_600_000, seat.live_from.marked(desk.store().mark()));
        self.expected.extend(prime.rendition(self.encoding));
        let attach = Attach::new(seat, wire, self.encoding);
        self.post(0, Message::Attach(Box::new(attach)));
        drop(desk);
        self.turns();
    }

    fn post(&self, shard: usize, message: Message) {
        let posted = self.shards[shard].1.post(message);
        assert!(posted.is_ok(), "a mailbox is full");
    }

    fn publish(&mut self, events: usize, bytes: usize) {
        let data = "x".repeat(bytes);
        for _ in 0..events {
            let event = Event::new(TOPIC, &*data);
            let mut drafts = [Draft::new(event, &EventLimits::default()).expect("valid")];
            let mut desk = self.shared.desk.lock();
            let publication = Publication {
                drafts: &mut drafts,
                stamps: Stamps::Local(unix_ms()),
                watched: &[],
                pinned: &mut SelectorIds::new(),
                full: ShardSet::default(),
                stamped_at: Instant::now(),
            };
            let published = desk
                .publish(publication, &mut Untraced)
                .expect("no pattern");
            let batch = Arc::new(published.batch.expect("the stream listens"));
            let frame = &batch.events[0].frame;
            self.expected.extend(frame.rendition(self.encoding));
            for shard in [0, 1] {
                if published.shards.contains(shard) {
                    self.post(shard, Message::Deliver(Arc::clone(&batch)));
                }
            }
        }
    }

    /// Turns of both shards until neither has work.
    fn turns(&mut self) {
        let mut events = Events::with_capacity(POLL_EVENTS);
        loop {
            for (reactor, _) in &mut self.shards {
                let now = Some(Duration::ZERO);
                reactor.step(&mut events, now, &|| {}).expect("a poll");
            }
            if !self.shards.iter().any(|(reactor, _)| reactor.has_work()) {
                return;
            }
        }
    }

    /// Takes the only stream out of a shard.
    fn park(&mut self, shard: usize, serial: u32) -> Parked<Incoming> {
        let key = Key { slot: 0, serial };
        let shard_index = shard as u32;
        let stream = StreamKey {
            shard: shard_index,
            key,
        };
        let parked = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&parked);
        let answer = Box::new(move |stream| *answer.lock() = stream);
        self.post(shard, Message::Park(stream, answer));
        self.turns();
        let stream = parked.lock().take();
        assert_eq!(self.open(), [0, 0]);
        stream.expect("it was open")
    }

    fn unpark(&mut self, shard: usize, parked: Parked<Incoming>) {
        let reseat = self.shared.desk.lock().reseat(shard, parked.wanted());
        self.post(shard, Message::Unpark(Box::new(parked), reseat));
    }

    /// Open streams of each shard.
    fn open(&self) -> [u64; 2] {
        let shards = self.shards.each_ref();
        shards.map(|(shard, _)| {
            shard.counters.streams_socket.get() + shard.counters.streams_body.get()
        })
    }

    /// Makes turns until the client has received all expected bytes.
    fn read_all(&mut self, mut read: impl FnMut(&mut Vec<u8>)) {
        let deadline = Instant::now() + DEADLINE;
        let mut arrived = Vec::new();
        while arrived.len() < self.expected.len() {
            self.turns();
            read(&mut arrived);
            assert!(
                Instant::now() < deadline,
                "{} of {} bytes",
                arrived.len(),
                self.expected.len()
            );
        }
        assert!(arrived == self.expected, "the bytes differ");
    }

    fn assert_gone(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        while self.open() != [0, 0] {
            self.turns();
            assert!(Instant::now() < deadline, "{:?} are open", self.open());
        }
        assert_eq!(self.shared.places.open(), 0);
        assert_eq!(self.shared.store().subscribers(TOPIC), 0);
    }
}

fn socket() -> (Incoming, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    ours.set_nonblocking(true).expect("non-blocking");
    theirs.set_nonblocking(true).expect("non-blocking");
    (Incoming::Socket(ours.into()), theirs)
}

fn read_socket(socket: &mut UnixStream, arrived: &mut Vec<u8>) {
    // It ends with "would block".
    let _ = socket.read_to_end(arrived);
}

#[test]
fn a_stream_that_moves_in_the_middle_of_an_event_loses_and_repeats_no_byte() {
    let (wire, mut client) = socket();
    let mut two = Two::new(wire, Encoding::CHUNKED);
    two.publish(5, 100);
    two.turns();
    // More than the socket accepts: an event is cut, the others wait in the history.
    two.publish(200, 10_000);
    two.turns();
    let parked = two.park(0, 1);
    two.publish(5, 100);
    two.turns();
    two.unpark(1, parked);
    two.publish(5, 100);
    two.read_all(|arrived| read_socket(&mut client, arrived));
    assert_eq!(two.open(), [0, 1]);
    drop(client);
    two.assert_gone();
}

#[test]
fn a_stream_that_is_caught_up_moves_there_and_back() {
    let (wire, mut client) = socket();
    let mut two = Two::new(wire, Encoding::BARE);
    for (from, to, serial) in [(0, 1, 1), (1, 0, 1), (0, 0, 2)] {
        two.publish(3, 100);
        two.turns();
        let parked = two.park(from, serial);
        two.publish(3, 100);
        two.unpark(to, parked);
        two.publish(3, 100);
        two.turns();
    }
    two.read_all(|arrived| read_socket(&mut client, arrived));
    drop(client);
    two.assert_gone();
}

/// The poller of the new shard reports a client that left while its stream was parked.
#[test]
fn a_client_that_leaves_while_its_stream_is_parked_is_noticed() {
    let (wire, client) = socket();
    let mut two = Two::new(wire, Encoding::CHUNKED);
    let parked = two.park(0, 1);
    drop(client);
    two.unpark(1, parked);
    two.turns();
    two.assert_gone();
}

/// Room in a body while its stream is parked is signalled to no shard.
#[test]
fn a_body_that_gets_room_while_its_stream_is_parked_goes_on() {
    let queue = BodyQueue::new();
    let wire = Incoming::Body(Arc::clone(&queue), None);
    let mut two = Two::new(wire, Encoding::BARE);
    let mut read = |arrived: &mut Vec<u8>| {
        while let wire::Next::Chunk(bytes) = queue.poll_next(Waker::noop()) {
            arrived.extend_from_slice(&bytes);
        }
    };
    two.publish(200, 10_000);
    two.turns();
    let parked = two.park(0, 1);
    let mut arrived = Vec::new();
    read(&mut arrived);
    assert!(!arrived.is_empty() && arrived.len() < two.expected.len());
    two.expected.drain(..arrived.len());
    two.unpark(1, parked);
    two.read_all(&mut read);
    queue.abandon();
    two.assert_gone();
}
