//! A log that has lost its newest entries: where it parts from what was read, and the marker that
//! tells all nodes.

use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause};

use super::trail::Trail;
use super::{Answer, Entry, Facts, Follower, Marker, State, Step};

/// By how much a marker is above what this node has read, if that is ahead of its clock. Other nodes may
/// have read more of what was lost; a marker that is above that, too, is for all of them.
const MARGIN_MS: u64 = 1_000;

/// Markers that are remembered.
const FORKS_MAX: usize = 32;

/// The markers of this log that tell of losses, each from what it says to itself.
#[derive(Debug, Default)]
pub(super) struct Forks(Vec<(EventId, EventId)>);

impl Forks {
    /// Whether a loss above `after` up to `through` was told.
    pub(super) fn tell(&self, after: EventId, through: EventId) -> bool {
        let mut forks = self.0.iter();
        forks.any(|(from, marker)| *from <= after && through <= *marker)
    }

    pub(super) fn add(&mut self, after: EventId, marker: EventId) {
        if self.0.len() == FORKS_MAX {
            self.0.remove(0);
        }
        self.0.push((after, marker));
    }

    /// Where the hole must begin that a new marker tells, if the log is lost above `id`. The markers
    /// up there are lost, too, so it tells what they told.
    fn start(&self, id: EventId) -> EventId {
        let lost = self.0.iter().filter(|(_, marker)| *marker > id);
        lost.map(|(after, _)| *after).min().unwrap_or(id).min(id)
    }

    /// Forgets those above `id`, in a log that has ended.
    fn cut(&mut self, id: EventId) {
        self.0.retain(|(_, marker)| *marker <= id);
    }
}

/// How far a log was read that parts from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Both logs have the same up to there.
    common: EventId,
    /// Markers on the way tell of losses above it.
    told: EventId,
    /// Where it goes on.
    from: EventId,
    /// A marker was appended, and not taken or not found.
    is_marked: bool,
}

/// What is done about a fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fork {
    /// Looks for the newest entry that both logs have. Those with numbers below `low` are in both;
    /// those from `high` on are not.
    Search {
        low: usize,
        high: usize,
        least: usize,
    },
    /// Reads the log, and looks for a marker that tells all that this node has to tell.
    Scan(Scan),
    /// Appends one, and reads on.
    Mark(EventId, Marker, Scan),
}

impl Fork {
    /// The search, in a log with these facts. Nothing is known of entries that it does not keep.
    pub(super) fn new(trail: &Trail, facts: &Facts) -> Self {
        let least = facts
            .first
            .map_or(trail.len(), |first| trail.index_of(first));
        Self::search([least, trail.len()], least, trail)
    }

    fn search([low, high]: [usize; 2], least: usize, trail: &Trail) -> Self {
        if low < high {
            return Self::Search { low, high, least };
        }
        // If both have none of those that are known, all that was read may be lost.
        let newest = (low > least).then(|| trail.id(low - 1)).flatten();
        let common = newest.unwrap_or(EventId::ZERO);
        Self::Scan(Scan {
            common,
            told: common,
            from: common,
            is_marked: false,
        })
    }

    pub(super) fn step<T>(&self, trail: &Trail) -> Step<T> {
        match self {
            Self::Search { low, high, .. } => Step::AskPage {
                from: trail.id(middle(*low, *high)).unwrap_or(EventId::ZERO),
            },
            Self::Scan(scan) => Step::AskPage { from: scan.from },
            Self::Mark(id, marker, _) => Step::Append {
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
                self.state = State::Fork(Fork::search([low, high], least, &self.trail));
            }
            (Fork::Scan(scan), Answer::Page { entries, is_end }) => {
                self.scan(scan, entries, is_end);
            }
            (Fork::Mark(_, _, scan), Answer::Appended) => {
                self.state = State::Fork(Fork::Scan(scan));
            }
            _ => self.disconnected(),
        }
    }

    /// Looks for a marker in these entries of the log that parts from this node. It must tell what
    /// this node has to tell.
    fn scan(&mut self, mut scan: Scan, entries: Vec<Entry<T>>, is_end: bool) {
        let after = self.forks.start(scan.common);
        let last = entries.last().map_or(scan.from, |entry| entry.id);
        for (number, entry) in entries.iter().enumerate() {
            let Some(Marker::Fork { after: other, .. }) = entry.marker else {
                continue;
            };
            if entry.id > scan.common {
                scan.told = scan.told.min(other);
            }
            if other <= after && entry.id > self.head {
                self.part(scan, entries.into_iter().skip(number), is_end);
                return;
            }
        }
        self.state = State::Fork(if is_end {
            scan.from = last;
            self.mark_fork(after, scan)
        } else {
            // If there is nothing more, the entry that it would go on from was cut off.
            scan.from = if last > scan.from {
                last
            } else {
                scan.from.after()
            };
            Fork::Scan(scan)
        });
    }

    /// Appends a marker to a log that has none for this node.
    fn mark_fork(&self, after: EventId, mut scan: Scan) -> Fork {
        // The log did not take it, because it has one that tells as much: that was cut off, or it
        // is not above the head. It takes one that goes further than any.
        let through = if scan.is_marked {
            EventId::new(u64::MAX)
        } else {
            self.head
        };
        scan.is_marked = true;
        let is_ahead = self.head.unix_ms() >= self.now_unix_ms;
        let margin = if is_ahead { MARGIN_MS } else { 0 };
        let above = EventId::from_parts(self.head.unix_ms() + margin, 0);
        let id = self.id_above(scan.from.max(above.unwrap_or(self.head)));
        Fork::Mark(id, Marker::Fork { after, through }, scan)
    }

    /// Leaves the log that was lost, and goes on at the first of these entries, the marker.
    fn part(&mut self, scan: Scan, mut rest: impl Iterator<Item = Entry<T>>, is_end: bool) {
        let Some(entry) = rest.next() else {
            self.disconnected();
            return;
        };
        self.trail.cut(scan.common);
        self.forks.cut(scan.common);
        self.forks.add(scan.told, entry.id);
        self.count.forget();
        self.lost = None;
        self.term = None;
        self.is_named = false;
        self.is_unproven = false;
        self.steps.push_back(hole(scan.told, entry.id));
        self.trail.push(&entry);
        self.head = entry.id;
        self.take_entries(rest, is_end);
    }
}

/// What the node is told of a marker.
pub(super) fn hole<T>(after: EventId, marker: EventId) -> Step<T> {
    Step::Break(Hole {
        after,
        through: marker,
        cause: HoleCause::Forked,
    })
}
