//! Evicting events, and topics without references.

use std::sync::Arc;

use crate::core::event::EventId;

use super::evicted::Evicted;
use super::expiry::Oldest;
use super::log::Entry;
use super::match_set::MatchSet;
use super::own_ids::Place;
use super::pattern_ref::PatternRef;
use super::patterns::Pattern;
use super::{Store, Work};

/// Events evicted to make room in one hold of the lock: about 200 µs.
pub(super) const EVICTIONS_MAX: usize = 1_024;

/// Events that an append may always evict from each of its topics. A batch may use up its evictions
/// on its first topics every time; without this minimum, its last topics would never get back
/// within their limit of bytes.
const EVICTIONS_MIN: usize = 2;

/// Reporting an eviction to this many patterns costs as much as the eviction.
const PATTERNS_PER_EVICTION: usize = 32;

impl Store {
    /// Keeps one topic within its own limits, as far as one hold of the lock allows. A topic that
    /// was quiet for long may have a million expired events, and one large event may replace
    /// thousands of small ones. The rest is evicted with the topic's next event, or by
    /// [`Store::expire`]. The limit on the number of events is always kept.
    pub(super) fn evict_within(&mut self, index: u32, cut_off: EventId) {
        let limits = self.limits;
        let mut evicted = 0;
        while let Some(log) = self
            .topics
            .in_slot(index)
            .and_then(|topic| topic.log.as_ref())
        {
            let too_old = log.first_id().is_some_and(|id| id < cut_off);
            let too_much = too_old || log.frame_bytes() > limits.bytes;
            let may_evict = self.evictions_left > 0 || evicted < EVICTIONS_MIN;
            if log.len() <= limits.events && !(too_much && may_evict) {
                return;
            }
            evicted += 1;
            self.charge_eviction();
            self.evict_oldest(index);
        }
    }

    /// Evicts the node's oldest events until it is within its budget, as far as one hold of the
    /// lock allows. Returns whether it is within its budget.
    pub(super) fn evict_over_budget(&mut self) -> bool {
        while self.bytes > self.limits.budget_bytes {
            if self.evictions_left == 0 {
                return false;
            }
            match self.oldest_topic() {
                Oldest::Topic(index) => {
                    self.charge_eviction();
                    self.evict_oldest(index);
                }
                Oldest::Later => return false,
                Oldest::None => return true,
            }
        }
        true
    }

    /// Counts one eviction. Its reports to patterns are charged where they are made.
    fn charge_eviction(&mut self) {
        self.evictions_left = self.evictions_left.saturating_sub(1);
    }

    /// Removes a portion of what the log has lost, and evicts a portion of the excess over the
    /// budget that earlier holds of the lock left. Returns whether nothing of both is left.
    /// Publishers call it first, so the excess is at most the events of one hold.
    pub fn make_room(&mut self) -> bool {
        self.upkeep = self.work();
        self.evictions_left = EVICTIONS_MAX;
        self.retract() && self.evict_over_budget()
    }

    /// Evicts events below `cut_off`. Examines at most `steps` events, and matches and notifies no
    /// more patterns than one hold of the lock allows. Returns whether it finished. In that case,
    /// it has also dropped removed patterns from a portion of the topics.
    pub fn expire(&mut self, cut_off: EventId, steps: usize) -> bool {
        let mut work = self.work();
        let done = self.make_room() && self.expire_some(cut_off, steps, &mut work);
        if done {
            self.sweep_gone(&mut work);
        }
        done
    }

    fn expire_some(&mut self, cut_off: EventId, steps: usize, work: &mut Work) -> bool {
        for _ in 0..steps {
            let index = match self.oldest_topic() {
                Oldest::Topic(index) => index,
                Oldest::Later => return false,
                Oldest::None => return true,
            };
            let oldest = self
                .topics
                .get(index)
                .log
                .as_ref()
                .and_then(|log| log.first_id());
            if oldest.is_none_or(|id| id >= cut_off) {
                return true;
            }
            if work.is_spent() || !self.keep_up(index) {
                return false;
            }
            self.spend_on_telling(index, work);
            self.evict_oldest(index);
        }
        false
    }

    /// Charges the patterns that are notified when a topic loses its oldest event or is deleted.
    /// The topic's matches must be up to date.
    pub(super) fn spend_on_telling(&self, index: u32, work: &mut Work) {
        let topic = self.topics.get(index);
        let many = topic.many();
        let may_end = topic.log.as_ref().is_none_or(|log| log.len() <= 1);
        let told = match many {
            Some(many) if !may_end => match self.untold.first() {
                Some(oldest)
                    if self.untold.len() >= self.hold.untold_topics && many.untold.is_none() =>
                {
                    self.topics.get(*oldest).matches().len()
                }
                _ => 1,
            },
            _ => topic.matches().len(),
        };
        if told > 0 {
            work.spend(told);
        }
    }

    /// Brings a topic's matches up to date before it loses events. Returns whether they are up to
    /// date.
    pub(super) fn keep_up(&mut self, index: u32) -> bool {
        let mut work = self.upkeep;
        let all_known = self.refresh_matches(index, &mut work);
        self.upkeep = work;
        all_known
    }

    /// The topic with the node's oldest event.
    fn oldest_topic(&mut self) -> Oldest {
        let topics = &self.topics;
        self.expiry.oldest(&mut self.evictions_left, |index| {
            let topic = topics.in_slot(index)?;
            topic.log.as_ref()?.first_id()
        })
    }

    /// Removes some stale notes from the node's order. Must be called for each evicted event.
    pub(super) fn tidy_order(&mut self) {
        let topics = &self.topics;
        self.order
            .tidy(self.events, |id, topic| topics.keeps(topic, id));
    }

