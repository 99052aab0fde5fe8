//! Publishers and streams that wait for room in mailboxes: in line, as at the hub.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use crate::core::delivery::Message;
use crate::core::desk::{
    Desk, Publication, Published as Batch, Refusal, Stamps, Ticket, Untraced, Woken,
};
use crate::core::event::{Event, EventId, OrderMark};
use crate::core::history::{SelectorIds, ShardSet};
use crate::core::limits::EventLimits;
use crate::core::sse::Draft;

use super::super::names::{self, TOPICS, name};
use super::super::oracle::{MARK, Published};
use super::World;
use super::keys::EventKey;

/// A publisher of one batch.
pub(super) struct Publisher {
    /// Publishers are numbered in the order in which they come.
    number: usize,
    events: Vec<Event<'static>>,
    /// Their idempotency keys.
    keys: Vec<Option<EventKey>>,
    pinned: SelectorIds,
    /// Its place in line, and the shards whose room it waits for.
    place: Option<(Ticket, ShardSet)>,
}

/// A waiter for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiter {
    /// The publisher with this number.
    Publisher(usize),
    /// A stream that is to be attached. It tries again after each round of turns.
    Stream,
}

impl Publisher {
    /// Gives back its place in line and its pins. Its client sends the batch again.
    pub(super) fn start_again(&mut self, desk: &mut Desk) {
        desk.unpin(&mut self.pinned);
        self.place = None;
    }
}

impl World {
    pub(super) fn publish(&mut self) {
        let events: Vec<_> = (0..self.dice.usize(1..5)).map(|_| self.event()).collect();
        let mut key = |_| (self.dice.u8(..3) == 0).then(|| EventKey::draw(&mut self.dice));
        let keys = events.iter().map(&mut key).collect();
        self.publishers += 1;
        self.attempt(Publisher {
            number: self.publishers,
            events,
            keys,
            pinned: SelectorIds::new(),
            place: None,
        });
    }

    /// Publishes, or waits for room.
    pub(super) fn attempt(&mut self, mut publisher: Publisher) {
        let limits = EventLimits::default();
        let numbered = publisher.events.iter().zip(self.all.len()..);
        let drafts = numbered.map(|(event, number)| {
            let data = number.to_string().into();
            let event = Event {
                data,
                ..event.clone()
            };
            Draft::new(event, &limits).expect("valid")
        });
        let mut drafts: Vec<Draft<'static>> = drafts.collect();
        for (draft, key) in drafts.iter_mut().zip(&publisher.keys) {
            if let Some(key) = key {
                draft.set_whole_key(key.key());
            }
        }
        let ticket = publisher.place.map(|(ticket, _)| ticket);
        let full = self.full_shards(ticket);
        // Limits are small here, so that topics are often prepared in portions.
        let given = if self.has_log {
            self.ids_of_log(drafts.len())
        } else {
            Vec::new()
        };
        let published = loop {
            let publication = Publication {
                drafts: &mut drafts,
                stamps: if self.has_log {
                    Stamps::Given(&given)
                } else {
                    Stamps::Local(self.clock_ms)
                },
                watched: &[],
                pinned: &mut publisher.pinned,
                full,
                stamped_at: Instant::now(),
            };
            let attempt = self.shared.desk.lock().publish(publication, &mut Untraced);
            match attempt {
                Ok(published) => break published,
                Err(Refusal::Full(needs)) => return self.wait(publisher, needs),
                Err(Refusal::Reused(number)) => {
                    let cut_offs = self.cut_offs(&given, drafts.len());
                    self.keys
                        .take_refusal(&publisher.keys, number, &given, cut_offs[number]);
                    self.shared.desk.lock().unpin(&mut publisher.pinned);
                    return self.leave(ticket);
                }
                Err(refusal) => assert_eq!(refusal, Refusal::Unprepared),
            }
        };
        let mut earlier = self.waiting.range(..publisher.number);
        assert!(
            earlier.all(|(_, other)| {
                let needs = other.place.map(|(_, needs)| needs).unwrap_or_default();
                needs.and(published.shards).is_empty()
            }),
            "a publisher was overtaken"
        );
        self.leave(ticket);
        self.post(publisher, published, &given);
    }

    /// For each event, the id below which its key is forgotten, whatever the clock reads.
    fn cut_offs(&self, given: &[EventId], count: usize) -> Vec<EventId> {
        let limits = self.settings.desk.keys;
        let mut cut_offs: Vec<_> = given
            .iter()
            .map(|id| limits.cut_off(id.unix_ms()))
            .collect();
        cut_offs.resize(count, EventId::ZERO);
        cut_offs
    }

    fn post(&mut self, publisher: Publisher, published: Batch, given: &[EventId]) {
        let limits = self.settings.desk.keys;
        let cut_offs = self.cut_offs(given, published.receipts.len());
        let receipts = &published.receipts;
        self.keys.take(&publisher.keys, receipts, limits, &cut_offs);
        for (event, receipt) in publisher.events.into_iter().zip(&published.receipts) {
            let id = receipt.id;
            if receipt.is_repeat {
                self.all.push(self.nothing());
                continue;
            }
            let topic = |topic: &Cow<'_, str>| names::topic(topic);
            self.all.push(Published {
                id,
                topics: event.topics.iter().map(topic).collect(),
                private: event.private,
                lost: false,
                was_seen: false,
                wire_id: event
                    .id
                    .map_or_else(|| id.marked(MARK).to_string(), Cow::into_owned),
            });
        }
        let mut shards = published.shards.bits();
        let exist = shards.all(|shard| (shard as usize) < self.shards.len());
        assert!(exist, "an event goes to a shard of another process");
        let Some(batch) = published.batch.map(Arc::new) else {
            return;
        };
        for (index, shard) in self.shards.iter_mut().enumerate() {
            if published.shards.contains(index) {
                assert!(shard.inbox.messages.len() < self.mailbox_max, "no room");
                let message = Message::Deliver(Arc::clone(&batch));
                shard.inbox.messages.push_back(message);
            }
        }
    }

