//! Resolving a returning client's cursor.

use smallvec::SmallVec;

use crate::core::event::EventId;
use crate::core::selector::Selector;

use super::log::Entry;
use super::newest::Newest;
use super::own_ids::Place;
use super::pins::{RecordNeeded, Rights};
use super::read::{Hears, Reading};
use super::scan::patterns_of;
use super::work::Work;
use super::{SelectorId, SelectorIds, Store};

/// Events that a cursor may mean.
type Places = SmallVec<[Place; 2]>;

/// Undecided within the bounds on one hold of the lock.
struct TooMuch;

/// The cursor of a client that asks for all kept events, and the answer to one before whose first
/// event there is none.
pub const EARLIEST: &str = "earliest";

/// The id of the event before the first one of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastEventId {
    /// The cursor that the client sent: nothing is missing after it.
    Asked(String),
    /// An event of this node.
    Id(EventId),
    /// There is none: the stream gets every kept event.
    Earliest,
}

impl LastEventId {
    /// Its text, with an id in the form of `write`.
    #[must_use]
    pub fn text(&self, write: impl FnOnce(EventId) -> String) -> String {
        match self {
            Self::Asked(cursor) => cursor.clone(),
            Self::Id(id) => write(*id),
            Self::Earliest => EARLIEST.to_owned(),
        }
    }
}

/// The start of a stream, resolved from its client's cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Value of the `Last-Event-ID` response header; `None` if the request had no cursor.
    pub last_event_id: Option<LastEventId>,
    /// Replay from here; `None` = live from now.
    pub(crate) cursor: Option<EventId>,
    /// Losses up to here are expected by the client (it asked for `earliest`), or are reported
    /// through `unknown`.
    pub(crate) told_through: EventId,
    /// The cursor as it was sent, if this node does not know it.
    pub(crate) unknown: Option<Box<str>>,
    /// For each of its topics and patterns, the newest event when it subscribed; from
    /// [`Store::settle_start`].
    pub(crate) newest: Box<[Newest]>,
}

impl Store {
    /// Completes the start of a stream when it subscribes. A stream with nothing to read and no gap
    /// is live. For any other, the newest events are noted, which its shard has not been sent.
    #[must_use]
    pub fn settle_start(&mut self, start: Start, ids: &[SelectorId], granted: bool) -> Start {
        if self.nothing_after(&start, ids, granted) {
            return Start::default();
        }
        let newest = self.newest(ids);
        Start { newest, ..start }
    }

    /// Resolves `cursor` into the start of a stream on `selectors` that may hear private events of
    /// `grant`. A cursor is `earliest`, an id of this node, or a publisher's own id. Never fails:
    /// an unknown or evicted one becomes a gap that the stream is sent.
    #[must_use]
    pub fn resolve(&mut self, selectors: &[Selector], grant: &[Selector], cursor: &str) -> Start {
        // Pinned for the moment, so that new selectors can be looked up like all others.
        let ids: SelectorIds = selectors
            .iter()
            .map(|selector| self.pin(selector))
            .collect();
        let rights = if grant.is_empty() {
            Rights::Anonymous
        } else {
            Rights::Unknown
        };
        let start = self.resolve_pinned(&ids, rights, cursor);
        let start = start.unwrap_or_else(|RecordNeeded| {
            // The grant is only looked up if it is needed.
            let record = self.share(grant);
            let rights = record.as_deref().map_or(Rights::Anonymous, Rights::Record);
            let start = self.resolve_pinned(&ids, rights, cursor);
            if let Some(record) = &record {
                self.unshare(record);
            }
            start.unwrap_or_default()
        });
        for id in ids {
            self.unpin(id);
        }
        start
    }

    /// The same where the selectors are pinned.
    ///
    /// # Errors
    /// [`RecordNeeded`] if the rights are unknown and matter; with the record, there is no error.
    pub fn resolve_pinned(
        &mut self,
        ids: &[SelectorId],
        rights: Rights<'_>,
        cursor: &str,
    ) -> Result<Start, RecordNeeded> {
        let mut work = self.work();
        let granted = rights.granted();
        if cursor == EARLIEST {
            let lost_through = self.evicted_from_all(ids, granted, EventId::ZERO, &mut work);
            let lost_through = self.lost_before_all(ids, lost_through);
            let before = self.before_all(ids, lost_through);
            return Ok(Start {
                cursor: Some(before),
                ..Start::from_the_beginning(lost_through, None)
            });
        }
        let Some(id) = self.find_cursor(ids, rights, cursor, &mut work)? else {
            let lost_through = self.evicted_from_all(ids, granted, EventId::ZERO, &mut work);
            // One gap for everything that may be missing.
            let lost_through = lost_through.max(self.holes.end());
            return Ok(Start::from_the_beginning(lost_through, Some(cursor.into())));
        };
        let is_evicted = self.evicted_from_all(ids, granted, id, &mut work) > id;
        let last_event_id = if is_evicted || self.holes.end() > id {
            match self.before_first(ids, rights, id, &mut work)? {
                // The hole is behind the first event.
                Some(before) if !is_evicted && before <= id => LastEventId::Asked(cursor.into()),
                Some(before) => LastEventId::Id(before),
                None => LastEventId::Earliest,
            }
        } else {
            LastEventId::Asked(cursor.to_owned())
        };
        Ok(Start {
            last_event_id: Some(last_event_id),
            cursor: Some(id),
            ..Start::default()
        })
    }

