//! The tail of a shared log: its entries become events of this node.
//!
//! One task calls this, in the order of the log. A portion of up to 1,024 topics takes one hold of
//! the lock, as publishers' batches do, and waits for room in the mailboxes in their line.
//!
//! **Invariant:** no entry stops the tail. What cannot be an event is counted and passed over. If
//! another node took it for one, all streams are told a gap: its publisher was told that it is
//! published.

use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause, IdFell};
use crate::core::limits::EventLimits;
use crate::core::sse::Draft;
use crate::once_a_minute::OnceAMinute;

use super::log::{Applied, Item, Outcome};
use super::publish::{Attempt, TOPICS_AT_ONCE};
use super::{Closed, Hub};

/// Bytes of what an application wrote that are logged.
const LOGGED_BYTES: usize = 200;

/// Most entries applied in one hold of the lock, however few topics they have.
const ENTRIES_AT_ONCE: usize = 1_024;

/// An entry as it is applied.
enum Read {
    Event(Box<Draft<'static>>),
    Erase(Box<str>),
    /// The limits of this node are against it.
    Refused,
    Nothing,
}

/// Entries that are applied together.
#[derive(Default)]
struct Portion {
    drafts: Vec<Draft<'static>>,
    /// One for each draft.
    ids: Vec<EventId>,
    topics: usize,
    entries: usize,
    /// The last entry, event or not.
    through: EventId,
}

impl Portion {
    fn is_full(&self) -> bool {
        self.topics >= TOPICS_AT_ONCE || self.entries >= ENTRIES_AT_ONCE
    }

    /// Whether an event of so many topics has to wait for the next portion.
    fn is_too_small_for(&self, topics: usize) -> bool {
        !self.drafts.is_empty() && self.topics + topics > TOPICS_AT_ONCE
    }

    fn pass(&mut self, id: EventId) {
        self.entries += 1;
        self.through = id;
    }

    fn add(&mut self, id: EventId, draft: Draft<'static>) {
        self.pass(id);
        self.topics += draft.topics().len();
        self.drafts.push(draft);
        self.ids.push(id);
    }
}

impl Hub {
    /// Applies entries of the log in their order: events are published under their ids. Returns an
    /// outcome for each. Only the reader of the log's tail may call this.
    ///
    /// An entry that is not above the newest id was applied before, and is passed over.
    ///
    /// # Errors
    /// [`Closed`] if the node has shut down. A part of the entries may have been applied.
    pub async fn apply(&self, entries: Vec<Applied>) -> Result<Vec<Outcome>, Closed> {
        let limits = self.limits_of_log();
        let mut outcomes = vec![Outcome::Passed; entries.len()];
        let mut numbers = Vec::new();
        let mut portion = Portion::default();
        let mut newest = self.head();
        for (number, entry) in entries.into_iter().enumerate() {
            let Applied { id, what, .. } = entry;
            if id <= newest {
                self.note_stale(id, newest);
                continue;
            }
            newest = id;
            match self.read(id, what, &limits) {
                Read::Event(draft) => {
                    if portion.is_too_small_for(draft.topics().len()) {
                        self.settle(&mut portion, &mut numbers, &mut outcomes)
                            .await?;
                    }
                    portion.add(id, *draft);
                    numbers.push(number);
                }
                Read::Erase(topic) => {
                    self.settle(&mut portion, &mut numbers, &mut outcomes)
                        .await?;
                    let erased = self.erase_through(&topic, id).await;
                    outcomes[number] = Outcome::Erased(erased);
                    portion.pass(id);
                }
                Read::Refused if entry.is_promised => {
                    self.settle(&mut portion, &mut numbers, &mut outcomes)
                        .await?;
                    self.miss(id).await?;
                }
                Read::Refused | Read::Nothing => portion.pass(id),
            }
            if portion.is_full() {
                self.settle(&mut portion, &mut numbers, &mut outcomes)
                    .await?;
            }
        }
        self.settle(&mut portion, &mut numbers, &mut outcomes)
            .await?;
        Ok(outcomes)
    }

    /// Notes that the log has lost what is in `hole`, and posts it to all shards: every stream is
    /// told a gap.
    ///
    /// # Errors
    /// [`Closed`] if the node has shut down.
    ///
    /// # Panics
    /// If the hole does not end above the newest id, or begins above it.
    pub async fn break_off(&self, hole: Hole) -> Result<(), Closed> {
        self.break_where(|_head| hole).await?;
        self.0.heads.send_replace(hole.through);
        Ok(())
    }