    /// The place of an event that was a repeat: no stream hears it. Its number is the data of no
    /// event.
    fn nothing(&self) -> Published {
        let newest = self.all.last().map_or(EventId::ZERO, |last| last.id);
        Published {
            id: newest,
            topics: Vec::new(),
            private: false,
            lost: false,
            was_seen: false,
            wire_id: "a repeat".to_owned(),
        }
    }

    fn wait(&mut self, mut publisher: Publisher, needs: ShardSet) {
        self.totals.waited += 1;
        let waiter = Waiter::Publisher(publisher.number);
        let place = publisher.place.map(|(ticket, _)| ticket);
        publisher.place = Some((self.stand_in_line(place, needs, waiter), needs));
        self.waiting.insert(publisher.number, publisher);
    }

    /// Takes a place in line, or keeps it. If its turn has come, it asks the shards for room, and
    /// is woken at once if they have room already.
    fn stand_in_line(&mut self, place: Option<Ticket>, needs: ShardSet, waiter: Waiter) -> Ticket {
        let (ticket, woken) = match place {
            Some(ticket) => (ticket, self.line.change(ticket, needs)),
            None => (self.line.join(needs, waiter), Woken::new()),
        };
        self.woken.extend(woken);
        if !self.line.is_first(ticket) {
            return ticket;
        }
        let shards = self.shards.iter_mut().enumerate();
        let mut needed = shards.filter(|(index, _)| needs.contains(*index));
        let has_room = needed.all(|(_, shard)| {
            shard.inbox.room_wanted = true;
            shard.inbox.messages.len() < self.mailbox_max
        });
        if has_room {
            self.woken.push(waiter);
        }
        ticket
    }

    fn leave(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.woken.extend(self.line.leave(ticket));
        }
    }

    /// The shards that the holder of this ticket, or a newcomer, cannot post to.
    fn full_shards(&self, ticket: Option<Ticket>) -> ShardSet {
        let mut full = self.line.ahead_of(ticket);
        for (index, shard) in self.shards.iter().enumerate() {
            if shard.inbox.messages.len() >= self.mailbox_max {
                full.insert(index);
            }
        }
        full
    }

    /// Waits, for a stream, until its shard has room. The world goes on meanwhile.
    pub(super) fn wait_for_room(&mut self, shard: usize) {
        let mut needs = ShardSet::default();
        needs.insert(shard);
        let mut ticket = None;
        let mut rounds = 0;
        while self.full_shards(ticket).contains(shard) {
            rounds += 1;
            assert!(rounds < 10_000, "a stream waits for ever");
            ticket = Some(self.stand_in_line(ticket, needs, Waiter::Stream));
            self.turn_all();
            self.serve_all();
        }
        self.leave(ticket);
    }

    /// Wakes the waiters that asked for room, after a turn of the shard.
    pub(super) fn tell_of_room(&mut self, shard: usize) {
        if std::mem::take(&mut self.shards[shard].inbox.room_wanted) {
            self.woken.extend(self.line.room_in(shard));
        }
    }

    /// Lets one of the woken waiters try again.
    pub(super) fn serve_one(&mut self) {
        if self.woken.is_empty() {
            return;
        }
        let one = self.dice.usize(..self.woken.len());
        if let Waiter::Publisher(number) = self.woken.swap_remove(one)
            && let Some(publisher) = self.waiting.remove(&number)
        {
            self.attempt(publisher);
        }
    }

    fn serve_all(&mut self) {
        while !self.woken.is_empty() {
            self.serve_one();
        }
    }

    /// Lets a waiting publisher go away.
    pub(super) fn give_up(&mut self) {
        let numbers: Vec<usize> = self.waiting.keys().copied().collect();
        let number = self.dice.choice(numbers);
        let Some(mut publisher) = number.and_then(|number| self.waiting.remove(&number)) else {
            return;
        };
        self.totals.gave_up += 1;
        self.shared.desk.lock().unpin(&mut publisher.pinned);
        self.leave(publisher.place.map(|(ticket, _)| ticket));
    }

    /// Makes turns until the line is empty.
    pub(super) fn publish_all(&mut self) {
        while !self.waiting.is_empty() {
            self.turn_until_idle();
            assert!(!self.woken.is_empty(), "a publisher waits for ever");
            self.serve_all();
        }
        assert!(self.line.is_empty(), "a ticket is left");
    }

    /// An event. Its data is its number, which is set when it is published.
    fn event(&mut self) -> Event<'static> {
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
            ..Event::default()
        }
    }

    /// An id of another node, with about the current time.
    pub(super) fn foreign_id(&mut self) -> String {
        let clock_ms = self.clock_ms + self.dice.u64(..20) - 10;
        let id = EventId::ZERO.next(clock_ms);
        let other = OrderMark::new(MARK.bits() ^ 1 << self.dice.u32(24..54));
        match self.dice.u8(..3) {
            0 => id.to_string(),
            1 => id.marked(other).to_string(),
            _ => id.marked(other).urn(),
        }
    }
}
