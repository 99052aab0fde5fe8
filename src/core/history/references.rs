//! Reference counts of topics and patterns: subscribed streams, and pins of grants and publishers.

use crate::core::event::EventId;
use crate::core::selector::Selector;

use super::evicted::Evicted;
use super::listeners::Listeners;
use super::patterns::Birth;
use super::work::Work;
use super::{Grant, SelectorId, SelectorIds, ShardSet, Store};

impl Store {
    /// Counts one more subscriber of the topic or pattern that `selector` names. The subscriber is
    /// on shard `shard`, and has a grant or not. The id is valid until the matching
    /// [`Store::unsubscribe`].
    pub fn subscribe(&mut self, selector: &Selector, shard: usize, granted: bool) -> SelectorId {
        let id = self.intern(selector);
        self.subscribe_id(id, shard, granted);
        id
    }

    /// Counts one more subscriber of a valid id, as [`Store::subscribe`] does.
    pub fn subscribe_id(&mut self, id: SelectorId, shard: usize, granted: bool) {
        match id.pattern_slot() {
            Some(slot) => self.patterns.subscribe(slot, shard, granted),
            None => {
                let topic = self.topics.get_mut(id.0);
                topic.subscribers += 1;
                topic.granted += u32::from(granted);
                topic.shards.insert(shard);
            }
        }
    }

    /// Notes that a subscriber has moved to shard `shard`. The topic may keep the old shard until
    /// its last subscriber is gone.
    pub fn follow(&mut self, id: SelectorId, shard: usize) {
        match id.pattern_slot() {
            Some(slot) => self.patterns.follow(slot, shard),
            None => self.topics.get_mut(id.0).shards.insert(shard),
        }
    }

    /// Counts one subscriber less. `granted` must be as it was when the subscriber was counted.
    pub fn unsubscribe(&mut self, id: SelectorId, granted: bool) {
        if let Some(slot) = id.pattern_slot() {
            self.patterns.unsubscribe(slot, granted);
            return;
        }
        let topic = self.topics.get_mut(id.0);
        debug_assert!(
            topic.subscribers > 0,
            "unsubscribed once for each subscribe"
        );
        topic.subscribers -= 1;
        topic.granted -= u32::from(granted);
        if topic.subscribers == 0 {
            topic.shards = ShardSet::default();
            self.forget_if_unused(id.0);
        }
    }

    /// The grant of a stream that may hear private events of these selectors, which have no
    /// duplicates; `None` if there are no selectors. It must be released: see [`Store::unshare`]
    /// and [`Store::release`].
    pub fn share(&mut self, selectors: &[Selector]) -> Option<Grant> {
        if selectors.is_empty() {
            return None;
        }
        let mut ids: SelectorIds = selectors
            .iter()
            .map(|selector| self.pin(selector))
            .collect();
        ids.sort_unstable();
        debug_assert!(ids.is_sorted_by(|id, next| id < next), "without doubles");
        let Some(shared) = self.grants.share(&ids) else {
            return Some(self.grants.add(&ids));
        };
        // The shared record has pinned them already.
        for id in ids {
            self.unpin(id);
        }
        Some(shared)
    }

    /// Releases a stream's grant.
    pub fn unshare(&mut self, grant: &Grant) {
        if self.grants.unshare(grant) {
            for id in grant.iter() {
                self.unpin(*id);
            }
        }
    }

    /// The number of these patterns that do not exist yet.
    #[must_use]
    pub fn new_patterns(&self, patterns: &[&Selector]) -> usize {
        let new = |pattern: &&&Selector| self.patterns.find(pattern).is_none();
        patterns.iter().filter(new).count()
    }

    /// The number of patterns that streams or grants refer to.
    #[must_use]
    pub fn held_patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Keeps the id of the topic or pattern that `selector` names valid until [`Store::unpin`].
    pub(super) fn pin(&mut self, selector: &Selector) -> SelectorId {
        let id = self.intern(selector);
        match id.pattern_slot() {
            Some(slot) => self.patterns.pin(slot),
            None => self.topics.get_mut(id.0).pins.add(),
        }
        id
    }

    pub(super) fn unpin(&mut self, id: SelectorId) {
        if let Some(slot) = id.pattern_slot() {
            self.patterns.unpin(slot);
            return;
        }
        self.topics.get_mut(id.0).pins.remove();
        self.forget_if_unused(id.0);
    }

