//! A process that ends, and one that goes on with its state.

use std::sync::Arc;

use fastrand::Rng;

use crate::core::delivery::{Core, Guard, Message, Next, ShardConfig, Shared, StreamRecord};
use crate::core::desk::{Desk, DeskConfig, DeskCursor, DeskRecord, Line};
use crate::core::history::Record;
use crate::core::places::{Places, Share};
use crate::metrics::{NodeMetrics, Totals};
use crate::state::{Reader, StateRecord, Writer};

use super::super::inbox::Inbox;
use super::publishers::Publisher;
use super::{CLIENTS, CountedGuard, SHARDS_MAX, Shard, World};

/// The settings of a process. Those of the next one are the same.
pub(super) struct Settings {
    pub(super) desk: DeskConfig,
    pub(super) shard: ShardConfig,
    pub(super) clients: Share,
}

/// Streams that a node of the simulator never has.
const STREAMS_MAX: usize = 1_000;

impl Settings {
    pub(super) fn places(&self) -> Arc<Places> {
        Places::new(STREAMS_MAX, self.clients.clone())
    }

    /// Shards of a process, which go on counting.
    pub(super) fn shards(&self, dice: &mut Rng, shared: &Shared, totals: &Totals) -> Vec<Shard> {
        let count = dice.usize(1..=SHARDS_MAX);
        let shards = (0..count).map(|index| {
            let counters = Arc::new(totals.for_shard(index, count));
            let config = ShardConfig {
                index,
                ..self.shard.clone()
            };
            let seed = dice.u64(..);
            Shard {
                core: Core::new(config, shared.clone(), Arc::clone(&counters), seed),
                inbox: Inbox::default(),
                next: Next::default(),
                counters,
            }
        });
        shards.collect()
    }
}

/// A state as it was read.
#[derive(Default)]
struct Read {
    desk: Vec<DeskRecord>,
    streams: Vec<StreamRecord>,
    totals: Totals,
}

impl World {
    /// Parks all streams, writes everything into bytes, drops it, and goes on with a desk and
    /// shards that are made of the bytes. Publishers that wait try again.
    pub(super) fn restart(&mut self) {
        let publishers = self.freeze();
        let bytes = self.written();
        self.clock_ms += self.dice.u64(..500);
        self.start_from(&bytes);
        self.totals.restarts += 1;
        if self.dice.bool() {
            while !self.parked.lock().is_empty() {
                self.unpark();
            }
        }
        for publisher in publishers {
            self.attempt(publisher);
        }
    }

    /// Empties the mailboxes, parks all streams, and ends the shards. Returns the publishers that
    /// waited.
    fn freeze(&mut self) -> Vec<Publisher> {
        let publishers = self.stop_publishers();
        self.empty_mailboxes();
        for client in 0..CLIENTS {
            self.park(client);
        }
        self.empty_mailboxes();
        for shard in &mut self.shards {
            assert_eq!(shard.core.len(), 0, "all streams are parked");
            shard.inbox.messages.push_back(Message::Stop);
        }
        // A shard that still goes through its slots for a break takes the message in a later turn.
        for shard in 0..self.shards.len() {
            while !self.shards[shard].next.stop {
                self.turn(shard);
                let next = &self.shards[shard].next;
                assert!(next.stop || next.has_work, "it would never stop");
            }
        }
        publishers
    }

    /// Empties the line. Returns the publishers that waited in it.
    pub(super) fn stop_publishers(&mut self) -> Vec<Publisher> {
        let mut publishers: Vec<_> = std::mem::take(&mut self.waiting).into_values().collect();
        for publisher in &mut publishers {
            publisher.start_again(&mut self.shared.desk.lock());
        }
        self.line = Line::default();
        self.woken.clear();
        publishers
    }

    fn empty_mailboxes(&mut self) {
        let is_busy = |shard: &Shard| shard.inbox.waiting() != [0, 0];
        while self.shards.iter().any(is_busy) || !self.questions.is_empty() {
            self.turn_all();
        }
    }

