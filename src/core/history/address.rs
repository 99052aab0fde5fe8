//! The addressees of an event: its topics and patterns, and the shards of their streams.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::core::sse::{Draft, Frame};

use super::audience::Audience;
use super::match_set::MatchSet;
use super::{Appended, MatchSets, SelectorId, SelectorIds, ShardSet, Store};

/// The topics of an event, and the patterns that match them.
#[derive(Debug, Default)]
pub(super) struct Addressees {
    /// Its topics, and the patterns of topics that have few; sorted, without duplicates.
    pub(super) ids: SelectorIds,
    /// The pattern sets of topics that have many patterns.
    sets: SmallVec<[Addressed; 1]>,
}

/// A set of many patterns, with the listeners that the event has by it.
#[derive(Debug)]
struct Addressed {
    set: Arc<MatchSet>,
    /// Number of subscriptions, without those already counted in an earlier set.
    count: u64,
    shards: ShardSet,
}

impl Addressees {
    /// Sorts the ids, and removes duplicates and patterns that are in one of the sets.
    pub(super) fn finish(&mut self) {
        if self.ids.len() > 1 {
            self.ids.sort_unstable();
            self.ids.dedup();
        }
        if !self.sets.is_empty() {
            let sets = &self.sets;
            self.ids
                .retain(|id| !sets.iter().any(|other| other.set.contains(*id)));
        }
    }

    fn sets(&self) -> MatchSets {
        let sets = self.sets.iter();
        sets.map(|addressed| Arc::clone(&addressed.set)).collect()
    }
}

impl Store {
    /// Adds a topic of an event and the patterns that match it. The topic must be prepared.
    pub(super) fn address(&self, index: u32, is_private: bool, addressees: &mut Addressees) {
        if self.topics.get(index).matches().is_empty() {
            addressees.ids.push(SelectorId::topic(index));
            return;
        }
        addressees.ids.extend(self.few_addressees(index));
        self.address_many(index, is_private, addressees);
    }

    /// A topic, and the patterns that match it if they are few.
    fn few_addressees(&self, index: u32) -> impl Iterator<Item = SelectorId> {
        std::iter::once(SelectorId::topic(index)).chain(self.few_patterns(index))
    }

    /// The patterns that match a topic, if they are few.
    pub(super) fn few_patterns(&self, index: u32) -> impl Iterator<Item = SelectorId> {
        let topic = self.topics.get(index);
        let few = if topic.many().is_some() {
            &[]
        } else {
            topic.matches()
        };
        let current = few.iter().filter(|known| self.patterns.is_current(**known));
        current.map(|known| SelectorId::pattern(known.slot))
    }

    /// Adds the pattern set of a topic that has many patterns. For an event's first topic, the cost
    /// does not depend on the number of patterns. A further topic with a different set costs a step
    /// for each of its patterns, because no subscription may be counted twice.
    fn address_many(&self, index: u32, is_private: bool, addressees: &mut Addressees) {
        let Some(many) = self.topics.get(index).many() else {
            return;
        };
        let others = &addressees.sets;
        if others.iter().any(|other| *other.set == *many.set) {
            return;
        }
        let (mut count, shards) = many.heard.of(is_private);
        if !others.is_empty() {
            let new = many.set.ids();
            let new = new.filter(|id| !others.iter().any(|other| other.set.contains(*id)));
            let hearers = new.filter_map(|id| self.hearers(id, is_private));
            count = hearers.map(|(count, _)| u64::from(count)).sum();
        }
        addressees.sets.push(Addressed {
            set: Arc::clone(&many.set),
            count,
            shards,
        });
    }

    /// The number of streams that hear an event by this one selector, and their shards; `None` if
    /// no stream hears it.
    fn hearers(&self, id: SelectorId, is_private: bool) -> Option<(u32, ShardSet)> {
        let listeners = self.listeners(id);
        let count = if is_private {
            listeners.granted
        } else {
            listeners.subscribers
        };
        (count > 0).then_some((count, listeners.shards))
    }

    /// The result of an append: the event with the selectors and sets that have listeners.
    pub(super) fn addressed(&self, frame: Frame, found: Addressees) -> Appended {
        let mut appended = Appended {
            listened: SelectorIds::new(),
            sets: MatchSets::new(),
            audience: None,
            topics: None,
            subscribers: 0,
            shards: ShardSet::default(),
            frame,
        };
        let is_private = appended.frame.is_private();
        for id in &found.ids {
            if let Some((count, shards)) = self.hearers(*id, is_private) {
                appended.listened.push(*id);
                appended.subscribers += u64::from(count);
                appended.shards.extend(shards);
            }
        }
        for Addressed { set, count, shards } in &found.sets {
            appended.subscribers += count;
            if *count > 0 {
                appended.shards.extend(*shards);
                appended.sets.push(Arc::clone(set));
            }
        }
        if is_private && appended.is_heard() {
            appended.audience = Some(Arc::new(Audience {
                sets: found.sets(),
                ids: found.ids,
            }));
        }
        appended
    }

    /// The shards that the event would be posted to now. Its topics must be prepared; see
    /// [`Store::prepare`].
    #[must_use]
    pub fn shards_of(&self, draft: &Draft<'_>) -> ShardSet {
        let mut shards = ShardSet::default();
        for name in draft.topics() {
            let Some(index) = self.topics.find(name) else {
                continue;
            };
            if let Some(many) = self.topics.get(index).many() {
                shards.extend(many.heard.of(draft.is_private()).1);
            }
            for id in self.few_addressees(index) {
                if let Some((_, more)) = self.hearers(id, draft.is_private()) {
                    shards.extend(more);
                }
            }
        }
        shards
    }
}