    /// The place of a cursor. Publishers may give an event any id, also one that looks like the
    /// node's, or that another topic has. Of all places that it may mean to this stream, the lowest
    /// loses nothing; its meaning to other streams does not count.
    fn find_cursor(
        &mut self,
        ids: &[SelectorId],
        rights: Rights<'_>,
        cursor: &str,
        work: &mut Work,
    ) -> Result<Option<EventId>, RecordNeeded> {
        // Publishers cannot give such an id.
        if let Some(place) = self.mark.place_of(cursor) {
            return Ok(Some(place).filter(|id| self.has_given(*id)));
        }
        let mut places = Places::new();
        if !self.places_of(ids, cursor, work, &mut places) {
            return Ok(None);
        }
        let record = if places.iter().any(|place| self.is_private(*place)) {
            rights.record()?
        } else {
            None
        };
        let heard = self.earliest_heard(&places, record, work);
        Ok(heard.unwrap_or_default())
    }

    /// Whether a client may have this id from this node. [`EventId::ZERO`] is the cursor of a stream
    /// that asked for an unknown id and has not been sent its gap yet.
    fn has_given(&self, id: EventId) -> bool {
        let first = self.order_from.unwrap_or(self.birth);
        id == EventId::ZERO || (first..=self.head).contains(&id) && !self.doubts.has(id)
    }

    /// Finds the events of these topics and patterns with this own id: for each the oldest, up to
    /// the first public one. Returns whether all were found. If that is too much work, the id is
    /// unknown, and a gap is reported.
    fn places_of(
        &mut self,
        ids: &[SelectorId],
        cursor: &str,
        work: &mut Work,
        places: &mut Places,
    ) -> bool {
        for topic in ids.iter().filter_map(|id| id.topic_index()) {
            let log = self.topics.get(topic).log.as_deref();
            let same = log.and_then(|log| log.with_own_id(cursor));
            for id in same.into_iter().flat_map(|same| same.iter()) {
                if !work.charge_event() {
                    return false;
                }
                let place = Place { id, topic };
                places.push(place);
                if !self.is_private(place) {
                    break;
                }
            }
        }
        self.places_by_pattern(ids, cursor, work, places)
    }

    fn places_by_pattern(
        &mut self,
        ids: &[SelectorId],
        cursor: &str,
        work: &mut Work,
        places: &mut Places,
    ) -> bool {
        let Some(patterns) = patterns_of(ids) else {
            return true;
        };
        let has_cursor = |place| self.topics.has_own_id(place, cursor);
        let same = self.own_ids.find(cursor, has_cursor);
        let most = work.events_left() + 1;
        let all: Vec<Place> = same.map_or_else(Vec::new, |same| same.iter().take(most).collect());
        for place in all {
            if !work.charge_event() || !self.refresh_matches(place.topic, work) {
                return false;
            }
            if !self.is_among(place.topic, &patterns) {
                continue;
            }
            places.push(place);
            if !self.is_private(place) {
                break;
            }
        }
        true
    }

    fn is_private(&self, place: Place) -> bool {
        self.entry_at(place).is_some_and(Entry::is_private)
    }

    fn entry_at(&self, place: Place) -> Option<&Entry> {
        self.topics.get(place.topic).log.as_deref()?.find(place.id)
    }

    /// The oldest of these events that a stream with this grant may hear. To a stream that may not,
    /// an event's id must look unknown, or guessing ids would reveal which private events exist. If
    /// deciding is too much work, resuming from a younger one might lose events between: the id is
    /// unknown, and a gap is reported.
    fn earliest_heard(
        &mut self,
        places: &[Place],
        grant: Option<&[SelectorId]>,
        work: &mut Work,
    ) -> Result<Option<EventId>, TooMuch> {
        let mut earliest: Option<EventId> = None;
        for Place { id, topic } in places.iter().copied() {
            let log = self.topics.get(topic).log.as_deref();
            let at = log.map_or(0, |log| log.position_after(id.before()));
            match self.hears(Reading { topic, at }, grant, work) {
                Hears::Yes => earliest = Some(earliest.map_or(id, |other| other.min(id))),
                Hears::No => {}
                Hears::Later => return Err(TooMuch),
            }
        }
        Ok(earliest)
    }

