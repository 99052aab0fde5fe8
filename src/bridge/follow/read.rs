//! Reading on: pages that begin with the head, facts, and what to do when the head is gone.

use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause};

use super::fork::{Fork, hole};
use super::{Entry, Facts, Follower, Marker, State, Step};

impl<T> Follower<T> {
    /// Takes the facts that were asked for in this state.
    pub(super) fn take_facts(&mut self, state: &State, facts: Facts) {
        if facts.birth != Some(self.birth) {
            self.is_live = false;
            self.is_unproven = true;
            self.state = facts.birth.map_or(State::Create, State::Other);
            return;
        }
        let is_other = self.server.is_some_and(|server| server != facts.server);
        let is_anew = self.reign.is_some_and(|reign| reign != facts.reign);
        if is_other || is_anew {
            self.is_unproven = true;
            self.is_live = false;
            self.is_named = false;
            // A server may have lost entries since the marker that names it.
            let is_former = |term: &u64| self.server == Some(*term);
            self.term = self.term.filter(|term| is_other && !is_former(term));
        }
        self.server = Some(facts.server);
        self.reign = Some(facts.reign);
        self.facts = Some(facts);
        if *state == State::Judge {
            self.judge(&facts);
        } else {
            self.count.claim(&facts);
            self.read_on();
        }
    }

    /// Goes on from the head, or begins if no entry is known.
    pub(super) fn read_on(&mut self) {
        self.state = match self.facts {
            Some(_) if !self.trail.is_empty() => State::Read,
            Some(facts) => self.beginning(&facts),
            None => State::Connect,
        };
    }

    /// Begins with the oldest entries above the head.
    fn beginning(&self, facts: &Facts) -> State {
        let is_certain = !self.is_unproven && self.count.is_next(facts);
        State::Begin {
            next: facts.first.filter(|_| is_certain),
        }
    }

    /// Takes entries from the head on.
    pub(super) fn take_page(&mut self, entries: Vec<Entry<T>>, is_end: bool) {
        if self.trail.ends_with(entries.first()) {
            self.is_unproven = false;
            self.take_entries(entries.into_iter().skip(1), is_end);
        } else {
            self.count.forget_claim();
            self.state = State::Judge;
        }
    }

    /// The head is not in the log. These facts are newer than the page that did not have it, so they
    /// say why: the log was cut above the head, or the head was removed, or the log has lost it. A
    /// server that took over may have lost the head and been cut, so then nothing is certain.
    fn judge(&mut self, facts: &Facts) {
        let is_same = !self.is_unproven && facts.last >= self.head && self.count.may_follow(facts);
        let is_cut = facts.first.is_none_or(|first| first > self.head);
        let is_removed = is_same && !is_cut && self.count.compares(facts);
        self.is_live &= is_removed;
        self.state = if is_same && is_cut {
            self.count.claim(facts);
            self.beginning(facts)
        } else if is_removed {
            // Whether more than the head was removed is seen by the count.
            self.count.claim(facts);
            State::Pass
        } else {
            State::Fork(Fork::new(&self.trail, facts))
        };
    }

    /// Takes the oldest entries above the head, when the head is no entry or was cut off. `next` is
    /// the one that follows the head, if that is certain.
    pub(super) fn begin(&mut self, next: Option<EventId>, entries: Vec<Entry<T>>, is_end: bool) {
        self.trail.clear();
        match entries.first().map(|entry| entry.id) {
            Some(first) => {
                if next != Some(first) {
                    self.skip_to(first.before());
                }
                if let Some(facts) = &self.facts {
                    self.count.begin(first, facts);
                }
            }
            // Nothing is left of what the log had.
            None => self.skip_to(self.facts.map_or(EventId::ZERO, |facts| facts.last)),
        }
        self.take_entries(entries.into_iter(), is_end);
    }

