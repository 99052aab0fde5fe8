//! How a stream leaves its shard, and the references that it returns.

use parking_lot::MutexGuard;
use smallvec::SmallVec;

use crate::core::history::{Grant, Wanted};
use crate::metrics::CloseReason;

use super::subscriber::{Flags, Key, Subscriber};
use super::topics::Membership;
use super::{Core, Guard, Identity, Io};

/// The topics of a stream; mostly one.
type WantedFew = SmallVec<[Wanted; 1]>;

/// Data of a stream beside its record, if any.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) grant: Option<Grant>,
    pub(super) ends_unix_ms: Option<u64>,
    pub(super) identity: Identity,
    pub(super) guard: Option<Guard>,
}

impl<I: Io> Core<I> {
    /// Ends a stream without a farewell, if it is still open.
    pub(super) fn close(&mut self, key: Key, reason: CloseReason, io: &mut I) {
        if self.is_open(key) {
            self.count_cut(reason);
        }
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
        self.naming.remove(subscriber.encoding);
        let wanted = self.leave_topics(&subscriber);
        let beside = self.take_beside(key.slot, subscriber.flags);
        self.released.add_stream(&wanted, beside.grant);
        self.take_lagging(key.slot);
        self.open_streams(I::kind(&subscriber.wire)).sub(1);
        self.counters.closed[reason as usize].add(1);
        self.shared.places.release(subscriber.client);
        io.close(key, subscriber.wire, ended);
    }

    /// Takes a stream out of its topics, and returns which these were.
    pub(super) fn leave_topics(&mut self, subscriber: &Subscriber<I::Wire>) -> WantedFew {
        let mut wanted = WantedFew::new();
        if !subscriber.flags.has(Flags::MULTI) {
            let at = Membership {
                topic: subscriber.topic,
                position: subscriber.position,
            };
            self.leave_topic(at, &mut wanted);
            return wanted;
        }
        // Positions are looked up one by one: leaving a topic may move a member in it, though never
        // this stream's own others.
        for membership in self.topics.remove_set(subscriber.topic) {
            self.leave_topic(membership, &mut wanted);
        }
        wanted
    }

    fn leave_topic(&mut self, at: Membership, wanted: &mut WantedFew) {
        if let Some(topic) = self.topics.get(at.topic) {
            wanted.push(topic.wanted());
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

    /// Removes the data of a stream beside its record.
    pub(super) fn take_beside(&mut self, slot: u32, flags: Flags) -> Beside {
        let mut beside = Beside::default();
        if flags.has(Flags::TICKET)
            && let Some(ticket) = self.tickets.remove(slot)
        {
            (beside.grant, beside.ends_unix_ms) = ticket.into_parts();
        }
        if flags.has(Flags::IDENTIFIED) {
            beside.identity = self.identities.remove(slot);
        }
        if flags.has(Flags::GUARDED) {
            beside.guard = self.guards.remove(&slot);
            if self.guards.capacity() > 1_024 && self.guards.len() * 8 < self.guards.capacity() {
                self.guards.shrink_to(self.guards.len() * 2);
            }
        }
        beside
    }

    /// Ends streams that fell behind with an event for which the node has no memory.
    pub(super) fn end_unaffordable(&mut self, io: &mut I) {
        for key in std::mem::take(&mut self.unaffordable) {
            self.close(key, CloseReason::OutOfMemory, io);
        }
    }

    /// Counts, and releases a portion of what closed streams had in the store.
    pub(super) fn end_turn(&mut self) {
        self.counters.behind.set(self.lagging.len() as u64);
        let (subscribers, tickets) = (&self.subscribers, &mut self.tickets);
        let is_open = |key: Key| {
            let open = subscribers.get(key.slot);
            open.is_some_and(|subscriber| subscriber.serial == key.serial)
        };
        tickets.forget_gone(is_open);
        if self.released.is_empty() {
            return;
        }
        self.release();
        while self.released.len() > self.config.budget.released_max {
            self.release();
        }
    }

    /// Releases one portion of what closed streams had in the store.
    fn release(&mut self) {
        let mut work = self.config.budget.release;
        let mut desk = self.shared.desk.lock();
        desk.release(&mut self.released, &mut work);
        // A publisher that waits for the lock gets it next.
        MutexGuard::unlock_fair(desk);
        self.released.shrink();
    }

    /// Releases all that closed streams had in the store: no turn will follow.
    pub(super) fn release_all(&mut self) {
        while !self.released.is_empty() {
            self.release();
        }
    }
}
