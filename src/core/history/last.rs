//! The newest events that a stream may hear: where a stream begins that asks for the last ones.
//!
//! The search goes from the newest event back, in portions of one hold of the lock. Events that are
//! published meanwhile do not count: the stream is sent them as well, since it is attached later.

use std::collections::BinaryHeap;

use crate::core::event::EventId;

use super::order::NotePlace;
use super::read::{Hears, Reading};
use super::scan::patterns_of;
use super::{SelectorId, SelectorIds, Start, Store};

/// A search for the newest events of a stream, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastSearch {
    /// The newest event when it began.
    head: EventId,
    /// Everything above this id was examined.
    through: EventId,
    /// Events still to be found.
    left: usize,
    /// The oldest event found.
    first: Option<EventId>,
}

/// A way through the events of some topics and patterns, the newest first.
enum WayBack {
    /// The next event of each topic, with its position.
    Topics(BinaryHeap<(EventId, u32, usize)>),
    /// The node's one order, because the topics' names are not known.
    Order(NotePlace),
}

impl Store {
    /// Begins a search for the `count` newest events.
    #[must_use]
    pub fn begin_last(&self, count: usize) -> LastSearch {
        LastSearch {
            head: self.head(),
            through: self.head(),
            left: count,
            first: None,
        }
    }

    /// Searches on among the kept events of `ids` that a reader with this grant may hear, as far as
    /// the work of one hold goes. Returns whether the search is over.
    pub fn search_last(
        &mut self,
        ids: &[SelectorId],
        grant: Option<&[SelectorId]>,
        search: &mut LastSearch,
    ) -> bool {
        let mut work = self.work();
        let mut wanted = SelectorIds::from(ids);
        wanted.sort_unstable();
        let mut way = self.way_back(ids, search.through);
        let mut newest = None;
        while search.left > 0 {
            let Some((id, topic)) = self.step_back(&mut way) else {
                break;
            };
            // An event with several of the topics is met once in each.
            if search.first == Some(id) {
                continue;
            }
            search.through = id;
            // All topics of the first event are examined, so that a portion makes progress.
            let is_first = *newest.get_or_insert(id) == id;
            if !work.charge_event() && !is_first {
                return false;
            }
            if matches!(way, WayBack::Order(_)) {
                if !self.topics.keeps(topic, id) {
                    continue;
                }
                if !self.refresh_matches(topic, &mut work) {
                    return false;
                }
                if !self.is_among(topic, &wanted) {
                    continue;
                }
            }
            let log = self.topics.get(topic).log.as_deref();
            let at = log.map_or(0, |log| log.position_after(id.before()));
            match self.hears(Reading { topic, at }, grant, &mut work) {
                Hears::Yes => {
                    search.first = Some(id);
                    search.left -= 1;
                }
                Hears::No => {}
                Hears::Later => return false,
            }
        }
        true
    }

    /// The start of a stream at the events that were found. What the history does not keep was not
    /// asked for, so it is no gap.
    #[must_use]
    pub fn start_at_last(
        &mut self,
        ids: &[SelectorId],
        granted: bool,
        search: &LastSearch,
    ) -> Start {
        let cursor = search.first.map_or(search.head, EventId::before);
        let mut work = self.work();
        Start {
            cursor: Some(cursor),
            told_through: self.evicted_from_all(ids, granted, cursor, &mut work),
            ..Start::default()
        }
    }

    /// The start of a stream that asks for everything since a time, in milliseconds since the Unix
    /// epoch. It named the time, so what is no longer kept is a gap, and so is what was before the
    /// node's start. A time to come means now.
    #[must_use]
    pub fn start_since(&self, unix_ms: u64) -> Start {
        let first = EventId::from_parts(unix_ms, 0);
        let cursor = first.map_or(self.head, |first| first.before().min(self.head));
        // The stream is told its cursor, which it may send back: no id from before the node's start
        // is one that it gave.
        let is_given = cursor >= self.birth;
        Start {
            cursor: Some(if is_given { cursor } else { EventId::ZERO }),
            ..Start::default()
        }
    }

    fn way_back(&self, ids: &[SelectorId], through: EventId) -> WayBack {
        if patterns_of(ids).is_some() {
            return WayBack::Order(self.order.after(through));
        }
        let topics = ids.iter().filter_map(|id| id.topic_index());
        let newest = topics.filter_map(|topic| {
            let log = self.topics.get(topic).log.as_deref()?;
            let at = log.position_after(through).checked_sub(1)?;
            Some((log.get(at)?.id, topic, at))
        });
        WayBack::Topics(newest.collect())
    }

    /// The next event on a way back, and one of its topics.
    fn step_back(&self, way: &mut WayBack) -> Option<(EventId, u32)> {
        let next = match way {
            WayBack::Order(place) => return self.order.previous(place),
            WayBack::Topics(next) => next,
        };
        let (id, topic, at) = next.pop()?;
        let before = at.checked_sub(1);
        if let Some(at) = before
            && let Some(entry) = self.entry(Reading { topic, at })
        {
            next.push((entry.id, topic, at));
        }
        Some((id, topic))
    }
}
