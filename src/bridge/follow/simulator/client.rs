//! A client: a cursor, what it got and what it was told.

use std::collections::BTreeSet;

use crate::core::event::EventId;

use super::node::{Node, Read};

#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: usize,
    /// Its node and that node's life.
    pub(super) node: Option<(usize, u32)>,
    /// `None` until it has a first one.
    pub(super) cursor: Option<EventId>,
    /// It waits until the node has come to this id.
    pub(super) barrier: Option<EventId>,
    pub(super) joined: EventId,
    pub(super) joined_at: u64,
    /// What it got since it last began anew.
    got: BTreeSet<(EventId, u64)>,
    ever_got: BTreeSet<u64>,
    pub(super) gaps: Vec<(EventId, EventId)>,
    /// Those that a node told which has nothing from before.
    pub(super) floors: Vec<(EventId, EventId)>,
    highest: EventId,
}

impl Client {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            node: None,
            cursor: None,
            barrier: None,
            joined: EventId::ZERO,
            joined_at: 0,
            got: BTreeSet::new(),
            ever_got: BTreeSet::new(),
            gaps: Vec::new(),
            floors: Vec::new(),
            highest: EventId::ZERO,
        }
    }

    pub(super) fn leave(&mut self) {
        self.node = None;
        self.barrier = None;
    }

    /// Opens a stream. `newest` is the log's newest id now.
    pub(super) fn open(&mut self, number: usize, node: &Node, newest: EventId, now: u64) {
        self.node = Some((number, node.life));
        match self.cursor {
            None => {
                self.cursor = Some(node.head);
                self.joined = node.head;
                self.joined_at = now;
            }
            Some(cursor) if cursor > node.head => self.barrier = Some(cursor.min(newest)),
            Some(cursor) => self.resolve(cursor, node),
        }
    }

    /// Begins where its cursor is, or is told that it is unknown.
    fn resolve(&mut self, cursor: EventId, node: &Node) {
        self.barrier = None;
        if cursor > node.head || node.is_doubtful(cursor) {
            // It begins anew, and is told so. What the log has above the head may be what it had
            // from a server that this node does not know yet.
            self.tell(EventId::ZERO, node.head);
            self.got.retain(|(id, _)| *id <= node.head);
            self.highest = node.head;
        }
    }

    fn tell(&mut self, from: EventId, to: EventId) {
        self.gaps.push((from, to));
        self.cursor = Some(to);
    }

    /// Takes one thing from its node. Returns whether there was one.
    pub(super) fn step(&mut self, node: &Node) -> bool {
        let Some(cursor) = self.cursor else {
            return false;
        };
        if let Some(barrier) = self.barrier {
            if node.head < barrier {
                return false;
            }
            self.resolve(cursor, node);
            return true;
        }
        match node.read(cursor) {
            Read::Nothing => {
                // A heartbeat.
                let has_moved = node.head > cursor;
                self.cursor = Some(node.head.max(cursor));
                has_moved
            }
            Read::Gap { from, to, .. } => {
                if to == node.floor {
                    self.floors.push((from, to));
                }
                self.tell(from, to);
                true
            }
            Read::Event(id, event) => {
                assert!(
                    id > self.highest,
                    "client {}: {id} after {}",
                    self.number,
                    self.highest
                );
                let is_new = self.got.iter().all(|(_, other)| *other != event);
                assert!(is_new, "client {}: event {event} twice", self.number);
                self.got.insert((id, event));
                self.ever_got.insert(event);
                self.highest = id;
                self.cursor = Some(id);
                true
            }
        }
    }

    /// Whether it got this event or was told of it.
    pub(super) fn has(&self, id: EventId, event: u64) -> bool {
        let is_in = |(from, to): &(EventId, EventId)| *from < id && id <= *to;
        self.ever_got.contains(&event) || self.gaps.iter().any(is_in)
    }
}
