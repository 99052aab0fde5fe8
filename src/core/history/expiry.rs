//! Finds the topic with the node's oldest event, without touching topics that an event does not
//! concern.
//!
//! One entry per topic with history, keyed by an id that is never above the topic's oldest event.
//! Eviction within a topic leaves its entry alone; a search for the oldest mends the entries that
//! it meets. So publishing costs this queue nothing, and each mended entry has advanced by at least
//! one evicted event.

use crate::core::event::EventId;
use crate::core::table::{Chunked, Heap};

/// The topic with the node's oldest event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oldest {
    Topic(u32),
    /// No topic has an event.
    None,
    /// More entries have to be mended than the caller allowed; the next call continues.
    Later,
}

/// A lazy priority queue of (at most the oldest event's id, topic slot).
#[derive(Debug, Default)]
pub(super) struct Expiry {
    queue: Heap<(EventId, u32)>,
    /// Topic slots with an entry, as bits. A slot keeps its entry when another topic reuses it.
    has_entry: Chunked<u64>,
}

impl Expiry {
    /// Adds a topic's entry, unless it has one.
    pub(super) fn add(&mut self, oldest: EventId, topic: u32) {
        let (word, bit) = place(topic);
        while self.has_entry.len() <= word {
            self.has_entry.push(0);
        }
        if let Some(bits) = self.has_entry.get_mut(word)
            && *bits & bit == 0
        {
            *bits |= bit;
            self.queue.push((oldest, topic));
        }
    }

    /// The topic with the oldest event. `first_of` returns a topic's current oldest id, or `None`
    /// if it has no event (its entry is removed). Mends at most `mends` entries, and counts them
    /// down: as many may be out of date as there are topics.
    pub(super) fn oldest(
        &mut self,
        mends: &mut usize,
        mut first_of: impl FnMut(u32) -> Option<EventId>,
    ) -> Oldest {
        while let Some((noted, topic)) = self.queue.first() {
            let first = first_of(topic);
            if first == Some(noted) {
                return Oldest::Topic(topic);
            }
            let Some(left) = mends.checked_sub(1) else {
                return Oldest::Later;
            };
            *mends = left;
            match first {
                None => self.remove_first(topic),
                Some(first) => self.queue.replace_first((first, topic)),
            }
        }
        Oldest::None
    }

    fn remove_first(&mut self, topic: u32) {
        self.queue.pop();
        if self.queue.first().is_none() {
            self.has_entry = Chunked::default();
            return;
        }
        let (word, bit) = place(topic);
        if let Some(bits) = self.has_entry.get_mut(word) {
            *bits &= !bit;
        }
    }

    /// Bytes that it has allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.queue.allocated_bytes() + self.has_entry.allocated_bytes()
    }
}

/// The word and the bit of a slot.
fn place(topic: u32) -> (usize, u64) {
    (topic as usize / 64, 1 << (topic % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first search after a million topics had a newer event mended a million entries under one
    /// hold of the lock.
    #[test]
    fn entries_that_are_out_of_date_are_mended_in_portions() {
        let mut expiry = Expiry::default();
        for topic in 0..1_000 {
            expiry.add(EventId::new(u64::from(topic)), topic);
        }
        // Topic 999 has none; of the others the highest is the oldest now.
        let first_of = |topic| (topic < 999).then(|| EventId::new(10_000 - u64::from(topic)));
        let mut looks = 0;
        loop {
            let mut mends = 64;
            looks += 1;
            match expiry.oldest(&mut mends, first_of) {
                Oldest::Later => assert_eq!(mends, 0, "it gets on"),
                found => break assert_eq!(found, Oldest::Topic(998)),
            }
        }
        assert!(looks >= 1_000 / 64, "{looks}");
        assert_eq!(expiry.oldest(&mut 0, first_of), Oldest::Topic(998));
        let mut left = 1_000;
        assert_eq!(expiry.oldest(&mut left, |_| None), Oldest::None);
        assert_eq!(left, 1, "topic 999 was mended before");
    }
}
