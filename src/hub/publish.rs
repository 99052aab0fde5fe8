//! Publishing events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::clock::unix_ms;
use crate::core::budget::{Charge, Part};
use crate::core::desk::{
    Batch, Publication, Receipt, Refusal, Stamped, Stamps, Trace, TraceReport, Tracing, Watched,
};
use crate::core::event::{MarkedId, OrderMark};
use crate::core::history::{Released, SelectorIds, ShardSet};
use crate::core::sse::{self, Draft};
use crate::metrics::Source;
use crate::shard::mailbox::{Mailbox, Message};

use super::{Closed, Hub, Place};

/// Bytes of a traced event's data that are logged.
const TRACE_DATA_BYTES: usize = 200;

/// Topics of the events that are published under one hold of the lock: up to a millisecond.
const TOPICS_AT_ONCE: usize = 1_024;

/// Batches up to this size are not charged to the node's account: `mailbox_batches` bounds them.
const UNCOUNTED_BATCH_BYTES: usize = 4 * 1024;

/// The outcome of an attempt to publish.
enum Attempt {
    Done(Vec<Receipt>),
    /// A watched topic has had an event since.
    Changed,
    /// Some patterns have been matched with the topics, or some events evicted to make room, and
    /// more are left.
    Unprepared,
}

/// Topics that are pinned while an event is on its way to them. Dropping it unpins them, also when
/// the publisher goes away in the middle.
struct Pinned<'h> {
    hub: &'h Hub,
    topics: SelectorIds,
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        let mut released = Released::default();
        released.add_pins(self.topics.drain(..));
        if !released.is_empty() {
            self.hub.take_back(&mut released);
        }
    }
}

