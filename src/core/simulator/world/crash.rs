//! A process that ends at once, and one that starts with the last history on disk.

use crate::core::delivery::Shared;
use crate::core::desk::Desk;
use crate::core::event::EventId;
use crate::core::history::{Ending, HistoryRecord, Hole, HoleCause, Revival, Store};
use crate::core::presence::Presence;
use crate::metrics::Totals;

use super::super::names::{TOPICS, name};
use super::keys::KeyOracle;
use super::{BIRTH_MS, CLIENTS, World};

/// A history on disk.
#[derive(Clone)]
pub(super) struct Saved {
    records: Vec<HistoryRecord>,
    /// The newest id when it was begun.
    through: EventId,
    /// The holes that were known then.
    holes: Vec<Hole>,
    /// The idempotency keys that it has.
    keys: KeyOracle,
}

impl World {
    /// Saves the history in portions. A node that is running is used in between.
    pub(super) fn save(&mut self, is_running: bool) {
        let mut walk = self.shared.store().begin_walk();
        let through = self.shared.store().head();
        let mut records = Vec::new();
        while !walk.is_done() {
            let steps = self.dice.usize(1..20);
            self.shared.store().walk(&mut walk, steps, &mut records);
            if is_running {
                self.use_between_portions();
            }
        }
        let store = self.shared.store();
        assert_eq!(store.is_whole(&walk), store.head() == through);
        drop(store);
        self.saved = Some(Saved {
            records,
            through,
            holes: self.holes.clone(),
            keys: self.keys.saved(through, self.settings.desk.keys),
        });
    }

    fn use_between_portions(&mut self) {
        match self.dice.u8(..8) {
            0..2 => self.publish(),
            2 => self.turn_all(),
            3 => self.connect(),
            4 => {
                let client = self.dice.usize(..CLIENTS);
                self.hang_up(client);
            }
            5 => self.pass_time(),
            6 => self.expire(),
            _ => {}
        }
    }

    /// Ends the process at once, with everything that it has in memory; at times it saves its whole
    /// history before. The next one starts with the last history on disk. Clients return with their
    /// cursors, and publishers that waited try again.
    pub(super) fn crash(&mut self) {
        let is_whole = self.dice.u8(..4) == 0;
        if is_whole {
            self.save(false);
        }
        let Some(saved) = self.saved.clone() else {
            return;
        };
        self.collect();
        let publishers = self.stop_publishers();
        let newest = self.shared.store().head();
        let kept = self.kept_through(saved.through);
        self.end_process();
        self.set_clock();
        self.holes = saved.holes;
        self.keys.crash(&saved.keys);
        let ending = if is_whole {
            self.totals.stops += 1;
            Ending::Whole
        } else {
            let newest = newest.max(EventId::ZERO.next(self.dice.u64(..=self.clock_ms)));
            self.lose(saved.through, newest);
            self.totals.crashes += 1;
            Ending::Lost(newest)
        };
        self.start_with(saved.records, ending);
        self.check_kept(&kept);
        for publisher in publishers {
            self.attempt(publisher);
        }
    }

    /// The next process finds a clock that has gone on, or was set back.
    fn set_clock(&mut self) {
        if self.dice.u8(..4) == 0 {
            let back = self.dice.u64(..2_000);
            self.clock_ms = BIRTH_MS.max(self.clock_ms - back);
        } else {
            self.clock_ms += self.dice.u64(..500);
        }
    }

    /// Notes that all events from `after` to `newest` are lost.
    fn lose(&mut self, after: EventId, newest: EventId) {
        let through = newest.max(after.after());
        match self.holes.last_mut() {
            Some(last) if last.through == after => last.through = through,
            _ => self.holes.push(Hole {
                after,
                through,
                cause: HoleCause::Crash,
            }),
        }
        let all = self.all.iter_mut();
        for event in all.filter(|event| event.id > after && !event.lost) {
            event.lost = true;
            self.totals.lost += 1;
        }
    }

    /// Drops everything that the process has in memory, and all connections to it.
    fn end_process(&mut self) {
        self.count_closed();
        for client in &mut self.clients {
            if let Some(connection) = client.connection.take() {
                self.totals.add_session(&connection.session);
            }
        }
        self.network.end();
        self.parked.lock().clear();
        self.questions.clear();
        self.shards.clear();
    }

    fn start_with(&mut self, records: Vec<HistoryRecord>, ending: Ending) {
        let config = self.settings.desk.clone();
        let mut revival = Revival::new(config.history, config.hold);
        for record in records {
            revival.take(record).expect("a record");
        }
        let revived = revival.finish(ending, self.clock_ms);
        let (store, _) = revived.expect("a whole history");
        let presence = Presence::new(&config.history, self.settings.clients.clone(), || {});
        let desk = Desk::new(config, self.settings.places(), presence, self.clock_ms);
        self.shared = Shared::new(desk.with_store(store));
        self.started_ms = self.clock_ms;
        self.shards = self
            .settings
            .shards(&mut self.dice, &self.shared, &Totals::default());
    }

    /// The kept events up to `through`, by number, and the topics that keep them.
    fn kept_through(&self, through: EventId) -> Vec<(usize, usize)> {
        let store = self.shared.store();
        let numbered = self.all.iter().enumerate();
        let old = numbered.filter(|(_, event)| event.id <= through);
        let topics = old.flat_map(|(number, _)| (0..TOPICS).map(move |topic| (number, topic)));
        let kept = topics.filter(|(number, topic)| keeps(&store, self.all[*number].id, *topic));
        kept.collect()
    }

    /// Checks that these events are still kept, unless they are too old.
    fn check_kept(&self, kept: &[(usize, usize)]) {
        let store = self.shared.store();
        let cut_off = self.settings.desk.history.cut_off(self.clock_ms);
        for (number, topic) in kept {
            let event = &self.all[*number];
            assert!(
                event.id < cut_off || keeps(&store, event.id, *topic),
                "{event:?} was on disk, and is not in topic {topic} any more"
            );
        }
    }
}

fn keeps(store: &Store, id: EventId, topic: usize) -> bool {
    !store.range(&name(topic), (id, id), 1, false).is_empty()
}
