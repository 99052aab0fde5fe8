//! The topics of an event by name, and the choice of those that a stream is told.
//!
//! **Invariant:** a stream is told a topic that it subscribes to by name, or one that one of its
//! patterns matches and that it may hear. The other topics of an event may be secret.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::core::event::EventId;
use crate::core::sse::{Draft, Frame, topic_lines};

use super::match_set::MatchSet;
use super::{SelectorId, SelectorIds, Store, Wanted};

/// A topic, and the patterns that match it.
#[derive(Clone, Debug)]
pub(super) struct MatchedTopic {
    id: SelectorId,
    /// The patterns, if they are few.
    patterns: SelectorIds,
    /// The patterns, if they are many.
    set: Option<Arc<MatchSet>>,
}

impl MatchedTopic {
    fn is_matched_by(&self, pattern: SelectorId) -> bool {
        let is_in = |set: &Arc<MatchSet>| set.contains(pattern);
        self.patterns.contains(&pattern) || self.set.as_ref().is_some_and(is_in)
    }

    /// Whether a grant, sorted, has the topic or a pattern that matches it.
    fn is_granted(&self, grant: &[SelectorId]) -> bool {
        let mut few = self.patterns.iter().chain([&self.id]);
        few.any(|id| grant.binary_search(id).is_ok())
            || self.set.as_ref().is_some_and(|set| set.meets(grant))
    }
}

/// Numbers of topics, rising.
pub(crate) type Numbers = SmallVec<[usize; 2]>;

/// Numbers of the topics that a stream is told which hears an event with these topics: all by which
/// it hears the event and that it may be told, perhaps none.
///
/// A topic that a selector names is known to the client. A topic that a pattern matches may be told
/// if the event is public, or if the stream's grant has that topic.
fn choose(
    topics: &[MatchedTopic],
    is_private: bool,
    is_named: impl Fn(SelectorId) -> bool,
    patterns: impl Iterator<Item = SelectorId> + Clone,
    grant: Option<&[SelectorId]>,
) -> Numbers {
    if topics.len() == 1 && !is_private {
        return Numbers::from_elem(0, 1);
    }
    let may_be_told =
        |topic: &MatchedTopic| !is_private || grant.is_some_and(|grant| topic.is_granted(grant));
    let is_matched = |topic: &MatchedTopic| patterns.clone().any(|it| topic.is_matched_by(it));
    let is_told =
        |topic: &MatchedTopic| is_named(topic.id) || is_matched(topic) && may_be_told(topic);
    let numbered = topics.iter().enumerate();
    let told = numbered.filter(|(_, topic)| is_told(topic));
    told.map(|(number, _)| number).collect()
}

/// The topics of one event, in the order of their names.
#[derive(Clone, Debug)]
pub struct EventTopics {
    topics: SmallVec<[MatchedTopic; 1]>,
    lines: SmallVec<[Frame; 1]>,
    is_private: bool,
}

impl EventTopics {
    /// Numbers of the topics that a stream is told which hears the event. See [`choose`].
    pub(crate) fn choose(
        &self,
        selectors: impl Iterator<Item = SelectorId> + Clone,
        grant: Option<&[SelectorId]>,
    ) -> Numbers {
        let is_named = |id| selectors.clone().any(|selector| selector == id);
        let patterns = selectors.clone().filter(|selector| selector.is_pattern());
        choose(&self.topics, self.is_private, is_named, patterns, grant)
    }

    /// The line that names a topic.
    pub(crate) fn line(&self, number: usize) -> Option<&Frame> {
        self.lines.get(number)
    }

    /// Bytes that it takes, lines included.
    pub(crate) fn memory_bytes(&self) -> usize {
        let lines: usize = self.lines.iter().map(Frame::len).sum();
        lines + self.topics.len() * (size_of::<MatchedTopic>() + size_of::<Frame>())
    }
}

/// Lines that name topics. The last one of a single topic is kept: a publisher has many events for
/// one topic.
#[derive(Debug, Default)]
pub(super) struct Lines {
    recent: Option<(Box<str>, Frame)>,
}

