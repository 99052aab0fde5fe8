//! A store made of the history of an earlier process.
//!
//! The current limits hold: what does not fit is evicted, and the bounds of the topics tell of it.

use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::core::event::EventId;
use crate::core::sse::Frame;
use crate::core::topic;

use super::evicted::Evicted;
use super::hole::Holes;
use super::log::More;
use super::record::RestoreError;
use super::walk::{HistoryEvent, HistoryHead, HistoryRecord};
use super::{HistoryLimits, HoldLimits, Hole, HoleCause, SelectorId, SelectorIds, Store};

/// Events that one step of an expiry examines. No lock is held.
const EXPIRE_STEPS: usize = 1 << 16;

/// How the process ended whose history is revived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of its events are in the history.
    Whole,
    /// Events after the history are lost. No id that it gave is above this one.
    Lost(EventId),
}

/// What became of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revived {
    /// Events that are kept, counted once for each of their topics.
    pub events: usize,
    /// Events that the current limits do not keep.
    pub evicted: usize,
}

/// An event to revive.
struct Waiting {
    id: EventId,
    topic: u32,
    frame: Frame,
    own_id: Option<Box<str>>,
    /// It is private and has several topics.
    is_shared: bool,
}

/// A topic whose events come in.
#[derive(Clone, Copy)]
struct OpenTopic {
    index: u32,
    /// Number of events before its own.
    first: usize,
    /// It was not in the history before. A topic that was deleted during the walk and created again
    /// may be in it twice.
    is_new: bool,
}

/// A history that is being revived.
pub struct Revival {
    store: Store,
    head: Option<HistoryHead>,
    /// The topic whose events come in.
    topic: Option<OpenTopic>,
    /// All its topics, which are pinned until their events have come in.
    topics: Vec<u32>,
    events: Vec<Waiting>,
    /// The topics of private events that have several.
    shared: HashMap<EventId, Vec<Box<str>>>,
}

