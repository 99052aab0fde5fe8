//! `PUBLISH` and `SPUBLISH`, and batches of events for the hub. (`XADD` is in `xadd.rs`.)

use super::error::CommandError;
use super::{Prepared, text};
use crate::core::budget::{Budget, Charge, Part};
use crate::core::event::{Event, EventId};
use crate::core::sse::Draft;
use crate::hub::log::Outcome;
use crate::hub::{Closed, Hub, NotPublished, Receipt, Reused};
use crate::ingest::Port;
use crate::ingest::resp::{Arg, Reply};
use crate::ingest::users::User;
use crate::metrics::Source;

/// Most events of one batch. The hub orders a batch under its lock, so this bounds how long others
/// wait for it (some 100 µs). Much smaller batches are already as fast per event.
const BATCH_EVENTS_MAX: usize = 512;

/// Most bytes of one batch. Its frames are copies of the input, and a script can make many events
/// of one argument.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Events up to this size are not charged to the node's account.
pub(super) const UNCOUNTED_BYTES: usize = 64 * 1024;

/// The answer to a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The number of streams that got the event.
    Subscribers,
    /// The event's id.
    Id,
    /// The answer of a script that returns no reply of an event.
    Null,
    Integer(i64),
    Text(Box<[u8]>),
    /// No answer: it is muted, or another event of the same command has it.
    Nothing,
}

impl Answer {
    /// Writes the reply to one publication.
    pub(super) fn write(&self, reply: &mut Reply, receipt: &Receipt) {
        match self {
            Self::Subscribers => reply.count(receipt.subscribers),
            Self::Id => {
                let mut text = Vec::with_capacity(EventId::TEXT_BYTES_MAX);
                receipt.id.write_to(&mut text);
                reply.bulk(&text);
            }
            constant => constant.write_constant(reply),
        }
    }

    /// Writes a reply that depends on no publication.
    pub(super) fn write_constant(&self, reply: &mut Reply) {
        match self {
            Self::Null => reply.null(),
            Self::Integer(number) => reply.integer(*number),
            Self::Text(text) => reply.bulk(text),
            Self::Subscribers | Self::Id | Self::Nothing => {}
        }
    }
}

/// An event to publish.
pub(in crate::ingest) struct Publication<'b> {
    pub(super) draft: Draft<'b>,
    pub(super) answer: Answer,
}

impl Publication<'_> {
    /// Bytes of memory behind it, without the struct itself.
    pub(super) fn bytes(&self) -> usize {
        let topics = self.draft.topics().iter();
        let names: usize = topics.map(|name| name.len()).sum();
        self.draft.frame_bytes_max() + names + self.draft.key_bytes()
    }

    /// The same, independent of the read buffer.
    pub(super) fn into_owned(self) -> Publication<'static> {
        Publication {
            draft: self.draft.into_owned(),
            answer: self.answer,
        }
    }
}

/// Consecutive publications of one connection: published together, answered in order.
pub(in crate::ingest) struct Batch<'b> {
    drafts: Vec<Draft<'b>>,
    answers: Vec<Answer>,
    /// Bytes of their frames.
    bytes: usize,
    /// It holds the events of a script: no event of another publisher comes between them.
    is_one_step: bool,
    /// One of its events has an idempotency key.
    has_keys: bool,
    /// Number of publications to reserve room for at the first one.
    expected: usize,
}

impl<'b> Batch<'b> {
    /// An empty batch that allocates nothing until the first publication.
    pub(in crate::ingest) fn expecting(expected: usize) -> Self {
        Self {
            drafts: Vec::new(),
            answers: Vec::new(),
            bytes: 0,
            is_one_step: false,
            has_keys: false,
            expected,
        }
    }

    /// Adds an event; its reply is dropped if `muted`.
    pub(in crate::ingest) fn push(&mut self, publication: Publication<'b>, muted: bool) {
        if self.drafts.capacity() == 0 {
            self.drafts.reserve(self.expected);
            self.answers.reserve(self.expected);
        }
        self.bytes += publication.draft.frame_bytes_max();
        self.has_keys |= publication.draft.key().is_some();
        self.drafts.push(publication.draft);
        self.answers.push(if muted {
            Answer::Nothing
        } else {
            publication.answer
        });
    }

    /// Adds the events of a script, which are published together.
    pub(in crate::ingest) fn push_all(&mut self, publications: Vec<Publication<'b>>, muted: bool) {
        self.is_one_step = true;
        for publication in publications {
            self.push(publication, muted);
        }
    }

    /// Whether the batch has to be published before this joins it. An event with the key of another
    /// one is refused alone, and a script as a whole: so a script with keys has a batch of its own,
    /// and so have the events of other scripts.
    pub(super) fn must_come_before(&self, prepared: &Prepared<'_>) -> bool {
        let has_key = |publication: &Publication<'_>| publication.draft.key().is_some();
        match prepared {
            Prepared::Publish(publication) if self.is_one_step => {
                self.has_keys || has_key(publication)
            }
            Prepared::PublishAll(publications) => self.has_keys || publications.iter().any(has_key),
            _ => false,
        }
    }

