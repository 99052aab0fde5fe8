//! Clients' reads, and the checks after each turn.

use super::super::names::name;
use super::super::oracle;
use super::World;
use crate::core::delivery::Key;

impl World {
    /// Checks that no stream outlives its token by a turn, and that the next turn does not come
    /// later than the next end of a token.
    pub(super) fn check_ends(&self, shard: usize) {
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
                    next_ms + self.started_ms <= end,
                    "the shard sleeps beyond the end of a token"
                );
            }
        }
    }

    /// Streams of a shard that are caught up, and whose connection accepts everything.
    pub(super) fn live_streams(&self, shard: usize) -> Vec<Key> {
        let connections = self.clients.iter();
        let connections = connections.filter_map(|client| client.connection.as_ref());
        let on_shard = connections.filter(|connection| connection.shard == shard);
        let keys = on_shard.filter_map(|connection| {
            let key = self.network.wires[&connection.wire].key?;
            let is_free = self.network.accepts_everything(connection.wire);
            (is_free && self.shards[shard].core.is_live(key)).then_some(key)
        });
        keys.collect()
    }

    /// Checks that live delivery comes first. After each turn, streams that were caught up before
    /// it have every event that their shard has taken, whatever other streams read from history
    /// meanwhile. The same holds for streams that have caught up in the turn.
    pub(super) fn check_live(&mut self, shard: usize, before: &[Key]) {
        if self.shards[shard].core.is_breaking_off() {
            return;
        }
        let after = self.live_streams(shard);
        let taken_through = self.shards[shard].inbox.taken_through;
        for connection in self
            .clients
            .iter()
            .filter_map(|client| client.connection.as_ref())
        {
            let wire = &self.network.wires[&connection.wire];
            let is_live = |key: Key| before.contains(&key) || after.contains(&key);
            if connection.shard == shard && !wire.closed && wire.key.is_some_and(is_live) {
                connection
                    .session
                    .check_through(taken_through, &self.all, &self.holes);
                self.totals.live += 1;
            }
        }
    }

    /// Clients read the bytes that arrived, in pieces of any size.
    pub(super) fn collect(&mut self) {
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
                        holes: &self.holes,
                        past_holes: &self.past_holes,
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
                self.totals.add_session(&connection.session);
                self.network.wires.remove(&connection.wire);
                client.connection = None;
            }
        }
    }
}
