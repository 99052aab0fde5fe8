//! Cursors that this node may not know yet: with a log, a client may come from a node that is ahead.
//!
//! Such a cursor is answered when this node has come as far as the log was when the client asked. So
//! it is no gap to change the node. What is unknown after that is unknown to all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::core::event::EventId;
use crate::core::selector::Selector;

use super::log::{Away, Log};
use super::{Hub, Shed, Start};

/// Longest wait for this node to catch up. After it, a cursor is answered as far as it is known.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Questions for the newest id of the log: one answer is for all who asked before the question
/// was put.
#[derive(Default)]
pub(super) struct Newest {
    /// Number of questions put.
    begun: AtomicU64,
    /// The last answer, and the number of its question. Locked while a question is out.
    answer: Mutex<Option<(u64, Result<EventId, Away>)>>,
}

impl Newest {
    /// The newest id of the log, asked after the call began.
    async fn ask(&self, log: &dyn Log) -> Result<EventId, Away> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut answer = self.answer.lock().await;
        if let Some((number, newest)) = &*answer
            && *number > before
        {
            return newest.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let newest = log.newest().await;
        *answer = Some((number, newest.clone()));
        newest
    }
}

impl Hub {
    /// Whether a cursor that was resolved to this start may be known a moment later, so that
    /// [`Hub::resolve_late`] should be asked.
    #[must_use]
    pub fn may_be_early(&self, start: &Start) -> bool {
        self.log().is_some() && start.is_unknown()
    }

    /// As [`Hub::resolve`], after this node has caught up with the log: for a cursor that it did not
    /// know. Waits for two seconds at most.
    ///
    /// # Errors
    /// [`Shed::Behind`] if the log is away, and the cursor is one of its order.
    pub async fn resolve_late(
        &self,
        selectors: &[Selector],
        grant: &[Selector],
        cursor: &str,
    ) -> Result<Start, Shed> {
        let caught_up = self.catch_up(cursor).await;
        caught_up.inspect_err(|_| self.0.node_metrics.streams_shed.add(1))?;
        Ok(self.resolve(selectors, grant, Some(cursor)))
    }

    /// Waits until the node has come as far as the log was when the call began, or as far as the
    /// cursor.
    pub(super) async fn catch_up(&self, cursor: &str) -> Result<(), Shed> {
        let Some(log) = self.log() else {
            return Ok(());
        };
        let place = self.mark().place_of(cursor);
        if place.is_some_and(|place| place <= self.head()) {
            return Ok(());
        }
        let wait = async {
            let newest = self.0.newest.ask(&**log).await?;
            self.reached(place.map_or(newest, |place| place.min(newest)))
                .await;
            Ok(())
        };
        match tokio::time::timeout(WAIT_MAX, wait).await {
            // A publisher's own id, or no cursor at all: it is told as unknown, as far as is known.
            Ok(Err(Away { .. })) if place.is_some() => Err(Shed::Behind),
            _ => Ok(()),
        }
    }

    /// Waits until all entries of the log up to `id` are applied.
    async fn reached(&self, id: EventId) {
        let mut heads = self.0.heads.subscribe();
        if self.head() < id {
            // The sender lives as long as the hub.
            let _ = heads.wait_for(|head| *head >= id).await;
        }
    }
}
