//! Queries of operators for streams, a portion per turn, so that events still flow to all streams.

use crate::metrics::CloseReason;

use super::query::{Found, Meant, StreamQuery, Task};
use super::subscriber::Flags;
use super::{Core, Io};

impl<I: Io> Core<I> {
    /// Examines the streams from slot `from` on, and carries out the task for those that match.
    pub(super) fn find(&mut self, query: &StreamQuery, from: u32, task: Task, io: &mut I) -> Found {
        let mut found = Found::default();
        let limits = self.config.budget.find;
        let mut meant = Meant::new(query, limits);
        let end = from.saturating_add(limits.slots);
        for slot in from..end {
            if slot >= self.subscribers.end() {
                return found;
            }
            let done = found.streams.len() + found.ended;
            if let Task::Show(max) = task
                && done >= max
            {
                return found;
            }
            if done >= limits.found || meant.is_spent() {
                found.next = Some(slot);
                return found;
            }
            if !self.is_meant(slot, query, &mut meant, io) {
                continue;
            }
            match task {
                Task::Show(_) => found.streams.extend(self.info(slot, io)),
                Task::End => {
                    let key = self.key_of(slot);
                    let ended = key.is_some_and(|key| self.end_stream(key, CloseReason::Admin, io));
                    found.ended += usize::from(ended);
                }
            }
        }
        found.next = Some(end);
        found
    }

    /// Whether this slot has a stream that matches the query. The cheap conditions come first.
    fn is_meant(&self, slot: u32, query: &StreamQuery, meant: &mut Meant<'_>, io: &I) -> bool {
        let Some(subscriber) = self.subscribers.get(slot) else {
            return false;
        };
        if query.subject.is_some() && query.subject.as_ref() != self.identities.subject(slot) {
            return false;
        }
        if !query.is_from(|| self.client(slot, io)) {
            return false;
        }
        let selector = |topic| {
            let id = self.topics.get(topic)?.id;
            let store = self.shared.store();
            Some(store.selector(id))
        };
        if subscriber.flags.has(Flags::MULTI) {
            let topics = self.topics.set(subscriber.topic).iter();
            meant.is_any(topics.map(|membership| membership.topic), selector)
        } else {
            meant.is_any([subscriber.topic].into_iter(), selector)
        }
    }

    /// The client's address: from a trusted proxy, or else the peer's, while it is known.
    pub(super) fn client(&self, slot: u32, io: &I) -> Option<std::net::IpAddr> {
        let subscriber = self.subscribers.get(slot)?;
        self.identities
            .forwarded(slot)
            .or_else(|| io.peer(self.key_of(slot)?, &subscriber.wire))
    }
}
