//! Which patterns match a topic: worked out once for each pair, when the topic is next looked at.

use smallvec::SmallVec;

use super::pattern_ref::PatternRef;
use super::patterns::PatternTable;
use super::topics::Topic;
use super::work::Work;
use super::{SelectorId, Store};

impl Topic {
    /// The patterns that matched when the topic was last looked at, sorted by slot; some may be gone.
    pub(super) fn matches(&self) -> &[PatternRef] {
        self.matches.as_deref().map_or(&[], |found| found)
    }

    /// Sets the matches of a topic of a snapshot, sorted by slot.
    pub(super) fn set_matches(&mut self, matches: impl Iterator<Item = PatternRef>) {
        let found: SmallVec<[PatternRef; 2]> = matches.collect();
        self.matches = (!found.is_empty()).then(|| Box::new(found));
    }

    /// Bytes that its matches hold; counted in the budget while the topic has events.
    pub(super) fn matches_bytes(&self) -> usize {
        let Some(found) = &self.matches else { return 0 };
        let spilled = if found.spilled() { found.capacity() } else { 0 };
        size_of_val(&**found) + spilled * size_of::<PatternRef>()
    }

    /// Adds the patterns born since the last look, and drops those that are gone. Returns whether all are known now; what was found before the
    /// work was enough stays found.
    fn update_matches(&mut self, patterns: &PatternTable, work: &mut Work) -> bool {
        if work.is_spent() {
            return false;
        }
        let mut found = self.matches.take().map(|found| *found).unwrap_or_default();
        found.retain(|known| patterns.is_current(*known));
        let mut seen = patterns.newest();
        for young in patterns.younger(&self.name, self.matched_through) {
            if work.is_spent() {
                seen = young.serial - 1;
                break;
            }
            let Some(pattern) = patterns.get(young.slot) else {
                continue;
            };
            let (matches, steps) = pattern.selector.matches_in_steps(&self.name);
            work.spend(steps);
            if matches {
                found.push(young);
            }
        }
        found.sort_unstable();
        self.matches = (!found.is_empty()).then(|| Box::new(found));
        self.matched_through = seen;
        seen == patterns.newest()
    }

    /// Serial numbers have been given anew.
    pub(super) fn forget_matches(&mut self) {
        self.matches = None;
        self.matched_through = 0;
    }
}

impl Store {
    /// Whether all patterns that match a topic are known.
    pub(super) fn matches_are_fresh(&self, index: u32) -> bool {
        self.topics.get(index).matched_through == self.patterns.newest()
    }

    /// Brings a topic's matches up to date, as far as the work goes; returns whether they are. Costs a comparison when no pattern was born
    /// since the last look.
    pub(super) fn refresh_matches(&mut self, index: u32, work: &mut Work) -> bool {
        if self.matches_are_fresh(index) {
            return true;
        }
        let topic = self.topics.get_mut(index);
        let before = topic.matches_bytes();
        let all_known = topic.update_matches(&self.patterns, work);
        if topic.log.is_some() {
            self.bytes = self.bytes + topic.matches_bytes() - before;
        }
        all_known
    }

    /// Whether a topic, or one of the patterns that match it, is among these ids (sorted). Its matches must be up to date.
    pub(super) fn is_among(&self, index: u32, ids: &[SelectorId]) -> bool {
        if ids.binary_search(&SelectorId::topic(index)).is_ok() {
            return true;
        }
        // Patterns sort behind topics.
        if ids.last().is_none_or(|last| last.pattern_slot().is_none()) {
            return false;
        }
        let found = self.topics.get(index).matches();
        let held = found
            .iter()
            .filter(|known| self.patterns.is_current(**known))
            .map(|known| SelectorId::pattern(known.slot));
        if found.len() <= ids.len() {
            return held.into_iter().any(|id| ids.binary_search(&id).is_ok());
        }
        let wanted = ids.iter().filter_map(|id| id.pattern_slot());
        wanted.into_iter().any(|slot| {
            let at = found.partition_point(|known| known.slot < slot);
            found
                .get(at)
                .is_some_and(|known| known.slot == slot && self.patterns.is_current(*known))
        })
    }
}
