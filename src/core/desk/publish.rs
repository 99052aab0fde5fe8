//! Publishing: events are stamped, appended and addressed.

use std::sync::Arc;
use std::time::Instant;

use crate::core::event::EventId;
use crate::core::history::{Appended, IdFell, MatchSet, SelectorIds, ShardSet};
use crate::core::sse::{Draft, Frame};

use super::recall::{Fate, Fates};
use super::stamps::Stamps;
use super::{Batch, Delivery, Desk, Trace};

/// The result of publishing one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The node's id of the event.
    pub id: EventId,
    /// Number of subscriptions that it was delivered to. A stream counts once for each of its
    /// selectors that match one of the event's topics, though it gets the event once. A private
    /// event counts those of all streams with a grant: whether a stream may hear it is decided at
    /// delivery.
    pub subscribers: u64,
    /// The event has the idempotency key of one that was published before. This is the receipt of
    /// that one, and nothing was published.
    pub is_repeat: bool,
}

impl Receipt {
    /// The receipt of an event that is a repeat. `earlier` has those of the events before it in its
    /// batch.
    fn of_repeat(fate: Fate, earlier: &[Self]) -> Option<Self> {
        let (id, subscribers) = match fate {
            Fate::New => return None,
            Fate::Repeat(before) => (before.id, before.subscribers),
            Fate::SameAs(other) => earlier.get(other).map(|it| (it.id, it.subscribers))?,
        };
        Some(Self {
            id,
            subscribers,
            is_repeat: true,
        })
    }
}

/// A watched topic, with the position of the order when its state was last known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The topic's name.
    pub topic: Box<str>,
    /// The id of the node's newest event at that moment.
    pub seen: EventId,
}

/// Events that are published together.
pub struct Publication<'p, 'd> {
    /// The events, in order.
    pub drafts: &'p mut [Draft<'d>],
    /// Their ids.
    pub stamps: Stamps<'p>,
    /// The batch is refused if one of these topics may have had an event since it was seen.
    pub watched: &'p [Watched],
    /// Topics that an earlier attempt has pinned; emptied when the batch is published. See
    /// [`Desk::unpin`].
    pub pinned: &'p mut SelectorIds,
    /// Shards that nothing can be posted to now.
    pub full: ShardSet,
    /// The time of the batch, for measurements by the shards.
    pub stamped_at: Instant,
}

/// A batch that was published.
#[derive(Debug)]
pub struct Published {
    /// One for each event.
    pub receipts: Vec<Receipt>,
    /// Those of them that are repeats, and were not published.
    pub repeats: usize,
    /// Some event has an idempotency key.
    pub has_keys: bool,
    /// The events that have listeners; `None` if no event has any.
    pub batch: Option<Batch>,
    /// The shards to post the batch to.
    pub shards: ShardSet,
}

/// Why a batch was not published. No event has been stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A watched topic may have had an event since it was seen.
    Changed,
    /// Some patterns have been matched with the topics, or some events evicted to make room, but
    /// more are left: try again after others had their turn.
    Unprepared,
    /// The batch needs these shards, and some of them are full.
    Full(ShardSet),
    /// The given ids do not rise.
    Fell(IdFell),
    /// The event with this number has the idempotency key of another event.
    Reused(usize),
}

/// An event that has been stamped.
pub struct Stamped<'e, 'd> {
    /// Its number in the batch.
    pub number: usize,
    /// Its id.
    pub id: EventId,
    /// The draft that it was made from.
    pub draft: &'e Draft<'d>,
    /// Its bytes.
    pub frame: &'e Frame,
    /// Whether any stream listens.
    pub is_heard: bool,
}

/// Decides which events are traced.
pub trait Tracing {
    /// Starts the trace of an event, if it is traced.
    fn start(&mut self, event: &Stamped<'_, '_>) -> Option<Arc<Trace>>;
}

/// No event is traced.
#[derive(Clone, Copy, Debug)]
pub struct Untraced;

impl Tracing for Untraced {
    fn start(&mut self, _: &Stamped<'_, '_>) -> Option<Arc<Trace>> {
        None
    }
}

