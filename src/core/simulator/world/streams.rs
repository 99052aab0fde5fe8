//! Streams that are attached, closed, blocked, parked and continued.

use std::sync::Arc;

use bytes::Bytes;

use crate::core::delivery::{Attach, Message, Parked, Signal, StreamKey};
use crate::core::desk::{Arrival, Pinned};
use crate::core::event::EventId;
use crate::core::history::{Grant, Released, SelectorId, SlowConsumerPolicy, Store, Work};
use crate::core::selector::Selector;
use crate::core::sse::Encoding;

use super::super::client::{HEAD, Reader};
use super::super::names::{Sel, name};
use super::super::network::Transport;
use super::super::oracle::{Knowledge, MARK, Opening, Published, Rights, Session};
use super::past::Past;
use super::{CLIENTS, Connection, CountedGuard, World};

impl World {
    pub(super) fn connect(&mut self) {
        let client = self.dice.usize(..CLIENTS);
        if self.clients[client].connection.is_some() {
            return;
        }
        let rights = self.clients[client].rights.clone();
        let selectors: Vec<Selector> = rights.selectors.iter().map(|one| one.selector()).collect();
        let past = Past::draw(&mut self.dice);
        let cursor = match self.dice.u8(..11) {
            _ if past.is_some() => None,
            0 => None,
            1 => Some("earliest".to_owned()),
            2 => Some("never-heard-of".to_owned()),
            3 => Some(self.foreign_id()),
            _ => self.clients[client].cursor.clone(),
        };
        let grant: Vec<Selector> = rights.grant.iter().map(|one| one.selector()).collect();
        let in_past = past.map(|past| self.start_in_past(past, &selectors, &grant, &rights));
        let mut desk = self.shared.desk.lock();
        let start = in_past.unwrap_or_else(|| desk.resolve(&selectors, &grant, cursor.as_deref()));
        let knowledge = cursor.as_deref().map_or(Knowledge::Known, |cursor| {
            self.knowledge(desk.store(), &rights, cursor)
        });
        drop(desk);
        // The hub resolves and attaches under two holds of the lock: the world may change in
        // between.
        if self.dice.bool() {
            self.publish();
        }
        if self.dice.u8(..8) == 0 {
            self.break_off();
        }
        let mut looked_up = self.dice.bool().then(|| self.look_up(&selectors, &grant));
        let shard = self.dice.usize(..self.shards.len());
        self.wait_for_room(shard);
        let address = [127, 0, 0, 1].into();
        let place = self.shared.places.reserve(address);
        let is_announced = self.dice.bool();
        let mut desk = self.shared.desk.lock();
        let announce = is_announced.then(|| desk.presence().pending(address, &selectors, None));
        let must_see_from = start.cursor.unwrap_or(desk.head());
        let excused = start.told_through;
        let resumes = cursor.is_some();
        let mut seat = desk.attach(Arrival {
            shard,
            permit: place.expect("room"),
            selectors: &selectors,
            grant: &grant,
            pinned: looked_up.as_mut().map(|(ids, grant)| Pinned {
                ids,
                grant: grant.take(),
            }),
            start,
            announce,
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
        let encoding = if self.dice.bool() {
            encoding.with_topics()
        } else {
            encoding
        };
        let encoding = if self.dice.u8(..4) == 0 {
            encoding.with_heartbeat_events()
        } else {
            encoding
        };
        let announced = seat.announced.take();
        let attach = Attach {
            head: Bytes::from_static(HEAD),
            ends_unix_ms,
            guard: Some(Box::new(CountedGuard::new(&self.guards, announced))),
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
                encoding,
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

    /// Draws a transport: a socket, a socket that keeps accepted bytes, or a connection that
    /// carries another open stream.
    pub(super) fn transport(&mut self) -> Transport {
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

    /// Whether the node knows a cursor of a stream with these rights, by the list of published
    /// events.
    pub(super) fn knowledge(&self, store: &Store, rights: &Rights, cursor: &str) -> Knowledge {
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

    /// Looks up a stream's selectors and its grant, as the hub does for a stream with many
    /// selectors. The world may change in between.
    pub(super) fn look_up(
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

    /// A client leaves; its shard gets the signals of a socket.
    pub(super) fn hang_up(&mut self, client: usize) {
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

    pub(super) fn change_network(&mut self) {
        let client = self.dice.usize(..CLIENTS);
        let room = match self.dice.u8(..4) {
            0 => 0,
            1 => usize::MAX,
            _ => self.dice.usize(..600),
        };
        self.set_room(client, room);
    }

    pub(super) fn set_room(&mut self, client: usize, room: usize) {
        let Some(connection) = &self.clients[client].connection else {
            return;
        };
        let signals = self.network.set_room(connection.wire, room);
        self.signal(signals);
    }

    /// Queues the signals of wires that a shard has adopted.
    pub(super) fn signal(&mut self, signals: impl IntoIterator<Item = (usize, Signal)>) {
        for (wire, signal) in signals {
            let wire = &self.network.wires[&wire];
            let inbox = &mut self.shards[wire.shard].inbox;
            inbox.signals.extend(wire.key.map(|key| (key, signal)));
        }
    }

    /// Asks a stream's shard to park it.
    pub(super) fn park(&mut self, client: usize) {
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

    /// Continues a parked stream, on any shard.
    pub(super) fn unpark(&mut self) {
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

    /// Continues all parked streams.
    pub(super) fn unpark_all(&mut self) {
        self.turn_until_idle();
        while !self.parked.lock().is_empty() {
            self.unpark();
        }
    }

    pub(super) fn end_one(&mut self) {
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
}