    /// Whether a stream on `ids` that starts there has nothing to read and no gap, and so may as
    /// well be live from now on.
    #[must_use]
    pub(super) fn nothing_after(
        &mut self,
        start: &Start,
        ids: &[SelectorId],
        granted: bool,
    ) -> bool {
        let Some(cursor) = start.cursor else {
            return true;
        };
        let seen = cursor.max(start.told_through);
        let mut work = self.work();
        start.unknown.is_none()
            && self.holes.end() <= seen
            && self.evicted_from_all(ids, granted, seen, &mut work) <= seen
            && ids.iter().all(|id| {
                let last = match id.topic_index() {
                    Some(index) => {
                        let log = self.topics.get(index).log.as_ref();
                        log.and_then(|log| log.last_id())
                    }
                    None => self.order.last_id(),
                };
                last.is_none_or(|last| last <= cursor)
            })
    }

    pub(super) fn evicted_from_all(
        &mut self,
        ids: &[SelectorId],
        granted: bool,
        seen: EventId,
        work: &mut Work,
    ) -> EventId {
        let evicted = ids.iter();
        let evicted = evicted.map(|id| self.evicted_from(*id, granted, seen, work));
        evicted.max().unwrap_or_default()
    }

    /// A cursor before everything that is kept of these topics and patterns, and above what was lost
    /// before that: a client that comes back with it, before it was sent an event, has lost nothing.
    /// `lost_through` is the end of all losses; some may be between events that are kept. What is
    /// kept of a pattern is not searched for: whatever is kept is above the node's birth.
    fn before_all(&self, ids: &[SelectorId], lost_through: EventId) -> EventId {
        let mut before = lost_through;
        for id in ids {
            let Some(topic) = id.topic_index() else {
                return self.birth;
            };
            let log = self.topics.get(topic).log.as_ref();
            if let Some(first) = log.and_then(|log| log.first_id()) {
                before = before.min(first.before());
            }
        }
        before.max(self.birth)
    }

    /// The last event that is lost before the first one that a reader at `cursor` will get.
    fn before_first(
        &mut self,
        ids: &[SelectorId],
        rights: Rights<'_>,
        cursor: EventId,
        work: &mut Work,
    ) -> Result<Option<EventId>, RecordNeeded> {
        let record = rights.record()?;
        let mut first = self.first_by_pattern(ids, record, cursor, work);
        for topic in ids.iter().filter_map(|id| id.topic_index()) {
            let by_name = self.first_by_name(topic, record, cursor, work);
            first = first.into_iter().chain(by_name).min();
        }
        let Some(first) = first else {
            return Ok(None);
        };
        let evicted = ids
            .iter()
            .map(|id| self.evicted_from(*id, rights.granted(), EventId::ZERO, work));
        let evicted = evicted.filter(|evicted| *evicted < first).max();
        let holes = self.holes.as_slice().iter().map(|hole| hole.through);
        Ok(evicted.max(holes.filter(|lost| *lost < first).max()))
    }

    /// The first event of a topic after `cursor` that a reader with this grant may hear, if it is
    /// near enough.
    fn first_by_name(
        &mut self,
        topic: u32,
        grant: Option<&[SelectorId]>,
        cursor: EventId,
        work: &mut Work,
    ) -> Option<EventId> {
        let log = self.topics.get(topic).log.as_deref()?;
        for at in log.position_after(cursor).. {
            let reading = Reading { topic, at };
            let entry = self.entry(reading)?;
            let id = entry.id;
            if entry.is_private() && !work.charge_event() {
                return None;
            }
            match self.hears(reading, grant, work) {
                Hears::Yes => return Some(id),
                Hears::No => {}
                Hears::Later => return None,
            }
        }
        None
    }
}

impl Start {
    /// Whether the stream asked for new events only.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.cursor.is_none()
    }

    /// Whether the stream's cursor is not known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.unknown.is_some()
    }

    fn from_the_beginning(told_through: EventId, unknown: Option<Box<str>>) -> Self {
        Self {
            last_event_id: Some(LastEventId::Earliest),
            cursor: Some(EventId::ZERO),
            told_through,
            unknown,
            newest: Box::default(),
        }
    }
}
