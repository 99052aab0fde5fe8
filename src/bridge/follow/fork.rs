//! A log that has lost its newest entries: where it parts from what was read, and the marker that
//! tells all nodes.

use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause};

use super::trail::Trail;
use super::{Answer, Entry, Facts, Follower, Marker, State, Step};

/// Forks that are remembered, to know a marker that says nothing new.
const COVERED_MAX: usize = 32;

/// The holes that markers of this log have told.
#[derive(Debug, Default)]
pub(super) struct Covered(Vec<(EventId, EventId)>);

impl Covered {
    /// Whether all cursors above `after` up to `through` are in a hole that was told.
    fn has(&self, after: EventId, through: EventId) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(from, to)| *from <= after && through <= *to)
    }

    fn add(&mut self, after: EventId, through: EventId) {
        if self.0.len() == COVERED_MAX {
            self.0.remove(0);
        }
        self.0.push((after, through));
    }

    /// Forgets those that end above `id`: their markers are in a log that has ended.
    fn cut(&mut self, id: EventId) {
        self.0.retain(|(_, to)| *to <= id);
    }
}

/// What is done about a fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fork {
    /// Looks for the newest entry that both logs have. Those with numbers below `low` are in both;
    /// those from `high` on are not.
    Search { low: usize, high: usize, least: usize },
    /// Reads the log from there on, and looks for a marker that tells all that this node has to
    /// tell.
    Scan { after: EventId, from: EventId },
    /// Appends one, and reads on.
    Mark {
        id: EventId,
        marker: Marker,
        after: EventId,
        from: EventId,
    },
}

impl Fork {
    /// The search, in a log with these facts. Nothing is known of entries that it does not keep.
    pub(super) fn new(trail: &Trail, facts: &Facts) -> Self {
        let least = facts.first.map_or(trail.len(), |first| trail.index_of(first));
        Self::search(least, trail.len(), least, trail)
    }

    fn search(low: usize, high: usize, least: usize, trail: &Trail) -> Self {
        if low < high {
            return Self::Search { low, high, least };
        }
        // If both have none of those that are known, all that was read may be lost.
        let newest = (low > least).then(|| trail.id(low - 1)).flatten();
        let after = newest.unwrap_or(EventId::ZERO);
        Self::Scan { after, from: after }
    }

    pub(super) fn step<T>(&self, trail: &Trail) -> Step<T> {
        match self {
            Self::Search { low, high, .. } => Step::AskPage {
                from: trail.id(middle(*low, *high)).unwrap_or(EventId::ZERO),
            },
            Self::Scan { from, .. } => Step::AskPage { from: *from },
            Self::Mark { id, marker, .. } => Step::Append {
                id: *id,
                marker: *marker,
            },
        }
    }
}

fn middle(low: usize, high: usize) -> usize {
    low + (high - low) / 2
}

impl<T> Follower<T> {
    pub(super) fn take_fork(&mut self, fork: Fork, answer: Answer<T>) {
        match (fork, answer) {
            (Fork::Search { low, high, least }, Answer::Page { entries, .. }) => {
                let middle = middle(low, high);
                let (low, high) = if self.trail.is(middle, entries.first()) {
                    (middle + 1, high)
                } else {
                    (low, middle)
                };
                self.state = State::Fork(Fork::search(low, high, least, &self.trail));
            }
            (Fork::Scan { after, from }, Answer::Page { entries, is_end }) => {
                self.scan(after, from, entries, is_end);
            }
            (Fork::Mark { after, from, .. }, Answer::Appended) => {
                self.state = State::Fork(Fork::Scan { after, from });
            }
            _ => self.disconnected(),
        }
    }

    /// Looks for a marker in these entries of the log that parts from this node above `after`.
    fn scan(&mut self, after: EventId, from: EventId, entries: Vec<Entry<T>>, is_end: bool) {
        let last = entries.last().map_or(from, |entry| entry.id);
        let tells_all = |entry: &Entry<T>| match entry.marker {
            Some(Marker::Fork { after: common, .. }) => common <= after && entry.id > self.head,
            _ => false,
        };
        if let Some(number) = entries.iter().position(tells_all) {
            self.part(after, entries.into_iter().skip(number), is_end);
            return;
        }
        let fork = if is_end {
            let id = self.id_above(last);
            let through = self.head;
            let marker = Marker::Fork { after, through };
            Fork::Mark {
                id,
                marker,
                after,
                from: last,
            }
        } else if last > from {
            Fork::Scan { after, from: last }
        } else {
            // The entry that it would go on from was cut off.
            let from = from.after();
            Fork::Scan { after, from }
        };
        self.state = State::Fork(fork);
    }

    /// Leaves the log that was lost above `after`, and goes on at the first of these entries, the
    /// marker.
    fn part(&mut self, after: EventId, mut rest: impl Iterator<Item = Entry<T>>, is_end: bool) {
        let Some(marker) = rest.next() else {
            self.disconnected();
            return;
        };
        self.trail.cut(after);
        self.covered.cut(after);
        self.count.forget();
        self.lost = None;
        self.needs_term = None;
        self.is_unproven = false;
        let id = marker.id;
        // Another node may know of losses further below.
        let told = match marker.marker {
            Some(Marker::Fork { after: common, .. }) => common.min(after),
            _ => after,
        };
        let step = self.hole(told, id);
        self.steps.push_back(step);
        self.trail.push(&marker);
        self.head = id;
        self.take_entries(rest, is_end);
    }

    /// What the node is told of a marker that has the id `id`, in the order that it follows.
    pub(super) fn break_at(&mut self, after: EventId, through: EventId, id: EventId) -> Option<Step<T>> {
        if self.covered.has(after, through) {
            return None;
        }
        Some(self.hole(after.min(self.head), id))
    }

    fn hole(&mut self, after: EventId, through: EventId) -> Step<T> {
        self.covered.add(after, through);
        Step::Break(Hole {
            after,
            through,
            cause: HoleCause::Forked,
        })
    }
}
