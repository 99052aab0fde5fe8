//! A desk whose order is that of a log: ids are given from outside, and jump; the log loses events
//! before the node has them, or after.

use crate::core::delivery::Message;
use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause};

use super::super::names::TOPICS;
use super::super::oracle::{MARK, Published};
use super::World;

impl World {
    /// The ids that the log gives to the next events.
    pub(super) fn ids_of_log(&mut self, count: usize) -> Vec<EventId> {
        let mut last = self.shared.desk.lock().head();
        let dice = &mut self.dice;
        let clock_ms = self.clock_ms;
        let next = |_| {
            let ahead_ms = if dice.bool() { 0 } else { dice.u64(..20) };
            last = last.next(clock_ms + ahead_ms);
            last
        };
        (0..count).map(next).collect()
    }

    /// The log loses events.
    pub(super) fn break_off(&mut self) {
        if !self.has_log {
            return;
        }
        let head = self.shared.desk.lock().head();
        let causes = [HoleCause::Trimmed, HoleCause::Forked, HoleCause::Upstream];
        let cause = causes[self.dice.usize(..causes.len())];
        let after = if cause == HoleCause::Forked {
            self.common_with_log(head)
        } else {
            head
        };
        let lost = self.dice.usize(..3);
        let mut ids = self.ids_of_log(lost + 1);
        let through = ids.pop().expect("one more");
        for event in self.all.iter_mut().filter(|event| event.id > after) {
            event.lost = true;
            event.was_seen = true;
            self.totals.lost += 1;
        }
        self.keys.lose_above(after, self.settings.desk.keys);
        for id in ids {
            self.all.push(Published {
                id,
                topics: vec![self.dice.usize(..TOPICS)],
                private: false,
                lost: true,
                was_seen: false,
                wire_id: id.marked(MARK).to_string(),
            });
        }
        self.note_hole(Hole {
            after,
            through,
            cause,
        });
        let mut desk = self.shared.desk.lock();
        let loss = desk.break_off(Hole {
            after,
            through,
            cause,
        });
        drop(desk);
        for shard in &mut self.shards {
            shard.inbox.messages.push_back(Message::Break(loss));
        }
        self.totals.breaks += 1;
    }

    /// The last event that this node and the log have both.
    fn common_with_log(&mut self, head: EventId) -> EventId {
        let back = self.dice.usize(..6);
        let known = self.all.iter().rev().filter(|event| event.id <= head);
        let first = EventId::ZERO.next(super::BIRTH_MS);
        let common = known.map(|event| event.id).nth(back).unwrap_or(head);
        common.max(first)
    }

    fn note_hole(&mut self, mut hole: Hole) {
        while let Some(last) = self.holes.last()
            && last.through > hole.after
        {
            hole.after = hole.after.min(last.after);
            self.past_holes.extend(self.holes.pop());
        }
        self.holes.push(hole);
    }
}
