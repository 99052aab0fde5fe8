//! Who hears an event: the topics and patterns that it concerns, and the shards that serve their streams.

use crate::core::sse::{Draft, Frame};

use super::{Appended, SelectorId, SelectorIds, ShardSet, Store};

impl Store {
    /// A topic, and the patterns that match it. Its matches must be up to date.
    pub(super) fn addressees(&self, index: u32) -> impl Iterator<Item = SelectorId> {
        let matches = self.topics.get(index).matches().iter();
        let current = matches.filter(|known| self.patterns.is_current(**known));
        let patterns = current.map(|known| SelectorId::pattern(known.slot));
        std::iter::once(SelectorId::topic(index)).chain(patterns)
    }

    /// The number of streams that hear an event by this very selector, and their shards; `None` where no stream does.
    fn hearers(&self, id: SelectorId, is_private: bool) -> Option<(u32, ShardSet)> {
        let listeners = self.listeners(id);
        let count = if is_private {
            listeners.granted
        } else {
            listeners.subscribers
        };
        (count > 0).then_some((count, listeners.shards))
    }

    /// An event that was appended, with those who listen to one of its topics and patterns.
    pub(super) fn addressed(&self, frame: Frame, found: &[SelectorId]) -> Appended {
        let mut appended = Appended {
            listened: SelectorIds::new(),
            audience: None,
            subscribers: 0,
            shards: ShardSet::default(),
            frame,
        };
        let is_private = appended.frame.is_private();
        for id in found {
            if let Some((count, shards)) = self.hearers(*id, is_private) {
                appended.listened.push(*id);
                appended.subscribers += u64::from(count);
                appended.shards.extend(shards);
            }
        }
        if is_private && !appended.listened.is_empty() {
            appended.audience = Some(found.into());
        }
        appended
    }

    /// The shards that an event would be posted to now. Its topics must be prepared; see [`Store::prepare`].
    #[must_use]
    pub fn shards_of(&self, draft: &Draft<'_>) -> ShardSet {
        let mut shards = ShardSet::default();
        for name in draft.topics() {
            let Some(index) = self.topics.find(name) else {
                continue;
            };
            for id in self.addressees(index) {
                if let Some((_, more)) = self.hearers(id, draft.is_private()) {
                    shards.extend(more);
                }
            }
        }
        shards
    }
}
