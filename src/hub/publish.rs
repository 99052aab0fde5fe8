//! Events on their way in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::core::delivery::{Batch, Delivery, Trace, TraceReport};
use crate::core::event::{EventId, unix_ms};
use crate::core::history::{Appended, SelectorId, SelectorIds, ShardSet, Work};
use crate::core::sse::{self, Draft, Frame};
use crate::metrics::Source;
use crate::shard::mailbox::Message;

use super::{Closed, Hub};

/// Bytes of a traced event's data that are logged.
const TRACE_DATA_BYTES: usize = 200;

/// What a publisher learns of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The node's id of the event.
    pub id: EventId,
    /// Subscriptions that it was handed to: a stream counts once for each of its selectors that match one of the event's topics, though it gets
    /// the event once. Of a private event, those of streams that were granted anything: who may hear it is decided where it is delivered.
    pub subscribers: u64,
}

/// A topic, and how far the order had come when its state was last known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The topic's name.
    pub topic: Box<str>,
    /// The newest event of the node at that moment.
    pub seen: EventId,
}

/// What became of an attempt to publish.
enum Attempt {
    Done(Vec<Receipt>),
    /// A watched topic has had an event since.
    Changed,
    /// Some patterns have been matched with the topics, and more are left.
    Unprepared,
}

/// Topics that are held while an event is on its way to them, and let go also when its publisher goes away in the middle.
struct Held<'h> {
    hub: &'h Hub,
    topics: SelectorIds,
}