impl Hub {
    /// Publishes all drafts in their order: one lock, one message and one wake-up a shard for each
    /// 1,024 of their topics. Waits while a shard that has to be told is full; nothing is stamped
    /// before there is room.
    ///
    /// # Errors
    /// [`Closed`] when the node has shut down; of a batch of many topics, a part may have been
    /// published.
    pub async fn publish(
        &self,
        source: Source,
        drafts: &mut [Draft<'_>],
    ) -> Result<Vec<Receipt>, Closed> {
        let mut receipts = Vec::new();
        let mut rest = drafts;
        loop {
            let (portion, behind) = rest.split_at_mut(events_at_once(rest));
            let published = self.publish_together(source, portion).await?;
            if receipts.is_empty() {
                receipts = published;
            } else {
                receipts.extend(published);
            }
            rest = behind;
            if rest.is_empty() {
                return Ok(receipts);
            }
            // Others have their turn at the lock, and this thread's at its other work.
            tokio::task::yield_now().await;
        }
    }

    /// Whether [`Hub::publish`] publishes these under one hold of the lock. If not, its caller must
    /// not go away in between: a part would be published.
    #[must_use]
    pub fn is_one_portion(drafts: &[Draft<'_>]) -> bool {
        events_at_once(drafts) == drafts.len()
    }

    /// The same under one hold of the lock, however many topics the drafts have: nothing of others
    /// comes between them.
    ///
    /// # Errors
    /// [`Closed`] when the node has shut down; then none was published.
    pub async fn publish_together(
        &self,
        source: Source,
        drafts: &mut [Draft<'_>],
    ) -> Result<Vec<Receipt>, Closed> {
        let receipts = self.publish_unless_changed(source, drafts, &[]).await?;
        // Without a watched topic nothing can have changed.
        Ok(receipts.unwrap_or_default())
    }

    /// Publishes as [`Hub::publish_together`] does if no topic of `watched` has had an event since
    /// it was seen; `None` if one may have, and then nothing is published.
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
        let mut pinned = Pinned {
            hub: self,
            topics: SelectorIds::new(),
        };
        let mut place = self.place();
        let receipts = loop {
            let attempt = |place: &mut Place<'_>| {
                self.try_publish(drafts, &mut pinned.topics, watched, place)
            };
            match self.when_room(&mut place, attempt).await? {
                Attempt::Done(receipts) => break receipts,
                Attempt::Changed => return Ok(None),
                // Others have their turn at the lock, and this thread's at its other work.
                Attempt::Unprepared => tokio::task::yield_now().await,
            }
        };
        self.0.node_metrics.events_in[source as usize].add(receipts.len() as u64);
        Ok(Some(receipts))
    }

    /// Publishes unless a shard that has to be told is full, or more patterns have to be matched
    /// with the topics than the lock may be held for.
    fn try_publish(
        &self,
        drafts: &mut [Draft<'_>],
        pinned: &mut SelectorIds,
        watched: &[Watched],
        place: &mut Place<'_>,
    ) -> Option<Attempt> {
        #[cfg(test)]
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        let stamped_at = Instant::now();
        let mut tracing = HubTracing {
            traced: self.traced(drafts),
            mark: self.mark(),
            stamped_at,
            unheard: Vec::new(),
        };
        let mut desk = self.0.shared.desk.lock();
        let publication = Publication {
            drafts,
            stamps: Stamps::Local(unix_ms()),
            watched,
            pinned,
            full: place.full_shards(&self.0.mailboxes),
            stamped_at,
        };
        let published = match desk.publish(publication, &mut tracing) {
            Ok(published) => published,
            Err(Refusal::Changed) => return Some(Attempt::Changed),
            Err(Refusal::Unprepared) => return Some(Attempt::Unprepared),
            Err(Refusal::Full(needs)) => {
                place.wait_for(needs, &self.0.mailboxes);
                return None;
            }
            Err(Refusal::Fell(_)) => unreachable!("local ids do not fall"),
        };
        if let Some(mut batch) = published.batch {
            batch.memory = self.charge_batch(batch.bytes);
            self.post_batch(Arc::new(batch), published.shards);
        }
        drop(desk);
        for mailbox in self.chosen(published.shards) {
            mailbox.wake();
        }
        // Here, since writing to a log may wait, and nothing may wait for it under the lock.
        for trace in tracing.unheard {
            (trace.report.0)(0, 0);
        }
        Some(Attempt::Done(published.receipts))
    }

    /// Charges a batch that goes to the mailboxes. It cannot be refused any more; small ones are
    /// not worth two counters that all threads share.
    fn charge_batch(&self, bytes: usize) -> Option<Charge> {
        if bytes <= UNCOUNTED_BATCH_BYTES {
            return None;
        }
        let mut charge = Charge::new(&self.0.budget, Part::Events);
        charge.set_anyway(bytes);
        Some(charge)
    }

    /// Hands a batch to the shards; under the desk's lock, with room known.
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

    fn chosen(&self, shards: ShardSet) -> impl Iterator<Item = &Mailbox> {
        let mailboxes = self.0.mailboxes.iter().enumerate();
        mailboxes.filter_map(move |(index, mailbox)| shards.contains(index).then_some(mailbox))
    }

    /// Which of the drafts are traced; empty if no topic is.
    fn traced(&self, drafts: &[Draft<'_>]) -> Vec<bool> {
        let traces = self.traces();
        if !traces.any() {
            return Vec::new();
        }
        let is_traced = |draft: &Draft<'_>| draft.topics().iter().any(|name| traces.concern(name));
        drafts.iter().map(is_traced).collect()
    }
}

/// How many of these events are published under one hold of the lock; at least one, if there is
/// one.
fn events_at_once(drafts: &[Draft<'_>]) -> usize {
    let mut topics = 0;
    let fits = |draft: &&Draft<'_>| {
        topics += draft.topics().len();
        topics <= TOPICS_AT_ONCE
    };
    let count = drafts.iter().take_while(fits).count();
    count.max(1).min(drafts.len())
}

/// Starts the traces of a batch.
struct HubTracing {
    /// Which of its events are traced; empty when none is.
    traced: Vec<bool>,
    mark: OrderMark,
    stamped_at: Instant,
    /// Traces of events that have no listener.
    unheard: Vec<Arc<Trace>>,
}

impl Tracing for HubTracing {
    fn start(&mut self, event: &Stamped<'_, '_>) -> Option<Arc<Trace>> {
        if !self.traced.get(event.number).is_some_and(|traced| *traced) {
            return None;
        }
        let trace = start_trace(event, event.id.marked(self.mark), self.stamped_at);
        if !event.is_heard {
            self.unheard.push(Arc::clone(&trace));
        }
        Some(trace)
    }
}

/// Prepares the log line of a traced event; the shards fill in how it fared.
fn start_trace(event: &Stamped<'_, '_>, id: MarkedId, stamped_at: Instant) -> Arc<Trace> {
    let frame = event.frame.clone();
    let topic = event
        .draft
        .topics()
        .first()
        .map(|name| name.to_string())
        .unwrap_or_default();
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
