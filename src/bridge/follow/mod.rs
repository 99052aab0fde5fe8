//! The follower of a log: it reads the log's entries in order, proves that it missed none, and tells
//! what the log has lost.
//!
//! Sans I/O. [`Follower::next`] says what to do next: to ask the log something, or to do something
//! with the node. [`Follower::answer`] takes the result. One question is open at a time, on one
//! connection. When it breaks, [`Follower::disconnected`] begins again.
//!
//! **What it promises.** The node has applied all entries of the log above the place where it began, in
//! order, each once; or it has told a hole. It rests on four rules.
//!
//! 1. A page is read from the newest entry that was read, that entry included. If it is not the first
//!    of the page, the log was cut below it or is another log ([`judge`](self)).
//! 2. The number of entries that the log has ever added must be the number that was read. So an entry
//!    that somebody removed before it was read is noticed ([`count`]).
//! 3. A log that has lost its newest entries goes on with a marker, `fork`, whose id is above all that
//!    the node has read that appends it. Every node tells the hole of every such marker that it
//!    reads; one that has read further appends another. So ids never fall for anybody ([`fork`]).
//!    Whether a marker was cut off before it was read is told by their number.
//! 4. Who first sees that a server has the log appends a marker, `term`, that names it. No entry is
//!    between it and its predecessor, so an id there is one that only a lost log had
//!    ([`Step::Doubt`]).
//!
//! Nobody may append events to a server before the follower has said [`Step::Live`] of it.

mod count;
mod fork;
mod read;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;
mod trail;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::core::event::EventId;
use crate::core::history::Hole;

use count::Count;
use fork::{Fork, Forks};
use trail::Trail;

/// How often the facts of the log are asked for.
pub const FACTS_EVERY: Duration = Duration::from_secs(1);

/// An entry of the log. `T` is what it says, which the follower does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// Its id.
    pub id: EventId,
    /// A digest of its fields: entries of two logs may have one id.
    pub print: u64,
    /// `Some` if it is a marker.
    pub marker: Option<Marker>,
    /// What it says.
    pub payload: T,
}

/// An entry that nodes write for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The log begins.
    Birth(u128),
    /// A proof that entries come through.
    Tick,
    /// From here on this server has the log. See [`Facts::server`].
    Term {
        /// The server.
        server: u64,
    },
    /// A source of events cannot prove that it brought all up to here.
    Lost,
    /// The log has lost entries. No entry above `after` up to this marker can be relied on.
    Fork {
        /// The newest entry that was not lost.
        after: EventId,
        /// The newest that was read of those that were lost.
        through: EventId,
    },
}

/// What the log says of itself, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The log's birth; `None` if there is no log.
    pub birth: Option<u128>,
    /// The server that has it: equal as long as the same process of the server runs.
    pub server: u64,
    /// The time for which the server has it: another one after it was a replica, and sometimes though
    /// it was none.
    pub reign: u64,
    /// The oldest entry that is kept.
    pub first: Option<EventId>,
    /// The newest id that was given, whether or not its entry is kept.
    pub last: EventId,
    /// Number of entries that were ever added; `None` if the server does not count them.
    pub added: Option<u64>,
    /// Number of entries that are kept.
    pub length: u64,
    /// Number of markers `term` and `fork` that were ever appended; `None` if it is not known.
    pub turns: Option<u64>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Ask for the facts.
    AskFacts,
    /// Ask for at least two entries, from this id on.
    AskPage {
        /// The lowest id of the page.
        from: EventId,
    },
    /// Wait until there is an entry above this id, for a second at most.
    Wait {
        /// The newest id that was read.
        after: EventId,
    },
    /// Append this marker with this id, or with the log's next one if that is higher. The log does
    /// not take a [`Marker::Fork`] if its newest one tells the same: if that begins no higher, and is
    /// itself no lower than `through`.
    Append {
        /// Its lowest id.
        id: EventId,
        /// The marker.
        marker: Marker,
    },
    /// Begin the log again if there is none, with this birth.
    Create {
        /// The birth.
        birth: u128,
    },
    /// Apply these entries, in order. Markers among them say only that the order has come that far.
    Apply(Vec<Entry<T>>),
    /// Tell this hole to all streams.
    Break(Hole),
    /// Ids strictly between these two are unknown cursors.
    Doubt {
        /// An entry.
        after: EventId,
        /// The next entry.
        before: EventId,
    },
    /// All that the log has was applied. Events may be appended to this server.
    Live {
        /// See [`Facts::server`].
        server: u64,
    },
    /// It is another log: its ids mean something else, and this node can not follow it.
    NewOrder {
        /// Its birth.
        birth: u128,
    },
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Of [`Step::AskFacts`].
    Facts(Facts),
    /// Of [`Step::AskPage`].
    Page {
        /// By rising ids.
        entries: Vec<Entry<T>>,
        /// The log had no more.
        is_end: bool,
    },
    /// Of [`Step::Wait`], also if nothing came.
    Woken,
    /// Of [`Step::Append`].
    Appended,
    /// Of [`Step::Create`].
    Created,
    /// Of a step that concerns the node.
    Done,
}

/// Where a follower begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The node has nothing of the log, and begins above this id.
    Above(EventId),
    /// The node has read up to this entry, with this digest if it is known.
    At(EventId, Option<u64>),
}

