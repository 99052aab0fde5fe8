//! Reading on by patterns: through the node's one order of events, since the topics are not known by name.

use hashbrown::HashMap;

use crate::config::SlowConsumerPolicy;
use crate::event::EventId;
use crate::sse::Frame;

use super::read::Room;
use super::{Position, ReadOutcome, SelectorId, SelectorIds, Store, Wanted};

/// Events looked at in one read: some 100 µs under the lock, whether one of them is wanted or not. Few in tests, whose histories are small.
const LOOKS_MAX: usize = if cfg!(test) { 3 } else { 2_048 };

impl Store {
    /// Whether all patterns that match a topic are known.
    pub(super) fn is_looked_at(&self, index: u32) -> bool {
        self.topics.get(index).looked_at == self.patterns.newest()
    }

    /// Reads on where at least one pattern is wanted; see [`Store::read`].
    pub(super) fn scan(
        &mut self,
        wanted: &[Wanted],
        grant: Option<&[SelectorId]>,
        position: Position,
        room: &mut Room,
        out: &mut Vec<(EventId, Frame)>,
        outcome: &mut ReadOutcome,
    ) {
        let ids = sorted(wanted.iter());
        let latest = |one: &&Wanted| one.policy == SlowConsumerPolicy::Latest;
        let conflated = if position.conflate {
            sorted(wanted.iter().filter(latest))
        } else {
            SelectorIds::new()
        };
        let mut newest = HashMap::new();
        let mut taken = None;
        let first = self.order.position_after(position.cursor);
        for at in first.. {
            let Some((id, topic)) = self.order.get(at).filter(|(id, _)| *id <= position.until)
            else {
                return;
            };
            if at - first == LOOKS_MAX {
                outcome.looked_through = Some(id.before());
                return;
            }
            // An event with several of the topics is met once in each.
            if taken == Some(id) || !self.topics.keeps(topic, id) {
                continue;
            }
            self.look_at(topic);
            if !self.is_among(topic, &ids) {
                continue;
            }
            let log = self.topics.get(topic).log.as_deref();
            let Some((log, entry)) = log.and_then(|log| Some((log, log.find(id)?))) else {
                continue;
            };
            if !self.may_hear(topic, entry, grant) {
                continue;
            }
            if !conflated.is_empty() && self.is_among(topic, &conflated) {
                let last = *newest.entry(topic).or_insert_with(|| {
                    let mut back = self.heard_backwards(topic, log, 0, position.until, grant);
                    back.next().map_or(id, |(_, last)| last)
                });
                if id < last {
                    if id > position.told_through {
                        outcome.lose(id);
                    }
                    continue;
                }
            }
            if !room.take(id, &entry.frame, out) {
                return;
            }
            taken = Some(id);
        }
    }
}

impl Store {
    /// The first event after `cursor` that one of the patterns among `ids` matches, if it is not too far away.
    pub(super) fn first_by_pattern(
        &mut self,
        ids: &[SelectorId],
        cursor: EventId,
    ) -> Option<EventId> {
        let patterns = ids.iter().filter(|id| id.pattern_slot().is_some());
        let mut patterns: SelectorIds = patterns.copied().collect();
        if patterns.is_empty() {
            return None;
        }
        patterns.sort_unstable();
        let first = self.order.position_after(cursor);
        for at in first..first + LOOKS_MAX {
            let (id, topic) = self.order.get(at)?;
            if self.topics.keeps(topic, id) {
                self.look_at(topic);
                if self.is_among(topic, &patterns) {
                    return Some(id);
                }
            }
        }
        None
    }
}

fn sorted<'w>(wanted: impl Iterator<Item = &'w Wanted>) -> SelectorIds {
    let mut ids: SelectorIds = wanted.map(|one| one.selector).collect();
    ids.sort_unstable();
    ids
}
