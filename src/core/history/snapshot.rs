//! The whole state of a store as plain values, and the restoring of a store from them.
//!
//! A snapshot is taken in portions, so that each hold of the lock is short. Nothing may change
//! between two portions: the caller must ensure that no event is published and no stream attached
//! or released. Slots keep their numbers, so that the ids of streams stay valid. The snapshot
//! leaves out everything that is derived from the rest: indexes, the pins of grants and of private
//! events, and notes in the node's order.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::core::event::EventId;
use crate::core::sse::Frame;

use super::break_off::Doubts;
use super::evicted::Evicted;
use super::hole::Holes;
use super::listeners::Listeners;
use super::log::{Entry, More};
use super::pattern_ref::PatternRef;
use super::patterns::Pattern;
use super::record::{EvictedRecord, ListenersRecord, OrderRecord, Record, RestoreError};
use super::topics::{Pins, Topic};
use super::{Grant, HistoryLimits, HoldLimits, SelectorId, SelectorIds, Store};

/// The position at which a snapshot continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotCursor {
    /// At the head.
    #[default]
    Head,
    /// At the topics, from this slot on.
    Topics(u32),
    /// At the events of this topic, from this position on.
    Events(u32, usize),
    /// At the patterns, from this slot on.
    Patterns(u32),
    /// At the grants in this part of their table, from this place on.
    Grants(usize, usize),
    /// The snapshot is complete.
    End,
}

impl From<Evicted> for EvictedRecord {
    fn from(evicted: Evicted) -> Self {
        Self {
            any: evicted.for_reader(true),
            public: evicted.for_reader(false),
        }
    }
}

impl From<EvictedRecord> for Evicted {
    fn from(record: EvictedRecord) -> Self {
        let mut evicted = Self::default();
        evicted.add(record.any, true);
        evicted.add(record.public, false);
        evicted
    }
}

impl From<Listeners> for ListenersRecord {
    fn from(listeners: Listeners) -> Self {
        Self {
            subscribers: listeners.subscribers,
            granted: listeners.granted,
            shards: listeners.shards,
        }
    }
}

impl From<ListenersRecord> for Listeners {
    fn from(record: ListenersRecord) -> Self {
        Self {
            subscribers: record.subscribers,
            granted: record.granted,
            shards: record.shards,
        }
    }
}

impl Store {
    /// Appends at most `count` records to `out`, from `cursor` on. Returns the position of the next
    /// one.
    pub fn snapshot(
        &self,
        cursor: SnapshotCursor,
        count: usize,
        out: &mut Vec<Record>,
    ) -> SnapshotCursor {
        let mut cursor = cursor;
        for _ in 0..count {
            let (record, next) = self.record(cursor);
            cursor = next;
            out.extend(record);
            if cursor == SnapshotCursor::End {
                break;
            }
        }
        cursor
    }

    /// The record at a cursor, if there is one, and the position of the next record.
    fn record(&self, cursor: SnapshotCursor) -> (Option<Record>, SnapshotCursor) {
        match cursor {
            SnapshotCursor::Head => (Some(self.head_record()), SnapshotCursor::Topics(0)),
            SnapshotCursor::Topics(from) => match self.topics.next_from(from) {
                Some((slot, topic)) => {
                    let next = SnapshotCursor::Events(slot, 0);
                    (Some(topic_record(slot, topic)), next)
                }
                None => (None, SnapshotCursor::Patterns(0)),
            },
            SnapshotCursor::Events(slot, at) => {
                let log = self.topics.get(slot).log.as_deref();
                match log.and_then(|log| log.get(at)) {
                    Some(entry) => {
                        let next = SnapshotCursor::Events(slot, at + 1);
                        (Some(event_record(entry)), next)
                    }
                    None => (None, SnapshotCursor::Topics(slot + 1)),
                }
            }
            SnapshotCursor::Patterns(from) => match self.patterns.next_from(from) {
                Some((slot, pattern)) => {
                    let next = SnapshotCursor::Patterns(slot + 1);
                    let untold = self.untold_of(pattern.reference(slot));
                    (Some(pattern.record(slot, untold)), next)
                }
                None => (None, SnapshotCursor::Grants(0, 0)),
            },
            SnapshotCursor::Grants(part, at) => match self.grants.in_part(part, at) {
                Some(Some((grant, streams))) => {
                    let ids = grant.iter().copied().collect();
                    let record = Record::Grant { ids, streams };
                    (Some(record), SnapshotCursor::Grants(part, at + 1))
                }
                Some(None) => (None, SnapshotCursor::Grants(part + 1, 0)),
                None => (None, SnapshotCursor::End),
            },
            SnapshotCursor::End => (None, SnapshotCursor::End),
        }
    }