    /// Tells all streams a gap for an event that another node took from a publisher.
    async fn miss(&self, id: EventId) -> Result<(), Closed> {
        static MISSED: OnceAMinute = OnceAMinute::new();
        if let Some(left_out) = MISSED.due() {
            tracing::error!(
                %id, left_out,
                "the limits of this node refuse an event that another node has taken; every stream is told a gap: give all nodes of the log the same limits"
            );
        }
        self.break_off(Hole {
            after: self.head(),
            through: id,
            cause: HoleCause::Upstream,
        })
        .await
    }

    /// From now on, ids strictly between the two are unknown cursors: the log has no entry there,
    /// and a log that has ended may have had some.
    pub fn doubt(&self, after: EventId, before: EventId) {
        self.0.shared.desk.lock().doubt(after, before);
    }

    /// Reads an entry. What cannot be an event is counted.
    fn read(&self, id: EventId, what: Item, limits: &EventLimits) -> Read {
        static UNREADABLE: OnceAMinute = OnceAMinute::new();
        static TOO_LARGE: OnceAMinute = OnceAMinute::new();
        let (why, read) = match what {
            Item::Event(record) => match record.into_draft(limits) {
                Ok(draft) => return Read::Event(Box::new(draft)),
                Err(error) => (error.to_string(), Read::Refused),
            },
            Item::Erase(topic) => return Read::Erase(topic),
            Item::Pass => return Read::Nothing,
            Item::Unreadable(why) => (why, Read::Nothing),
            Item::TooLarge { topics } => {
                self.0.node_metrics.log_too_large.add(1);
                if let Some(left_out) = TOO_LARGE.due() {
                    let topic = topics.first().map_or("", |topic| &**topic);
                    let topic = &topic[..topic.floor_char_boundary(LOGGED_BYTES)];
                    tracing::warn!(
                        %id, topic, left_out,
                        "an entry of the log is larger than an event may be, and was passed over; publish through a node, which refuses what is too large"
                    );
                }
                return Read::Refused;
            }
        };
        self.0.node_metrics.log_unreadable.add(1);
        if let Some(left_out) = UNREADABLE.due() {
            let why = &why[..why.floor_char_boundary(LOGGED_BYTES)];
            tracing::warn!(%id, why, left_out, "an entry of the log is no event, and was passed over");
        }
        read
    }

    fn note_stale(&self, id: EventId, newest: EventId) {
        static STALE: OnceAMinute = OnceAMinute::new();
        self.0.node_metrics.log_unreadable.add(1);
        if let Some(left_out) = STALE.due() {
            tracing::error!(%id, %newest, left_out, "an entry of the log is not above the newest one, and was passed over");
        }
    }

    /// Applies a portion, and leaves an empty one. `numbers` has the number of the entry of each
    /// draft.
    async fn settle(
        &self,
        portion: &mut Portion,
        numbers: &mut Vec<usize>,
        outcomes: &mut [Outcome],
    ) -> Result<(), Closed> {
        let portion = std::mem::take(portion);
        if portion.entries == 0 {
            return Ok(());
        }
        let (mut drafts, ids) = (portion.drafts, portion.ids);
        let (mut from, mut until) = (0, ids.len());
        let mut newest = EventId::ZERO;
        while from < ids.len() {
            let (events, stamps) = (&mut drafts[from..until], &ids[from..until]);
            match self.attempt(events, Some(stamps), &[]).await? {
                Attempt::Done(receipts, _) => {
                    self.0.node_metrics.log_events.add(receipts.len() as u64);
                    for (number, receipt) in numbers[from..until].iter().zip(receipts) {
                        newest = newest.max(receipt.id);
                        outcomes[*number] = Outcome::Published(receipt);
                    }
                    (from, until) = (until, ids.len());
                }
                Attempt::Reused(0) => {
                    outcomes[numbers[from]] = Outcome::Reused;
                    (from, until) = (from + 1, ids.len());
                }
                // Those in front of it come first, so that each is examined twice at most.
                Attempt::Reused(number) => until = from + number,
                // Another task publishes, which must not be.
                Attempt::Fell(IdFell { given, head }) => {
                    self.note_stale(given, head);
                    (from, until) = (from + 1, ids.len());
                }
                Attempt::Changed | Attempt::Unprepared => unreachable!("nothing is watched"),
            }
        }
        // The last entry is no event, or one that was not published.
        if newest < portion.through {
            self.pass(portion.through).await;
        }
        numbers.clear();
        self.0.heads.send_replace(portion.through);
        // Lets others use the lock, and this thread do its other work.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Goes on at the id of an entry that is no event.
    async fn pass(&self, id: EventId) {
        self.hold_passable(|store| store.pass(id)).await;
    }
}
