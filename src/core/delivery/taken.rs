//! The newest events that a shard has taken from its mailbox, by topic.
//!
//! History may evict events that are still in the mailbox. The bound of a topic then does not show
//! what a stream misses *so far*, because the rest is to come. So the shard remembers the newest
//! event of each topic up to its `last_id`, as long as it has streams that are behind.

use hashbrown::HashMap;

use crate::core::event::EventId;
use crate::core::history::{Newest, SelectorId};

/// For each topic and pattern with events since a stream fell behind, the newest event that was
/// taken.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashMap<SelectorId, Newest>);

impl Taken {
    /// The shard has taken these events, or its streams start after them.
    pub(crate) fn note(&mut self, id: SelectorId, newest: Newest) {
        let known = self.0.entry(id).or_default();
        *known = known.or(newest);
    }

    /// The newest event of a topic that a stream with a grant, or without, may hear.
    pub(crate) fn newest(&self, id: SelectorId, granted: bool) -> EventId {
        let newest = self.0.get(&id).copied().unwrap_or_default();
        newest.for_reader(granted)
    }

    /// The shard has no stream on the topic any more: its id may be given to another one.
    pub(crate) fn forget(&mut self, id: SelectorId) {
        if !self.0.is_empty() {
            self.0.remove(&id);
        }
    }

    /// No stream is behind.
    pub(crate) fn clear(&mut self) {
        if !self.0.is_empty() {
            *self = Self::default();
        }
    }
}
