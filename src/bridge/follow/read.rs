//! Reading on: pages that begin with the head, facts, and what to do when the head is gone.

use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause};

use super::fork::Fork;
use super::{Entry, Facts, Follower, Marker, State, Step};

impl<T> Follower<T> {
    /// Takes the facts that were asked for in this state.
    pub(super) fn take_facts(&mut self, state: &State, facts: Facts) {
        if facts.birth != Some(self.birth) {
            self.is_live = false;
            self.state = facts.birth.map_or(State::Create, State::Other);
            return;
        }
        if self.server.is_some_and(|server| server != facts.server) {
            self.needs_term = Some(facts.last);
            self.is_unproven = true;
            self.is_live = false;
        }
        self.server = Some(facts.server);
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
            self.is_live = false;
            self.count.forget_claim();
            self.state = State::Judge;
        }
    }

    /// The head is not in the log. These facts are newer than the page that did not have it, so the
    /// oldest entry says why: the log was cut above the head, or it has lost the head. A server that
    /// took over may have lost the head and been cut: then nothing is certain.
    fn judge(&mut self, facts: &Facts) {
        let is_cut = facts.first.is_none_or(|first| first > self.head) && facts.last >= self.head;
        self.state = if is_cut && !self.is_unproven {
            self.count.claim(facts);
            self.beginning(facts)
        } else {
            State::Fork(Fork::new(&self.trail, facts))
        };
    }

    /// Takes the oldest entries above the head, when the head is no entry or was cut off. `next` is
    /// the one that follows the head, if that is certain.
    pub(super) fn begin(&mut self, next: Option<EventId>, entries: Vec<Entry<T>>, is_end: bool) {
        self.trail.clear();
        match entries.first().map(|entry| entry.id) {
            Some(first) if next != Some(first) => self.skip_to(first.before()),
            Some(_) => {}
            // Nothing is left of what the log had.
            None => self.skip_to(self.facts.map_or(EventId::ZERO, |facts| facts.last)),
        }
        self.take_entries(entries.into_iter(), is_end);
    }

    /// Everything up to `through` was cut off before it was read.
    fn skip_to(&mut self, through: EventId) {
        if through <= self.head {
            return;
        }
        self.count.forget();
        self.steps.push_back(Step::Break(Hole {
            after: self.head,
            through,
            cause: HoleCause::Trimmed,
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
            let step = entry.marker.and_then(|marker| self.take_marker(marker, entry.id));
            self.trail.push(&entry);
            self.count.add();
            self.head = entry.id;
            match step {
                None => batch.push(entry),
                Some(step) => {
                    // A hole ends with its marker, so the order comes there by itself.
                    if !matches!(step, Step::Break(_)) {
                        batch.push(entry);
                    }
                    self.apply(&mut batch);
                    self.steps.push_back(step);
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
        if let Some(missing) = self.count.check(self.head) {
            self.lost = Some(self.lost.map_or(missing, |lost| lost.min(missing)));
        }
    }

    /// What the node is told of a marker, the entry after the head.
    fn take_marker(&mut self, marker: Marker, id: EventId) -> Option<Step<T>> {
        let ends_term = self.needs_term.is_some_and(|above| id > above);
        match marker {
            Marker::Birth(_) | Marker::Tick => None,
            Marker::Lost => Some(Step::Break(Hole {
                after: self.head,
                through: id,
                cause: HoleCause::Upstream,
            })),
            Marker::Term => {
                if ends_term {
                    self.needs_term = None;
                }
                (!self.trail.is_empty()).then_some(Step::Doubt {
                    after: self.head,
                    before: id,
                })
            }
            Marker::Fork { after, through } => {
                if ends_term {
                    self.needs_term = None;
                }
                self.lost = self.lost.filter(|lost| *lost < after);
                self.break_at(after, through, id)
            }
        }
    }

    /// The log has no more for now.
    fn at_end(&mut self) {
        self.check_count();
        let marker = match (self.lost, self.needs_term) {
            (Some(after), _) => Some(Marker::Fork {
                after,
                through: self.head,
            }),
            (None, Some(_)) => Some(Marker::Term),
            (None, None) => None,
        };
        if let Some(marker) = marker {
            self.is_live = false;
            self.state = State::Mark(self.id_above(self.head), marker);
            return;
        }
        self.state = State::Wait;
        if let (false, Some(server)) = (self.is_live, self.server) {
            self.is_live = true;
            self.steps.push_back(Step::Live { server });
        }
    }
}