impl Revival {
    /// An empty history, for a store with these limits.
    #[must_use]
    pub fn new(limits: HistoryLimits, hold: HoldLimits) -> Self {
        Self {
            store: Store::new(limits, 0).with_hold(hold),
            head: None,
            topic: None,
            topics: Vec::new(),
            events: Vec::new(),
            shared: HashMap::new(),
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// [`RestoreError`] if it is in a wrong place, or its ids do not fit.
    pub fn take(&mut self, record: HistoryRecord) -> Result<(), RestoreError> {
        match record {
            _ if self.head.is_some() => return Err(RestoreError::Order),
            HistoryRecord::Topic { name } => {
                if self.topic.is_some() {
                    return Err(RestoreError::Order);
                }
                check_name(&name)?;
                let topics = &mut self.store.topics;
                let is_new = topics.find(&name).is_none();
                let index = topics.intern(&name, Evicted::default());
                if is_new {
                    topics.get_mut(index).pins.add();
                    self.topics.push(index);
                }
                self.topic = Some(OpenTopic {
                    index,
                    first: self.events.len(),
                    is_new,
                });
            }
            HistoryRecord::Event(event) => self.take_event(event)?,
            HistoryRecord::TopicEnd {
                evicted,
                has_evicted,
            } => {
                let open = self.topic.take().ok_or(RestoreError::Order)?;
                let topic = self.store.topics.get_mut(open.index);
                topic.evicted = topic.evicted.or(evicted.into());
                if has_evicted {
                    topic.pins.set_has_evicted();
                }
            }
            HistoryRecord::TopicGone => {
                let open = self.topic.take().ok_or(RestoreError::Order)?;
                self.events.truncate(open.first);
                if open.is_new {
                    self.topics.pop();
                    self.store.topics.remove(open.index);
                }
            }
            HistoryRecord::Keys(keys) => {
                if self.topic.is_some() {
                    return Err(RestoreError::Order);
                }
                self.store.restore_keys(keys)?;
            }
            HistoryRecord::Head(head) => {
                if self.topic.is_some() {
                    return Err(RestoreError::Order);
                }
                self.head = Some(head);
            }
        }
        Ok(())
    }

    fn take_event(&mut self, event: HistoryEvent) -> Result<(), RestoreError> {
        let topic = self.topic.ok_or(RestoreError::Order)?;
        let before = self.events[topic.first..].last();
        if event.id <= before.map_or(EventId::ZERO, |before| before.id) {
            return Err(RestoreError::Ids);
        }
        let is_shared = event.topics.is_some();
        if let Some(topics) = event.topics {
            topics.iter().try_for_each(|name| check_name(name))?;
            self.shared.entry(event.id).or_insert(topics);
        }
        self.events.push(Waiting {
            id: event.id,
            topic: topic.index,
            frame: event.frame,
            own_id: event.own_id,
            is_shared,
        });
        Ok(())
    }

    /// The newest id of the history, once it is complete.
    #[must_use]
    pub fn head(&self) -> Option<EventId> {
        self.head.as_ref().map(|head| head.head)
    }

    /// The store, when the wall clock reads this many milliseconds since the unix epoch.
    ///
    /// # Errors
    /// [`RestoreError`] if the records are not those of one whole history.
    pub fn finish(
        mut self,
        ending: Ending,
        now_unix_ms: u64,
    ) -> Result<(Store, Revived), RestoreError> {
        let head = self.head.take().ok_or(RestoreError::Order)?;
        self.set_head(&head)?;
        if let Ending::Lost(newest) = ending {
            self.add_hole(head.head, newest);
        }
        self.order_events()?;
        let total = self.events.len();
        self.fill();
        let store = &mut self.store;
        store.evictions_left = usize::MAX;
        while !store.expire(store.limits.cut_off(now_unix_ms), EXPIRE_STEPS) {}
        // A topic without events exists for its streams only.
        for index in self.topics {
            store.unpin(SelectorId::topic(index));
        }
        store.upkeep = store.work();
        let revived = Revived {
            events: store.events,
            evicted: total - store.events,
        };
        Ok((self.store, revived))
    }

    fn set_head(&mut self, head: &HistoryHead) -> Result<(), RestoreError> {
        let bounds = [head.birth, head.forgotten.any, head.forgotten.public];
        let mut ids = bounds
            .into_iter()
            .chain(self.events.iter().map(|event| event.id));
        if ids.any(|id| id > head.head) {
            return Err(RestoreError::Ids);
        }
        let store = &mut self.store;
        store.holes = Holes::checked(&head.holes, head.head).ok_or(RestoreError::Ids)?;
        store.birth = head.birth;
        store.head = head.head;
        store.check_keys()?;
        store.mark = head.mark;
        store.forgotten = head.forgotten.into();
        store.evicted = store.forgotten;
        for (_, topic) in store.topics.iter() {
            if topic.evicted.for_reader(true) > head.head {
                return Err(RestoreError::Ids);
            }
            store.evicted = store.evicted.or(topic.evicted);
        }
        Ok(())
    }

    /// Notes that the ids from `after` to `newest` are lost. The order continues above them.
    fn add_hole(&mut self, after: EventId, newest: EventId) {
        let through = newest.max(after.after());
        let store = &mut self.store;
        store.head = through;
        let removed = store.holes.add(Hole {
            after,
            through,
            cause: HoleCause::Crash,
        });
        let bound = removed.map_or_else(Evicted::default, Evicted::through);
        store.forgotten = store.holes.raise(store.forgotten.or(bound));
        store.evicted = store.holes.raise(store.evicted.or(bound));
        let mut from = 0;
        while let Some((index, _)) = store.topics.next_from(from) {
            from = index + 1;
            let topic = store.topics.get_mut(index);
            topic.evicted = store.holes.raise(topic.evicted.or(bound));
            if removed.is_some() {
                topic.pins.set_has_evicted();
            }
        }
    }

    /// Leaves out events that their topics evicted during the walk, and puts the others into the
    /// order in which they were published.
    fn order_events(&mut self) -> Result<(), RestoreError> {
        let topics = &self.store.topics;
        let bound = |topic| topics.get(topic).evicted.for_reader(true);
        self.events.retain(|event| event.id > bound(event.topic));
        let key = |event: &Waiting| (event.id, event.topic);
        self.events.sort_unstable_by_key(key);
        let rise = self
            .events
            .is_sorted_by(|event, next| key(event) < key(next));
        rise.then_some(()).ok_or(RestoreError::Ids)
    }

    /// Puts the events into their topics, in the order in which they were published.
    fn fill(&mut self) {
        let mut lists = self.pin_shared();
        let mut events = std::mem::take(&mut self.events).into_iter().peekable();
        let mut frame: Option<Frame> = None;
        let mut topics = SmallVec::<[u32; 8]>::new();
        while let Some(event) = events.next() {
            let shared = frame.filter(|frame| *frame == event.frame);
            let shared = shared.unwrap_or(event.frame);
            let list = event.is_shared.then(|| lists.get(&event.id).cloned());
            let more = More {
                own_id: event.own_id,
                topics: list.flatten(),
            };
            let more = (more.own_id.is_some() || more.topics.is_some()).then_some(more);
            self.store
                .remember(event.topic, event.id, &shared, more.as_ref());
            frame = Some(shared);
            topics.push(event.topic);
            if events.peek().is_some_and(|next| next.id == event.id) {
                continue;
            }
            // From here on, only the events refer to the list. The eviction of the last one unpins
            // the topics.
            lists.remove(&event.id);
            drop(more);
            frame = None;
            for topic in topics.drain(..) {
                self.store.evictions_left = usize::MAX;
                self.store.evict_within(topic, EventId::ZERO);
            }
        }
        while !self.store.make_room() {}
    }

    /// The topics of each private event that has several, pinned once for each event.
    fn pin_shared(&mut self) -> HashMap<EventId, Arc<SelectorIds>> {
        let store = &mut self.store;
        let mut lists = HashMap::new();
        for event in self.events.iter().filter(|event| event.is_shared) {
            if lists.contains_key(&event.id) {
                continue;
            }
            let names = self.shared.remove(&event.id).unwrap_or_default();
            let index = |name| store.topics.intern(name, store.forgotten);
            let indexes = names.iter().map(AsRef::as_ref).map(index);
            let indexes = indexes.map(SelectorId::topic);
            let mut ids: SelectorIds = indexes.collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids.iter().filter_map(|id| id.topic_index()) {
                store.topics.get_mut(id).pins.add();
            }
            lists.insert(event.id, Arc::new(ids));
        }
        self.shared = HashMap::new();
        lists
    }
}

/// Topics of the node itself are longer than those of publishers may be.
fn check_name(name: &str) -> Result<(), RestoreError> {
    topic::check(name, usize::MAX).map_err(|_| RestoreError::Name)
}
