//! How a stream leaves its shard, and what it gives back.

use parking_lot::MutexGuard;

use crate::metrics::CloseReason;

use super::subscriber::{Flags, Key, Subscriber};
use super::tickets::Ticket;
use super::topics::Membership;
use super::{Core, Io};

/// References of closed streams that may wait for later turns: 8 MiB. A turn that ends with more gives back more than one
/// portion, so that streams that come and go faster than portions do not pile them up.
const RELEASED_MAX: usize = 1 << 20;

impl<I: Io> Core<I> {
    /// Ends a stream without a word, if it is still open.
    pub(super) fn close(&mut self, key: Key, reason: CloseReason, io: &mut I) {
        self.remove(key, reason, false, io);
    }

    pub(super) fn remove(&mut self, key: Key, reason: CloseReason, ended: bool, io: &mut I) {
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
        self.open_streams(I::kind(&subscriber.wire)).sub(1);
        self.counters.closed[reason as usize].add(1);
        self.shared.places.release(subscriber.client);
        io.close(key, subscriber.wire, ended);
    }

    fn leave_topics(&mut self, slot: u32, subscriber: &Subscriber<I::Wire>) {
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

    /// Counts, and gives back a portion of what closed streams had of the store.
    pub(super) fn end_turn(&mut self) {
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

    /// Gives back one portion of what closed streams had of the store.
    fn release(&mut self) {
        let mut work = self.config.budget.release;
        let mut desk = self.shared.desk.lock();
        desk.release(&mut self.released, &mut work);
        // Publishers that wait for the lock have it next.
        MutexGuard::unlock_fair(desk);
        self.released.shrink();
    }

    /// Gives back all that closed streams had of the store: no turn will follow.
    pub(super) fn release_all(&mut self) {
        while !self.released.is_empty() {
            self.release();
        }
    }
}
