//! The line of publishers and streams that wait for room in mailboxes: first come, first served.
//!
//! A batch needs room in several mailboxes at once. Its ticket is in the queue of each of them, and
//! its turn comes when it is first in all. Tickets rise in the order of arrival and are the same in
//! all queues, so the oldest ticket is always first everywhere. So one waiter's turn always comes,
//! and no batch of several shards starves behind those of one.
//!
//! One is woken at a time: the first, when its mailbox has room, and the next, when the first has
//! left. A waiter that leaves without having posted wakes the next as well, so that no room is
//! forgotten.
//!
//! Sans I/O: `W` is the waker of a waiter.

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use crate::core::history::ShardSet;

/// A place in the line; an older one is lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Waiters whose turn may have come; mostly one.
pub type Woken<W> = SmallVec<[W; 2]>;

#[derive(Debug)]
struct Waiter<W> {
    needs: ShardSet,
    wake: W,
}

/// The waiters.
#[derive(Debug)]
pub struct Line<W> {
    next: u64,
    /// A queue for each bit of a [`ShardSet`], in one order: by bit, then by ticket.
    queues: BTreeSet<(u32, Ticket)>,
    waiters: HashMap<Ticket, Waiter<W>>,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            next: 0,
            queues: BTreeSet::new(),
            waiters: HashMap::new(),
        }
    }
}

