use std::sync::Arc;

use fantail::hub::Hub;
use fantail::metrics::{Cell, ShardMetrics};
use fantail::node::{self, Addresses};
use fantail::settings::{KeySource, Settings};
use tokio::runtime::Runtime;

use crate::publisher::Publisher;
use crate::support::sse::SseStream;
use crate::support::wait_until;

/// Private events may be published, and streams and publishers on the ingest port need no token all
/// the same.
pub(crate) fn with_private_events(settings: &mut Settings) {
    settings.jwt_keys = Some(KeySource::Secret(
        "nobody has a token by this secret of these tests".into(),
    ));
    settings.anonymous = true;
}

/// A node that runs within the test, with all its listeners.
pub(crate) struct Node {
    pub(crate) runtime: Runtime,
    pub(crate) hub: Hub,
    pub(crate) at: Addresses,
    node: node::Node,
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A node whose settings differ from the defaults by `change`.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            shards: 2,
            ..Settings::on_free_ports()
        };
        change(&mut settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let node = runtime
            .block_on(node::Node::start(settings))
            .expect("free ports");
        Self {
            runtime,
            hub: node.hub().clone(),
            at: node.addresses(),
            node,
        }
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::open(self.at.ingest)
    }

    /// Opens a stream that misses no event from now on.
    pub(crate) fn subscribe(&self, target: &str) -> SseStream {
        SseStream::open(self.at.http, target)
    }

    /// Opens a stream as a returning client.
    pub(crate) fn resume(&self, target: &str, cursor: &str) -> SseStream {
        SseStream::resume(self.at.http, target, cursor)
    }

    /// Waits until every shard has finished its earlier work. A client may have read an event that
    /// its shard has yet to count as sent: until then its stream is behind, and an event that no
    /// history keeps ends it.
    pub(crate) fn settle(&self) {
        drop(self.runtime.block_on(self.hub.slowest(1)));
    }

    pub(crate) fn wait_for_streams(&self, count: usize) {
        wait_until(&format!("{count} streams are open"), || {
            self.hub.streams() == count
        });
    }

    /// One counter, over all shards.
    pub(crate) fn count(&self, counter: impl Fn(&ShardMetrics) -> &Cell) -> u64 {
        let shards: &[Arc<ShardMetrics>] = self.hub.shard_metrics();
        shards.iter().map(|shard| counter(shard).get()).sum()
    }

    /// Ends it as SIGTERM would.
    pub(crate) fn drain(&mut self) {
        let drained = self.runtime.block_on(self.node.drain());
        assert_eq!(drained.streams_cut, 0);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.hub.stop();
    }
}