    fn head_record(&self) -> Record {
        Record::Head {
            birth: self.birth,
            head: self.head,
            mark: self.mark,
            forgotten: self.forgotten.into(),
            evicted: self.evicted.into(),
            newest_pattern: self.patterns.newest(),
            holes: self.holes.as_slice().to_vec(),
            order: OrderRecord {
                from: self.order_from,
                doubts: self.doubts.as_slice().to_vec(),
                retracting: self.retracting,
            },
        }
    }

    /// Restores a store that answers as the original of the snapshot did.
    ///
    /// # Errors
    /// [`RestoreError`] if the records are not those of one whole snapshot.
    pub fn restore(
        limits: HistoryLimits,
        hold: HoldLimits,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, RestoreError> {
        let mut restoring = Restoring::new(limits, hold);
        for record in records {
            restoring.take(record)?;
        }
        restoring.finish()
    }

    /// Whether there is a topic or a pattern with this id.
    #[must_use]
    pub fn exists(&self, id: SelectorId) -> bool {
        match id.pattern_slot() {
            Some(slot) => self.patterns.get(slot).is_some(),
            None => self.topics.in_slot(id.0).is_some(),
        }
    }

    /// Removes what only publishers and subscriptions in progress had pinned: they ended with the
    /// process of the snapshot.
    fn remove_unused(&mut self) {
        let topics = self.topics.iter();
        let unused = topics.filter(|(_, topic)| topic.is_unused());
        let unused: Vec<_> = unused.map(|(slot, _)| slot).collect();
        for slot in unused {
            self.forget_if_unused(slot);
        }
        let patterns: Vec<_> = self.patterns.iter().map(|(slot, _)| slot).collect();
        for slot in patterns {
            self.patterns.remove_unheld(slot);
        }
    }

    /// Checks that exactly these streams are counted in topics, patterns and grants. Each stream is
    /// given as its ids and the ids of its grant.
    ///
    /// # Errors
    /// [`RestoreError::Counts`] if there are other counts.
    pub fn check_streams<'s>(
        &self,
        streams: impl Iterator<Item = (SelectorIds, Option<&'s SelectorIds>)>,
    ) -> Result<(), RestoreError> {
        let mut counts: HashMap<SelectorId, (u32, u32)> = HashMap::new();
        let mut shares: HashMap<&SelectorIds, u32> = HashMap::new();
        for (ids, grant) in streams {
            for id in ids {
                let (subscribers, granted) = counts.entry(id).or_default();
                *subscribers += 1;
                *granted += u32::from(grant.is_some());
            }
            if let Some(ids) = grant {
                *shares.entry(ids).or_default() += 1;
            }
        }
        let topics = self.topics.iter().map(|(slot, topic)| {
            let count = (topic.subscribers, topic.granted);
            (SelectorId::topic(slot), count)
        });
        let patterns = self.patterns.iter().map(|(slot, pattern)| {
            let listeners = pattern.listeners;
            let count = (listeners.subscribers, listeners.granted);
            (SelectorId::pattern(slot), count)
        });
        let mut counted = topics.chain(patterns);
        let all = counted.all(|(id, count)| counts.remove(&id).unwrap_or_default() == count);
        let grants = self.grants.iter().all(|(ids, streams)| {
            let ids: SelectorIds = ids.iter().copied().collect();
            shares.remove(&ids) == Some(streams)
        });
        if all && grants && counts.is_empty() && shares.is_empty() {
            Ok(())
        } else {
            Err(RestoreError::Counts)
        }
    }

    /// An existing grant with these ids. For a stream of a snapshot, whose share is already
    /// counted.
    #[must_use]
    pub fn grant_of(&self, ids: &[SelectorId]) -> Option<Grant> {
        self.grants.find(ids)
    }
}

fn topic_record(slot: u32, topic: &Topic) -> Record {
    let matches = topic.matches().iter();
    Record::Topic {
        slot,
        name: topic.name.clone(),
        evicted: topic.evicted.into(),
        has_evicted: topic.pins.has_evicted(),
        listeners: ListenersRecord {
            subscribers: topic.subscribers,
            granted: topic.granted,
            shards: topic.shards,
        },
        matches: matches.map(|found| (found.slot, found.serial)).collect(),
        matched_through: topic.matched_through,
    }
}

fn event_record(entry: &Entry) -> Record {
    Record::Event {
        id: entry.id,
        frame: entry.frame.clone(),
        own_id: entry.own_id().map(Into::into),
        topics: entry.private_topics().map(|topics| (**topics).clone()),
    }
}

/// An event to restore.
struct Restored {
    id: EventId,
    topic: u32,
    frame: Frame,
    more: Option<More>,
}

/// A store that is being restored.
struct Restoring {
    store: Store,
    /// The step that was reached: 1 = head, 2 = topics, 3 = patterns, 4 = grants.
    step: u8,
    topic: Option<u32>,
    /// The last event of this topic.
    last: Option<EventId>,
    events: Vec<Restored>,
    /// The topics of private events that have several, one list for all entries of an event.
    shared: HashMap<EventId, Arc<SelectorIds>>,
}

impl Restoring {
    fn new(limits: HistoryLimits, hold: HoldLimits) -> Self {
        Self {
            store: Store::new(limits, 0).with_hold(hold),
            step: 0,
            topic: None,
            last: None,
            events: Vec::new(),
            shared: HashMap::new(),
        }
    }

