//! Data of streams with a token: their right to private events, and their end.
//!
//! Beside the slab and with its slots, in pieces of a thousand, which exist only if one of the
//! thousand has a ticket. A node without tokens pays nothing, and one with tokens some thirty bytes
//! per stream. Ends are sorted, many under one entry: no stream has a timer.

use std::collections::BTreeMap;

use crate::core::history::Grant;

use super::subscriber::Key;

/// Slots in one piece.
const PIECE: usize = 1_024;

/// Streams whose tokens end within this many milliseconds end together, at the start of the
/// interval: tokens with fractions of seconds must not have an entry each.
const TOGETHER_MS: u64 = 50;

/// Number of entries of closed streams that is always tolerated.
const STALE_MIN: usize = 1_024;

/// A stream's ticket. It has 24 bytes, because its end is stored in parts.
#[derive(Debug)]
pub(crate) struct Ticket {
    grant: Option<Grant>,
    has_end: bool,
    /// The end, in steps of [`TOGETHER_MS`] within a second.
    end_unix_s: u32,
    end_step: u8,
}

impl Ticket {
    /// `None` if the stream has neither a grant nor an expiry.
    pub(crate) fn new(grant: Option<Grant>, ends_unix_ms: Option<u64>) -> Option<Self> {
        if grant.is_none() && ends_unix_ms.is_none() {
            return None;
        }
        let end = ends_unix_ms.unwrap_or_default();
        // An end beyond the calendar never comes.
        let end_unix_s = u32::try_from(end / 1_000).ok();
        Some(Self {
            grant,
            has_end: ends_unix_ms.is_some() && end_unix_s.is_some(),
            end_unix_s: end_unix_s.unwrap_or_default(),
            end_step: (end % 1_000 / TOGETHER_MS) as u8,
        })
    }

    /// The end of the stream: at most [`TOGETHER_MS`] before its token's.
    fn end_unix_ms(&self) -> Option<u64> {
        let end = u64::from(self.end_unix_s) * 1_000 + u64::from(self.end_step) * TOGETHER_MS;
        self.has_end.then_some(end)
    }

    /// The grant, which is the store's, and the end.
    pub(crate) fn into_parts(self) -> (Option<Grant>, Option<u64>) {
        let end_unix_ms = self.end_unix_ms();
        (self.grant, end_unix_ms)
    }
}

#[derive(Debug)]
struct Piece {
    held: usize,
    tickets: Box<[Option<Ticket>]>,
}

/// The tickets of a shard's streams.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    pieces: Vec<Option<Piece>>,
    ends: Ends,
}

/// Streams by their end, in milliseconds since the unix epoch; some of them may have closed before.
#[derive(Debug, Default)]
struct Ends {
    by_end: BTreeMap<u64, Vec<Key>>,
    entries: usize,
    /// Entries of streams that are open.
    live: usize,
}

impl Tickets {
    pub(crate) fn get(&self, slot: u32) -> Option<&Ticket> {
        let piece = self.pieces.get(slot as usize / PIECE)?.as_ref()?;
        piece.tickets[slot as usize % PIECE].as_ref()
    }

    /// The right of the stream in `slot` to private events.
    pub(crate) fn grant(&self, slot: u32) -> Option<&Grant> {
        self.get(slot)?.grant.as_ref()
    }

