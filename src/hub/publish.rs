//! Publishing events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::clock::unix_ms;
use crate::core::budget::{Charge, Part};
use crate::core::desk::{
    Batch, Publication, Receipt, Refusal, Stamped, Stamps, Trace, TraceReport, Tracing, Watched,
};
use crate::core::event::{EventId, MarkedId, OrderMark};
use crate::core::history::{IdFell, Released, SelectorIds, ShardSet};
use crate::core::sse::{self, Draft};
use crate::metrics::Source;
use crate::shard::mailbox::{Mailbox, Message};

use super::{Closed, Hub, NotPublished, Place, Reused};

/// Bytes of a traced event's data that are logged.
const TRACE_DATA_BYTES: usize = 200;

/// Most topics of the events published in one hold of the lock: up to a millisecond.
pub(super) const TOPICS_AT_ONCE: usize = 1_024;

/// Batches up to this size are not charged to the node's account, because `mailbox_batches` limits
/// their number.
const UNCOUNTED_BATCH_BYTES: usize = 4 * 1024;

/// The outcome of an attempt to publish.
pub(super) enum Attempt {
    /// The receipts, and the number of events that are repeats.
    Done(Vec<Receipt>, usize),
    /// A watched topic may have had an event since it was seen.
    Changed,
    /// Some patterns have been matched with the topics, or some events evicted to make room, but
    /// more are left.
    Unprepared,
    /// The event with this number has the idempotency key of another event.
    Reused(usize),
    /// The given ids do not rise.
    Fell(IdFell),
}

