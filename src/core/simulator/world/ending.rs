//! The end of a schedule: every event arrives, and no state remains.

use std::sync::Arc;

use crate::core::delivery::Message;
use crate::core::history::HistorySize;

use super::super::names::{TOPICS, name};
use super::{CLIENTS, Shard, World};

impl World {
    /// Removes every obstacle, runs until no work is left, and checks that every event has arrived.
    /// Then ends all streams.
    pub(super) fn settle(&mut self) {
        self.publish_all();
        self.restart();
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
        while !self.questions.is_empty() {
            self.turn_until_idle();
        }
        for client in &self.clients {
            if let Some(connection) = &client.connection {
                connection.session.finish(&self.all, &self.holes);
            }
        }
        self.check_found();
        if self.drain {
            for shard in &mut self.shards {
                shard.inbox.messages.push_back(Message::Drain(1_000));
            }
        }
        self.end_all();
    }

    /// Ends the remaining streams, and checks that no state remains.
    pub(super) fn end_all(&mut self) {
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
        let waiting = desk.presence().figures().waiting;
        assert_eq!(waiting, 0, "the start of an unknown stream goes with it");
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