/// Follows a log. See the [module](self).
#[derive(Debug)]
pub struct Follower<T> {
    birth: u128,
    /// The newest id that was read, or told as lost.
    head: EventId,
    /// What was read lately. Empty if no entry of the log is known.
    trail: Trail,
    count: Count,
    forks: Forks,
    server: Option<u64>,
    reign: Option<u64>,
    facts: Option<Facts>,
    facts_at: Option<Instant>,
    state: State,
    /// The head was not seen on this server yet.
    is_unproven: bool,
    /// The server that the newest marker of its kind names; `None` if none was read.
    term: Option<u64>,
    /// On this connection, the log's newest marker of its kind named the server, or one that names it was
    /// appended. Another name for it does not count then: two nodes that have different names for a
    /// server would answer each other without end.
    is_named: bool,
    /// Between these ids, entries were removed before they were read.
    lost: Option<(EventId, EventId)>,
    /// The loss that a marker was last appended for.
    marked: Option<(EventId, EventId)>,
    is_live: bool,
    /// Nothing was read yet.
    is_new: bool,
    /// Steps that concern the node.
    steps: VecDeque<Step<T>>,
    /// The clock at the last call of [`Follower::next`].
    now_unix_ms: u64,
}

/// The question that is asked next, or that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The first facts of a connection.
    Connect,
    /// The log is gone.
    Create,
    /// Entries from the head on.
    Read,
    /// Facts, from time to time.
    Check,
    /// For the next entry.
    Wait,
    /// Facts, because the head is not where it was.
    Judge,
    /// The first entries, when none is known. `next` is the one that follows the head, if that is
    /// certain.
    Begin { next: Option<EventId> },
    /// Entries above the head, which was removed.
    Pass,
    /// A marker; read on after it.
    Mark(EventId, Marker),
    /// The log has lost entries.
    Fork(Fork),
    /// It is another log.
    Other(u128),
}

impl<T> Follower<T> {
    /// A follower of the log with this birth.
    #[must_use]
    pub fn new(birth: u128, start: Start) -> Self {
        let (head, trail) = match start {
            Start::Above(floor) => (floor, Trail::default()),
            Start::At(head, print) => (head, Trail::at(head, print)),
        };
        Self {
            birth,
            head,
            trail,
            count: Count::default(),
            forks: Forks::default(),
            server: None,
            reign: None,
            facts: None,
            facts_at: None,
            state: State::Connect,
            is_unproven: matches!(start, Start::At(..)),
            term: None,
            is_named: false,
            lost: None,
            marked: None,
            is_live: false,
            is_new: matches!(start, Start::Above(_)),
            steps: VecDeque::new(),
            now_unix_ms: 0,
        }
    }

    /// The newest id that was read, or told as lost.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.head
    }

    /// The digest of an entry that was read lately.
    #[must_use]
    pub fn print_of(&self, id: EventId) -> Option<u64> {
        self.trail.print(id)
    }

    /// Whether the node has all that the log had lately, and on which server.
    #[must_use]
    pub fn live_on(&self) -> Option<u64> {
        self.server.filter(|_| self.is_live)
    }

    /// The connection is gone, and with it the open question. The next step is asked on another
    /// one.
    pub fn disconnected(&mut self) {
        self.is_live = false;
        self.is_named = false;
        self.count.forget_claim();
        self.steps.retain(|step| !matches!(step, Step::Live { .. }));
        if !matches!(self.state, State::Other(_)) {
            self.state = State::Connect;
        }
    }

    /// What is to be done next, at this time.
    pub fn next(&mut self, now: Instant, now_unix_ms: u64) -> Step<T> {
        self.now_unix_ms = now_unix_ms;
        if let Some(step) = self.steps.pop_front() {
            return step;
        }
        let is_due = |at: Instant| now.saturating_duration_since(at) >= FACTS_EVERY;
        let are_old = self.facts_at.is_none_or(is_due);
        if are_old && matches!(self.state, State::Read | State::Wait) {
            self.state = State::Check;
        }
        match &self.state {
            State::Connect | State::Check | State::Judge => {
                self.facts_at = Some(now);
                Step::AskFacts
            }
            State::Create => Step::Create { birth: self.birth },
            State::Read => Step::AskPage { from: self.head },
            State::Begin { .. } | State::Pass => Step::AskPage {
                from: self.head.after(),
            },
            State::Wait => Step::Wait { after: self.head },
            State::Mark(id, marker) => Step::Append {
                id: *id,
                marker: *marker,
            },
            State::Fork(fork) => fork.step(&self.trail),
            State::Other(birth) => Step::NewOrder { birth: *birth },
        }
    }

    /// Takes the result of the last step. A result that does not fit it is taken for a broken
    /// connection.
    pub fn answer(&mut self, answer: Answer<T>) {
        if matches!(answer, Answer::Done) {
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Connect);
        match (state, answer) {
            (State::Other(birth), _) => self.state = State::Other(birth),
            (state @ (State::Connect | State::Check | State::Judge), Answer::Facts(facts)) => {
                self.take_facts(&state, facts);
            }
            (State::Create, Answer::Created) => {}
            (State::Read, Answer::Page { entries, is_end }) => self.take_page(entries, is_end),
            (State::Begin { next }, Answer::Page { entries, is_end }) => {
                self.begin(next, entries, is_end);
            }
            (State::Pass, Answer::Page { entries, is_end }) => {
                self.take_entries(entries.into_iter(), is_end);
            }
            (State::Wait, Answer::Woken) | (State::Mark(..), Answer::Appended) => self.read_on(),
            (State::Fork(fork), answer) => self.take_fork(fork, answer),
            (_, _) => self.disconnected(),
        }
    }

    /// Whether it knows the number of the head.
    #[cfg(test)]
    fn counts(&self) -> bool {
        self.count.is_known()
    }

    /// An id for a marker: above all that was read and above all that the log
    /// has, as far as is known.
    fn id_above(&self, last: EventId) -> EventId {
        let known = self.facts.map_or(EventId::ZERO, |facts| facts.last);
        let highest = self.head.max(last).max(known);
        highest.next(self.now_unix_ms)
    }
}
