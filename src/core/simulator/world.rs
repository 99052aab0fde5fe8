//! The world of one seed: a desk, shards with their mailboxes, clients with bad networks, and the dice.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fastrand::Rng;
use parking_lot::Mutex;

use crate::core::delivery::{
    Attach, Core, Message, Next, Parked, ShardConfig, Shared, Signal, StreamKey,
};
use crate::core::desk::{
    Arrival, Desk, DeskConfig, Pinned, Publication, Refusal, Stamps, Untraced,
};
use crate::core::event::{Event, EventId, OrderMark};
use crate::core::history::{
    Grant, HistoryLimits, HistorySize, Released, SelectorId, SelectorIds, ShardSet,
    SlowConsumerPolicies, SlowConsumerPolicy, SlowConsumerRule, Store, Work,
};
use crate::core::limits::EventLimits;
use crate::core::places::{Places, Share};
use crate::core::presence::Presence;
use crate::core::selector::Selector;
use crate::core::sse::{Draft, Encoding};
use crate::metrics::{CloseReason, ShardMetrics};

use super::client::{HEAD, Reader};
use super::inbox::{self, Inbox};
use super::names::{self, Sel, TOPICS, name};
use super::network::{Network, Transport};
use super::oracle::{self, Knowledge, MARK, Opening, Published, Rights, Session};

const STEPS: usize = 160;
const CLIENTS: usize = 8;
const SHARDS_MAX: usize = 4;

/// What the schedules of a run met.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) events: usize,
    pub(super) gaps: usize,
    pub(super) resumes: usize,
    pub(super) cut_frames: usize,
    pub(super) lagged: usize,
    pub(super) private: usize,
    pub(super) by_pattern: usize,
    pub(super) expired: usize,
    /// Streams that were parked and continued, and those of them that were behind.
    pub(super) moved: usize,
    pub(super) moved_behind: usize,
    /// Bytes that a wire accepted and kept.
    pub(super) kept: usize,
    /// Streams that share a connection.
    pub(super) carried: usize,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.gaps += other.gaps;
        self.resumes += other.resumes;
        self.cut_frames += other.cut_frames;
        self.lagged += other.lagged;
        self.private += other.private;
        self.by_pattern += other.by_pattern;
        self.expired += other.expired;
        self.kept += other.kept;
        self.moved += other.moved;
        self.moved_behind += other.moved_behind;
        self.carried += other.carried;
    }
}

/// One connection: its shard and wire, what it decodes, what it must see.
struct Connection {
    shard: usize,
    wire: usize,
    reader: Reader,
    session: Session,
    forgotten: EventId,
    ends_unix_ms: Option<u64>,
    /// Newest id that the shards which it left had taken: bytes of theirs may still be on their way.
    left_through: EventId,
}

struct Client {
    rights: Rights,
    connection: Option<Connection>,
    /// The last event id it saw, over all its connections.
    cursor: Option<String>,
}

/// One shard: its core, its mailbox, and what it wants after its last turn.
struct Shard {
    core: Core<Network>,
    inbox: Inbox,
    next: Next,
    counters: Arc<ShardMetrics>,
}

pub(super) struct World {
    dice: Rng,
    shared: Shared,
    shards: Vec<Shard>,
    network: Network,
    clients: Vec<Client>,
    all: Vec<Published>,
    clock_ms: u64,
    wires: usize,
    /// Events have several topics: what one topic has evicted, another may keep, so that gaps are wider than what is missing (never narrower).
    several: bool,
    /// Events are private: a stream with a grant is told of some that are not for it.
    private: bool,
    drain: bool,
    totals: Totals,
    /// Held once by each stream that is not done.
    guards: Arc<()>,
    /// Streams that no shard has.
    parked: Arc<Mutex<Vec<Parked<usize>>>>,
}