    /// The id of the topic or pattern that `selector` names. It is valid in this hold of the lock
    /// only, unless it is counted or pinned.
    pub(crate) fn intern(&mut self, selector: &Selector) -> SelectorId {
        if selector.is_exact() {
            let text = selector.text();
            return SelectorId::topic(self.topics.intern(text, self.forgotten));
        }
        let birth = Birth {
            evicted: self.evicted,
            forgotten: self.forgotten,
        };
        loop {
            if let Some(slot) = self.patterns.intern(selector, birth) {
                return SelectorId::pattern(slot);
            }
            // Happens once in four billion patterns.
            self.tell_all();
            self.patterns.renumber();
            self.bytes -= self.topics.forget_matches();
        }
    }

    /// The listeners by this one selector.
    pub(super) fn listeners(&self, id: SelectorId) -> Listeners {
        let Some(slot) = id.pattern_slot() else {
            // If the event itself was not kept, its topic may have been deleted at once.
            let Some(topic) = self.topics.in_slot(id.0) else {
                return Listeners::default();
            };
            return Listeners {
                subscribers: topic.subscribers,
                granted: topic.granted,
                shards: topic.shards,
            };
        };
        let pattern = self.patterns.get(slot);
        pattern.map_or_else(Listeners::default, |pattern| pattern.listeners)
    }

    /// The last evicted event that concerns an id, for a reader with or without a grant; it may be
    /// a bound that is too high. The reader has already seen everything up to `seen`, so topics are
    /// scanned for evictions before a pattern's creation only if the bound is above it, and as far
    /// as the work allows.
    pub(super) fn evicted_from(
        &mut self,
        id: SelectorId,
        granted: bool,
        seen: EventId,
        work: &mut Work,
    ) -> EventId {
        let Some(slot) = id.pattern_slot() else {
            return self.topics.get(id.0).evicted.for_reader(granted);
        };
        let Some(pattern) = self.patterns.get(slot) else {
            return EventId::ZERO;
        };
        let untold = self.untold_of(pattern.reference(slot));
        let bound = pattern.evicted().or(untold).for_reader(granted);
        let Some(forgotten) = pattern.forgotten_before() else {
            return bound;
        };
        if bound <= seen {
            return bound;
        }
        let Some(before) = self.evicted_before_birth(slot, forgotten, work) else {
            return bound;
        };
        match self.patterns.get_mut(slot) {
            Some(pattern) => {
                pattern.set_evicted_before(before);
                pattern.evicted().or(untold).for_reader(granted)
            }
            None => before.for_reader(granted),
        }
    }

    /// The evictions from a pattern's topics and from deleted topics; `None` if the scan takes too
    /// much work.
    fn evicted_before_birth(
        &self,
        slot: u32,
        forgotten: Evicted,
        work: &mut Work,
    ) -> Option<Evicted> {
        if self.topics.len() > self.hold.birth_topics {
            return None;
        }
        let selector = &self.patterns.get(slot)?.selector;
        let mut before = forgotten;
        for (_, topic) in self.topics.iter() {
            if work.is_spent() {
                return None;
            }
            work.spend(1);
            if !topic.evicted.exceeds(before) {
                continue;
            }
            let (matches, steps) = selector.matches_in_steps(&topic.name);
            work.spend(steps);
            if matches {
                before = before.or(topic.evicted);
            }
        }
        Some(before)
    }

    /// Prepares topics for an event, as far as the work allows: finds all patterns that match them
    /// and counts their listeners, so that appending the event need not. Topics that were not ready
    /// are pinned in `held`, so that the matches found so far are kept. Returns whether all topics
    /// are ready.
    pub fn prepare<'n>(
        &mut self,
        names: impl Iterator<Item = &'n str>,
        held: &mut SelectorIds,
        work: &mut Work,
    ) -> bool {
        if self.patterns.len() == 0 {
            return true;
        }
        for name in names {
            let index = self.topics.intern(name, self.forgotten);
            if self.is_prepared(index) {
                continue;
            }
            let id = SelectorId::topic(index);
            // An earlier attempt may have stopped at this topic. If it pinned another topic that
            // has become stale since, a second pin does no harm: each pin is released.
            if held.last() != Some(&id) {
                held.push(id);
                self.topics.get_mut(index).pins.add();
            }
            if !self.prepare_topic(index, work) {
                return false;
            }
        }
        true
    }

    /// Unpins the topics of an event.
    pub fn unpin_all(&mut self, held: &mut SelectorIds) {
        for id in held.drain(..) {
            self.unpin(id);
        }
    }
}