    /// Publishes the batch and writes the answers. Waits while the node is full.
    pub(in crate::ingest) async fn flush(&mut self, hub: &Hub, reply: &mut Reply) {
        if self.drafts.is_empty() {
            return;
        }
        // They wait for room in the mailboxes, and are no longer the input that they were made of.
        let mut memory = None;
        if self.bytes > UNCOUNTED_BYTES {
            let charge = memory.insert(Charge::new(hub.budget(), Part::Events));
            charge.set_anyway(self.bytes);
        }
        let drafts = &mut self.drafts;
        let published = if self.is_one_step {
            hub.publish_together(Source::Ingest, drafts).await
        } else {
            hub.publish(Source::Ingest, drafts).await
        };
        match published {
            Ok(receipts) => {
                debug_assert_eq!(receipts.len(), self.answers.len(), "a receipt an event");
                self.write(&receipts, reply);
            }
            Err(NotPublished::Reused(reused)) if !self.is_one_step => {
                self.write(&reused.receipts, reply);
                self.flush_one_by_one(reused, hub, reply).await;
            }
            // They are published one after the other where they are no script.
            Err(NotPublished::Away(unlogged)) => {
                self.write(&unlogged.receipts, reply);
                let from = unlogged.receipts.len();
                self.refuse(from, &CommandError::Away(unlogged), reply);
            }
            Err(NotPublished::Unknown(unlogged)) => {
                self.write(&unlogged.receipts, reply);
                let from = unlogged.receipts.len();
                self.refuse(from, &CommandError::OutcomeUnknown(unlogged), reply);
            }
            Err(NotPublished::Reused(reused)) if reused.published() > 0 => {
                self.refuse(0, &CommandError::KeyReusedByOne(reused), reply);
            }
            Err(error) => self.refuse(0, &CommandError::from(error), reply),
        }
        self.drafts.clear();
        self.answers.clear();
        self.bytes = 0;
        self.is_one_step = false;
        self.has_keys = false;
    }

    /// Writes the answers to the first events.
    fn write(&self, receipts: &[Receipt], reply: &mut Reply) {
        let answers = self.answers.iter().zip(receipts);
        answers.for_each(|(answer, receipt)| answer.write(reply, receipt));
    }

    /// Publishes the events that were not, each in a hold of its own. The one that has the key of
    /// another event is refused, and so is each further one.
    async fn flush_one_by_one(&mut self, mut first: Reused, hub: &Hub, reply: &mut Reply) {
        let from = first.receipts.len();
        let refused = first.number;
        let mut behind = std::mem::take(&mut first.behind).into_iter();
        let mut first = Some(first);
        for number in from..self.drafts.len() {
            let draft = &mut self.drafts[number..=number];
            let decided = (number > refused).then(|| behind.next()).flatten();
            let published = match (first.take_if(|_| number == refused), decided) {
                (Some(reused), _) => Err(reused.into()),
                (None, Some(Outcome::Published(receipt))) => Ok(vec![receipt]),
                (None, Some(_)) => Err(Reused::default().into()),
                (None, None) => hub.publish(Source::Ingest, draft).await,
            };
            match published {
                Ok(receipts) => {
                    let answer = self.answers.get(number).zip(receipts.first());
                    answer.inspect(|(answer, receipt)| answer.write(reply, receipt));
                }
                Err(NotPublished::Closed(Closed)) => {
                    return self.refuse(number, &CommandError::from(Closed), reply);
                }
                Err(error) => {
                    if self.answers.get(number) != Some(&Answer::Nothing) {
                        reply.error(&CommandError::from(error).to_string());
                    }
                }
            }
        }
    }

    /// Refuses the events from number `from` on.
    fn refuse(&self, from: usize, error: &CommandError, reply: &mut Reply) {
        let text = error.to_string();
        let answered = |answer: &&Answer| **answer != Answer::Nothing;
        let answers = self.answers[from..].iter().filter(answered);
        answers.for_each(|_| reply.error(&text));
    }

    /// Whether the batch should be published before more is added. One command adds at most the
    /// events of a script, so the batch may exceed the bound by that number. While the node's
    /// memory is short, the bound is small.
    pub(in crate::ingest) fn is_full(&self, budget: &Budget) -> bool {
        self.drafts.len() >= BATCH_EVENTS_MAX
            || self.bytes >= BATCH_BYTES_MAX
            || (self.bytes > UNCOUNTED_BYTES && budget.is_above_mark(Part::Commands))
    }
}

/// Whether a topic has a history or a subscriber (`NOMKSTREAM`).
pub(super) fn is_known(hub: &Hub, topic: &str) -> bool {
    hub.history_len(topic) > 0 || hub.subscribers(topic) > 0
}

/// `PUBLISH topic data`
pub(super) fn publish<'b>(
    port: &Port,
    user: &User,
    args: &[Arg<'b>],
) -> Result<Prepared<'b>, CommandError> {
    let topic = text(&args[1], "a topic")?;
    if !user.may_publish(&topic) {
        return Err(CommandError::NoPermissionChannel);
    }
    let event = Event::new(topic, text(&args[2], "data")?);
    Ok(Prepared::Publish(Publication {
        draft: Draft::new(event, port.hub.event_limits())?,
        answer: Answer::Subscribers,
    }))
}