const WRITE_TIMEOUT_MS: u64 = 5_000;
const BIRTH_MS: u64 = 1_000_000;

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let limits = HistoryLimits {
            events: dice.usize(0..12),
            bytes: dice.usize(50..2_000),
            age_ms: dice.u64(50..10_000),
            budget_bytes: dice.usize(500..12_000),
        };
        let config = ShardConfig {
            index: 0,
            heartbeat_ms: dice.u64(20..3_000),
            write_timeout_ms: WRITE_TIMEOUT_MS,
            retry_ms: dice.bool().then_some(2_000),
            mailbox_batches: 0,
            mailbox_bytes: 0,
            budget: inbox::small_budget(&mut dice, CLIENTS),
        };
        let plain = dice.u8(..10) < 3;
        let mut not_plain = || !plain && dice.bool();
        let (several, private, mixed) = (not_plain(), not_plain(), not_plain());
        let all_policies = [
            SlowConsumerPolicy::Disconnect,
            SlowConsumerPolicy::Skip,
            SlowConsumerPolicy::Latest,
        ];
        let one = all_policies[dice.usize(..3)];
        let mut policy = || {
            if mixed {
                all_policies[dice.usize(..3)]
            } else {
                one
            }
        };
        let slow_consumer = SlowConsumerPolicies {
            default: policy(),
            rules: (0..TOPICS)
                .map(|topic| SlowConsumerRule {
                    prefix: name(topic),
                    policy: policy(),
                })
                .collect(),
        };
        let desk = DeskConfig {
            history: limits,
            slow_consumer,
            mark: MARK,
        };
        let places = Places::new(1_000, Share::default());
        let presence = Presence::new(&limits, Share::default(), || {});
        let shared = Shared::new(Desk::new(desk, places, presence, BIRTH_MS));
        let clients = (0..CLIENTS)
            .map(|_| {
                let most = if dice.bool() { 1 } else { TOPICS };
                let granted = if dice.bool() { 0 } else { 3 };
                let rights = Rights {
                    selectors: names::choose(&mut dice, 1, most),
                    grant: names::choose(&mut dice, 0, granted),
                };
                Client {
                    rights,
                    connection: None,
                    cursor: None,
                }
            })
            .collect();
        let shards = (0..dice.usize(1..=SHARDS_MAX)).map(|index| {
            let counters = Arc::new(ShardMetrics::default());
            let config = ShardConfig {
                index,
                ..config.clone()
            };
            let core = Core::new(config, shared.clone(), Arc::clone(&counters), seed);
            Shard {
                core,
                inbox: Inbox::default(),
                next: Next::default(),
                counters,
            }
        });
        Self {
            shards: shards.collect(),
            drain: dice.u8(..10) == 0,
            dice,
            shared,
            network: Network::default(),
            clients,
            all: Vec::new(),
            clock_ms: BIRTH_MS,
            wires: 0,
            several,
            private,
            totals: Totals::default(),
            guards: Arc::new(()),
            parked: Arc::default(),
        }
    }

    pub(super) fn run(mut self) -> Totals {
        for _ in 0..STEPS {
            match self.dice.u8(..100) {
                0..30 => self.publish(),
                30..45 => self.connect(),
                45..50 => {
                    let client = self.dice.usize(..CLIENTS);
                    self.hang_up(client);
                }
                50..65 => self.change_network(),
                65..84 => {
                    let shard = self.dice.usize(..self.shards.len());
                    self.turn(shard);
                }
                84..88 => {
                    let client = self.dice.usize(..CLIENTS);
                    self.park(client);
                }
                88..92 => self.unpark(),
                92..97 => self.pass_time(),
                97..99 => self.end_one(),
                _ => self.expire(),
            }
        }
        self.settle();
        self.totals.cut_frames = self.network.cut_frames;
        self.totals.kept = self.network.kept;
        let closed = |reason: CloseReason| {
            let shards = self.shards.iter();
            let closed = shards.map(|shard| shard.counters.closed[reason as usize].get());
            closed.sum::<u64>() as usize
        };
        self.totals.lagged = closed(CloseReason::Lagged);
        self.totals.expired = closed(CloseReason::Expired);
        self.totals
    }

    fn publish(&mut self) {
        let mut events = Vec::new();
        for _ in 0..self.dice.usize(1..5) {
            events.push(self.event(self.all.len() + events.len()));
        }
        let limits = EventLimits::default();
        let draft = |event: &Event<'static>| Draft::new(event.clone(), &limits).expect("valid");
        let mut drafts: Vec<Draft<'static>> = events.iter().map(draft).collect();
        let mut pinned = SelectorIds::new();
        // Limits are small in tests, so that topics are often prepared in portions.
        let published = loop {
            let publication = Publication {
                drafts: &mut drafts,
                stamps: Stamps::Local(self.clock_ms),
                watched: &[],
                pinned: &mut pinned,
                full: ShardSet::default(),
                stamped_at: Instant::now(),
            };
            match self.shared.desk.lock().publish(publication, &mut Untraced) {
                Ok(published) => break published,
                Err(refusal) => assert_eq!(refusal, Refusal::Unprepared),
            }
        };
        for (event, receipt) in events.into_iter().zip(&published.receipts) {
            let id = receipt.id;
            let topic = |topic: &Cow<'_, str>| names::topic(topic);
            self.all.push(Published {
                id,
                topics: event.topics.iter().map(topic).collect(),
                private: event.private,
                wire_id: event
                    .id
                    .map_or_else(|| id.marked(MARK).to_string(), Cow::into_owned),
            });
        }
        let Some(batch) = published.batch.map(Arc::new) else {
            return;
        };
        for (index, shard) in self.shards.iter_mut().enumerate() {
            if published.shards.contains(index) {
                let message = Message::Deliver(Arc::clone(&batch));
                shard.inbox.messages.push_back(message);
            }
        }
    }

    /// An event with this number as its data.
    fn event(&mut self, number: usize) -> Event<'static> {
        let count = if self.several && self.dice.bool() {
            self.dice.usize(1..4)
        } else {
            1
        };
        let topics = self.dice.choose_multiple(0..TOPICS, count);
        let own_id = match self.dice.u8(..16) {
            0..3 => Some(format!("own-{}", self.dice.u8(..40))),
            // Copied from another node, or from a Redis stream.
            3 => Some(self.foreign_id()),
            _ => None,
        };
        Event {
            topics: topics.iter().map(|topic| name(*topic).into()).collect(),
            id: own_id.map(Into::into),
            event: Some("x".repeat(self.dice.usize(0..60)).into()),
            private: self.private && self.dice.u8(..3) == 0,
            ..Event::new("", number.to_string())
        }
    }

    /// An id that another node gave, of about now.
    fn foreign_id(&mut self) -> String {
        let clock_ms = self.clock_ms + self.dice.u64(..20) - 10;
        let id = EventId::ZERO.next(clock_ms);
        let other = OrderMark::new(MARK.bits() ^ 1 << self.dice.u32(24..54));
        match self.dice.u8(..3) {
            0 => id.to_string(),
            1 => id.marked(other).to_string(),
            _ => id.marked(other).urn(),
        }
    }

    fn connect(&mut self) {
        let client = self.dice.usize(..CLIENTS);
        if self.clients[client].connection.is_some() {
            return;
        }
        let rights = self.clients[client].rights.clone();
        let selectors: Vec<Selector> = rights.selectors.iter().map(|one| one.selector()).collect();
        let cursor = match self.dice.u8(..11) {
            0 => None,
            1 => Some("earliest".to_owned()),
            2 => Some("never-heard-of".to_owned()),
            3 => Some(self.foreign_id()),
            _ => self.clients[client].cursor.clone(),
        };
        let grant: Vec<Selector> = rights.grant.iter().map(|one| one.selector()).collect();
        let mut desk = self.shared.desk.lock();
        let start = desk.resolve(&selectors, &grant, cursor.as_deref());
        let knowledge = cursor.as_deref().map_or(Knowledge::Known, |cursor| {
            self.knowledge(desk.store(), &rights, cursor)
        });
        drop(desk);
        // The hub resolves and attaches under two locks: the world may move in between.
        if self.dice.bool() {
            self.publish();
        }
        let mut looked_up = self.dice.bool().then(|| self.look_up(&selectors, &grant));
        let place = self.shared.places.reserve([127, 0, 0, 1].into());
        let mut desk = self.shared.desk.lock();
        let must_see_from = start.cursor.unwrap_or(desk.head());
        let excused = start.told_through;
        let resumes = cursor.is_some();
        let shard = self.dice.usize(..self.shards.len());
        let seat = desk.attach(Arrival {
            shard,
            permit: place.expect("room"),
            selectors: &selectors,
            grant: &grant,
            pinned: looked_up.as_mut().map(|(ids, grant)| Pinned {
                ids,
                grant: grant.take(),
            }),
            start,
            announce: None,
        });
        let mut released = Released::default();
        released.add_pins(looked_up.into_iter().flat_map(|(ids, _)| ids));
        while !desk.release(&mut released, &mut Work::default()) {}
        let forgotten = desk.store().forgotten_through();
        drop(desk);
        let latest = std::iter::zip(&rights.selectors, &seat.wanted)
            .filter(|(_, wanted)| wanted.policy == SlowConsumerPolicy::Latest)
            .map(|(one, _)| *one)
            .collect();
        let reads_on = !seat.start.is_live();
        let ends_unix_ms =
            (self.dice.u8(..4) == 0).then(|| self.clock_ms + self.dice.u64(0..10_000));
        let encoding = if self.dice.u8(..4) == 0 {
            Encoding::BARE
        } else {
            Encoding::CHUNKED
        };
        let attach = Attach {
            head: Bytes::from_static(HEAD),
            ends_unix_ms,
            guard: Some(Box::new(Arc::clone(&self.guards))),
            ..Attach::new(seat, self.wires, encoding)
        };
        let broken = self.dice.u8(..30) == 0;
        let room = if self.dice.bool() {
            usize::MAX
        } else {
            self.dice.usize(..400)
        };
        let transport = self.transport();
        self.network.open(self.wires, shard, transport, room);
        if broken {
            self.network.break_off(self.wires);
        }
        let message = Message::Attach(Box::new(attach));
        self.shards[shard].inbox.messages.push_back(message);
        let mut selectors = rights.selectors.iter();
        let by_name = selectors.all(|one| matches!(one, Sel::Topic(_)));
        let exact = by_name && !self.several && (!self.private || rights.grant.is_empty());
        self.clients[client].connection = Some(Connection {
            shard,
            wire: self.wires,
            reader: Reader::new(encoding),
            session: Session::new(Opening {
                exact,
                rights,
                latest,
                start: must_see_from,
                excused,
                asked: cursor,
                knowledge,
                resumes: reads_on,
            }),
            forgotten,
            ends_unix_ms,
            left_through: EventId::ZERO,
        });
        self.wires += 1;
        self.totals.resumes += usize::from(resumes);
    }

    /// Draws a transport: a socket, one that keeps a part, or a connection that carries another open stream.
    fn transport(&mut self) -> Transport {
        match self.dice.u8(..4) {
            0 => Transport::Sealed(self.dice.usize(1..100)),
            1 => {
                let clients = self.clients.iter();
                let open = clients.filter_map(|client| client.connection.as_ref());
                let wires: Vec<usize> = open.map(|connection| connection.wire).collect();
                let wire = self
                    .dice
                    .choice(&wires)
                    .filter(|wire| !self.network.is_broken(**wire));
                wire.map_or(Transport::Plain, |wire| {
                    self.totals.carried += 1;
                    Transport::Carried(self.network.wires[wire].connection)
                })
            }
            _ => Transport::Plain,
        }
    }

    /// Whether a stream with these rights is known a cursor, by the list of what was published.
    fn knowledge(&self, store: &Store, rights: &Rights, cursor: &str) -> Knowledge {
        if cursor == "earliest" || MARK.place_of(cursor).is_some() {
            return Knowledge::Known;
        }
        let mut meanings = self.all.iter().filter(|event| event.wire_id == cursor);
        let is_kept = |event: &Published| {
            event.topics.iter().any(|topic| {
                let mut selectors = rights.selectors.iter();
                let kept = || store.range(&name(*topic), (event.id, event.id), 1, false);
                selectors.any(|one| one.matches(*topic)) && !kept().is_empty()
            })
        };
        if meanings.any(|event| rights.cover(event) && is_kept(event)) {
            Knowledge::KnownOrNot
        } else {
            Knowledge::Unknown
        }
    }

    /// Looks up a stream's selectors and its grant, as the hub does for a stream of many. The world may move in between.
    fn look_up(
        &mut self,
        selectors: &[Selector],
        grant: &[Selector],
    ) -> (Vec<SelectorId>, Option<Grant>) {
        let mut pinned = [Vec::new(), Vec::new()];
        for (selectors, ids) in [selectors, grant].into_iter().zip(&mut pinned) {
            let few = Work::default().with_references(self.dice.usize(1..5));
            while !self
                .shared
                .store()
                .pin_some(selectors, ids, &mut few.clone())
            {
                if self.dice.u8(..4) == 0 {
                    self.publish();
                }
            }
        }
        let [ids, mut granted] = pinned;
        granted.sort_unstable();
        let mut released = Released::default();
        let mut store = self.shared.store();
        let grant = store.share_pinned(&mut granted, &mut released);
        while !store.release(&mut released, &mut Work::default()) {}
        (ids, grant)
    }

    /// A client goes away; the shard hears of it as from a socket.
    fn hang_up(&mut self, client: usize) {
        let Some(connection) = &self.clients[client].connection else {
            return;
        };
        let wire = connection.wire;
        let signals = if self.dice.bool() {
            self.network.reset(wire)
        } else {
            vec![self.network.hang_up(wire)]
        };
        self.signal(signals);
    }

    fn change_network(&mut self) {
        let client = self.dice.usize(..CLIENTS);
        let room = match self.dice.u8(..4) {
            0 => 0,
            1 => usize::MAX,
            _ => self.dice.usize(..600),
        };
        self.set_room(client, room);
    }

    fn set_room(&mut self, client: usize, room: usize) {
        let Some(connection) = &self.clients[client].connection else {
            return;
        };
        let signals = self.network.set_room(connection.wire, room);
        self.signal(signals);
    }

    /// Signals of wires that a shard has adopted.
    fn signal(&mut self, signals: impl IntoIterator<Item = (usize, Signal)>) {
        for (wire, signal) in signals {
            let wire = &self.network.wires[&wire];
            let inbox = &mut self.shards[wire.shard].inbox;
            inbox.signals.extend(wire.key.map(|key| (key, signal)));
        }
    }

    fn turn(&mut self, shard: usize) {
        let took_ms = if self.dice.u8(..4) == 0 {
            self.dice.u64(..200)
        } else {
            0
        };
        let now = inbox::clock(self.clock_ms - BIRTH_MS, self.clock_ms, took_ms);
        let Shard {
            core, inbox, next, ..
        } = &mut self.shards[shard];
        *next = core.turn(inbox, now, &mut self.network);
        self.clock_ms += took_ms;
        if inbox.messages.is_empty() {
            inbox.taken_through = self.shared.desk.lock().head();
        }
        let reported = std::mem::take(&mut self.network.reported);
        self.signal(reported);
        self.check_ends(shard);
        self.collect();
    }

    /// A stream is taken out of its shard.
    fn park(&mut self, client: usize) {
        let Some(connection) = &self.clients[client].connection else {
            return;
        };
        let wire = &self.network.wires[&connection.wire];
        let Some(key) = wire.key else { return };
        let stream = StreamKey {
            shard: wire.shard as u32,
            key,
        };
        let parked = Arc::clone(&self.parked);
        let answer = move |stream: Option<Parked<usize>>| parked.lock().extend(stream);
        let message = Message::Park(stream, Box::new(answer));
        self.shards[wire.shard].inbox.messages.push_back(message);
    }

    /// A stream that is parked goes on, at any shard.
    fn unpark(&mut self) {
        let Some(parked) = self.parked.lock().pop() else {
            return;
        };
        let shard = self.dice.usize(..self.shards.len());
        let reseat = self.shared.desk.lock().reseat(shard, parked.wanted());
        let wire = parked.wire;
        self.network.wires.get_mut(&wire).expect("a wire").shard = shard;
        let connections = self.clients.iter_mut();
        let connections = connections.filter_map(|client| client.connection.as_mut());
        for connection in connections.filter(|connection| connection.wire == wire) {
            let left = &self.shards[connection.shard].inbox;
            connection.left_through = connection.left_through.max(left.taken_through);
            connection.shard = shard;
            connection.session.moved = true;
        }
        self.totals.moved += 1;
        self.totals.moved_behind += usize::from(parked.lagging.is_some());
        let message = Message::Unpark(Box::new(parked), reseat);
        self.shards[shard].inbox.messages.push_back(message);
    }

    /// All that is parked goes on.
    fn unpark_all(&mut self) {
        self.turn_until_idle();
        while !self.parked.lock().is_empty() {
            self.unpark();
        }
    }

    /// One turn of each shard.
    fn turn_all(&mut self) {
        for shard in 0..self.shards.len() {
            self.turn(shard);
        }
    }

    fn turn_until_idle(&mut self) {
        self.turn_all();
        while self.shards.iter().any(|shard| shard.next.has_work) {
            self.turn_all();
        }
    }

    /// No stream outlives its token by a turn, and the next turn does not come later than the next end.
    fn check_ends(&self, shard: usize) {
        let connections = self.clients.iter();
        let connections = connections.filter_map(|client| client.connection.as_ref());
        for connection in connections.filter(|connection| connection.shard == shard) {
            let wire = &self.network.wires[&connection.wire];
            let over = connection
                .ends_unix_ms
                .is_some_and(|end| end <= self.clock_ms);
            let open = wire.key.is_some() && !wire.closed;
            assert!(!over || !open, "a stream outlived its token");
            if let Some(end) = connection.ends_unix_ms.filter(|_| open) {
                let next_ms = self.shards[shard].next.wake_ms.expect("there are streams");
                assert!(
                    next_ms + BIRTH_MS <= end,
                    "the shard sleeps beyond the end of a token"
                );
            }
        }
    }

    fn pass_time(&mut self) {
        let most = if self.dice.u8(..10) == 0 { 8_000 } else { 300 };
        self.clock_ms += self.dice.u64(..most);
    }

    fn end_one(&mut self) {
        let client = self.dice.usize(..CLIENTS);
        if let Some(connection) = &self.clients[client].connection
            && let Some(key) = self.network.wires[&connection.wire].key
        {
            let stream = StreamKey {
                shard: connection.shard as u32,
                key,
            };
            let message = Message::Close(stream, Box::new(|_| ()));
            let inbox = &mut self.shards[connection.shard].inbox;
            inbox.messages.push_back(message);
        }
    }

    fn expire(&mut self) {
        self.shared.desk.lock().expire(self.clock_ms, 1_000);
    }

    /// Clients read what arrived, in pieces of any size.
    fn collect(&mut self) {
        let parked = self.parked.lock();
        let shared = self.shared.clone();
        let keeps = |id, topic| {
            let kept = shared.store().range(&name(topic), (id, id), 1, false);
            !kept.is_empty()
        };
        for client in &mut self.clients {
            let Some(connection) = &mut client.connection else {
                continue;
            };
            let inbox = &self.shards[connection.shard].inbox;
            let broken = self.network.is_broken(connection.wire);
            let wire = self
                .network
                .wires
                .get_mut(&connection.wire)
                .expect("a wire");
            let arrived = std::mem::take(&mut wire.arrived);
            for piece in arrived.chunks(self.dice.usize(1..300)) {
                for block in connection.reader.read(piece) {
                    let world = oracle::World {
                        all: &self.all,
                        taken_through: inbox.taken_through.max(connection.left_through),
                        forgotten: connection.forgotten,
                        keeps: &keeps,
                    };
                    connection.session.take(&block, &world);
                }
            }
            if connection.session.cursor.is_some() {
                client.cursor.clone_from(&connection.session.cursor);
            }
            // A wire that broke before it was adopted never closes.
            let mut parked = parked.iter();
            let is_parked = parked.any(|parked| parked.wire == connection.wire);
            let lost = broken && wire.key.is_none() && !is_parked && inbox.messages.is_empty();
            if wire.closed || lost {
                assert!(!wire.ended || connection.reader.ended || connection.reader.is_plain());
                self.totals.gaps += connection.session.gaps();
                self.totals.events += connection.session.events();
                self.totals.private += connection.session.private();
                if connection.session.has_pattern() {
                    self.totals.by_pattern += connection.session.events();
                }
                self.network.wires.remove(&connection.wire);
                client.connection = None;
            }
        }
    }

    /// Takes every obstacle away and runs until nothing happens: now all must have arrived.
    fn settle(&mut self) {
        self.unpark_all();
        for client in 0..CLIENTS {
            self.park(client);
        }
        self.unpark_all();
        self.turn_until_idle();
        for client in 0..CLIENTS {
            self.set_room(client, usize::MAX);
        }
        self.turn_until_idle();
        for client in &self.clients {
            if let Some(connection) = &client.connection {
                connection.session.finish(&self.all);
            }
        }
        if self.drain {
            for shard in &mut self.shards {
                shard.inbox.messages.push_back(Message::Drain(1_000));
            }
        }
        self.end_all();
    }

    /// Ends what is left, and checks that nothing remains of anybody.
    fn end_all(&mut self) {
        let draining = self.drain;
        for _ in 0..3 * CLIENTS {
            if draining {
                self.clock_ms += 500;
            } else {
                for client in 0..CLIENTS {
                    self.hang_up(client);
                }
            }
            self.turn_all();
        }
        self.turn_until_idle();
        assert!(
            self.clients
                .iter()
                .all(|client| client.connection.is_none())
        );
        for Shard { core, .. } in &self.shards {
            assert_eq!(core.len(), 0);
            let topics = core.topic_count();
            assert_eq!(topics, 0, "topics of a shard go with their streams");
            assert!(core.has_no_tickets(), "tickets go with their streams");
            assert_eq!(core.table_bytes(), 0, "and so do the tables");
        }
        assert_eq!(
            Arc::strong_count(&self.guards),
            1,
            "a guard goes with its stream"
        );
        assert_eq!(self.shared.places.open(), 0, "every place came back");
        let mut desk = self.shared.desk.lock();
        assert_eq!(
            (0..TOPICS)
                .map(|topic| desk.store().subscribers(&name(topic)))
                .sum::<u64>(),
            0
        );
        while !desk.expire(self.clock_ms + 1_000_000, usize::MAX) {}
        assert_eq!(
            desk.store().size(),
            HistorySize::default(),
            "nothing is remembered for ever"
        );
        assert!(desk.store().is_bare(), "no pattern, grant or id is left");
        assert_eq!(desk.store().allocated_bytes(), 0, "the tables are as new");
    }
}
