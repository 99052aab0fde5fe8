//! Ranges of the node's order whose events were lost: with a process that ended without a snapshot,
//! or by the log that orders the events of several nodes.
//!
//! A topic's bound of evictions cannot tell of such a loss: older events are kept before it, newer
//! ones after it. So the store has its holes beside the bounds of the topics, for all topics
//! together. A reader is sent what is kept before a hole, then a gap, then what is kept after it.

use smallvec::SmallVec;

use crate::core::event::EventId;
use crate::metrics::GapReason;

use super::evicted::Evicted;
use super::{SelectorId, Store};

/// Most holes of a store. When there is one more, everything before the oldest is evicted.
pub(super) const HOLES_MAX: usize = 16;

/// Ids of which no event is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The newest id that is known before it.
    pub after: EventId,
    /// No lost event is above this id, and no event has it.
    pub through: EventId,
    /// Why its events are unknown.
    pub cause: HoleCause,
}

/// Why the events of a hole are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum HoleCause {
    /// The process ended without a snapshot.
    #[default]
    Crash,
    /// The log had dropped them before this node read them.
    Trimmed,
    /// The log lost its newest entries and went on without them. Streams may have seen some of the
    /// lost events, and the log may have entries in the hole that this node never saw. So a reader
    /// is told the whole hole, wherever in it its cursor is.
    Forked,
    /// The source of the events cannot prove that it missed none.
    Upstream,
}

impl HoleCause {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Crash, Self::Trimmed, Self::Forked, Self::Upstream];

    /// The reason that streams are told.
    #[must_use]
    pub const fn reason(self) -> GapReason {
        match self {
            Self::Crash => GapReason::Evicted,
            Self::Trimmed => GapReason::Lagged,
            Self::Forked => GapReason::Log,
            Self::Upstream => GapReason::Upstream,
        }
    }
}

impl Hole {
    /// The start of the gap that a reader at `cursor` in the hole is told.
    #[must_use]
    pub fn told_from(&self, cursor: EventId) -> EventId {
        match self.cause {
            HoleCause::Forked => self.after.min(cursor),
            _ => cursor,
        }
    }
}

/// The holes of a store, by rising ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Holes(SmallVec<[Hole; 1]>);

impl Holes {
    /// Checks that these holes rise, and that none ends above `head`.
    pub(super) fn checked(holes: &[Hole], head: EventId) -> Option<Self> {
        let rise = holes.is_sorted_by(|hole, next| hole.through <= next.after);
        let fits = |hole: &Hole| hole.after < hole.through && hole.through <= head;
        (rise && holes.iter().all(fits)).then(|| Self(holes.into()))
    }

    pub(super) fn as_slice(&self) -> &[Hole] {
        &self.0
    }

    /// Adds a hole above all others. Returns the bound of what has to be evicted, if there are too
    /// many.
    pub(super) fn add(&mut self, hole: Hole) -> Option<EventId> {
        match self.0.last_mut() {
            // Nothing was published in between.
            Some(last) if last.through == hole.after && last.cause == hole.cause => {
                last.through = hole.through;
            }
            _ => self.0.push(hole),
        }
        (self.0.len() > HOLES_MAX).then(|| self.0.remove(0).through)
    }

    /// Adds a hole that ends above all others, and may begin before some of them. If there are too
    /// many, the oldest two become one: what is kept between them is not read any more, and is told
    /// as lost.
    pub(super) fn add_break(&mut self, hole: Hole) {
        let mut hole = hole;
        while let Some(last) = self.0.last()
            && last.through > hole.after
        {
            hole.after = hole.after.min(last.after);
            self.0.pop();
        }
        self.0.push(hole);
        if let [first, second, ..] = self.0[..]
            && self.0.len() > HOLES_MAX
        {
            self.0[1] = Hole {
                after: first.after,
                ..second
            };
            self.0.remove(0);
        }
    }

    /// The hole that a bound of evictions is in: what was evicted up to there was lost anyway.
    pub(super) fn around_bound(&self, bound: EventId) -> Option<Hole> {
        let hole = self.around(bound)?;
        (hole.after < bound).then_some(hole)
    }

    /// Bounds that end outside of holes: where the events up to a point in a hole are gone, all up
    /// to its end are.
    pub(super) fn raise(&self, evicted: Evicted) -> Evicted {
        evicted.map(|bound| self.around_bound(bound).map_or(bound, |hole| hole.through))
    }

    /// The hole that a cursor is in: what follows the cursor is lost.
    fn around(&self, cursor: EventId) -> Option<Hole> {
        let mut holes = self.0.iter().copied();
        holes.find(|hole| hole.after <= cursor && cursor < hole.through)
    }

    /// The end of the hole that a cursor is in, or the cursor.
    pub(super) fn out_of(&self, cursor: EventId) -> EventId {
        self.around(cursor).map_or(cursor, |hole| hole.through)
    }

    /// The first hole that begins above a cursor.
    fn beyond(&self, cursor: EventId) -> Option<Hole> {
        self.0.iter().copied().find(|hole| hole.after > cursor)
    }

    /// The end of the last hole.
    pub(super) fn end(&self) -> EventId {
        self.0.last().map_or(EventId::ZERO, |hole| hole.through)
    }
}

/// The holes that matter to a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadHoles {
    /// The reader stands in this one, and was not told of it.
    pub(super) around: Option<Hole>,
    /// The read ends before this one.
    pub(super) beyond: Option<Hole>,
}

impl Store {
    /// The holes in the way of a reader at `cursor`, which was told of losses up to `told_through`
    /// and reads up to `until`.
    pub(super) fn holes_before(
        &self,
        cursor: EventId,
        told_through: EventId,
        until: EventId,
    ) -> ReadHoles {
        let around = self.holes.around(cursor);
        let beyond = self.holes.beyond(cursor);
        ReadHoles {
            around: around.filter(|hole| hole.through > told_through),
            beyond: beyond.filter(|hole| hole.after < until),
        }
    }

    /// The end of the last hole before the first event that is kept of these topics and patterns:
    /// a reader that asks for everything expects nothing before that event. `lost_through` is what
    /// was evicted of them.
    pub(super) fn lost_before_all(&self, ids: &[SelectorId], lost_through: EventId) -> EventId {
        let holes = self.holes.as_slice().iter();
        let empty = holes.take_while(|hole| ids.iter().all(|id| self.keeps_none(*id, hole.after)));
        empty.fold(lost_through, |lost, hole| lost.max(hole.through))
    }

    /// Whether no event up to `through` is kept; of a pattern only if none of any topic is.
    fn keeps_none(&self, id: SelectorId, through: EventId) -> bool {
        let first = match id.topic_index() {
            Some(index) => {
                let log = self.topics.get(index).log.as_ref();
                log.and_then(|log| log.first_id())
            }
            None => self.order.first_id(),
        };
        first.is_none_or(|first| first > through)
    }
}
