//! Publishing where a log orders the events: they are appended to it, and the receipts come back
//! when this node has applied them.

use std::time::Duration;

use crate::core::idempotency::Recalled;
use crate::core::sse::Draft;
use crate::metrics::Source;

use super::log::{AppendError, Away, Log, Outcome, Record};
use super::{Closed, Hub, NotPublished, Receipt, Reused};

impl From<AppendError> for NotPublished {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NotPublished(away) => Self::Away(away.into()),
            AppendError::Unknown(away) => Self::Unknown(away.into()),
            AppendError::Closed(closed) => closed.into(),
            // Only of announcements, which are not published in this way.
            AppendError::Reaped => Closed.into(),
        }
    }
}

/// The node has ended while events were on their way.
fn cut_off() -> AppendError {
    AppendError::Unknown(Away {
        retry_after: Duration::from_secs(1),
        why: Closed.to_string(),
    })
}

impl Hub {
    /// Appends these events to the log as one batch.
    ///
    /// # Errors
    /// [`NotPublished`]. Keys that this node knows are checked before; if another node has published
    /// the event of a key at the same time, the others of the batch were published.
    pub(super) async fn publish_to(
        &self,
        log: &dyn Log,
        source: Source,
        drafts: &[Draft<'_>],
    ) -> Result<Vec<Receipt>, NotPublished> {
        // What is appended while the hub moves to another process would be answered by neither.
        self.0.gate.passable().await;
        if self.is_stopped() {
            return Err(Closed.into());
        }
        self.check_keys(drafts).await?;
        let known = self.all_repeats(drafts);
        let is_confirmed = |receipt: &Receipt| log.is_confirmed(receipt.id);
        let receipts = match known {
            Some(receipts) if receipts.iter().all(is_confirmed) => receipts,
            known => {
                let records = drafts.iter().map(Record::of).collect();
                let outcomes = tokio::select! {
                    biased;
                    outcomes = log.append(records) => match (outcomes, known) {
                        // The first attempt has published them.
                        (Err(AppendError::NotPublished(away)), Some(_)) => {
                            return Err(NotPublished::Unknown(away.into()));
                        }
                        (outcomes, _) => outcomes?,
                    },
                    () = self.0.gate.stopped() => return Err(cut_off().into()),
                };
                self.receipts_of(outcomes, source)?
            }
        };
        self.count_receipts(source, receipts.iter());
        Ok(receipts)
    }

    /// The receipts, if all of these events were published before. They need no log, once it has
    /// confirmed them.
    fn all_repeats(&self, drafts: &[Draft<'_>]) -> Option<Vec<Receipt>> {
        if drafts.iter().any(|draft| draft.key().is_none()) {
            return None;
        }
        let store = self.0.shared.store();
        let receipt = |draft: &Draft<'_>| match store.keys().recall(draft.key()?) {
            Recalled::Repeat(before) => Some(Receipt {
                id: before.id,
                subscribers: before.subscribers,
                is_repeat: true,
            }),
            Recalled::New | Recalled::Reused => None,
        };
        drafts.iter().map(receipt).collect()
    }

    /// The receipts of a batch of which every event was published.
    pub(super) fn receipts_of(
        &self,
        outcomes: Vec<Outcome>,
        source: Source,
    ) -> Result<Vec<Receipt>, NotPublished> {
        let mut receipts = Vec::with_capacity(outcomes.len());
        let mut outcomes = outcomes.into_iter();
        for outcome in outcomes.by_ref() {
            let Outcome::Published(receipt) = outcome else {
                break;
            };
            receipts.push(receipt);
        }
        if receipts.len() == receipts.capacity() {
            return Ok(receipts);
        }
        let behind: Vec<Outcome> = outcomes.collect();
        let published = behind.iter().filter_map(|outcome| match outcome {
            Outcome::Published(receipt) => Some(receipt),
            _ => None,
        });
        let reused = 1 + behind.len() - published.clone().count();
        self.0.node_metrics.keys_reused.add(reused as u64);
        self.count_receipts(source, receipts.iter().chain(published));
        Err(Reused {
            number: receipts.len(),
            receipts,
            behind,
        }
        .into())
    }

    /// Counts events that this node was asked to publish: new ones, and repeats.
    pub(super) fn count_published(&self, source: Source, new: usize, repeats: usize) {
        if repeats > 0 {
            self.0.node_metrics.key_repeats.add(repeats as u64);
        }
        self.0.node_metrics.events_in[source as usize].add(new as u64);
    }

    fn count_receipts<'r>(&self, source: Source, receipts: impl Iterator<Item = &'r Receipt>) {
        let (mut new, mut repeats) = (0, 0);
        for receipt in receipts {
            if receipt.is_repeat {
                repeats += 1;
            } else {
                new += 1;
            }
        }
        self.count_published(source, new, repeats);
    }

    /// Erases a topic's history; returns the number of events. A client that resumes gets a gap.
    ///
    /// # Errors
    /// [`NotPublished`] if the log that orders the events does not take it.
    pub async fn erase_topic(&self, name: &str) -> Result<usize, NotPublished> {
        match self.log() {
            Some(log) => Ok(log.erase(name).await?),
            None => Ok(self.erase_through(name, self.head()).await),
        }
    }
}
