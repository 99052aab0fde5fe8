//! Moving streams from one shard to another.

use crate::core::event::EventId;
use crate::core::history::{Newest, SelectorIds, Wanted};

use super::Desk;

/// The state that a parked stream needs to continue.
#[derive(Clone, Debug)]
pub struct Reseat {
    /// The newest event when it was reseated: from here on its new shard is sent all events that it
    /// wants.
    pub live_from: EventId,
    /// For each of its topics and patterns, the newest event up to here, which its new shard may
    /// not have been sent.
    pub newest: Box<[Newest]>,
}

impl Desk {
    /// Directs the events of a parked stream to `shard` from now on. Counts nothing: the stream
    /// still has its subscriptions. It must be posted to that shard before anything else is
    /// published.
    pub fn reseat(&mut self, shard: usize, wanted: &[Wanted]) -> Reseat {
        let ids: SelectorIds = wanted.iter().map(|wanted| wanted.selector).collect();
        for id in &ids {
            self.store.follow(*id, shard);
        }
        Reseat {
            newest: self.store.newest(&ids),
            live_from: self.store.head(),
        }
    }
}
