//! Live delivery to streams with several dirty topics.
//!
//! The events of their topics are merged by id. Merged and joined events are the same for all
//! streams that hear the same events, so streams are sorted by these, and a run is made once for
//! each set of events. One run exists at a time.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashMap};

use super::live::{FewIndices, Live};
use super::run::Run;
use super::{Core, Io};

/// A stream, and the place of its dirty topics in the list of all.
struct Want {
    /// Hash of the events that it hears. Streams with the same hash are served one after the other;
    /// whether they hear the same events is then compared.
    events: u64,
    slot: u32,
    /// Identifies its grant, see `Core::grant_id`. Noted here because a stream that is closed
    /// meanwhile has no grant any more, and must not be mistaken for one that never had any.
    grant: usize,
    topics: Range<usize>,
}

impl<I: Io> Core<I> {
    /// Writes their events to the collected streams. The cost depends on the dirty topics, not on
    /// all topics of a stream.
    pub(super) fn flush_several(&mut self, live: &mut Live, io: &mut I) {
        let mut several = std::mem::take(&mut live.several);
        several.sort_unstable();
        let has_private = live.has_private();
        let (mut heard, mut next) = (FewIndices::new(), FewIndices::new());
        let mut run: Option<Run> = None;
        let mut streams = 0;
        let mut before: Option<Want> = None;
        for want in self.by_events(live, &several, has_private) {
            let topics = &several[want.topics.clone()];
            let is_same = before.as_ref().is_some_and(|before| {
                let same_topics = several[before.topics.clone()]
                    .iter()
                    .map(|(_, dirty)| dirty)
                    .eq(topics.iter().map(|(_, dirty)| dirty));
                same_topics && before.grant == want.grant
            });
            if !is_same {
                self.merge(live, want.slot, topics, &mut next);
                if next != heard {
                    live.count_delivered(&heard, std::mem::take(&mut streams));
                    std::mem::swap(&mut heard, &mut next);
                    run = None;
                }
            }
            let slot = want.slot;
            before = Some(want);
            let Some(subscriber) = self.subscribers.get(slot) else {
                continue;
            };
            if heard.is_empty() {
                continue;
            }
            streams += 1;
            let encoding = subscriber.encoding;
            let run = run.get_or_insert_with(|| live.run(&heard, encoding));
            self.write_run(slot, run, io);
        }
        live.count_delivered(&heard, streams);
        several.clear();
        live.several = several;
    }

    /// The streams of `several`, which is sorted by slot, sorted by the events that they hear. Each
    /// choice of topics is merged once.
    fn by_events(&self, live: &Live, several: &[(u32, u32)], has_private: bool) -> Vec<Want> {
        let hasher = DefaultHashBuilder::default();
        let mut known: HashMap<u64, u64> = HashMap::new();
        let mut heard = FewIndices::new();
        let mut wants = Vec::new();
        let mut start = 0;
        for topics in several.chunk_by(|a, b| a.0 == b.0) {
            let slot = topics[0].0;
            let grant = if has_private { self.grant_id(slot) } else { 0 };
            let mut choice = hasher.build_hasher();
            for (_, dirty) in topics {
                choice.write_u32(*dirty);
            }
            choice.write_usize(grant);
            let events = *known.entry(choice.finish()).or_insert_with(|| {
                self.merge(live, slot, topics, &mut heard);
                hasher.hash_one(&heard[..])
            });
            let end = start + topics.len();
            wants.push(Want {
                events,
                slot,
                grant,
                topics: start..end,
            });
            start = end;
        }
        wants.sort_unstable_by_key(|want| want.events);
        wants
    }

    /// Numbers of the events of these topics that a stream may hear, rising.
    fn merge(&self, live: &Live, slot: u32, topics: &[(u32, u32)], heard: &mut FewIndices) {
        heard.clear();
        for (_, dirty) in topics {
            heard.extend_from_slice(live.events_of(*dirty));
        }
        heard.sort_unstable();
        heard.dedup();
        let grant = self.tickets.grant(slot);
        heard.retain(|number| live.may_hear(*number, grant));
    }

    /// Identifies a grant: streams with the same grant share its record.
    fn grant_id(&self, slot: u32) -> usize {
        let grant = self.tickets.grant(slot);
        grant.map_or(0, |grant| {
            std::sync::Arc::as_ptr(grant).cast::<u8>() as usize
        })
    }
}