    pub(super) fn evict_oldest(&mut self, index: u32) {
        let all_known = self.keep_up(index);
        let topic = self.topics.get_mut(index);
        let Some(log) = &mut topic.log else { return };
        let Some((entry, freed)) = log.pop() else {
            return;
        };
        let is_last = log.len() == 0;
        let private = entry.is_private();
        topic.evicted.add(entry.id, private);
        topic.pins.set_has_evicted();
        if is_last {
            topic.log = None;
            self.bytes -= topic.overhead_bytes();
            self.topics.note_events(index, false);
        }
        self.evicted.add(entry.id, private);
        self.events -= 1;
        self.bytes -= freed;
        self.note_eviction(index, all_known, (entry.id, private));
        if let Some(own_id) = entry.own_id() {
            let place = Place {
                id: entry.id,
                topic: index,
            };
            self.own_ids.remove(own_id, place);
        }
        self.unpin_topics_of(entry);
        if self.events == 0 {
            self.order.clear();
        } else {
            self.tidy_order();
        }
        if is_last {
            self.forget_if_unused(index);
        }
    }

    /// Unpins the topics of a private event that has several, when its entry in the last of them is
    /// evicted.
    pub(super) fn unpin_topics_of(&mut self, entry: Entry) {
        if let Some(topics) = entry.into_private_topics().and_then(Arc::into_inner) {
            for id in topics {
                self.unpin(id);
            }
        }
    }

    pub(super) fn forget_if_unused(&mut self, index: u32) {
        let Some(topic) = self.topics.in_slot(index) else {
            return;
        };
        if topic.is_unused() {
            let evicted = topic.evicted;
            // If the topic has evicted nothing itself, its bound is the `forgotten` of its
            // creation. Patterns were notified of that when the earlier topics were deleted.
            if topic.pins.has_evicted() {
                let all_known = self.keep_up(index);
                self.each_pattern_of(index, all_known, |pattern| pattern.forget(evicted));
            }
            self.forgotten = self.forgotten.or(evicted);
            self.tell_of(index);
            self.topics.remove(index);
        }
    }

    /// Records an eviction from a topic. If the topic has few patterns, they are notified at once;
    /// many patterns are notified only when it is necessary.
    fn note_eviction(&mut self, index: u32, all_known: bool, (id, private): (EventId, bool)) {
        let Some(many) = self.topics.get_mut(index).many_mut() else {
            return self.each_pattern_of(index, all_known, |pattern| pattern.evict(id, private));
        };
        let is_first = many.untold.is_none();
        many.untold.get_or_insert_default().add(id, private);
        if is_first {
            self.untold.push(index);
        }
        for reference in self.unknown_of(index, all_known) {
            if let Some(pattern) = self.patterns.find_ref(reference) {
                pattern.evict(id, private);
            }
        }
        if self.untold.len() > self.hold.untold_topics {
            self.tell_of(self.untold[0]);
        }
    }

    /// Reports a topic's unreported evictions to its patterns.
    fn tell_of(&mut self, index: u32) {
        let many = self.topics.get_mut(index).many_mut();
        let Some(many) = many.filter(|many| many.untold.is_some()) else {
            return;
        };
        let (set, evicted) = (Arc::clone(&many.set), many.untold.take());
        self.untold.retain(|other| *other != index);
        self.tell(&set, evicted.unwrap_or_default());
    }

    /// Reports evictions from a topic to the patterns that match it.
    pub(super) fn tell(&mut self, set: &MatchSet, evicted: Evicted) {
        let cost = set.len() / PATTERNS_PER_EVICTION;
        self.evictions_left = self.evictions_left.saturating_sub(cost);
        for reference in set.patterns() {
            if let Some(pattern) = self.patterns.find_ref(*reference) {
                pattern.evict_all(evicted);
            }
        }
    }

    /// Reports all unreported evictions.
    pub(super) fn tell_all(&mut self) {
        while let Some(index) = self.untold.first() {
            self.tell_of(*index);
        }
    }

    /// The evictions from a pattern's topics that have not been reported to it.
    pub(super) fn untold_of(&self, pattern: PatternRef) -> Evicted {
        let many = self.untold.iter();
        let many = many.filter_map(|index| self.topics.get(*index).many());
        let concerned = many.filter(|many| many.set.contains_ref(pattern));
        let evicted = concerned.filter_map(|many| many.untold);
        evicted.fold(Evicted::default(), Evicted::or)
    }

    /// Patterns that may match a topic but have not been compared with it yet.
    fn unknown_of(&self, index: u32, all_known: bool) -> Vec<PatternRef> {
        if all_known {
            return Vec::new();
        }
        let topic = self.topics.get(index);
        self.patterns.younger(&topic.name, topic.matched_through)
    }

    /// Calls `each` with the patterns that match a topic, and charges them. If `all_known` is
    /// false, they include patterns that may match but have not been compared yet.
    fn each_pattern_of(&mut self, index: u32, all_known: bool, each: impl Fn(&mut Pattern)) {
        let unknown = self.unknown_of(index, all_known);
        let topic = self.topics.get(index);
        if unknown.is_empty() && topic.matches().is_empty() {
            return;
        }
        let told = topic.matches().len() + unknown.len();
        let cost = told / PATTERNS_PER_EVICTION;
        self.evictions_left = self.evictions_left.saturating_sub(cost);
        for reference in topic.matches().iter().chain(&unknown) {
            if let Some(pattern) = self.patterns.find_ref(*reference) {
                each(pattern);
            }
        }
    }
}
