//! Events on their way in: stamped, appended, addressed.

use std::sync::Arc;
use std::time::Instant;

use crate::core::event::EventId;
use crate::core::history::{Appended, IdFell, MatchSet, SelectorIds, ShardSet, Stamp};
use crate::core::sse::{Draft, Frame};

use super::{Batch, Delivery, Desk, Trace};

/// A publisher's result of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The node's id of the event.
    pub id: EventId,
    /// Subscriptions that it was handed to: a stream counts once for each of its selectors that
    /// match one of the event's topics, though it gets the event once. Of a private event, those of
    /// streams that were granted anything: who may hear it is decided where it is delivered.
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

/// The source of a batch's ids.
#[derive(Clone, Copy, Debug)]
pub enum Stamps<'s> {
    /// From this node, whose wall clock reads so many milliseconds since the unix epoch.
    Local(u64),
    /// From outside, one for each event.
    Given(&'s [EventId]),
}

/// Events that are published together.
pub struct Publication<'p, 'd> {
    /// In their order.
    pub drafts: &'p mut [Draft<'d>],
    /// Their ids.
    pub stamps: Stamps<'p>,
    /// The batch is refused if one of these topics has had an event since it was seen.
    pub watched: &'p [Watched],
    /// Topics that an earlier attempt has prepared; emptied when the batch is published. See
    /// [`Desk::unpin`].
    pub pinned: &'p mut SelectorIds,
    /// Shards that can be posted nothing now.
    pub full: ShardSet,
    /// The time of the batch, for the shards' own measurements.
    pub stamped_at: Instant,
}

/// A batch that was published.
#[derive(Debug)]
pub struct Published {
    /// One for each event.
    pub receipts: Vec<Receipt>,
    /// The events that have listeners; `None` when none has.
    pub batch: Option<Batch>,
    /// The shards to post the batch to.
    pub shards: ShardSet,
}

/// Why a batch was not published. Nothing has been stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A watched topic has had an event since.
    Changed,
    /// Some patterns have been matched with the topics, or some events evicted to make room, and
    /// more are left: try again after others had their turn.
    Unprepared,
    /// These shards would have to be posted to, and some of them are full.
    Full(ShardSet),
    /// The ids that were given do not rise.
    Fell(IdFell),
}

/// An event that has its id, on its way to the shards.
pub struct Stamped<'e, 'd> {
    /// Its number in the batch.
    pub number: usize,
    /// Its id.
    pub id: EventId,
    /// The draft that it was made of.
    pub draft: &'e Draft<'d>,
    /// Its bytes.
    pub frame: &'e Frame,
    /// Whether any stream listens.
    pub is_heard: bool,
}

/// Decides which events are traced.
pub trait Tracing {
    /// Starts the trace of an event that concerns it.
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

impl Stamps<'_> {
    fn of(&self, number: usize) -> Stamp {
        match self {
            Self::Local(now_unix_ms) => Stamp::Local(*now_unix_ms),
            // A missing id is refused like one that falls.
            Self::Given(ids) => Stamp::Given(ids.get(number).copied().unwrap_or_default()),
        }
    }

    /// Whether given ids rise from `head` on.
    fn check(&self, count: usize, head: EventId) -> Result<(), IdFell> {
        if matches!(self, Self::Local(_)) {
            return Ok(());
        }
        let mut numbers = 0..count;
        let after = |head, number| self.of(number).after(head);
        numbers.try_fold(head, after).map(drop)
    }
}

impl Desk {
    /// Stamps all events of a batch, appends them to their topics, and finds their listeners; all
    /// of them or none. The caller posts the batch to its shards before anything else is published
    /// or attached.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has been stamped then.
    pub fn publish(
        &mut self,
        publication: Publication<'_, '_>,
        tracing: &mut impl Tracing,
    ) -> Result<Published, Refusal> {
        self.admit(publication.watched, publication.drafts, publication.pinned)?;
        let head = self.store.head();
        let checked = publication.stamps.check(publication.drafts.len(), head);
        checked.map_err(Refusal::Fell)?;
        if !publication.full.is_empty() {
            let needed = self.shards_of(publication.drafts);
            if !needed.and(publication.full).is_empty() {
                return Err(Refusal::Full(needed));
            }
        }
        let mut receipts = Vec::with_capacity(publication.drafts.len());
        let mut events = Vec::new();
        let mut shards = ShardSet::default();
        for (number, draft) in publication.drafts.iter_mut().enumerate() {
            let stamp = publication.stamps.of(number);
            let (id, appended) = self.store.append(draft, stamp).map_err(Refusal::Fell)?;
            receipts.push(Receipt {
                id,
                subscribers: appended.subscribers,
            });
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
            batch: (!batch.events.is_empty()).then_some(batch),
            shards,
        })
    }

    /// Unpins topics that were prepared for a batch.
    pub fn unpin(&mut self, pinned: &mut SelectorIds) {
        self.store.unpin_all(pinned);
    }

    /// Checks that there is room, that no watched topic has changed, and that the patterns of all
    /// topics are known.
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

    /// The shards that a batch would have to be posted to. Its topics must be prepared.
    fn shards_of(&self, drafts: &[Draft<'_>]) -> ShardSet {
        let mut needed = ShardSet::default();
        for draft in drafts {
            needed.extend(self.store.shards_of(draft));
        }
        needed
    }
}

/// The bytes of a mailbox that an event takes: its frame, and its addressees. Sets of patterns are
/// the topics' own.
fn bytes_of(event: &Delivery) -> usize {
    let audience = event.audience.as_ref().map_or(0, |audience| audience.len());
    let addressees = event.selectors.len() + event.sets.len() + audience;
    event.frame.len() + addressees * size_of::<Arc<MatchSet>>()
}

fn delivery(id: EventId, appended: Appended, trace: Option<Arc<Trace>>) -> Delivery {
    Delivery {
        id,
        frame: appended.frame,
        selectors: appended.listened,
        sets: appended.sets,
        audience: appended.audience,
        trace,
    }
}
