//! A node: its follower, and what it keeps in a plain list.

use crate::bridge::follow::{Answer, Follower, Start, Step};
use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause};

use super::server::Payload;
use super::world::BIRTH;

/// What a client reads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Event(EventId, u64),
    Gap {
        from: EventId,
        to: EventId,
        cause: HoleCause,
    },
    /// It has all.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) follower: Follower<Payload>,
    /// Its life: it has another one after each start.
    pub(super) life: u32,
    /// The server that it is connected to.
    pub(super) server: Option<usize>,
    /// The answer to its open question.
    pub(super) answer: Option<Answer<Payload>>,
    pub(super) asks_in: u32,
    events: Vec<(EventId, u64)>,
    holes: Vec<Hole>,
    doubts: Vec<(EventId, EventId)>,
    pub(super) floor: EventId,
    pub(super) head: EventId,
    /// It has followed a server that has lost the log, and has not noticed yet.
    pub(super) is_stale: bool,
    /// It has been live, and serves clients.
    pub(super) serves: bool,
    /// Events that came through with a publisher of this life.
    pub(super) answered: Vec<u64>,
    /// Ranges that it has told as forks.
    pub(super) forks: Vec<(EventId, EventId)>,
    /// All events that it ever applied, with their ids.
    pub(super) applied: Vec<(EventId, u64)>,
    pub(super) breaks: usize,
}

impl Node {
    pub(super) fn new(follower: Follower<Payload>, life: u32, server: usize) -> Self {
        let floor = follower.head();
        Self {
            follower,
            life,
            server: Some(server),
            answer: None,
            asks_in: 0,
            events: Vec::new(),
            holes: Vec::new(),
            doubts: Vec::new(),
            floor,
            head: floor,
            is_stale: false,
            serves: false,
            answered: Vec::new(),
            forks: Vec::new(),
            applied: Vec::new(),
            breaks: 0,
        }
    }

    pub(super) fn disconnect(&mut self) {
        self.server = None;
        self.answer = None;
        self.follower.disconnected();
    }

    /// Another program goes on with what the node has, and with a new follower.
    pub(super) fn upgrade(&mut self) {
        self.disconnect();
        self.life += 1;
        let print = self.follower.print_of(self.head);
        self.follower = Follower::new(BIRTH, Start::At(self.head, print));
    }

    /// Does what concerns the node. Returns whether the step did.
    pub(super) fn does(&mut self, step: &Step<Payload>, number: usize) -> bool {
        match step {
            Step::Apply(entries) => {
                for entry in entries {
                    assert!(entry.id > self.head, "ids rise: {} {}", entry.id, self.head);
                    self.head = entry.id;
                    let Some(event) = entry.payload.event else {
                        continue;
                    };
                    self.events.push((entry.id, event));
                    self.applied.push((entry.id, event));
                    if entry.payload.by == Some((number, self.life)) {
                        self.answered.push(event);
                    }
                }
            }
            Step::Break(hole) => self.break_off(*hole),
            Step::Doubt { after, before } => {
                assert!(after < before && *after == self.head);
                self.doubts.push((*after, *before));
            }
            Step::Live { .. } => self.serves = true,
            _ => return false,
        }
        true
    }

    /// As `Store::break_off` does.
    fn break_off(&mut self, mut hole: Hole) {
        assert!(
            hole.after <= self.head && self.head < hole.through,
            "{hole:?} {}",
            self.head
        );
        self.breaks += 1;
        if self.head == self.floor && hole.cause == HoleCause::Trimmed {
            // It has nothing yet, and begins higher up.
            self.floor = hole.through;
            self.head = hole.through;
            return;
        }
        self.head = hole.through;
        if hole.cause == HoleCause::Forked {
            self.forks.push((hole.after, hole.through));
        }
        self.events.retain(|(id, _)| *id <= hole.after);
        while let Some(last) = self.holes.last()
            && last.through > hole.after
        {
            hole.after = hole.after.min(last.after);
            hole.cause = HoleCause::Forked;
            self.holes.pop();
        }
        self.holes.push(hole);
    }

    pub(super) fn is_doubtful(&self, id: EventId) -> bool {
        let mut doubts = self.doubts.iter();
        doubts.any(|(after, before)| *after < id && id < *before)
    }

    pub(super) fn read(&self, cursor: EventId) -> Read {
        if cursor < self.floor {
            return Read::Gap {
                from: cursor,
                to: self.floor,
                cause: HoleCause::Trimmed,
            };
        }
        let next = self.events.partition_point(|(id, _)| *id <= cursor);
        let next = self.events.get(next).copied();
        let hole = self.holes.iter().find(|hole| hole.through > cursor);
        match (next, hole) {
            (Some((id, event)), Some(hole)) if id <= hole.after => Read::Event(id, event),
            (_, Some(hole)) => Read::Gap {
                from: hole.told_from(cursor),
                to: hole.through,
                cause: hole.cause,
            },
            (Some((id, event)), None) => Read::Event(id, event),
            (None, None) => Read::Nothing,
        }
    }
}
