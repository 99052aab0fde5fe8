//! The matching of topics with patterns. Each pair is compared once, when the topic is next used.

use std::sync::Arc;

use super::evicted::Evicted;
use super::found::{Found, Many};
use super::match_set::MatchSet;
use super::pattern_ref::PatternRef;
use super::patterns::PatternTable;
use super::topics::Topic;
use super::work::Work;
use super::{SelectorId, Store};

/// Evictions that have not been reported to these patterns.
type Untold = (Arc<MatchSet>, Evicted);

impl Topic {
    /// The patterns that matched at the topic's last refresh, sorted by slot; some may have been
    /// removed.
    pub(super) fn matches(&self) -> &[PatternRef] {
        self.matches.as_deref().map_or(&[], Found::patterns)
    }

    /// The topic's pattern set, if it has more patterns than a plain list may have.
    pub(super) fn many(&self) -> Option<&Many> {
        match self.matches.as_deref()? {
            Found::Many(many) => Some(many),
            Found::Few(_) => None,
        }
    }

    pub(super) fn many_mut(&mut self) -> Option<&mut Many> {
        match self.matches.as_deref_mut()? {
            Found::Many(many) => Some(many),
            Found::Few(_) => None,
        }
    }

    /// Sets the matches of a topic of a snapshot, sorted by slot.
    pub(super) fn set_matches(&mut self, matches: impl Iterator<Item = PatternRef>, few: usize) {
        self.matches = Found::new(matches.collect(), few, None);
    }

    /// Bytes of its matches. They count in the budget while the topic has events, and with bare
    /// topics otherwise.
    pub(super) fn matches_bytes(&self) -> usize {
        self.matches.as_deref().map_or(0, Found::allocated_bytes)
    }

    /// Adds the patterns created since the last refresh, and drops removed ones. Returns whether
    /// all patterns are known now; matches that were found before the work ran out are kept. If the
    /// list of patterns changed, also returns the patterns and the evictions that have not been
    /// reported to them.
    fn update_matches(
        &mut self,
        patterns: &PatternTable,
        work: &mut Work,
    ) -> (bool, Option<Untold>) {
        if work.is_spent() {
            return (false, None);
        }
        let mut young = Vec::new();
        let mut seen = patterns.newest();
        for candidate in patterns.younger(&self.name, self.matched_through) {
            if work.is_spent() {
                seen = candidate.serial - 1;
                break;
            }
            let Some(pattern) = patterns.get(candidate.slot) else {
                continue;
            };
            let (matches, steps) = pattern.selector.matches_in_steps(&self.name);
            work.spend(steps);
            if matches {
                young.push(candidate);
            }
        }
        self.matched_through = seen;
        let untold = if self.has_gone(patterns) || !young.is_empty() {
            self.change_matches(patterns, young)
        } else {
            None
        };
        (seen == patterns.newest(), untold)
    }

    /// Whether one of its patterns has been removed. A set of many patterns is scanned only after a
    /// pattern of the node was removed.
    fn has_gone(&mut self, patterns: &PatternTable) -> bool {
        let removed = patterns.removed();
        if self
            .many()
            .is_some_and(|many| many.checked_at == Some(removed))
        {
            return false;
        }
        let mut known = self.matches().iter();
        let gone = known.any(|known| !patterns.is_current(*known));
        if let Some(many) = self.many_mut() {
            many.checked_at = Some(removed);
        }
        gone
    }

    fn change_matches(
        &mut self,
        patterns: &PatternTable,
        young: Vec<PatternRef>,
    ) -> Option<Untold> {
        let before = self.matches.take();
        let known = before.as_deref().map_or(&[][..], Found::patterns);
        let current = known.iter().copied();
        let current = current.filter(|known| patterns.is_current(*known));
        let mut found: Vec<_> = current.chain(young).collect();
        found.sort_unstable();
        self.matches = Found::new(found, patterns.few(), Some(patterns.removed()));
        match before.map(|before| *before) {
            Some(Found::Many(many)) => many.untold.map(|untold| (many.set, untold)),
            _ => None,
        }
    }

    /// Brings the sum of the listeners of many patterns up to date, as far as the work allows.
    /// Returns whether it is up to date.
    fn count_listeners(&mut self, patterns: &PatternTable, work: &mut Work) -> bool {
        let Some(many) = self.many_mut() else {
            return true;
        };
        let changes = patterns.changes();
        let missed = many.counted_through.and_then(|seen| changes.since(seen));
        if missed.as_ref().is_some_and(|missed| missed.len() == 0) {
            return true;
        }
        if work.is_spent() {
            return false;
        }
        if let Some(missed) = missed {
            work.spend(missed.len());
            for change in missed.filter(|change| many.set.contains_ref(change.pattern)) {
                many.heard.subtract(&change.before);
                many.heard.add(&change.after);
            }
        } else {
            work.spend(many.set.len());
            many.heard = patterns.heard(many.set.patterns());
        }
        many.counted_through = Some(changes.end());
        true
    }

    /// Forgets all matches, because the serial numbers of patterns have changed.
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

    /// Brings a topic's matches up to date, as far as the work allows. Returns whether they are up
    /// to date. Costs one comparison if no pattern was created since the last refresh.
    pub(super) fn refresh_matches(&mut self, index: u32, work: &mut Work) -> bool {
        if self.matches_are_fresh(index) {
            return true;
        }
        let topic = self.topics.get_mut(index);
        let before = topic.matches_bytes();
        let (all_known, untold) = topic.update_matches(&self.patterns, work);
        self.note_change(index, before, untold);
        all_known
    }

    /// Drops removed patterns from a topic.
    pub(super) fn drop_gone(&mut self, index: u32) {
        let topic = self.topics.get_mut(index);
        if topic.has_gone(&self.patterns) {
            let before = topic.matches_bytes();
            let untold = topic.change_matches(&self.patterns, Vec::new());
            self.note_change(index, before, untold);
        }
    }

    /// Accounts for a topic's matches, which had `before` bytes and may have changed, and reports
    /// the evictions in `untold`.
    fn note_change(&mut self, index: u32, before: usize, untold: Option<Untold>) {
        let topic = self.topics.get(index);
        let bytes = topic.matches_bytes();
        if topic.log.is_some() {
            self.bytes = self.bytes + bytes - before;
        } else {
            self.topics.note_bare_matches(before, bytes);
        }
        if let Some((set, evicted)) = untold {
            self.untold.retain(|other| *other != index);
            self.tell(&set, evicted);
        }
    }

    /// Whether a topic's matches are up to date and their listeners are counted.
    pub(super) fn is_prepared(&self, index: u32) -> bool {
        let counted = |many: &Many| many.counted_through == Some(self.patterns.changes().end());
        self.matches_are_fresh(index) && self.topics.get(index).many().is_none_or(counted)
    }

    /// Prepares a topic for an event, as far as the work allows. Returns whether it is prepared.
    pub(super) fn prepare_topic(&mut self, index: u32, work: &mut Work) -> bool {
        if !self.refresh_matches(index, work) {
            return false;
        }
        let topic = self.topics.get_mut(index);
        topic.count_listeners(&self.patterns, work)
    }

    /// Whether these sorted ids contain a topic or one of the patterns that match it. The topic's
    /// matches must be up to date.
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
