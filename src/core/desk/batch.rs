//! Batches of events for the streams of a shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::core::budget::Charge;
use crate::core::event::EventId;
use crate::core::history::{Audience, EventTopics, MatchSets, SelectorIds};
use crate::core::sse::Frame;

/// One event for the streams of a shard.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id.
    pub id: EventId,
    /// Its bytes.
    pub frame: Frame,
    /// Those of its topics, and of the patterns of topics that have few, that have listeners.
    pub selectors: SelectorIds,
    /// The pattern sets of its topics that have many patterns. A shard determines which of the
    /// patterns its streams subscribe to.
    pub sets: MatchSets,
    /// The audience of a private event.
    pub audience: Option<Arc<Audience>>,
    /// Its topics by name, if some stream is told names.
    pub topics: Option<Arc<EventTopics>>,
    /// Set when one of its topics is traced.
    pub trace: Option<Arc<Trace>>,
}

/// Events that were stamped in one hold of the lock.
#[derive(Debug)]
pub struct Batch {
    /// In order of their ids.
    pub events: Vec<Delivery>,
    /// Newest id of the node when they were stamped. An event up to this id that a shard is not
    /// sent concerns none of its streams.
    pub head: EventId,
    /// When they were stamped.
    pub stamped_at: Instant,
    /// Bytes of their frames.
    pub bytes: usize,
    /// Its bytes in the node's account, until the last shard has dropped the batch; `None` if it is
    /// small.
    pub memory: Option<Charge>,
}

/// Counts the deliveries of a traced event on all shards. The last shard writes the log line.
#[derive(Debug)]
pub struct Trace {
    /// Called once, with the number of streams written to and the number of streams that were
    /// behind and will read the event later.
    pub report: TraceReport,
    /// Number of shards that have not delivered yet.
    pub shards_left: AtomicUsize,
    /// Number of streams written to.
    pub delivered: AtomicUsize,
    /// Number of streams that were behind.
    pub behind: AtomicUsize,
}

/// Writes the log line of a traced event.
pub struct TraceReport(pub Box<dyn Fn(usize, usize) + Send + Sync>);

impl std::fmt::Debug for TraceReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TraceReport")
    }
}

impl Trace {
    /// Adds one shard's counts, and reports if it was the last shard.
    pub(crate) fn shard_done(&self, delivered: usize, behind: usize) {
        self.delivered.fetch_add(delivered, Ordering::Relaxed);
        self.behind.fetch_add(behind, Ordering::Relaxed);
        if self.shards_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            (self.report.0)(
                self.delivered.load(Ordering::Relaxed),
                self.behind.load(Ordering::Relaxed),
            );
        }
    }
}
