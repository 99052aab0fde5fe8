//! Events on their way to the streams of a shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::core::budget::Charge;
use crate::core::event::EventId;
use crate::core::history::{Audience, MatchSets, SelectorIds};
use crate::core::sse::Frame;

/// One event on its way to the streams.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id.
    pub id: EventId,
    /// Its bytes.
    pub frame: Frame,
    /// Those of its topics, and of the patterns of a topic that has few, that somebody listens to.
    pub selectors: SelectorIds,
    /// The patterns of its topics that have many. A shard looks up which of them its streams
    /// subscribe to.
    pub sets: MatchSets,
    /// The audience of a private event.
    pub audience: Option<Arc<Audience>>,
    /// Set when one of its topics is traced.
    pub trace: Option<Arc<Trace>>,
}

/// Events that were stamped under one lock.
#[derive(Debug)]
pub struct Batch {
    /// In order of their ids.
    pub events: Vec<Delivery>,
    /// Newest id of the node when they were stamped: all that a shard has not been sent up to here
    /// concerns none of its streams.
    pub head: EventId,
    /// When they were stamped.
    pub stamped_at: Instant,
    /// Bytes of their frames.
    pub bytes: usize,
    /// Its bytes in the node's account, until the last shard has taken it.
    pub memory: Option<Charge>,
}

/// Collects the deliveries of a traced event on all shards; the last one writes the log line.
#[derive(Debug)]
pub struct Trace {
    /// Called once with the number of streams written to, and of streams that were behind and will
    /// read it later.
    pub report: TraceReport,
    /// Shards that have not delivered yet.
    pub shards_left: AtomicUsize,
    /// Streams written to.
    pub delivered: AtomicUsize,
    /// Streams that were behind.
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
    /// Counts one shard's part in, and reports if it was the last.
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