    pub(crate) fn insert(&mut self, key: Key, ticket: Ticket) {
        if let Some(end) = ticket.end_unix_ms() {
            self.ends.add(key, end);
        }
        let number = key.slot as usize / PIECE;
        if number >= self.pieces.len() {
            self.pieces.resize_with(number + 1, || None);
        }
        let piece = self.pieces[number].get_or_insert_with(|| Piece {
            held: 0,
            tickets: (0..PIECE).map(|_| None).collect(),
        });
        let place = &mut piece.tickets[key.slot as usize % PIECE];
        debug_assert!(place.is_none(), "a slot has one stream");
        *place = Some(ticket);
        piece.held += 1;
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Ticket> {
        let place = self.pieces.get_mut(slot as usize / PIECE)?;
        let piece = place.as_mut()?;
        let ticket = piece.tickets[slot as usize % PIECE].take()?;
        piece.held -= 1;
        if piece.held == 0 {
            *place = None;
            while self.pieces.last().is_some_and(Option::is_none) {
                self.pieces.pop();
            }
        }
        if ticket.has_end {
            self.ends.live -= 1;
        }
        Some(ticket)
    }

    /// Whether the stream in this slot has an end, and it has come.
    pub(crate) fn is_over(&self, slot: u32, now_unix_ms: u64) -> bool {
        let end = self.get(slot).and_then(Ticket::end_unix_ms);
        end.is_some_and(|end| end <= now_unix_ms)
    }

    /// The end of the next stream, at the earliest.
    pub(crate) fn next_end_unix_ms(&self) -> Option<u64> {
        let (end, _) = self.ends.by_end.first_key_value()?;
        Some(*end)
    }

    /// Removes and returns at most `count` of the streams whose end has come. They may have closed
    /// already, and stay until they are removed.
    pub(crate) fn take_ended(&mut self, now_unix_ms: u64, count: usize) -> Vec<Key> {
        let mut ended = Vec::new();
        while ended.len() < count
            && let Some(mut first) = self.ends.by_end.first_entry()
            && *first.key() <= now_unix_ms
        {
            let keys = first.get_mut();
            let keep = keys.len().saturating_sub(count - ended.len());
            self.ends.entries -= keys.len() - keep;
            ended.extend(keys.drain(keep..));
            if keys.is_empty() {
                first.remove();
            }
        }
        ended
    }

    /// Removes the ends of closed streams, if they are the majority; `is_open` reports which are
    /// open.
    pub(crate) fn forget_gone(&mut self, is_open: impl Fn(Key) -> bool) {
        let ends = &mut self.ends;
        if ends.entries <= 2 * ends.live + STALE_MIN {
            return;
        }
        ends.by_end.retain(|_, keys| {
            keys.retain(|key| is_open(*key));
            keys.shrink_to_fit();
            !keys.is_empty()
        });
        ends.entries = ends.by_end.values().map(Vec::len).sum();
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.ends.live == 0
    }
}

impl Ends {
    fn add(&mut self, key: Key, end_unix_ms: u64) {
        self.by_end.entry(end_unix_ms).or_default().push(key);
        self.entries += 1;
        self.live += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> Key {
        Key { slot, serial: slot }
    }

    fn until(end_unix_ms: u64) -> Ticket {
        Ticket::new(None, Some(end_unix_ms)).expect("it says something")
    }

    #[test]
    fn ends_come_in_order_and_in_portions() {
        let mut tickets = Tickets::default();
        for slot in 0..10 {
            tickets.insert(key(slot), until(1_000 + TOGETHER_MS * u64::from(slot) / 5));
        }
        assert_eq!(tickets.next_end_unix_ms(), Some(1_000));
        assert_eq!(tickets.take_ended(999, 100), []);
        assert_eq!(tickets.take_ended(1_000, 3).len(), 3);
        assert_eq!(tickets.take_ended(1_000, 100).len(), 2);
        assert_eq!(tickets.take_ended(1_000 + TOGETHER_MS, 100).len(), 5);
        assert_eq!(tickets.next_end_unix_ms(), None);
        for slot in 0..10 {
            assert!(tickets.remove(slot).is_some());
        }
        assert!(tickets.is_empty());
    }

    #[test]
    fn streams_that_go_before_their_end_leave_nothing_for_long() {
        let mut tickets = Tickets::default();
        for serial in 0..100_000 {
            let key = Key { slot: 5, serial };
            tickets.insert(key, until(1_000_000));
            tickets.remove(5);
            tickets.forget_gone(|_| false);
            assert!(tickets.ends.entries <= STALE_MIN + 1);
        }
        assert!(tickets.is_empty());
    }

    #[test]
    fn a_stream_ends_with_its_token_and_never_later() {
        for (end, expected) in [(5_000, 5_000), (5_999, 5_950), (6_049, 6_000)] {
            let mut tickets = Tickets::default();
            tickets.insert(key(0), until(end));
            assert_eq!(tickets.next_end_unix_ms(), Some(expected), "{end}");
            assert_eq!(tickets.take_ended(expected - 1, 1), []);
            assert_eq!(tickets.take_ended(expected, 1).len(), 1);
        }
    }

    #[test]
    fn a_ticket_is_small() {
        assert_eq!(size_of::<Option<Ticket>>(), 24);
    }

    #[test]
    fn an_end_beyond_the_calendar_is_none() {
        let mut tickets = Tickets::default();
        tickets.insert(key(3_000), until(u64::MAX));
        assert_eq!(tickets.next_end_unix_ms(), None);
        assert!(tickets.get(3_000).is_some() && tickets.get(2_999).is_none());
    }
}
