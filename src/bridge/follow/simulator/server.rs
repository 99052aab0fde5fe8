//! A server that has the log, or has lost it.

use crate::bridge::follow::{Answer, Entry, Facts, Marker};
use crate::core::event::EventId;

/// What an entry says: an event, by number, and which node's publisher waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) event: Option<u64>,
    /// The node and its life.
    pub(super) by: Option<(usize, u32)>,
}

impl Payload {
    pub(super) const NONE: Self = Self {
        event: None,
        by: None,
    };
}

pub(super) type LogEntry = Entry<Payload>;

#[derive(Clone, Debug)]
pub(super) struct Server {
    number: u64,
    birth: Option<u128>,
    entries: Vec<LogEntry>,
    /// All events that it ever had, cut off or not, with their ids.
    pub(super) ever: Vec<(EventId, u64)>,
    /// All markers of losses that it ever had: what they say, and their ids.
    pub(super) forks: Vec<(EventId, EventId)>,
    /// The same beside the stream, where a deletion of the stream leaves them.
    marks: Vec<(EventId, EventId)>,
    pub(super) last: EventId,
    added: u64,
    turns: u64,
    counts: bool,
    /// Milliseconds that its clock is behind.
    behind_ms: u64,
    /// It has entries of a node that has seen it: others may append.
    pub(super) is_known: bool,
    /// It has given the log to another server, and knows it.
    pub(super) is_closed: bool,
    prints: u64,
}

impl Server {
    pub(super) fn new(birth: u128, counts: bool, now_ms: u64) -> Self {
        let mut server = Self {
            number: 0,
            birth: Some(birth),
            entries: Vec::new(),
            ever: Vec::new(),
            forks: Vec::new(),
            marks: Vec::new(),
            last: EventId::ZERO,
            added: 0,
            turns: 0,
            counts,
            behind_ms: 0,
            is_known: true,
            is_closed: false,
            prints: 0,
        };
        server.append(Some(Marker::Birth(birth)), Payload::NONE, now_ms);
        server
    }

    /// A server that takes over with the entries that it has of this one.
    pub(super) fn successor(&self, lost: usize, behind_ms: u64) -> Self {
        let mut next = self.clone();
        next.number += 1;
        next.behind_ms = behind_ms;
        next.is_known = false;
        next.is_closed = false;
        next.prints += 1_000_000;
        for _ in 0..lost {
            let Some(entry) = next.entries.pop() else {
                break;
            };
            next.added -= 1;
            next.turns -= u64::from(is_turn(entry.marker));
            next.ever.retain(|(id, _)| *id < entry.id);
            next.forks.retain(|(_, id)| *id < entry.id);
            next.marks.retain(|(_, id)| *id < entry.id);
            next.last = next
                .entries
                .last()
                .map_or(entry.id.before(), |entry| entry.id);
        }
        next
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn append(&mut self, marker: Option<Marker>, payload: Payload, now_ms: u64) {
        let id = self.last.next(now_ms.saturating_sub(self.behind_ms));
        self.append_at(id, marker, payload);
    }

    /// Returns whether it was appended: ids rise, and a server may be closed.
    pub(super) fn append_at(
        &mut self,
        id: EventId,
        marker: Option<Marker>,
        payload: Payload,
    ) -> bool {
        if id <= self.last || self.is_closed {
            return false;
        }
        self.prints += 1;
        self.entries.push(Entry {
            id,
            print: self.prints,
            marker,
            payload,
        });
        self.ever.extend(payload.event.map(|event| (id, event)));
        if let Some(Marker::Fork { after, .. }) = marker {
            self.forks.push((after, id));
            self.marks.push((after, id));
        }
        self.turns += u64::from(is_turn(marker));
        self.last = id;
        self.added += 1;
        true
    }

    /// Appends a marker, unless the newest of its kind tells as much.
    pub(super) fn mark(&mut self, id: EventId, marker: Marker, now_ms: u64) {
        if let (Marker::Fork { after, through }, Some((from, newest))) = (marker, self.marks.last())
            && *from <= after
            && through <= *newest
        {
            return;
        }
        if !self.append_at(id, Some(marker), Payload::NONE) {
            self.append(Some(marker), Payload::NONE, now_ms);
        }
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            birth: self.birth,
            server: self.number,
            reign: self.number,
            first: self.entries.first().map(|entry| entry.id),
            last: self.last,
            added: self.counts.then_some(self.added),
            length: self.entries.len() as u64,
            turns: Some(self.turns),
        }
    }

    pub(super) fn page(&self, from: EventId, count: usize) -> Answer<Payload> {
        let start = self.entries.partition_point(|entry| entry.id < from);
        let rest = &self.entries[start..];
        Answer::Page {
            entries: rest.iter().take(count).cloned().collect(),
            is_end: rest.len() < count,
        }
    }

    pub(super) fn has_above(&self, id: EventId) -> bool {
        self.last > id
    }

    /// Cuts off all but the newest entries.
    pub(super) fn cut(&mut self, kept: usize) {
        let cut = self.entries.len().saturating_sub(kept);
        self.entries.drain(..cut);
    }

    /// Somebody removes an entry that no node has read. Returns whether there was one.
    pub(super) fn remove_above(&mut self, id: EventId, nth: usize) -> bool {
        let start = self.entries.partition_point(|entry| entry.id <= id);
        let unread = self.entries.len() - start;
        if unread == 0 {
            return false;
        }
        self.entries.remove(start + nth % unread);
        true
    }

    /// Somebody removes the entry with this id.
    pub(super) fn remove_newest_read(&mut self, id: EventId) {
        self.entries.retain(|entry| entry.id != id);
        // Nodes that are behind do not get it.
        self.ever.retain(|(other, _)| *other != id);
    }

    /// Somebody deletes the stream, or all that the server has.
    pub(super) fn flush(&mut self, is_all: bool) {
        self.birth = None;
        self.entries.clear();
        self.ever.clear();
        self.forks.clear();
        if is_all {
            self.marks.clear();
            self.turns = 0;
        }
        self.last = EventId::ZERO;
        self.added = 0;
    }

    pub(super) fn create(&mut self, birth: u128, now_ms: u64) {
        if self.birth.is_none() {
            self.birth = Some(birth);
            self.append(Some(Marker::Birth(birth)), Payload::NONE, now_ms);
        }
    }

    /// The id below its oldest entry, where a node that starts begins.
    pub(super) fn floor(&self) -> EventId {
        let first = self.entries.first().map(|entry| entry.id.before());
        first.unwrap_or(self.last)
    }
}

fn is_turn(marker: Option<Marker>) -> bool {
    matches!(marker, Some(Marker::Term { .. } | Marker::Fork { .. }))
}
