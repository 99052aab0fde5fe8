//! Losses that concern all streams: those that a log tells, and those that a source of events cannot
//! rule out, in an order that is this node's own.

use crate::clock::unix_ms;
use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause, ShardSet};
use crate::shard::mailbox::Message;

use super::{Closed, Hub, Place};

impl Hub {
    /// Tells all streams that are open a gap `upstream`, and whoever resumes from before: the source of
    /// the events cannot prove that it missed none up to now. Streams that open later are told
    /// nothing. For nodes whose order is their own.
    ///
    /// # Errors
    /// [`Closed`] if the node has shut down.
    pub async fn doubt_upstream(&self) -> Result<(), Closed> {
        // The gap has an id of its own, as an event would have.
        let hole = |head: EventId| Hole {
            after: head,
            through: head.next(unix_ms()),
            cause: HoleCause::Upstream,
        };
        self.break_where(hole).await
    }

    /// Waits until this node has read its log up to this id.
    pub async fn wait_for_head(&self, id: EventId) {
        let mut heads = self.0.heads.subscribe();
        // The hub has the sender.
        let _ = heads.wait_for(|head| *head >= id).await;
    }

    /// Notes a hole, which is made of the newest id, and posts it to all shards under the same hold
    /// of the lock. Waits while a mailbox is full.
    ///
    /// # Errors
    /// [`Closed`] if the node has shut down.
    ///
    /// # Panics
    /// If the hole does not end above the newest id, or begins above it.
    pub(super) async fn break_where(&self, hole: impl Fn(EventId) -> Hole) -> Result<(), Closed> {
        let mut all = ShardSet::default();
        (0..self.0.mailboxes.len()).for_each(|shard| all.insert(shard));
        let mut place = self.place();
        let attempt = |place: &mut Place<'_>| {
            let mut desk = self.0.shared.desk.lock();
            if !self.0.gate.is_open() {
                return None;
            }
            if !place.full_shards(&self.0.mailboxes).is_empty() {
                place.wait_for(all, &self.0.mailboxes);
                return None;
            }
            let hole = hole(desk.store().head());
            let loss = desk.break_off(hole);
            for mailbox in &self.0.mailboxes {
                // Only a shard that has ended refuses a message, and it has no streams.
                drop(mailbox.post(Message::Break(loss)));
            }
            Some(())
        };
        self.when_room(&mut place, attempt).await?;
        self.wake_shards();
        Ok(())
    }
}
