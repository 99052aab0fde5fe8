//! What a shard decides: who gets which bytes, in which order, and who is let go.
//!
//! Sans I/O: time comes in as milliseconds, bytes go out through [`Io`], and the same code runs under sockets and under the simulator.
//!
//! A stream is in one of two states. *Caught up*: it has seen every event of its topics up to the shard's `last_id`, and new events are
//! written to it as they come. *Behind*: it has an entry in `lagging` and reads on from history, when its sink lets it, until nothing is
//! left up to `last_id`. Live delivery passes over a stream that is behind, so no event is written twice or out of order.
//!
//! **Invariant:** a stream's cursor only rises, and every byte of an event at or below it was either accepted by its sink or is in
//! its remainder.

mod batch;
mod farewell;
mod find;
mod identity;
mod live;
mod log;
pub mod query;
mod replay;
mod stream;
mod subscriber;
mod sweep;
mod taken;
mod tickets;
mod topics;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::MutexGuard;

use crate::core::event::EventId;
use crate::core::history::{Released, Work};
use crate::core::sse;
use crate::metrics::CloseReason;

pub use batch::{Batch, Delivery, Trace, TraceReport};
pub use identity::Identity;
pub use stream::{Attach, Counters, Guard, ShardConfig, Shared, StreamInfo};
pub(crate) use subscriber::Key;
pub use subscriber::StreamKey;

use identity::Identities;
use subscriber::{Flags, Slab, Subscriber};
use tickets::{Ticket, Tickets};
use topics::{LocalTopics, Membership};

use farewell::Drain;
use live::Live;
use replay::{Lagging, Outgoing};
use sweep::Sweep;
use taken::Taken;

/// Topics of a stream that are named to an operator.
const TOPICS_SHOWN: usize = 20;

/// References of closed streams that may wait for later turns: 8 MiB. A turn that ends with more gives back more than one
/// portion, so that streams that come and go faster than portions do not pile them up.
const RELEASED_MAX: usize = 1 << 20;

/// How a write to a sink ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything was accepted.
    All,
    /// The sink is full after so many bytes; its owner calls [`Core::writable`] when it is not.
    Part(usize),
    /// The sink is gone.
    Gone(CloseReason),
}

/// The outside of the core.
pub(crate) trait Io {
    /// What arrives with a stream.
    type Incoming;
    /// What is kept in a stream's record; 4 bytes in production.
    type Sink;

    /// Takes a sink over and watches it.
    fn adopt(&mut self, key: Key, incoming: Self::Incoming) -> io::Result<Self::Sink>;
    /// Writes the parts in order, as much as the sink accepts now.
    fn send(&mut self, key: Key, sink: &Self::Sink, parts: &[Bytes]) -> Sent;
    /// Lets the sink go; `ended` says that the stream's proper end was written.
    fn close(&mut self, key: Key, sink: Self::Sink, ended: bool);
    /// The client's address, while it is known.
    fn peer(&self, key: Key, sink: &Self::Sink) -> Option<std::net::IpAddr>;
    /// Whether the sink counts as a body sink.
    fn is_body(sink: &Self::Sink) -> bool;
}

/// The state of one shard.
pub(crate) struct Core<I: Io> {
    config: ShardConfig,
    shared: Shared,
    counters: Counters,
    subscribers: Slab<Subscriber<I::Sink>>,
    topics: LocalTopics,
    tickets: Tickets,
    identities: Identities,
    /// What wants to be dropped with its stream.
    guards: HashMap<u32, Guard>,
    /// Streams that are behind.
    lagging: HashMap<u32, Lagging>,
    /// What they may have missed of each topic.
    taken: Taken,
    /// Streams that are behind and whose sink has room: the run queue.
    ready: VecDeque<u32>,
    /// Every event up to here that concerns a stream of this shard has been taken from the mailbox.
    last_id: EventId,
    live: Live,
    outgoing: Outgoing,
    sweep: Sweep,
    drain: Option<Drain>,
    /// What closed streams have yet to give back to the store.
    released: Released,
    /// How much of it is given back in one turn.
    release_work: Work,
    serial: u32,
    now_ms: u64,
    unix_ms: u64,
    random: fastrand::Rng,
}