impl Desk {
    /// Stamps all events of a batch, appends them to their topics, and finds their listeners:
    /// either all events or none. An event that repeats an earlier one is left out. The caller must
    /// post the batch to its shards before anything else is published or any stream attached.
    ///
    /// # Errors
    /// [`Refusal`]; then no event has been stamped.
    pub fn publish(
        &mut self,
        publication: Publication<'_, '_>,
        tracing: &mut impl Tracing,
    ) -> Result<Published, Refusal> {
        self.admit(publication.watched, publication.drafts, publication.pinned)?;
        let head = self.store.head();
        let checked = publication.stamps.check(publication.drafts.len(), head);
        checked.map_err(Refusal::Fell)?;
        let fates = self.recall(publication.drafts, &publication.stamps);
        let fates = fates.map_err(Refusal::Reused)?;
        if !publication.full.is_empty() {
            let needed = self.shards_of(publication.drafts, &fates);
            if !needed.and(publication.full).is_empty() {
                return Err(Refusal::Full(needed));
            }
        }
        let mut receipts = Vec::with_capacity(publication.drafts.len());
        let mut events = Vec::new();
        let mut shards = ShardSet::default();
        let mut repeats = 0;
        for (number, draft) in publication.drafts.iter_mut().enumerate() {
            if let Some(receipt) = Receipt::of_repeat(fates.of(number), &receipts) {
                receipts.push(receipt);
                repeats += 1;
                continue;
            }
            let stamp = publication.stamps.of(number);
            let (id, appended) = self.store.append(draft, stamp).map_err(Refusal::Fell)?;
            let receipt = Receipt {
                id,
                subscribers: appended.subscribers,
                is_repeat: false,
            };
            receipts.push(receipt);
            self.remember(draft, id, appended.subscribers);
            let is_heard = appended.is_heard();
            let trace = tracing.start(&Stamped {
                number,
                id,
                draft,
                frame: &appended.frame,
                is_heard,
            });
            if is_heard {
                shards.extend(appended.shards);
                events.push(delivery(id, appended, trace));
            }
        }
        self.unpin(publication.pinned);
        let batch = Batch {
            bytes: events.iter().map(bytes_of).sum(),
            events,
            head: self.store.head(),
            stamped_at: publication.stamped_at,
            memory: None,
        };
        Ok(Published {
            receipts,
            repeats,
            has_keys: !fates.is_empty(),
            batch: (!batch.events.is_empty()).then_some(batch),
            shards,
        })
    }

    /// Unpins topics that were prepared for a batch.
    pub fn unpin(&mut self, pinned: &mut SelectorIds) {
        self.store.unpin_all(pinned);
    }

    /// Checks that there is room and that no watched topic has changed, and prepares all topics.
    fn admit(
        &mut self,
        watched: &[Watched],
        drafts: &[Draft<'_>],
        pinned: &mut SelectorIds,
    ) -> Result<(), Refusal> {
        if !self.store.make_room() {
            return Err(Refusal::Unprepared);
        }
        let changed = |topic: &Watched| self.store.may_have_changed(&topic.topic, topic.seen);
        if watched.iter().any(changed) {
            return Err(Refusal::Changed);
        }
        let names = drafts.iter().flat_map(|draft| draft.topics());
        let names = names.map(AsRef::as_ref);
        let mut work = self.store.work();
        if self.store.prepare(names, pinned, &mut work) {
            Ok(())
        } else {
            Err(Refusal::Unprepared)
        }
    }

    /// The shards that the batch would be posted to. Its topics must be prepared.
    fn shards_of(&self, drafts: &[Draft<'_>], fates: &Fates) -> ShardSet {
        let mut needed = ShardSet::default();
        for (number, draft) in drafts.iter().enumerate() {
            if matches!(fates.of(number), Fate::New) {
                needed.extend(self.store.shards_of(draft));
            }
        }
        needed
    }
}

/// The bytes of an event in a mailbox: its frame, its addressees and the names of its topics.
/// Pattern sets belong to the topics and are not counted.
fn bytes_of(event: &Delivery) -> usize {
    let audience = event.audience.as_ref().map_or(0, |audience| audience.len());
    let addressees = event.selectors.len() + event.sets.len() + audience;
    let names = event
        .topics
        .as_ref()
        .map_or(0, |topics| topics.memory_bytes());
    event.frame.len() + addressees * size_of::<Arc<MatchSet>>() + names
}

fn delivery(id: EventId, appended: Appended, trace: Option<Arc<Trace>>) -> Delivery {
    Delivery {
        id,
        frame: appended.frame,
        selectors: appended.listened,
        sets: appended.sets,
        audience: appended.audience,
        topics: appended.topics,
        trace,
    }
}