    /// Checks that records come in order.
    fn reach(&mut self, step: u8) -> Result<(), RestoreError> {
        let is_head = step == 1;
        if step < self.step || is_head != (self.step == 0) {
            return Err(RestoreError::Order);
        }
        self.step = step;
        Ok(())
    }

    fn take(&mut self, record: Record) -> Result<(), RestoreError> {
        match record {
            Record::Head {
                birth,
                head,
                mark,
                forgotten,
                evicted,
                newest_pattern,
                holes,
                order,
            } => {
                self.reach(1)?;
                let holes = Holes::checked(&holes, head).ok_or(RestoreError::Ids)?;
                self.store.holes = holes;
                self.store.doubts = Doubts::checked(&order.doubts).ok_or(RestoreError::Ids)?;
                self.store.order_from = order.from;
                self.store.retracting = order.retracting;
                self.store.birth = birth;
                self.store.head = head;
                self.store.mark = mark;
                self.store.forgotten = forgotten.into();
                self.store.evicted = evicted.into();
                self.store.patterns.set_newest(newest_pattern);
            }
            Record::Topic {
                slot,
                name,
                evicted,
                has_evicted,
                listeners,
                matches,
                matched_through,
            } => {
                self.reach(2)?;
                let mut topic = Topic {
                    name,
                    evicted: evicted.into(),
                    subscribers: listeners.subscribers,
                    granted: listeners.granted,
                    shards: listeners.shards,
                    matched_through,
                    pins: Pins::default(),
                    ..Topic::default()
                };
                if has_evicted {
                    topic.pins.set_has_evicted();
                }
                let matches = matches.into_iter();
                let matches = matches.map(|(slot, serial)| PatternRef { slot, serial });
                topic.set_matches(matches, self.store.hold.listed_patterns);
                let topics = &mut self.store.topics;
                topics.insert_at(slot, topic)?;
                self.topic = Some(slot);
                self.last = None;
            }
            Record::Event {
                id,
                frame,
                own_id,
                topics,
            } => {
                self.reach(2)?;
                let topic = self.topic.ok_or(RestoreError::Order)?;
                let is_next = self.last.is_none_or(|last| last < id) && id <= self.store.head;
                if !is_next {
                    return Err(RestoreError::Order);
                }
                self.last = Some(id);
                let topics = topics.map(|topics| {
                    let shared = self.shared.entry(id);
                    Arc::clone(shared.or_insert_with(|| Arc::new(topics)))
                });
                let more =
                    (own_id.is_some() || topics.is_some()).then_some(More { own_id, topics });
                self.events.push(Restored {
                    id,
                    topic,
                    frame,
                    more,
                });
            }
            Record::Pattern {
                slot,
                serial,
                selector,
                listeners,
                evicted_since,
                evicted_before,
                forgotten_before,
            } => {
                self.reach(3)?;
                let pattern = Pattern::restored(
                    (selector, serial),
                    listeners.into(),
                    (evicted_since.into(), evicted_before.into()),
                    forgotten_before.map(Evicted::from),
                );
                let patterns = &mut self.store.patterns;
                patterns.insert_at(slot, pattern)?;
            }
            Record::Grant { ids, streams } => {
                self.reach(4)?;
                for id in &ids {
                    self.pin(*id)?;
                }
                self.store.grants.restore(&ids, streams);
            }
        }
        Ok(())
    }

    fn pin(&mut self, id: SelectorId) -> Result<(), RestoreError> {
        if let Some(slot) = id.pattern_slot() {
            let is_known = self.store.patterns.get(slot).is_some();
            self.store.patterns.pin(slot);
            return is_known.then_some(()).ok_or(RestoreError::Unknown);
        }
        let topic = self.store.topics.in_slot_mut(id.0);
        topic.ok_or(RestoreError::Unknown)?.pins.add();
        Ok(())
    }

    fn finish(mut self) -> Result<Store, RestoreError> {
        if self.step == 0 {
            return Err(RestoreError::Order);
        }
        let shared = std::mem::take(&mut self.shared);
        for topic in shared.values().flat_map(|topics| topics.iter()) {
            self.pin(*topic)?;
        }
        // From here on, only the events refer to a list. The eviction of an event's last entry
        // unpins the topics.
        drop(shared);
        self.store.patterns.finish_restore();
        // In the order in which the node appended them.
        self.events.sort_by_key(|event| (event.id, event.topic));
        for event in std::mem::take(&mut self.events) {
            let store = &mut self.store;
            store.remember(event.topic, event.id, &event.frame, event.more.as_ref());
        }
        self.store.remove_unused();
        Ok(self.store)
    }
}
