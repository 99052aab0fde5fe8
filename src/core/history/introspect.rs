//! What operators and applications may see of topics: their subscribers, and the kept events.

use crate::core::event::EventId;
use crate::core::selector::Selector;
use crate::core::sse::Frame;

use super::log::Log;
use super::{SelectorId, Store};

impl Store {
    /// The selector of this id.
    #[must_use]
    pub fn selector(&self, id: SelectorId) -> Selector {
        let pattern = id.pattern_slot().and_then(|slot| self.patterns.get(slot));
        match pattern {
            Some(pattern) => pattern.selector.clone(),
            None => Selector::exact(self.name(id)),
        }
    }

    /// Kept events of `name` with `first <= id <= last`, oldest first, or newest first when
    /// `newest_first`; at most `count`. Private ones are included: this is for operators, not for
    /// streams.
    #[must_use]
    pub fn range(
        &self,
        name: &str,
        (first, last): (EventId, EventId),
        count: usize,
        newest_first: bool,
    ) -> Vec<(EventId, Frame)> {
        let Some(log) = self.log_of(name) else {
            return Vec::new();
        };
        let start = if first == EventId::ZERO {
            0
        } else {
            log.position_after(first.before())
        };
        let end = log.position_after(last).max(start);
        let event = |at| log.get(at).map(|entry| (entry.id, entry.frame.clone()));
        if newest_first {
            (start..end).rev().take(count).filter_map(event).collect()
        } else {
            (start..end).take(count).filter_map(event).collect()
        }
    }

    /// About the bytes of the events that [`Self::range`] returns for the same range. Reads none of
    /// them.
    #[must_use]
    pub fn range_bytes(
        &self,
        name: &str,
        (first, last): (EventId, EventId),
        count: usize,
    ) -> usize {
        let Some(log) = self.log_of(name).filter(|log| log.len() > 0) else {
            return 0;
        };
        let start = if first == EventId::ZERO {
            0
        } else {
            log.position_after(first.before())
        };
        let events = log.position_after(last).saturating_sub(start).min(count);
        events * log.frame_bytes().div_ceil(log.len())
    }

    /// Number of events kept of `name`.
    #[must_use]
    pub fn len_of(&self, name: &str) -> usize {
        self.log_of(name).map_or(0, Log::len)
    }

    /// The newest id kept of `name`.
    #[must_use]
    pub fn last_of(&self, name: &str) -> Option<EventId> {
        self.log_of(name).and_then(Log::last_id)
    }

    /// Whether `name` may have had an event after `id`. For a deleted topic the node only knows a
    /// bound over all such topics, so the answer may be true although there was none; it is never
    /// false if there was one.
    #[must_use]
    pub fn may_have_changed(&self, name: &str, id: EventId) -> bool {
        let Some(index) = self.topics.find(name) else {
            return self.forgotten.for_reader(true) > id;
        };
        let topic = self.topics.get(index);
        let newest = topic.log.as_deref().and_then(Log::last_id);
        newest > Some(id) || topic.evicted.for_reader(true) > id
    }

    fn log_of(&self, name: &str) -> Option<&Log> {
        self.topics.get(self.topics.find(name)?).log.as_deref()
    }

    /// Text of a topic or pattern that has a subscriber.
    #[must_use]
    pub fn name(&self, id: SelectorId) -> &str {
        match id.pattern_slot() {
            Some(slot) => self
                .patterns
                .get(slot)
                .map_or("", |pattern| pattern.selector.text()),
            None => self.topics.in_slot(id.0).map_or("", |topic| &topic.name),
        }
    }

    /// Subscribers of `name` by name.
    #[must_use]
    pub fn subscribers(&self, name: &str) -> u64 {
        self.topics
            .find(name)
            .map_or(0, |index| u64::from(self.topics.get(index).subscribers))
    }

    /// Different patterns that streams subscribe to.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.patterns.subscribed()
    }

    /// Topics with subscribers among the table's slots from `from` on, at most `slots` of them:
    /// names, counts and the next slot (`None` at the end).
    #[must_use]
    pub fn channels(&self, from: u32, slots: u32) -> (Vec<(Box<str>, u64)>, Option<u32>) {
        let mut topics = Vec::new();
        let mut from = from;
        for _ in 0..slots {
            let Some((index, topic)) = self.topics.next_from(from) else {
                return (topics, None);
            };
            from = index + 1;
            if topic.subscribers > 0 {
                topics.push((topic.name.clone(), u64::from(topic.subscribers)));
            }
        }
        (topics, (from < self.topics.end()).then_some(from))
    }
}
