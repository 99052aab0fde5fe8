//! Reading by patterns: through the node's one order of events, because the topics' names are not
//! known.

use hashbrown::HashMap;

use crate::core::event::EventId;
use crate::core::history::SlowConsumerPolicy;

use super::read::{Hears, Reader, Reading};
use super::work::Work;
use super::{SelectorId, SelectorIds, Store, Wanted};

impl Store {
    /// Reads on if at least one pattern is wanted: through the node's one order, because the
    /// topics' names are not known.
    pub(super) fn scan(&mut self, wanted: &[Wanted], reader: &mut Reader<'_>) {
        let ids = sorted(wanted.iter());
        let latest = |wish: &&Wanted| wish.policy == SlowConsumerPolicy::Latest;
        let conflated = if reader.position.conflate {
            sorted(wanted.iter().filter(latest))
        } else {
            SelectorIds::new()
        };
        let mut newest = HashMap::new();
        let mut taken = None;
        let mut place = self.order.after(reader.position.cursor);
        loop {
            let note = self.order.next(&mut place);
            let Some((id, topic)) = note.filter(|(id, _)| *id <= reader.position.until) else {
                return;
            };
            if reader.is_at_scan_limit(id) {
                return;
            }
            // An event with several of the topics is met once in each.
            if taken == Some(id) || !self.topics.keeps(topic, id) {
                continue;
            }
            if !self.refresh_matches(topic, &mut reader.work) {
                reader.outcome.examined_through = Some(id.before());
                return;
            }
            if !self.is_among(topic, &ids) {
                continue;
            }
            let log = self.topics.get(topic).log.as_deref();
            let Some(at) = log.map(|log| log.position_after(id.before())) else {
                continue;
            };
            let reading = Reading { topic, at };
            if !conflated.is_empty() && self.is_among(topic, &conflated) {
                let last = match newest.get(&topic) {
                    Some(last) => *last,
                    None => {
                        let end = log.map_or(at, |log| log.position_after(reader.position.until));
                        let last = self.newest_heard(reading, end, reader);
                        let last = last.map_or(id, |(_, last)| last);
                        newest.insert(topic, last);
                        last
                    }
                };
                if id < last && self.hears(reading, reader.grant, &mut reader.work) == Hears::Yes {
                    if id > reader.position.told_through {
                        reader.outcome.lose(id);
                    }
                    continue;
                }
            }
            let before = reader.out.len();
            if !self.take(reading, reader) {
                return;
            }
            if reader.out.len() > before {
                taken = Some(id);
            }
        }
    }

    /// The first event after `cursor` that one of the patterns among `ids` matches and a reader
    /// with this grant may hear, if it is near enough.
    pub(super) fn first_by_pattern(
        &mut self,
        ids: &[SelectorId],
        grant: Option<&[SelectorId]>,
        cursor: EventId,
        work: &mut Work,
    ) -> Option<EventId> {
        let patterns = patterns_of(ids)?;
        let mut place = self.order.after(cursor);
        while let Some((id, topic)) = self.order.next(&mut place) {
            if !work.charge_event() {
                return None;
            }
            if !self.topics.keeps(topic, id) {
                continue;
            }
            if !self.refresh_matches(topic, work) {
                return None;
            }
            if !self.is_among(topic, &patterns) {
                continue;
            }
            let log = self.topics.get(topic).log.as_deref()?;
            let at = log.position_after(id.before());
            match self.hears(Reading { topic, at }, grant, work) {
                Hears::Yes => return Some(id),
                Hears::No => {}
                Hears::Later => return None,
            }
        }
        None
    }
}

/// The patterns among these, sorted; `None` if there are none.
pub(super) fn patterns_of(ids: &[SelectorId]) -> Option<SelectorIds> {
    let patterns = ids.iter().filter(|id| id.pattern_slot().is_some());
    let mut patterns: SelectorIds = patterns.copied().collect();
    patterns.sort_unstable();
    (!patterns.is_empty()).then_some(patterns)
}

fn sorted<'w>(wanted: impl Iterator<Item = &'w Wanted>) -> SelectorIds {
    let mut ids: SelectorIds = wanted.map(|wish| wish.selector).collect();
    ids.sort_unstable();
    ids
}