impl<I: Io> Core<I> {
    pub(crate) fn new(config: ShardConfig, shared: Shared, counters: Counters, seed: u64) -> Self {
        let last_id = shared.store.lock().head();
        Self {
            sweep: Sweep::new(config.heartbeat_ms),
            config,
            shared,
            counters,
            subscribers: Slab::default(),
            topics: LocalTopics::default(),
            tickets: Tickets::default(),
            identities: Identities::default(),
            guards: HashMap::new(),
            lagging: HashMap::new(),
            taken: Taken::default(),
            ready: VecDeque::new(),
            last_id,
            live: Live::default(),
            outgoing: Outgoing::default(),
            drain: None,
            released: Released::default(),
            release_work: Work::default(),
            serial: 0,
            now_ms: 0,
            unix_ms: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Sets how much of what closed streams had is given back in one turn.
    #[cfg(test)]
    pub(crate) fn set_release_work(&mut self, work: Work) {
        self.release_work = work;
    }

    /// Number of open streams.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Number of topics that the shard knows.
    #[cfg(test)]
    pub(crate) fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Whether no stream has a ticket, an identity or a guard.
    #[cfg(test)]
    pub(crate) fn has_no_tickets(&self) -> bool {
        self.tickets.is_empty() && self.identities.is_empty() && self.guards.is_empty()
    }

    /// Tells the time: milliseconds since the shard's start, never falling, and by the wall clock, since the unix epoch.
    pub(crate) fn set_now(&mut self, now_ms: u64, unix_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        // A clock that is set back brings no stream to life that was passed over already: it would miss events without a gap.
        self.unix_ms = if self.has_expired() {
            self.unix_ms.max(unix_ms)
        } else {
            unix_ms
        };
    }

    /// Takes a batch of events in; they are written by the next [`Core::flush`].
    pub(crate) fn deliver(&mut self, batch: &Batch) {
        self.counters.batches.add(1);
        for event in &batch.events {
            self.live.note(event, &mut self.topics);
        }
        self.last_id = self.last_id.max(batch.head);
    }

    /// Takes a stream over, greets it, and either makes it live or lets it read on from its cursor.
    pub(crate) fn attach(&mut self, attach: Attach<I::Incoming>, io: &mut I) {
        let opened_s = (self.now_ms / 1_000) as u32;
        self.serial = self.serial.wrapping_add(1);
        // Everything posted before this attach has been taken already, and what was stamped but not posted concerned nobody here.
        self.last_id = self.last_id.max(attach.live_from);
        let Some(key) = self.adopt(attach.sink, attach.client, attach.framing, opened_s, io) else {
            for wanted in &attach.wanted {
                let granted = attach.grant.is_some();
                self.released.add_subscription(wanted.selector, granted);
            }
            if let Some(grant) = attach.grant {
                self.released.add_grant(grant);
            }
            self.shared.places.release(attach.client);
            return;
        };
        self.join(key.slot, &attach.wanted);
        self.give_ticket(
            key,
            Ticket::new(attach.grant, attach.ends_unix_ms),
            attach.guard,
        );
        if !attach.identity.is_empty()
            && let Some(subscriber) = self.subscribers.get_mut(key.slot)
        {
            subscriber.flags.set(Flags::IDENTIFIED);
            self.identities.insert(key.slot, attach.identity);
        }
        self.log_opened(key, io);
        let Some(subscriber) = self.subscribers.get_mut(key.slot) else {
            return;
        };
        let start = attach.start;
        subscriber.cursor = start.cursor.unwrap_or(attach.live_from);
        let prime = sse::prime(self.config.retry_ms, subscriber.cursor);
        let mut greeting = [attach.head, prime.bytes(attach.framing)];
        if start.is_live() {
            // A body's response head is hyper's to write.
            let parts = if greeting[0].is_empty() {
                &greeting[1..]
            } else {
                &greeting[..]
            };
            let sent = io.send(key, &subscriber.sink, parts);
            self.settle_greeting(key, sent, &greeting, io);
        } else {
            for (wanted, newest) in std::iter::zip(&attach.wanted, &start.newest) {
                self.taken.note(wanted.selector, *newest);
            }
            let hello = join(&mut greeting);
            self.fall_behind(key.slot, Lagging::resuming(hello, start, self.now_ms));
            self.make_ready(key.slot);
        }
    }

    /// Puts a record into the slab and its sink under watch.
    fn adopt(
        &mut self,
        incoming: I::Incoming,
        client: crate::core::places::ClientKey,
        framing: sse::Framing,
        opened_s: u32,
        io: &mut I,
    ) -> Option<Key> {
        // The slot must be known to watch the sink, and the sink to fill the slot: reserve by asking the slab which comes next.
        let key = Key {
            slot: self.subscribers.next_slot(),
            serial: self.serial,
        };
        let sink = io.adopt(key, incoming).ok()?;
        let opened = if I::is_body(&sink) {
            &self.counters.streams_body
        } else {
            &self.counters.streams_socket
        };
        opened.add(1);
        self.counters.opened.add(1);
        let slot = self
            .subscribers
            .insert(Subscriber::new(sink, client, framing, key.serial, opened_s));
        debug_assert_eq!(slot, key.slot);
        Some(key)
    }

    fn join(&mut self, slot: u32, wanted: &[crate::core::history::Wanted]) {
        let (topic, position, multi) = if let [one] = wanted {
            let at = self.topics.join(*one, slot);
            (at.topic, at.position, false)
        } else {
            let set = wanted
                .iter()
                .map(|one| self.topics.join(*one, slot))
                .collect();
            (self.topics.add_set(set), 0, true)
        };
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            subscriber.topic = topic;
            subscriber.position = position;
            if multi {
                subscriber.flags.set(Flags::MULTI);
            }
        }
    }

    fn give_ticket(&mut self, key: Key, ticket: Option<Ticket>, guard: Option<Guard>) {
        let Some(subscriber) = self.subscribers.get_mut(key.slot) else {
            return;
        };
        if let Some(ticket) = ticket {
            subscriber.flags.set(Flags::TICKET);
            self.tickets.insert(key, ticket);
        }
        if let Some(guard) = guard {
            subscriber.flags.set(Flags::GUARDED);
            self.guards.insert(key.slot, guard);
        }
    }

    /// Takes back what a stream had beside its record.
    fn take_ticket(&mut self, slot: u32, flags: Flags) {
        if flags.has(Flags::TICKET) {
            let ticket = self.tickets.remove(slot);
            if let Some(grant) = ticket.and_then(Ticket::into_grant) {
                self.released.add_grant(grant);
            }
        }
        if flags.has(Flags::IDENTIFIED) {
            self.identities.remove(slot);
        }
        if flags.has(Flags::GUARDED) {
            self.guards.remove(&slot);
            if self.guards.capacity() > 1_024 && self.guards.len() * 8 < self.guards.capacity() {
                self.guards.shrink_to(self.guards.len() * 2);
            }
        }
    }

    fn settle_greeting(&mut self, key: Key, sent: Sent, greeting: &[Bytes], io: &mut I) {
        let total: usize = greeting.iter().map(Bytes::len).sum();
        match sent {
            Sent::All => self.count_write(key.slot, total),
            Sent::Part(accepted) => {
                self.count_write(key.slot, accepted);
                let hello = join(&mut greeting.to_vec()).slice(accepted..);
                self.block(key.slot, hello);
            }
            Sent::Gone(reason) => self.close(key, reason, io),
        }
    }

    /// Counts one write of so many bytes to a stream.
    fn count_write(&mut self, slot: u32, bytes: usize) {
        self.counters.writes.add(1);
        self.counters.bytes.add(bytes as u64);
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            subscriber.add_bytes(bytes);
            subscriber.flags.set(Flags::ACTIVE);
        }
    }

