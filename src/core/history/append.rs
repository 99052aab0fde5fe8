//! Adding an event to its topics.

use std::sync::Arc;

use crate::core::event::EventId;
use crate::core::sse::{Draft, Frame};

use super::address::Addressees;
use super::log::{Log, More};
use super::own_ids::Place;
use super::{Appended, IdFell, SelectorId, Stamp, Store, Work};

impl Store {
    /// Stamps `draft`, appends it to each of its topics and evicts what no longer fits.
    ///
    /// # Errors
    /// [`IdFell`] for a given id that is not above the newest one; then nothing has changed.
    pub fn append(
        &mut self,
        draft: &mut Draft<'_>,
        stamp: Stamp,
    ) -> Result<(EventId, Appended), IdFell> {
        let id = stamp.after(self.head)?;
        self.head = id;
        let frame = draft.stamp(id.marked(self.mark));
        let mut addressees = Addressees::default();
        let mut named = self.name_users.any().then(Vec::new);
        for name in draft.topics() {
            let index = self.topics.intern(name, self.forgotten);
            self.prepare_topic(index, &mut Work::unbounded());
            self.address(index, frame.is_private(), &mut addressees);
            if let Some(named) = &mut named {
                named.push(self.matched_topic(index));
            }
        }
        addressees.finish();
        self.remember_all(&addressees.ids, id, &frame, draft.own_id());
        let cut_off = match stamp {
            Stamp::Local(now_unix_ms) => self.limits.cut_off(now_unix_ms),
            // Only the caller of `expire` knows the time of an id that was given.
            Stamp::Given(_) => EventId::ZERO,
        };
        for index in addressees.ids.iter().filter_map(|id| id.topic_index()) {
            self.evict_within(index, cut_off);
        }
        self.evict_over_budget();
        let mut appended = self.addressed(frame, addressees);
        if let Some(named) = named.filter(|_| appended.is_heard()) {
            appended.topics = Some(self.name_topics(draft, named));
        }
        Ok((id, appended))
    }

    /// Adds the event to the logs of its topics.
    fn remember_all(
        &mut self,
        addressees: &[SelectorId],
        id: EventId,
        frame: &Frame,
        own_id: Option<&str>,
    ) {
        // Topics sort first.
        let topics = addressees.partition_point(|id| id.topic_index().is_some());
        let topics = &addressees[..topics];
        let several = frame.is_private() && topics.len() > 1;
        let more = (own_id.is_some() || several).then(|| More {
            own_id: own_id.map(Into::into),
            topics: several.then(|| Arc::new(topics.into())),
        });
        for index in topics.iter().filter_map(|id| id.topic_index()) {
            if several {
                self.topics.get_mut(index).pins.add();
            }
            self.remember(index, id, frame, more.as_ref());
        }
    }

    /// Adds the event to one topic's log.
    pub(super) fn remember(&mut self, index: u32, id: EventId, frame: &Frame, more: Option<&More>) {
        if self.topics.get(index).log.is_none() {
            self.topics.note_events(index, true);
        }
        let topic = self.topics.get_mut(index);
        let overhead = topic.overhead_bytes();
        let log = topic.log.get_or_insert_with(|| {
            self.bytes += overhead;
            Box::new(Log::default())
        });
        self.events += 1;
        self.bytes += log.push(id, frame.clone(), more.cloned());
        self.expiry.add(id, index);
        self.order.push(id, index);
        let topics = &self.topics;
        if let Some(own_id) = more.and_then(|more| more.own_id.as_deref()) {
            let has_it = |place| topics.has_own_id(place, own_id);
            let place = Place { id, topic: index };
            self.own_ids.insert(own_id, place, has_it);
        }
    }
}
