//! How a stream begins: adopted, entered under its topics, greeted.

use bytes::Bytes;

use crate::core::history::Wanted;
use crate::core::places::ClientKey;
use crate::core::sse::{self, Encoding};

use super::replay::Lagging;
use super::subscriber::{Flags, Key, Subscriber};
use super::tickets::Ticket;
use super::{Attach, Core, Guard, Identity, Io, NotAdopted, Sent};

impl<I: Io> Core<I> {
    /// Adopts a stream, greets it, and either makes it live or lets it read on from its cursor.
    pub(super) fn attach(&mut self, attach: Attach<I::Incoming>, io: &mut I) {
        let opened_s = (self.now_ms / 1_000) as u32;
        self.serial = self.serial.wrapping_add(1);
        // Everything posted before this attach has been taken already, and what was stamped but not
        // posted concerned nobody here.
        self.last_id = self.last_id.max(attach.live_from);
        let key = match self.adopt(attach.wire, attach.client, attach.encoding, opened_s, io) {
            Ok(key) => key,
            Err(NotAdopted { incoming, error }) => {
                self.released.add_stream(&attach.wanted, attach.grant);
                self.shared.places.release(attach.client);
                self.turn_away(incoming, attach.head, attach.encoding, &error, io);
                return;
            }
        };
        self.counters.opened.add(1);
        self.naming.add(attach.name_user);
        self.join(key.slot, &attach.wanted);
        self.give_ticket(
            key,
            Ticket::new(attach.grant, attach.ends_unix_ms),
            attach.guard,
        );
        self.give_identity(key.slot, attach.identity);
        self.log_opened(key, io);
        let Some(subscriber) = self.subscribers.get_mut(key.slot) else {
            return;
        };
        let start = attach.start;
        subscriber.cursor = start.cursor.unwrap_or(attach.live_from);
        let prime = sse::prime(
            self.config.retry_ms,
            self.config.heartbeat_ms,
            subscriber.cursor.marked(self.mark),
        );
        let mut greeting = [attach.head, prime.rendition(attach.encoding)];
        if start.is_live() {
            // hyper writes the response head of a body.
            let parts = if greeting[0].is_empty() {
                &greeting[1..]
            } else {
                &greeting[..]
            };
            let sent = io.send(key, &subscriber.wire, parts);
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

    /// Puts a record into the slab and its wire under watch.
    pub(super) fn adopt(
        &mut self,
        incoming: I::Incoming,
        client: ClientKey,
        encoding: Encoding,
        opened_s: u32,
        io: &mut I,
    ) -> Result<Key, NotAdopted<I::Incoming>> {
        // The slot must be known to watch the wire, and the wire to fill the slot: reserve by
        // asking the slab which comes next.
        let key = Key {
            slot: self.subscribers.next_slot(),
            serial: self.serial,
        };
        let wire = io.adopt(key, incoming)?;
        self.open_streams(I::kind(&wire)).add(1);
        let slot = self.subscribers.insert(Subscriber::new(
            wire, client, encoding, key.serial, opened_s,
        ));
        debug_assert_eq!(slot, key.slot);
        Ok(key)
    }

    /// Answers a client whose connection the system does not watch: a stream that begins and ends,
    /// with a delay after which the client may try again.
    #[cold]
    pub(super) fn turn_away(
        &mut self,
        incoming: I::Incoming,
        head: Bytes,
        encoding: Encoding,
        error: &std::io::Error,
        io: &mut I,
    ) {
        let end = Bytes::from(sse::end_of_stream(self.some_retry_ms(), encoding));
        let parts = [head, end];
        // hyper writes the response head of a body.
        let first = usize::from(parts[0].is_empty());
        io.turn_away(incoming, &parts[first..]);
        self.counters.turned_away.add(1);
        super::log::log_turned_away(error);
    }

    pub(super) fn join(&mut self, slot: u32, wanted: &[Wanted]) {
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

    pub(super) fn give_identity(&mut self, slot: u32, identity: Identity) {
        if identity.is_empty() {
            return;
        }
        if let Some(subscriber) = self.subscribers.get_mut(slot) {
            subscriber.flags.set(Flags::IDENTIFIED);
            self.identities.insert(slot, identity);
        }
    }

    pub(super) fn give_ticket(&mut self, key: Key, ticket: Option<Ticket>, guard: Option<Guard>) {
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

    fn settle_greeting(&mut self, key: Key, sent: Sent, greeting: &[Bytes], io: &mut I) {
        let total: usize = greeting.iter().map(Bytes::len).sum();
        match sent {
            Sent::All => self.count_write(key.slot, total),
            Sent::Part(accepted) => {
                self.count_write(key.slot, accepted);
                let hello = join(&mut greeting.to_vec()).slice(accepted..);
                self.block(key.slot, hello, total);
            }
            Sent::Gone(reason) => self.close(key, reason, io),
        }
    }
}

/// Parts as one; copies only when there are several.
fn join(parts: &mut [Bytes]) -> Bytes {
    match parts {
        [head, prime] if head.is_empty() => std::mem::take(prime),
        _ => parts.concat().into(),
    }
}