    /// The key of an open stream in `slot`.
    fn key_of(&self, slot: u32) -> Option<Key> {
        let subscriber = self.subscribers.get(slot)?;
        Some(Key {
            slot,
            serial: subscriber.serial,
        })
    }

    /// Whether the stream that this key names is still open.
    pub(crate) fn is_open(&self, key: Key) -> bool {
        self.key_of(key.slot) == Some(key)
    }

    /// The sink of an open stream.
    pub(crate) fn sink(&self, key: Key) -> Option<&I::Sink> {
        let subscriber = self.subscribers.get(key.slot)?;
        (subscriber.serial == key.serial).then_some(&subscriber.sink)
    }

    /// Ends a stream without a word, if it is still open.
    pub(crate) fn close(&mut self, key: Key, reason: CloseReason, io: &mut I) {
        self.remove(key, reason, false, io);
    }

    fn remove(&mut self, key: Key, reason: CloseReason, ended: bool, io: &mut I) {
        if !self.is_open(key) {
            return;
        }
        self.log_closed(key, reason, io);
        let Some(subscriber) = self.subscribers.remove(key.slot) else {
            return;
        };
        self.leave_topics(key.slot, &subscriber);
        self.take_ticket(key.slot, subscriber.flags);
        if self.lagging.remove(&key.slot).is_some() {
            self.shrink_lagging();
        }
        let open = if I::is_body(&subscriber.sink) {
            &self.counters.streams_body
        } else {
            &self.counters.streams_socket
        };
        open.sub(1);
        self.counters.closed[reason as usize].add(1);
        self.shared.places.release(subscriber.client);
        io.close(key, subscriber.sink, ended);
    }

    fn leave_topics(&mut self, slot: u32, subscriber: &Subscriber<I::Sink>) {
        let granted = self.tickets.grant(slot).is_some();
        if !subscriber.flags.has(Flags::MULTI) {
            let at = Membership {
                topic: subscriber.topic,
                position: subscriber.position,
            };
            self.leave_topic(at, granted);
            return;
        }
        // Positions are looked up one by one: leaving a topic may move a member in it, though never this stream's own others.
        for membership in self.topics.remove_set(subscriber.topic) {
            self.leave_topic(membership, granted);
        }
    }

