//! Sets of many patterns: which streams of a shard listen to one of them.
//!
//! An event may refer to ten thousand patterns that match it. The shard looks up once which of them
//! its streams subscribe to, and keeps the answer until a stream with a pattern comes or goes.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::core::history::MatchSet;

use super::topics::LocalTopics;

/// Bounds on sets of many patterns.
#[derive(Clone, Copy, Debug)]
pub struct SetLimits {
    /// Most local patterns of a set that are written to one by one, like topics.
    pub few: usize,
    /// Patterns and streams of the sets that are kept, added up. Above it, all are looked up anew.
    pub kept: usize,
}

impl Default for SetLimits {
    fn default() -> Self {
        Self {
            few: 8,
            kept: 1 << 18,
        }
    }
}

#[cfg(test)]
impl SetLimits {
    /// So small that a few patterns reach them.
    pub(crate) const SMALL: Self = Self { few: 1, kept: 64 };
}

/// The local patterns of a set, and their streams.
#[derive(Debug)]
pub(super) struct LocalSet {
    /// Numbers of its topics in the shard's table.
    pub(super) topics: Box<[u32]>,
    /// Slots of their streams, each once; none where the topics are few.
    pub(super) members: Box<[u32]>,
    is_few: bool,
}

impl LocalSet {
    fn new(set: &MatchSet, topics: &LocalTopics, few: usize) -> Self {
        let found: Box<[u32]> = set.ids().filter_map(|id| topics.find(id)).collect();
        let mut members = Vec::new();
        let is_few = found.len() <= few;
        if !is_few {
            let topics = found.iter().filter_map(|index| topics.get(*index));
            members.extend(topics.flat_map(|topic| topic.members.iter().copied()));
            members.sort_unstable();
            members.dedup();
        }
        Self {
            topics: found,
            members: members.into(),
            is_few,
        }
    }

    /// Whether its topics are few, so that each of them is written to.
    pub(super) fn is_few(&self) -> bool {
        self.is_few
    }
}

/// A set that was looked up.
#[derive(Debug)]
struct Known {
    /// Keeps its address from being used again.
    set: Arc<MatchSet>,
    local: Arc<LocalSet>,
}

/// The sets that were looked up since a stream with a pattern last came or went.
#[derive(Debug, Default)]
pub(super) struct LocalSets {
    /// By address.
    known: HashMap<usize, Known>,
    /// Of the shard's patterns, when these were looked up.
    version: u64,
    size: usize,
    /// Sets that were looked up so far.
    #[cfg(test)]
    pub(super) looked_up: usize,
}

impl LocalSets {
    /// The local patterns of a set, and their streams.
    pub(super) fn resolve(
        &mut self,
        set: &Arc<MatchSet>,
        topics: &LocalTopics,
        limits: SetLimits,
    ) -> Arc<LocalSet> {
        if self.version != topics.version() || self.size > limits.kept {
            self.known = HashMap::new();
            self.size = 0;
            self.version = topics.version();
        }
        let address = Arc::as_ptr(set) as usize;
        if let Some(known) = self.known.get(&address) {
            debug_assert!(Arc::ptr_eq(&known.set, set), "an address is one set's");
            return Arc::clone(&known.local);
        }
        #[cfg(test)]
        {
            self.looked_up += 1;
        }
        let local = Arc::new(LocalSet::new(set, topics, limits.few));
        self.size += set.len() + local.topics.len() + local.members.len();
        let known = Known {
            set: Arc::clone(set),
            local: Arc::clone(&local),
        };
        self.known.insert(address, known);
        local
    }
}