impl<'h> Held<'h> {
    fn new(hub: &'h Hub) -> Self {
        Self {
            hub,
            topics: SelectorIds::new(),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.topics.is_empty() {
            let mut store = self.hub.0.shared.store.lock();
            store.unpin_all(&mut self.topics);
        }
    }
}

impl Hub {
    /// Publishes all drafts as one batch, in their order: one lock, one message and one wake-up a shard. Waits while a shard that
    /// has to be told is full; nothing is stamped before there is room.
    ///
    /// # Errors
    /// [`Closed`] when the node has shut down; then none was published.
    pub async fn publish(
        &self,
        source: Source,
        drafts: &mut [Draft<'_>],
    ) -> Result<Vec<Receipt>, Closed> {
        let receipts = self.publish_unless_changed(source, drafts, &[]).await?;
        // Without a watched topic nothing can have changed.
        Ok(receipts.unwrap_or_default())
    }

    /// Publishes as [`Hub::publish`] does if no topic of `watched` has had an event since it was seen; `None` if one may have, and
    /// then nothing is published.
    ///
    /// # Errors
    /// [`Closed`] when the node has shut down; then none was published.
    pub async fn publish_unless_changed(
        &self,
        source: Source,
        drafts: &mut [Draft<'_>],
        watched: &[Watched],
    ) -> Result<Option<Vec<Receipt>>, Closed> {
        if drafts.is_empty() && watched.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut held = Held::new(self);
        let receipts = loop {
            let attempt = || self.try_publish(drafts, &mut held.topics, watched);
            match self.when_room(attempt).await? {
                Attempt::Done(receipts) => break receipts,
                Attempt::Changed => return Ok(None),
                // Others have their turn at the lock, and this thread's at its other work.
                Attempt::Unprepared => tokio::task::yield_now().await,
            }
        };
        self.0.node_metrics.events_in[source as usize].add(receipts.len() as u64);
        Ok(Some(receipts))
    }

    /// Publishes unless a mailbox is full, or more patterns have to be matched with the topics than the lock may be held for.
    fn try_publish(
        &self,
        drafts: &mut [Draft<'_>],
        held: &mut SelectorIds,
        watched: &[Watched],
    ) -> Option<Attempt> {
        let mut receipts = Vec::with_capacity(drafts.len());
        let mut events = Vec::new();
        let mut shards = ShardSet::default();
        let traced: Vec<bool> = self.traced(drafts);
        let mut unheard = Vec::new();
        let stamped_at = Instant::now();

        let mut store = self.0.shared.store.lock();
        if !self.0.mailboxes.iter().all(|mailbox| mailbox.has_room()) {
            return None;
        }
        let changed = |topic: &Watched| store.may_have_changed(&topic.topic, topic.seen);
        if watched.iter().any(changed) {
            return Some(Attempt::Changed);
        }
        let names = drafts.iter().flat_map(|draft| draft.topics());
        if !store.prepare(names.map(AsRef::as_ref), held, &mut Work::default()) {
            return Some(Attempt::Unprepared);
        }
        let now_unix_ms = unix_ms();
        for (number, draft) in drafts.iter_mut().enumerate() {
            let (id, appended) = store.append(draft, now_unix_ms);
            let heard = !appended.listened.is_empty();
            receipts.push(Receipt {
                id,
                subscribers: appended.subscribers,
            });
            if !heard && traced.is_empty() {
                continue;
            }
            let trace = traced.get(number).is_some_and(|traced| *traced);
            let trace = trace.then(|| start_trace(id, draft, &appended.frame, stamped_at));
            if heard {
                shards.extend(appended.shards);
                events.push(delivery(id, appended, trace));
            } else {
                unheard.extend(trace);
            }
        }
        let batch = Batch {
            bytes: events.iter().map(bytes_of).sum(),
            events,
            head: store.head(),
            stamped_at,
        };
        if !batch.events.is_empty() {
            self.post_batch(Arc::new(batch), shards);
        }
        store.unpin_all(held);
        drop(store);
        for mailbox in self.chosen(shards) {
            mailbox.wake();
        }
        // Here, since writing to a log may wait, and nothing may wait for it under the lock.
        for trace in unheard {
            (trace.report.0)(0, 0);
        }
        Some(Attempt::Done(receipts))
    }

    /// Hands a batch to the shards; under the store's lock, with room known.
    fn post_batch(&self, batch: Arc<Batch>, shards: ShardSet) {
        let count = self.chosen(shards).count();
        for event in &batch.events {
            if let Some(trace) = &event.trace {
                trace.shards_left.store(count, Ordering::Release);
            }
        }
        for mailbox in self.chosen(shards) {
            // Only a shard that has ended refuses, and it has no streams.
            drop(mailbox.post(Message::Deliver(Arc::clone(&batch))));
        }
    }

    fn chosen(&self, shards: ShardSet) -> impl Iterator<Item = &crate::shard::mailbox::Mailbox> {
        let mailboxes = self.0.mailboxes.iter().enumerate();
        mailboxes.filter_map(move |(index, mailbox)| shards.contains(index).then_some(mailbox))
    }

    /// Which of the drafts are traced; empty when no topic is.
    fn traced(&self, drafts: &[Draft<'_>]) -> Vec<bool> {
        let traces = self.traces();
        if !traces.any() {
            return Vec::new();
        }
        let is_traced = |draft: &Draft<'_>| draft.topics().iter().any(|name| traces.concern(name));
        drafts.iter().map(is_traced).collect()
    }
}

/// What an event holds of a mailbox: its frame, and whom it goes to.
fn bytes_of(event: &Delivery) -> usize {
    let audience = event.audience.as_deref().map_or(0, <[_]>::len);
    event.frame.len() + (event.selectors.len() + audience) * size_of::<SelectorId>()
}

fn delivery(id: EventId, appended: Appended, trace: Option<Arc<Trace>>) -> Delivery {
    Delivery {
        id,
        frame: appended.frame,
        selectors: appended.listened,
        audience: appended.audience,
        trace,
    }
}

/// Prepares the log line of a traced event; the shards fill in how it fared.
fn start_trace(id: EventId, draft: &Draft<'_>, frame: &Frame, stamped_at: Instant) -> Arc<Trace> {
    let topic = draft
        .topics()
        .first()
        .map(|name| name.to_string())
        .unwrap_or_default();
    let frame = frame.clone();
    let report = move |streams: usize, behind: usize| {
        let data = sse::parse(&frame.text()).data;
        let cut = data.floor_char_boundary(TRACE_DATA_BYTES);
        let took_us = stamped_at.elapsed().as_micros() as u64;
        tracing::info!(
            target: "fantail::traced",
            %id, topic, bytes = frame.len(), streams, behind, took_us, data = &data[..cut],
            "event delivered"
        );
    };
    Arc::new(Trace {
        report: TraceReport(Box::new(report)),
        shards_left: AtomicUsize::new(0),
        delivered: AtomicUsize::new(0),
        behind: AtomicUsize::new(0),
    })
}