    fn leave_topic(&mut self, at: Membership, granted: bool) {
        if let Some(topic) = self.topics.get(at.topic) {
            self.released.add_subscription(topic.id, granted);
            if let [_] = topic.members[..] {
                self.taken.forget(topic.id);
            }
        }
        let Some(moved) = self.topics.leave(at) else {
            return;
        };
        let Some(other) = self.subscribers.get_mut(moved) else {
            return;
        };
        if !other.flags.has(Flags::MULTI) {
            other.position = at.position;
            return;
        }
        let set = self.topics.set_mut(other.topic);
        if let Some(membership) = set
            .iter_mut()
            .find(|membership| membership.topic == at.topic)
        {
            membership.position = at.position;
        }
    }

    /// Counts, and gives back a portion of what closed streams had of the store; call at the end of each turn.
    pub(crate) fn end_turn(&mut self) {
        self.counters.behind.set(self.lagging.len() as u64);
        if self.released.is_empty() {
            return;
        }
        let (subscribers, tickets) = (&self.subscribers, &mut self.tickets);
        let is_open = |key: Key| {
            let open = subscribers.get(key.slot);
            open.is_some_and(|subscriber| subscriber.serial == key.serial)
        };
        tickets.forget_gone(is_open);
        self.release();
        while self.released.len() > RELEASED_MAX {
            self.release();
        }
    }

    /// Gives back one portion of what closed streams had of the store; returns whether nothing is left.
    fn release(&mut self) -> bool {
        let mut work = self.release_work;
        let mut store = self.shared.store.lock();
        let done = store.release(&mut self.released, &mut work);
        // Publishers that wait for the lock have it next.
        MutexGuard::unlock_fair(store);
        self.released.shrink();
        done
    }

    /// Gives back all that closed streams had of the store; call when no turn will follow.
    pub(crate) fn release_all(&mut self) {
        while !self.released.is_empty() {
            self.release();
        }
    }

    /// Whether a turn would find something to do though nothing happens outside.
    pub(crate) fn has_work(&self) -> bool {
        self.has_ready() || !self.released.is_empty()
    }

    /// Whether a stream waits for its turn to read on.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The streams furthest behind, at most `count`; where fewer are behind, others fill up.
    pub(crate) fn slowest(&self, count: usize, io: &I) -> Vec<StreamInfo> {
        let mut behind: Vec<(EventId, u32)> = self
            .lagging
            .keys()
            .filter_map(|slot| Some((self.subscribers.get(*slot)?.cursor, *slot)))
            .collect();
        behind.sort_unstable();
        let others = (0..self.subscribers.used()).filter(|slot| !self.lagging.contains_key(slot));
        let slots = behind.into_iter().map(|(_, slot)| slot).chain(others);
        slots
            .filter_map(|slot| self.info(slot, io))
            .take(count)
            .collect()
    }

    fn info(&self, slot: u32, io: &I) -> Option<StreamInfo> {
        let subscriber = self.subscribers.get(slot)?;
        let key = self.key_of(slot)?;
        let local: Vec<u32> = if subscriber.flags.has(Flags::MULTI) {
            self.topics
                .set(subscriber.topic)
                .iter()
                .map(|membership| membership.topic)
                .collect()
        } else {
            vec![subscriber.topic]
        };
        // Asks the system, so not under the store's lock.
        let client = self.client(slot, io);
        let store = self.shared.store.lock();
        let names = local
            .iter()
            .take(TOPICS_SHOWN)
            .filter_map(|index| self.topics.get(*index));
        let topics = names.map(|topic| store.name(topic.id).to_owned()).collect();
        drop(store);
        let behind = subscriber.flags.has(Flags::BEHIND);
        let lag_ms = self
            .last_id
            .unix_ms()
            .saturating_sub(subscriber.cursor.unix_ms());
        let stream = StreamKey {
            shard: self.config.index as u32,
            key,
        };
        let age_s = (self.now_ms / 1_000).saturating_sub(u64::from(subscriber.opened_s));
        Some(StreamInfo {
            id: stream.to_string(),
            client,
            subject: self.identities.subject(slot).cloned(),
            topics,
            topic_count: local.len(),
            age: Duration::from_secs(age_s),
            cursor: if behind {
                subscriber.cursor
            } else {
                self.last_id
            },
            lag: Duration::from_millis(if behind { lag_ms } else { 0 }),
            bytes: subscriber.bytes(),
        })
    }
}

/// Parts as one; copies only when there are several.
fn join(parts: &mut [Bytes]) -> Bytes {
    match parts {
        [head, prime] if head.is_empty() => std::mem::take(prime),
        _ => parts.concat().into(),
    }
}