    /// Everything up to `through` was cut off before it was read. If a marker may be among it, it may
    /// have told of losses anywhere.
    fn skip_to(&mut self, through: EventId) {
        if through <= self.head {
            return;
        }
        let facts = self.facts.as_ref();
        let is_sure = self.is_new || facts.is_some_and(|facts| self.count.has_all_turns(facts));
        let (after, cause) = if is_sure {
            (self.head, HoleCause::Trimmed)
        } else {
            (EventId::ZERO, HoleCause::Forked)
        };
        self.count.forget();
        self.steps.push_back(Step::Break(Hole {
            after,
            through,
            cause,
        }));
        self.head = through;
    }

    /// Takes entries that follow the head.
    pub(super) fn take_entries(&mut self, entries: impl Iterator<Item = Entry<T>>, is_end: bool) {
        let mut batch = Vec::new();
        for entry in entries {
            if entry.id <= self.head {
                // Entries of a log rise.
                self.apply(&mut batch);
                self.disconnected();
                return;
            }
            if self.count.is_due_before(entry.id) {
                self.check_count();
            }
            let step = entry
                .marker
                .and_then(|marker| self.take_marker(marker, entry.id));
            self.trail.push(&entry);
            self.count.add();
            self.head = entry.id;
            self.is_new = false;
            match step {
                None => batch.push(entry),
                Some(step) => {
                    let is_hole = matches!(step, Step::Break(_));
                    self.apply(&mut batch);
                    self.steps.push_back(step);
                    // A hole ends with its marker, so the order comes there by itself. A doubt is told
                    // before its marker: a node that is upgraded in between reads the marker again.
                    if !is_hole {
                        batch.push(entry);
                    }
                }
            }
        }
        self.apply(&mut batch);
        if is_end {
            self.at_end();
        } else {
            self.read_on();
        }
    }

    fn apply(&mut self, batch: &mut Vec<Entry<T>>) {
        if !batch.is_empty() {
            self.steps.push_back(Step::Apply(std::mem::take(batch)));
        }
    }

    fn check_count(&mut self) {
        if let Some((after, through)) = self.count.check(self.head) {
            let (from, to) = self.lost.unwrap_or((after, through));
            self.lost = Some((from.min(after), to.max(through)));
        }
    }

    /// What the node is told of a marker, the entry after the head.
    fn take_marker(&mut self, marker: Marker, id: EventId) -> Option<Step<T>> {
        match marker {
            Marker::Birth(_) | Marker::Tick => None,
            Marker::Lost => Some(Step::Break(Hole {
                after: self.head,
                through: id,
                cause: HoleCause::Upstream,
            })),
            Marker::Term { server } => {
                self.count.add_turn();
                self.term = Some(server);
                (!self.trail.is_empty()).then_some(Step::Doubt {
                    after: self.head,
                    before: id,
                })
            }
            Marker::Fork { after, .. } => {
                self.count.add_turn();
                self.forks.add(after, id);
                Some(hole(after.min(self.head), id))
            }
        }
    }

    /// The log has no more for now.
    fn at_end(&mut self) {
        self.check_count();
        let Some(server) = self.server else {
            return;
        };
        let untold = |(after, through): &(EventId, EventId)| !self.forks.tell(*after, *through);
        self.lost = self.lost.filter(untold);
        let marker = match self.lost {
            // The log did not take it: it had a marker that told as much, and somebody has removed that. It
            // takes one that goes further than any.
            Some((after, _)) if self.lost == self.marked => Some(Marker::Fork {
                after,
                through: EventId::new(u64::MAX),
            }),
            // Further than the log's newest marker of its kind.
            Some((after, through)) => Some(Marker::Fork {
                after,
                through: through.max(self.head.after()),
            }),
            None => {
                let was_named = std::mem::replace(&mut self.is_named, true);
                let is_named = was_named || self.term == Some(server);
                (!is_named).then_some(Marker::Term { server })
            }
        };
        self.marked = self.lost;
        if let Some(marker) = marker {
            self.is_live = false;
            self.state = State::Mark(self.id_above(self.head), marker);
            return;
        }
        self.state = State::Wait;
        if !self.is_live {
            self.is_live = true;
            self.steps.push_back(Step::Live { server });
        }
    }
}