impl<W: Clone> Line<W> {
    /// Waits for room in all of these shards. Its turn may come at once: see [`Line::is_first`].
    pub fn join(&mut self, needs: ShardSet, wake: W) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.queues.extend(needs.bits().map(|bit| (bit, ticket)));
        self.waiters.insert(ticket, Waiter { needs, wake });
        ticket
    }

    /// Waits for room in these shards instead, without losing its place. Returns the waiters that
    /// may go on in the queues that it has left.
    pub fn change(&mut self, ticket: Ticket, needs: ShardSet) -> Woken<W> {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return Woken::new();
        };
        let before = std::mem::replace(&mut waiter.needs, needs);
        self.queues.extend(needs.bits().map(|bit| (bit, ticket)));
        self.leave_queues(ticket, before.without(needs))
    }

    /// Leaves the line, whether it has posted or not. Returns the waiters that may go on.
    pub fn leave(&mut self, ticket: Ticket) -> Woken<W> {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return Woken::new();
        };
        self.leave_queues(ticket, waiter.needs)
    }

    fn leave_queues(&mut self, ticket: Ticket, left: ShardSet) -> Woken<W> {
        let mut next: SmallVec<[Ticket; 2]> = SmallVec::new();
        for bit in left.bits() {
            let was_first = self.first(bit) == Some(ticket);
            self.queues.remove(&(bit, ticket));
            if let Some(first) = self.first(bit).filter(|_| was_first)
                && !next.contains(&first)
                && self.is_first(first)
            {
                next.push(first);
            }
        }
        let wake = |ticket: &Ticket| self.waiters.get(ticket).map(|waiter| waiter.wake.clone());
        next.iter().filter_map(wake).collect()
    }

    /// The waiter that may go on now that a shard has room.
    #[must_use]
    pub fn room_in(&self, shard: usize) -> Option<W> {
        let first = self.first(ShardSet::bit(shard))?;
        let waiter = self.waiters.get(&first)?;
        self.is_first(first).then(|| waiter.wake.clone())
    }

    /// Whether this ticket is first in each of its queues.
    #[must_use]
    pub fn is_first(&self, ticket: Ticket) -> bool {
        let mut bits = self.waiters.get(&ticket).map(|waiter| waiter.needs.bits());
        bits.as_mut()
            .is_some_and(|bits| bits.all(|bit| self.first(bit) == Some(ticket)))
    }

    /// The shards in whose queue another ticket is before this one; before a newcomer, every ticket
    /// is.
    #[must_use]
    pub fn ahead_of(&self, ticket: Option<Ticket>) -> ShardSet {
        let mut ahead = ShardSet::default();
        let mut from = 0;
        while let Some((bit, first)) = self.queues.range((from, Ticket(0))..).next().copied() {
            if ticket.is_none_or(|ticket| first < ticket) {
                ahead.insert(bit as usize);
            }
            from = bit + 1;
        }
        ahead
    }

    /// All waiters, in no order.
    pub fn all(&self) -> impl Iterator<Item = W> + '_ {
        self.waiters.values().map(|waiter| waiter.wake.clone())
    }

    /// Number of waiters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether the line is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    fn first(&self, bit: u32) -> Option<Ticket> {
        let queue = (bit, Ticket(0))..(bit + 1, Ticket(0));
        self.queues.range(queue).next().map(|(_, ticket)| *ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<const N: usize>(shards: [usize; N]) -> ShardSet {
        let mut set = ShardSet::default();
        for shard in shards {
            set.insert(shard);
        }
        set
    }

    #[test]
    fn the_first_to_come_is_the_first_to_be_woken() {
        let mut line = Line::default();
        let a = line.join(set([0]), "a");
        let b = line.join(set([0]), "b");
        let c = line.join(set([1]), "c");
        assert_eq!(line.room_in(0), Some("a"));
        assert_eq!(line.room_in(1), Some("c"));
        assert_eq!(line.room_in(2), None);
        assert!(line.is_first(a) && !line.is_first(b) && line.is_first(c));
        assert_eq!(line.ahead_of(Some(b)), set([0]));
        assert_eq!(line.ahead_of(None), set([0, 1]), "a newcomer is behind all");
        assert_eq!(line.leave(a)[..], ["b"]);
        assert!(line.leave(c).is_empty());
        assert!(line.leave(b).is_empty() && line.is_empty());
        assert!(line.ahead_of(None).is_empty());
    }

    #[test]
    fn a_batch_for_several_shards_is_not_overtaken_in_any() {
        let mut line = Line::default();
        let one = line.join(set([0]), "one");
        let both = line.join(set([0, 1]), "both");
        let other = line.join(set([1]), "other");
        // Its turn has not come in the other queue, and those behind it wait.
        assert_eq!(line.room_in(1), None);
        assert!(!line.is_first(other));
        assert_eq!(line.ahead_of(Some(other)), set([0, 1]));
        assert_eq!(line.leave(one)[..], ["both"]);
        assert_eq!(line.room_in(1), Some("both"));
        assert_eq!(line.leave(both)[..], ["other"]);
    }

    #[test]
    fn one_who_goes_away_while_first_in_line_wakes_the_next() {
        let mut line = Line::default();
        let first = line.join(set([0, 1]), "first");
        line.join(set([0]), "zero");
        let last = line.join(set([0, 1]), "last");
        assert_eq!(line.room_in(0), Some("first"));
        // It was woken and leaves: in one queue the next may go on, in the other that one is first.
        assert_eq!(line.leave(first)[..], ["zero"]);
        assert!(line.leave(last).is_empty(), "it was not first");
    }

    #[test]
    fn a_change_of_needs_keeps_the_place() {
        let mut line = Line::default();
        let a = line.join(set([0]), "a");
        line.join(set([0]), "b");
        line.join(set([1]), "c");
        assert_eq!(line.change(a, set([1]))[..], ["b"]);
        assert_eq!(
            line.room_in(1),
            Some("a"),
            "older than those who were there"
        );
        assert_eq!(line.leave(a)[..], ["c"]);
        let d = line.join(set([0]), "d");
        assert!(line.change(d, set([0, 1])).is_empty());
        assert!(!line.is_first(d));
    }

    /// Every waiter is woken a bounded number of times, however many wait.
    #[test]
    fn a_thousand_waiters_are_woken_once_each() {
        let mut line = Line::default();
        let tickets: Vec<_> = (0..1_000).map(|n| line.join(set([n % 2]), n)).collect();
        let mut woken = 0;
        for ticket in tickets {
            assert!(line.is_first(ticket));
            woken += line.leave(ticket).len();
        }
        assert_eq!(woken, 998);
    }
}