impl Lines {
    fn of(&mut self, name: &str) -> Frame {
        match &self.recent {
            Some((recent, line)) if **recent == *name => line.clone(),
            _ => {
                let line = topic_lines([name]);
                self.recent = Some((name.into(), line.clone()));
                line
            }
        }
    }
}

impl Store {
    /// The topic in a slot, and the patterns that match it as far as they are known.
    pub(super) fn matched_topic(&self, index: u32) -> MatchedTopic {
        let many = self.topics.get(index).many();
        MatchedTopic {
            id: SelectorId::topic(index),
            patterns: self.few_patterns(index).collect(),
            set: many.map(|many| Arc::clone(&many.set)),
        }
    }

    /// The topics of an event by name. `topics` has them in the order of the draft.
    pub(super) fn name_topics(
        &mut self,
        draft: &Draft<'_>,
        topics: Vec<MatchedTopic>,
    ) -> Arc<EventTopics> {
        let names = draft.topics().iter().map(AsRef::as_ref);
        let mut named: Vec<(&str, MatchedTopic)> = std::iter::zip(names, topics).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        let lines = named.iter().map(|(name, _)| self.lines.of(name));
        Arc::new(EventTopics {
            lines: lines.collect(),
            topics: named.into_iter().map(|(_, topic)| topic).collect(),
            is_private: draft.is_private(),
        })
    }

    /// For each event that was read for a stream, the lines with the topics that the stream is told;
    /// `None` = it is told none. Topics that do not keep the event any more are not told.
    ///
    /// Stops where it takes more work than one hold of the lock allows: `events` is cut to those
    /// that were handled, perhaps to none. What was matched is kept, and the next call continues.
    pub fn topic_lines(
        &mut self,
        wanted: &[Wanted],
        grant: Option<&[SelectorId]>,
        events: &mut Vec<(EventId, Frame)>,
        lines: &mut Vec<Option<Frame>>,
    ) {
        if let [wish] = wanted
            && let Some(index) = wish.selector.topic_index()
        {
            let line = self.lines.of(&self.topics.get(index).name);
            lines.resize(events.len(), Some(line));
            return;
        }
        // A stream may have many names, and events many topics.
        let selectors = wanted.iter().map(|wish| wish.selector);
        let (patterns, mut names): (Vec<_>, Vec<_>) = selectors.partition(|it| it.is_pattern());
        names.sort_unstable();
        let is_named = |id| names.binary_search(&id).is_ok();
        let mut work = self.work();
        for number in 0..events.len() {
            let (id, frame) = &events[number];
            let (id, is_private) = (*id, frame.is_private());
            let mut slots = self.topics_that_keep(id);
            let is_charged = slots.iter().all(|_| work.charge_event());
            let is_known =
                |slot: &u32| patterns.is_empty() || self.refresh_matches(*slot, &mut work);
            if !(is_charged || number == 0) || !slots.iter().all(is_known) {
                events.truncate(number);
                return;
            }
            if slots.len() > 1 {
                slots.sort_unstable_by_key(|slot| &*self.topics.get(*slot).name);
            }
            let topics = slots.iter().map(|slot| self.matched_topic(*slot));
            let topics: SmallVec<[MatchedTopic; 1]> = topics.collect();
            let patterns = patterns.iter().copied();
            let chosen = choose(&topics, is_private, is_named, patterns, grant);
            let name = |number: &usize| &*self.topics.get(slots[*number]).name;
            lines.push(match &chosen[..] {
                [] => None,
                [one] => Some(self.lines.of(name(one))),
                several => Some(topic_lines(several.iter().map(name))),
            });
        }
    }

    /// The slots of the topics whose history keeps an event.
    fn topics_that_keep(&self, id: EventId) -> SmallVec<[u32; 1]> {
        let mut place = self.order.after(id.before());
        let notes = std::iter::from_fn(|| self.order.next(&mut place));
        let of_event = notes.take_while(|(noted, _)| *noted == id);
        let kept = of_event.filter(|(_, slot)| self.topics.keeps(*slot, id));
        kept.map(|(_, slot)| slot).collect()
    }
}
