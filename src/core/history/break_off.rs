//! What a shared log does to the history: it sets where the history begins, it loses events, and it
//! makes ids doubtful.
//!
//! A loss is a hole, which every reader is told of in the read that meets it. So a loss is noted in
//! one step, whatever the number of topics and events. Events that the log has lost after this node
//! had them are removed later, in portions; no stream reads them meanwhile, since they are in the
//! hole.

use smallvec::SmallVec;

use crate::core::event::EventId;

use super::evicted::Evicted;
use super::own_ids::Place;
use super::{Hole, Store};

/// Most ranges of doubtful ids. When there is one more, the oldest two become one.
const DOUBTS_MAX: usize = 16;

/// Ranges of ids that are no places: the log has no entry in them. Clients may have such an id from a
/// log that has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubts(SmallVec<[(EventId, EventId); 1]>);

impl Doubts {
    /// Checks that these ranges rise, and that there are no more than a store has.
    pub(super) fn checked(ranges: &[(EventId, EventId)]) -> Option<Self> {
        let rise = ranges.is_sorted_by(|(_, before), (after, _)| before <= after);
        let is_whole = ranges.iter().all(|(after, before)| after < before);
        (rise && is_whole && ranges.len() <= DOUBTS_MAX).then(|| Self(ranges.into()))
    }

    pub(super) fn as_slice(&self) -> &[(EventId, EventId)] {
        &self.0
    }

    /// Adds the ids strictly between the two. They are above all earlier ones, or are told again by a
    /// program that has taken over from one that had not come to the end of the newest range.
    fn add(&mut self, mut after: EventId, mut before: EventId) {
        while let Some(&(from, to)) = self.0.last().filter(|(_, to)| *to > after) {
            (after, before) = (after.min(from), before.max(to));
            self.0.pop();
        }
        self.0.push((after, before));
        if let [(first, _), (_, second), ..] = self.0[..]
            && self.0.len() > DOUBTS_MAX
        {
            self.0[1] = (first, second);
            self.0.remove(0);
        }
    }

    /// Whether this id is in such a range.
    pub(super) fn has(&self, id: EventId) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(after, before)| *after < id && id < *before)
    }
}

impl Store {
    /// Begins the history above `floor`: nothing up to there is known, and every id of the order up
    /// to there is a cursor whose events were evicted. The store must be new.
    ///
    /// # Panics
    /// If a topic exists: it would have another bound.
    pub fn rebase(&mut self, floor: EventId) {
        assert_eq!(self.topics.len(), 0, "a history begins before its topics");
        self.order_from = Some(EventId::ZERO.after());
        self.birth = floor;
        self.head = floor;
        self.forgotten = Evicted::through(floor);
        self.evicted = Evicted::through(floor);
    }

    /// Notes that the events of `hole` are lost, and goes on above it. Events in it that are kept
    /// are removed in portions, the first of them before the next event is published.
    ///
    /// # Panics
    /// If the hole does not end above the newest id, or begins above it.
    pub fn break_off(&mut self, hole: Hole) {
        assert!(
            hole.after <= self.head && self.head < hole.through,
            "{hole:?} does not cut the order at {}",
            self.head
        );
        if hole.after < self.head {
            let after = self.retracting.unwrap_or(hole.after);
            self.retracting = Some(after.min(hole.after));
        }
        self.head = hole.through;
        self.holes.add_break(hole);
    }

    /// Raises the newest id: the log has an entry there that is no event.
    pub fn pass(&mut self, id: EventId) {
        self.head = self.head.max(id);
    }

    /// Evicts all that is kept up to `id`, in portions: at most `steps` events. Returns whether it
    /// finished.
    pub fn forget_through(&mut self, id: EventId, steps: usize) -> bool {
        self.expire(id.after(), steps)
    }

    /// From now on, ids strictly between `after` and `before` are unknown cursors.
    pub fn doubt(&mut self, after: EventId, before: EventId) {
        self.doubts.add(after, before);
    }

    /// The place of a cursor of this order that is above the newest id: its client had it from
    /// another node, which is ahead.
    #[must_use]
    pub fn ahead(&self, cursor: &str) -> Option<EventId> {
        let place = self.mark.place_of(cursor)?;
        (place > self.head).then_some(place)
    }

    /// Removes a portion of the events that the log has lost. Returns whether none is left.
    pub(super) fn retract(&mut self) -> bool {
        let Some(after) = self.retracting else {
            return true;
        };
        while let Some(id) = self.order.last_id().filter(|id| *id > after) {
            if self.evictions_left == 0 {
                return false;
            }
            self.evictions_left -= 1;
            if let Some((_, index)) = self.order.pop() {
                self.retract_newest(index, id);
            }
        }
        self.retracting = None;
        true
    }

    /// Removes the newest event of a topic, if it has this id. It was not evicted: the hole that it
    /// is in tells of it.
    fn retract_newest(&mut self, index: u32, id: EventId) {
        let Some(topic) = self.topics.in_slot_mut(index) else {
            return;
        };
        let Some(log) = topic.log.as_mut().filter(|log| log.last_id() == Some(id)) else {
            return;
        };
        let Some((entry, freed)) = log.pop_newest() else {
            return;
        };
        let is_last = log.len() == 0;
        if is_last {
            topic.log = None;
            self.bytes -= topic.overhead_bytes();
            self.topics.note_events(index, false);
        }
        self.events -= 1;
        self.bytes -= freed;
        if let Some(own_id) = entry.own_id() {
            self.own_ids.remove(own_id, Place { id, topic: index });
        }
        self.unpin_topics_of(entry);
        if self.events == 0 {
            self.order.clear();
        }
        if is_last {
            self.forget_if_unused(index);
        }
    }
}
