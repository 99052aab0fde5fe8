//! Returns subscriptions, grants and pins to the store, in portions.
//!
//! A thousand streams of a thousand topics that end together leave a million counts to take back.
//! Nothing waits for it: until its last count is taken back, a topic merely exists for a while
//! longer.

use super::{Grant, SelectorId, Store, Wanted, Work};

/// Capacity above which an empty list is freed.
const ENTRIES_KEPT: usize = 4_096;

/// Ids in a grant that cost as much to hash as one reference to take back.
const IDS_PER_REFERENCE: usize = 64;

/// References that the store has yet to take back, each exactly once.
#[derive(Debug, Default)]
pub struct Released {
    /// With whether the stream had a grant.
    subscriptions: Vec<(SelectorId, bool)>,
    grants: Vec<Grant>,
    pins: Vec<SelectorId>,
}

impl Released {
    /// Adds a subscription of a stream, with a grant or without.
    pub fn add_subscription(&mut self, id: SelectorId, granted: bool) {
        self.subscriptions.push((id, granted));
    }

    /// Adds a stream's share of a grant.
    pub fn add_grant(&mut self, grant: Grant) {
        self.grants.push(grant);
    }

    /// Adds all references of a stream.
    pub fn add_stream(&mut self, wanted: &[Wanted], grant: Option<Grant>) {
        for wanted in wanted {
            self.add_subscription(wanted.selector, grant.is_some());
        }
        self.grants.extend(grant);
    }

    /// Adds pins.
    pub fn add_pins(&mut self, ids: impl IntoIterator<Item = SelectorId>) {
        self.pins.extend(ids);
    }

    /// References that are left; a grant counts as one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subscriptions.len() + self.grants.len() + self.pins.len()
    }

    /// Whether everything was taken back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[cfg(test)]
    pub(super) fn subscriptions_capacity(&self) -> usize {
        self.subscriptions.capacity()
    }

    /// Frees memory after a mass of streams has ended; to be called when nothing is left, outside
    /// the lock.
    pub fn shrink(&mut self) {
        let capacity = self.subscriptions.capacity().max(self.pins.capacity());
        if self.is_empty() && capacity > ENTRIES_KEPT {
            *self = Self::default();
        }
    }
}

impl Store {
    /// Takes references back, as far as the work goes; returns whether none is left. Makes progress
    /// by at least one reference or one match each time.
    pub fn release(&mut self, released: &mut Released, work: &mut Work) -> bool {
        self.upkeep = self.work();
        while let Some((id, granted)) = released.subscriptions.last().copied() {
            if !self.may_take_back(id, work) {
                return false;
            }
            released.subscriptions.pop();
            self.unsubscribe(id, granted);
        }
        while let Some(grant) = released.grants.pop() {
            if self.grants.unshare(&grant) {
                released.pins.extend_from_slice(&grant);
            }
            if !work.charge_references(1 + grant.len() / IDS_PER_REFERENCE) {
                return false;
            }
        }
        while let Some(id) = released.pins.last().copied() {
            if !self.may_take_back(id, work) {
                return false;
            }
            released.pins.pop();
            self.unpin(id);
        }
        true
    }

    /// Charges one reference, and the patterns that are told when its topic is deleted; returns
    /// whether it may be taken back now. The patterns must be known before.
    fn may_take_back(&mut self, id: SelectorId, work: &mut Work) -> bool {
        if !work.charge_references(1) {
            return false;
        }
        let Some(index) = id.topic_index() else {
            return true;
        };
        let topic = self.topics.get(index);
        if topic.log.is_some() || !topic.pins.has_evicted() {
            return true;
        }
        if work.is_spent() || !self.keep_up(index) {
            return false;
        }
        self.spend_on_telling(index, work);
        true
    }
}