/// Topics that are pinned while an event is published to them. Dropping it unpins them, also when
/// the publisher is dropped before it has finished.
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
    /// Publishes all drafts in order. Each portion of up to 1,024 topics takes one hold of the
    /// lock, and one message and one wake-up for each shard. Waits while a shard that is needed is
    /// full; no event is stamped before there is room.
    ///
    /// An event that repeats an earlier one is not published, and has the receipt of that one.
    ///
    /// # Errors
    /// [`NotPublished`] if the node has shut down: a part of a batch of many topics may have been
    /// published. Or if one event has the idempotency key of another one: nothing was published
    /// then, unless the error has receipts.
    pub async fn publish(
        &self,
        source: Source,
        drafts: &mut [Draft<'_>],
    ) -> Result<Vec<Receipt>, NotPublished> {
        let mut receipts = Vec::new();
        let mut rest = drafts;
        if events_at_once(rest) < rest.len() {
            self.check_keys(rest).await?;
        }
        loop {
            let (portion, behind) = rest.split_at_mut(events_at_once(rest));
            let published = match self.publish_together(source, portion).await {
                Err(error) => return Err(error.behind(receipts)),
                Ok(published) => published,
            };
            if receipts.is_empty() {
                receipts = published;
            } else {
                receipts.extend(published);
            }
            rest = behind;
            if rest.is_empty() {
                return Ok(receipts);
            }
            // Lets others use the lock, and this thread do its other work.
            tokio::task::yield_now().await;
        }
    }

    /// Whether [`Hub::publish`] publishes these in one hold of the lock. If not, its future must
    /// not be dropped before it is ready: only a part would be published.
    #[must_use]
    pub fn is_one_portion(drafts: &[Draft<'_>]) -> bool {
        events_at_once(drafts) == drafts.len()
    }

    /// Publishes all drafts in one hold of the lock, however many topics they have: no event of
    /// another publisher comes between them.
    ///
    /// # Errors
    /// [`NotPublished`]: no event was published.
    pub async fn publish_together(
        &self,
        source: Source,
        drafts: &mut [Draft<'_>],
    ) -> Result<Vec<Receipt>, NotPublished> {
        let receipts = self.publish_unless_changed(source, drafts, &[]).await?;
        // Without a watched topic, the result is never `None`.
        Ok(receipts.unwrap_or_default())
    }

    /// Publishes as [`Hub::publish_together`] does, unless a topic of `watched` may have had an
    /// event since it was seen. Then it publishes nothing and returns `None`.
    ///
    /// # Errors
    /// [`NotPublished`]: no event was published.
    pub async fn publish_unless_changed(
        &self,
        source: Source,
        drafts: &mut [Draft<'_>],
        watched: &[Watched],
    ) -> Result<Option<Vec<Receipt>>, NotPublished> {
        if drafts.is_empty() && watched.is_empty() {
            return Ok(Some(Vec::new()));
        }
        if let Some(log) = self.log() {
            // A topic that is watched may change before the log's entries come back.
            debug_assert!(watched.is_empty(), "with a log, nothing is watched");
            let receipts = match watched {
                [] => Some(self.publish_to(&**log, source, drafts).await?),
                _ => None,
            };
            return Ok(receipts);
        }
        let (receipts, repeats) = match self.attempt(drafts, None, watched).await? {
            Attempt::Done(receipts, repeats) => (receipts, repeats),
            Attempt::Reused(number) => {
                self.0.node_metrics.keys_reused.add(1);
                return Err(Reused::at(number).into());
            }
            Attempt::Changed | Attempt::Unprepared | Attempt::Fell(_) => return Ok(None),
        };
        self.count_published(source, receipts.len() - repeats, repeats);
        Ok(Some(receipts))
    }

    /// Publishes in one hold of the lock, under the given ids or else under ids of this node, as
    /// soon as there is room.
    pub(super) async fn attempt(
        &self,
        drafts: &mut [Draft<'_>],
        given: Option<&[EventId]>,
        watched: &[Watched],
    ) -> Result<Attempt, Closed> {
        let mut pinned = Pinned {
            hub: self,
            topics: SelectorIds::new(),
        };
        let mut place = self.place();
        loop {
            let attempt = |place: &mut Place<'_>| {
                self.try_publish(drafts, given, &mut pinned.topics, watched, place)
            };
            match self.when_room(&mut place, attempt).await? {
                // Lets others use the lock, and this thread do its other work.
                Attempt::Unprepared => tokio::task::yield_now().await,
                done => return Ok(done),
            }
        }
    }

    /// Publishes unless a shard that is needed is full, or the topics need more matching than one
    /// hold of the lock allows.
    fn try_publish(
        &self,
        drafts: &mut [Draft<'_>],
        given: Option<&[EventId]>,
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
        // What is published after a stop would be missing in the history file.
        if !self.0.gate.is_open() {
            return None;
        }
        let publication = Publication {
            drafts,
            stamps: given.map_or_else(|| Stamps::Local(unix_ms()), Stamps::Given),
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
            Err(Refusal::Reused(number)) => return Some(Attempt::Reused(number)),
            Err(Refusal::Fell(fell)) => return Some(Attempt::Fell(fell)),
        };
        if published.has_keys {
            self.note_keys(&mut desk);
        }
        if let Some(mut batch) = published.batch {
            batch.memory = self.charge_batch(batch.bytes);
            self.post_batch(Arc::new(batch), published.shards);
        }
        drop(desk);
        for mailbox in self.chosen(published.shards) {
            mailbox.wake();
        }
        // Reported here because writing to a log may block, and nothing may block under the lock.
        for trace in tracing.unheard {
            (trace.report.0)(0, 0);
        }
        Some(Attempt::Done(published.receipts, published.repeats))
    }

    /// Charges a batch that is about to be posted; it can no longer be refused. Small batches are
    /// not worth updating two counters that all threads share.
    fn charge_batch(&self, bytes: usize) -> Option<Charge> {
        if bytes <= UNCOUNTED_BATCH_BYTES {
            return None;
        }
        let mut charge = Charge::new(&self.0.budget, Part::Events);
        charge.set_anyway(bytes);
        Some(charge)
    }

    /// Posts a batch to the shards. The caller holds the desk's lock and has checked that there is
    /// room.
    fn post_batch(&self, batch: Arc<Batch>, shards: ShardSet) {
        let count = self.chosen(shards).count();
        for event in &batch.events {
            if let Some(trace) = &event.trace {
                trace.shards_left.store(count, Ordering::Release);
            }
        }
        for mailbox in self.chosen(shards) {
            // Only a shard that has ended refuses a message, and it has no streams.
            drop(mailbox.post(Message::Deliver(Arc::clone(&batch))));
        }
    }

    fn chosen(&self, shards: ShardSet) -> impl Iterator<Item = &Mailbox> {
        let mailboxes = self.0.mailboxes.iter().enumerate();
        mailboxes.filter_map(move |(index, mailbox)| shards.contains(index).then_some(mailbox))
    }

    /// For each draft, whether it is traced; empty if no topic is traced.
    fn traced(&self, drafts: &[Draft<'_>]) -> Vec<bool> {
        let traces = self.traces();
        if !traces.any() {
            return Vec::new();
        }
        let is_traced = |draft: &Draft<'_>| draft.topics().iter().any(|name| traces.concern(name));
        drafts.iter().map(is_traced).collect()
    }
}

/// The number of these events that are published in one hold of the lock: at least one, unless
/// there are none.
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
    /// For each event, whether it is traced; empty if no topic is traced.
    traced: Vec<bool>,
    mark: OrderMark,
    stamped_at: Instant,
    /// Traces of events without a listener.
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

/// Prepares the log line of a traced event. The shards add the counts.
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
