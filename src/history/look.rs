//! What operators and applications may see of topics: who listens, and what is kept.

use crate::event::EventId;

use super::log::Log;
use super::{SelectorId, Store};

/// What is known of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: Box<str>,
    /// Streams that subscribe to it by name.
    pub streams: u64,
    /// Subscriptions to patterns that match it; a stream counts once for each.
    pub streams_by_pattern: u64,
    /// Events kept of it.
    pub events: usize,
    /// The oldest of them.
    pub first_id: Option<EventId>,
    /// The newest of them.
    pub last_id: Option<EventId>,
}

impl Store {
    /// What is known of a topic; of one that does not exist, nothing but its name and the patterns that would match it.
    #[must_use]
    pub fn info(&mut self, name: &str) -> TopicInfo {
        if let Some(index) = self.topics.find(name) {
            return self.info_of(index);
        }
        let mut streams_by_pattern = 0;
        self.patterns.newer(name, 0, |known| {
            let pattern = self.patterns.get(known.slot);
            streams_by_pattern +=
                pattern.map_or(0, |pattern| u64::from(pattern.listeners.subscribers));
        });
        TopicInfo {
            name: name.into(),
            streams_by_pattern,
            ..TopicInfo::default()
        }
    }

    fn info_of(&mut self, index: u32) -> TopicInfo {
        self.look_at(index);
        let topic = self.topics.get(index);
        let log = topic.log.as_deref();
        let matches = topic.matches().iter();
        let held = matches.filter(|known| self.patterns.is_held(**known));
        let by_pattern =
            held.map(|known| self.listeners(SelectorId::pattern(known.slot)).subscribers);
        TopicInfo {
            name: topic.name.clone(),
            streams: u64::from(topic.subscribers),
            streams_by_pattern: by_pattern.map(u64::from).sum(),
            events: log.map_or(0, Log::len),
            first_id: log.and_then(Log::first_id),
            last_id: log.and_then(Log::last_id),
        }
    }

    /// Topics with an event or a subscriber among the table's slots from `from` on, at most `slots` of them, and where to go on (`None` at the
    /// end).
    #[must_use]
    pub fn infos(&mut self, from: u32, slots: u32) -> (Vec<TopicInfo>, Option<u32>) {
        let end = from.saturating_add(slots).min(self.topics.slots());
        let mut found = Vec::new();
        for index in from..end {
            let topic = self.topics.get(index);
            // A topic that only a grant names is nobody's business.
            if topic.log.is_some() || topic.subscribers > 0 {
                found.push(self.info_of(index));
            }
        }
        (found, (end < self.topics.slots()).then_some(end))
    }

    /// Text of a topic or pattern that has a subscriber.
    #[must_use]
    pub fn name(&self, id: SelectorId) -> &str {
        match id.pattern_slot() {
            Some(slot) => self
                .patterns
                .get(slot)
                .map_or("", |pattern| pattern.selector.text()),
            None => &self.topics.get(id.0).name,
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

    /// Topics with subscribers among the table's slots from `from` on, at most `slots` of them: names, counts and where to go on
    /// (`None` at the end).
    #[must_use]
    pub fn channels(&self, from: u32, slots: u32) -> (Vec<(Box<str>, u64)>, Option<u32>) {
        let end = from.saturating_add(slots).min(self.topics.slots());
        let found = (from..end)
            .map(|index| self.topics.get(index))
            .filter(|topic| topic.subscribers > 0)
            .map(|topic| (topic.name.clone(), u64::from(topic.subscribers)))
            .collect();
        (found, (end < self.topics.slots()).then_some(end))
    }
}