    /// The state as bytes.
    fn written(&mut self) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).expect("memory");
        let desk = self.shared.desk.lock();
        for record in snapshot(&desk, self.dice.usize(1..20)) {
            writer.desk(&record).expect("memory");
        }
        let parked = self.parked.lock();
        let streams = parked.iter();
        let streams = streams.map(|parked| parked.record(parked.wire as u32, desk.places()));
        let streams: Vec<_> = streams.collect();
        self.totals.restored += streams.len();
        let lagging = streams.iter().filter_map(|stream| stream.lagging.as_ref());
        let cut = lagging.filter(|lagging| !lagging.remainder.is_empty());
        self.totals.restored_cut += cut.count();
        for streams in streams.chunks(self.dice.usize(1..=CLIENTS)) {
            writer.streams(streams).expect("memory");
        }
        let shards: Vec<_> = self
            .shards
            .iter()
            .map(|it| Arc::clone(&it.counters))
            .collect();
        for (name, value) in Totals::of(&shards, &NodeMetrics::default()).iter() {
            writer.counter(name, value).expect("memory");
        }
        writer.finish().expect("memory")
    }

    /// Replaces everything by a desk and shards made of a state.
    fn start_from(&mut self, bytes: &[u8]) {
        let Read {
            desk,
            streams,
            totals,
        } = read(bytes);
        let connections = self.clients.iter_mut();
        for connection in connections.filter_map(|client| client.connection.as_mut()) {
            let left = &self.shards[connection.shard].inbox;
            connection.left_through = connection.left_through.max(left.taken_through);
            connection.shard = 0;
        }
        for wire in self.network.wires.values_mut() {
            wire.shard = 0;
        }
        self.parked.lock().clear();
        let places = self.settings.places();
        let config = self.settings.desk.clone();
        let desk: Vec<_> = desk.into_iter().map(DeskRecord::without_shards).collect();
        let restored = Desk::restore(config, places, || {}, desk.clone()).expect("a whole desk");
        let same = snapshot(&restored, 100) == desk;
        assert!(same, "the restored desk is the same");
        restored.check_streams(&streams).expect("all streams");
        for stream in streams {
            let wire = stream.descriptor as usize;
            let guard = self.guard(&restored, &stream);
            let parked = stream.into_parked(wire, Some(guard), &restored);
            self.parked
                .lock()
                .push(parked.expect("a stream of the desk"));
        }
        self.shared = Shared::new(restored);
        self.started_ms = self.clock_ms;
        self.shards = self.settings.shards(&mut self.dice, &self.shared, &totals);
    }

    fn guard(&self, desk: &Desk, stream: &StreamRecord) -> Guard {
        let announced = stream.guard.announced;
        let announced = announced.map(|number| desk.presence().announced(number).expect("open"));
        Box::new(CountedGuard::new(&self.guards, announced))
    }
}

/// All records of a desk, with its grants in the order of their ids.
fn snapshot(desk: &Desk, portion: usize) -> Vec<DeskRecord> {
    let (mut records, mut cursor) = (Vec::new(), DeskCursor::default());
    while !cursor.is_end() {
        cursor = desk.snapshot(cursor, portion, &mut records);
    }
    records.sort_by_key(|record| match record {
        DeskRecord::Store(Record::Grant { ids, .. }) => (1, ids.to_vec()),
        DeskRecord::Store(_) => (0, Vec::new()),
        DeskRecord::Presence(_) => (2, Vec::new()),
        DeskRecord::Keys(_) => (3, Vec::new()),
    });
    records
}

fn read(bytes: &[u8]) -> Read {
    let mut read = Read::default();
    for record in Reader::new(bytes).expect("a state") {
        match record.expect("a record") {
            StateRecord::Desk(record) => read.desk.push(record),
            StateRecord::Stream(record) => read.streams.push(record),
            StateRecord::Counter(record) => read.totals.insert(&record.name, record.value),
            other => panic!("{other:?} was not written"),
        }
    }
    read
}
