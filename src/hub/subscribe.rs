//! Streams on their way in.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::config::SlowConsumerPolicy;
use crate::event::Topics;
use crate::history::{Start, Wanted};
use crate::places::{Shed, StreamPermit};
use crate::shard::Attach;
use crate::shard::mailbox::Message;
use crate::shard::sink::Sink;
use crate::sse::Framing;

use super::{Closed, Hub};

/// A stream to open.
pub struct Subscribe<'a> {
    /// Where its bytes go.
    pub sink: Sink,
    /// How its frames are wrapped.
    pub framing: Framing,
    /// The HTTP response head, written first; empty for body sinks, whose head hyper writes.
    pub head: Bytes,
    /// Its topics: checked names, at least one, without doubles.
    pub topics: Topics<'a>,
    /// From [`Hub::resolve`].
    pub start: Start,
}

impl Hub {
    /// Takes a place for one stream of the client at `address`.
    ///
    /// # Errors
    /// [`Shed`] when the node is full or draining, or the address has its share.
    pub fn reserve(&self, address: IpAddr) -> Result<StreamPermit, Shed> {
        self.0
            .shared
            .places
            .reserve(address)
            .inspect_err(|_| self.0.node_metrics.streams_shed.add(1))
    }

    /// Streams of the client at `address`; 0 where `max_connections_per_address` is off.
    #[must_use]
    pub fn streams_of(&self, address: IpAddr) -> usize {
        self.0.shared.places.open_of(address)
    }

    /// Finds where a stream starts: live from now without a cursor, else after it. Never fails: what is unknown or gone becomes a gap
    /// that the stream is told.
    #[must_use]
    pub fn resolve(&self, topics: &Topics<'_>, cursor: Option<&str>) -> Start {
        cursor.map_or_else(Start::default, |cursor| {
            let names = topics.iter().map(AsRef::as_ref);
            self.0.shared.store.lock().resolve(names, cursor)
        })
    }

    /// Opens a stream: from here on its sink belongs to a shard. Waits while that shard's mailbox is full.
    ///
    /// # Errors
    /// [`Closed`] when the node has shut down; the sink is dropped.
    pub async fn subscribe(
        &self,
        permit: StreamPermit,
        subscribe: Subscribe<'_>,
    ) -> Result<(), Closed> {
        let shard = self.0.next_shard.fetch_add(1, Ordering::Relaxed) % self.0.mailboxes.len();
        let mut waiting = Some((permit, subscribe));
        self.when_room(|| self.try_subscribe(shard, &mut waiting))
            .await?;
        self.0.mailboxes[shard].wake();
        Ok(())
    }

    fn try_subscribe(
        &self,
        shard: usize,
        waiting: &mut Option<(StreamPermit, Subscribe<'_>)>,
    ) -> Option<()> {
        let mailbox = &self.0.mailboxes[shard];
        let mut store = self.0.shared.store.lock();
        if !mailbox.has_room() {
            return None;
        }
        let (permit, subscribe) = waiting.take()?;
        let names = subscribe.topics.iter().map(AsRef::as_ref);
        let topics = names
            .clone()
            .map(|name| Wanted {
                topic: store.retain(name, shard),
                policy: self.policy(name),
            })
            .collect();
        let start = if store.nothing_after(&subscribe.start, names) {
            Start::default()
        } else {
            subscribe.start
        };
        let attach = Attach {
            sink: subscribe.sink,
            client: permit.into_client(),
            framing: subscribe.framing,
            head: subscribe.head,
            topics,
            live_from: store.head(),
            start,
        };
        if let Err(Message::Attach(refused)) = mailbox.post(Message::Attach(Box::new(attach))) {
            // The shard has ended: the stream is gone before it was one.
            for wanted in &refused.topics {
                store.release(wanted.topic);
            }
            self.0.shared.places.release(refused.client);
        }
        Some(())
    }

    /// What happens to slow streams on this topic: the rule with the longest prefix, or the node's policy.
    fn policy(&self, topic: &str) -> SlowConsumerPolicy {
        let settings = self.settings();
        let rules = settings.slow_consumer_rules.iter();
        rules
            .filter(|rule| topic.starts_with(&rule.prefix))
            .max_by_key(|rule| rule.prefix.len())
            .map_or(settings.slow_consumer, |rule| rule.policy)
    }
}
