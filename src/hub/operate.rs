//! The hub's operations for operators: open streams, counters, shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::core::delivery::query::{Found, Task};
use crate::core::delivery::{StreamInfo, StreamKey, farewell_retry_ms};
use crate::metrics::{NodeMetrics, ShardMetrics};
use crate::shard::mailbox::Message;

use super::{Hub, StreamQuery};

impl Hub {
    /// Open streams, reserved places included.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.shared.places.open()
    }

    /// Streams that a drain ended without all of their farewell.
    #[must_use]
    pub fn streams_cut(&self) -> usize {
        self.0
            .counters
            .iter()
            .map(|shard| shard.cut.get() as usize)
            .sum()
    }

    /// HTTP/2 streams that were reset after their end because their clients read nothing.
    #[must_use]
    pub fn streams_given_up(&self) -> usize {
        let shards = self.0.counters.iter();
        shards
            .map(|shard| shard.unsent_given_up.get() as usize)
            .sum()
    }

    /// HTTP/2 streams that have ended and whose last bytes wait to be sent.
    #[must_use]
    pub fn streams_unsent(&self) -> usize {
        let shards = self.0.counters.iter();
        shards.map(|shard| shard.unsent.get() as usize).sum()
    }

    /// Most streams that may be open.
    #[must_use]
    pub fn streams_max(&self) -> usize {
        self.0.shared.places.streams_max()
    }

    /// The streams that are furthest behind, at most `count`; if fewer are behind, others fill up.
    pub async fn slowest(&self, count: usize) -> Vec<StreamInfo> {
        let mut streams = Vec::new();
        for shard in 0..self.0.mailboxes.len() {
            let (answer, answered) = oneshot::channel();
            // A caller that has gone away needs no answer.
            let answer = Box::new(move |found| _ = answer.send(found));
            if self
                .post(shard, Message::Slowest(count, answer))
                .await
                .is_ok()
                && let Ok(found) = answered.await
            {
                streams.extend::<Vec<_>>(found);
            }
        }
        streams
            .sort_by_key(|stream| (std::cmp::Reverse(stream.lag), std::cmp::Reverse(stream.age)));
        streams.truncate(count);
        streams
    }

    /// Open streams that match the query, at most `count`, in no order.
    pub async fn find(&self, query: StreamQuery, count: usize) -> Vec<StreamInfo> {
        let query = Arc::new(query);
        let mut streams = Vec::new();
        for shard in 0..self.0.mailboxes.len() {
            let mut next = Some(0);
            while let Some(from) = next
                && streams.len() < count
            {
                let task = Task::Show(count - streams.len());
                let found = self.find_portion(shard, &query, from, task).await;
                streams.extend(found.streams);
                next = found.next;
            }
        }
        streams
    }

    /// Ends the streams that match the query; returns how many. Streams that open meanwhile may or
    /// may not be included.
    pub async fn end_streams(&self, query: StreamQuery) -> usize {
        let query = Arc::new(query);
        let mut ended = 0;
        for shard in 0..self.0.mailboxes.len() {
            let mut next = Some(0);
            while let Some(from) = next {
                let found = self.find_portion(shard, &query, from, Task::End).await;
                ended += found.ended;
                next = found.next;
            }
        }
        ended
    }

    /// The result of one turn of a shard; empty if the shard has ended.
    async fn find_portion(
        &self,
        shard: usize,
        query: &Arc<StreamQuery>,
        from: u32,
        task: Task,
    ) -> Found {
        let (answer, answered) = oneshot::channel();
        let answer = Box::new(move |found| _ = answer.send(found));
        let message = Message::Find(Arc::clone(query), from, task, answer);
        if self.post(shard, message).await.is_err() {
            return Found::default();
        }
        answered.await.unwrap_or_default()
    }

    /// Ends the stream with this id, as in [`StreamInfo::id`]; false if there is none.
    pub async fn close_stream(&self, id: &str) -> bool {
        let Ok(stream) = id.parse::<StreamKey>() else {
            return false;
        };
        let (answer, answered) = oneshot::channel();
        let answer = Box::new(move |found| _ = answer.send(found));
        let posted = self
            .post(stream.shard as usize, Message::Close(stream, answer))
            .await;
        posted.is_ok() && answered.await.unwrap_or(false)
    }

    /// Waits until every shard has made a turn.
    pub async fn probe(&self) {
        let query = Arc::default();
        for shard in 0..self.0.mailboxes.len() {
            // From beyond the last slot on: it costs the shard nothing.
            self.find_portion(shard, &query, u32::MAX, Task::Show(0))
                .await;
        }
    }

    /// Whether balancers may send clients here: `/readyz`. It changes nothing else.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed) && !self.draining()
    }

    /// Whether the node has been without its log for so long that balancers should send clients
    /// elsewhere. Streams stay open, and clients that come are served from memory.
    #[must_use]
    pub fn lacks_log(&self) -> bool {
        let longest = self.0.config.log_lost_unready;
        self.log()
            .is_some_and(|log| log.state().is_away_for(longest))
    }

    /// Sets what [`Hub::is_ready`] tells before the drain.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    /// A reconnection delay for a client that asks for a stream while the node drains. It is chosen
    /// as those of the streams that the drain ends.
    #[must_use]
    pub fn drain_retry_ms(&self) -> u64 {
        farewell_retry_ms(self.0.config.shard.retry_ms, &mut fastrand::Rng::new())
    }

    /// Whether the node is shutting down.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.0.shared.places.is_draining()
    }

    /// Refuses new streams and ends the open ones in even steps over `drain_period`.
    pub async fn drain(&self) {
        self.0.shared.places.drain();
        let period_ms = self.0.config.drain_period.as_millis() as u64;
        for shard in 0..self.0.mailboxes.len() {
            // A shard that has ended has no streams left.
            let _ = self.post(shard, Message::Drain(period_ms)).await;
        }
    }

    /// Ends the shards and waits for their threads; messages posted before are still written.
    /// Blocks, so not for a runtime's worker.
    pub fn stop(&self) {
        self.close();
        self.0.shards.stop();
    }

    /// The same without waiting. Open streams are cut.
    pub fn end(&self) {
        self.close();
        self.0.shards.end();
    }

    /// Accepts nothing more.
    fn close(&self) {
        self.0.gate.stop();
        self.0.waiting.close();
        self.0.presence.close();
    }

    /// Counters of the node outside its shards.
    #[must_use]
    pub fn node_metrics(&self) -> &NodeMetrics {
        &self.0.node_metrics
    }

    /// Counters of each shard.
    #[must_use]
    pub fn shard_metrics(&self) -> &[Arc<ShardMetrics>] {
        &self.0.counters
    }

    /// Messages that wait in each shard's mailbox.
    #[must_use]
    pub fn mailbox_depths(&self) -> Vec<usize> {
        self.0
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.depth())
            .collect()
    }
}
