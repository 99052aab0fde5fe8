//! Sets of many patterns, and the streams of a shard that subscribe to one of them.
//!
//! An event may refer to ten thousand patterns that match it. The shard looks up once which of them
//! its streams subscribe to, and keeps the result until a stream with a pattern is added or
//! removed.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::core::history::MatchSet;

use super::topics::LocalTopics;

/// Bounds on sets of many patterns.
#[derive(Clone, Copy, Debug)]
pub struct SetLimits {
    /// A set with at most this many local patterns is written pattern by pattern, like topics.
    pub few: usize,
    /// Most patterns and streams of the kept sets, added up. Above this, all sets are looked up
    /// anew.
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
    /// Limits so small that a few patterns reach them.
    pub(crate) const SMALL: Self = Self { few: 1, kept: 64 };
}

/// The local patterns of a set, and their streams.
#[derive(Debug)]
pub(super) struct LocalSet {
    /// Numbers of its topics in the shard's table.
    pub(super) topics: Box<[u32]>,
    /// Slots of their streams, each once; empty if the topics are few.
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

    /// Whether its topics are few, so that they are written to one by one.
    pub(super) fn is_few(&self) -> bool {
        self.is_few
    }
}

/// A set that was looked up, and the result.
#[derive(Debug)]
struct Known {
    /// Kept alive, so that its address is not reused.
    set: Arc<MatchSet>,
    local: Arc<LocalSet>,
}

/// The sets looked up since a stream with a pattern was last added or removed.
#[derive(Debug, Default)]
pub(super) struct LocalSets {
    /// By the address of the set.
    known: HashMap<usize, Known>,
    /// Version of the shard's topic table when these sets were looked up.
    version: u64,
    size: usize,
    /// Number of sets looked up so far.
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
