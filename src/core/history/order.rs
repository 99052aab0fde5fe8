//! Every kept event of the node in one order, for readers that subscribe by pattern.
//!
//! An entry is a note, not a holder: eviction leaves it behind, and a reader detects from the
//! topic's oldest event that it is stale. Stale notes are removed a chunk at a time, with each
//! evicted event, so that they are never many more than the valid ones.
//!
//! **Invariant:** one call examines at most [`EXAMINED_MAX`] notes, however many there are.

use std::collections::VecDeque;

use crate::core::event::EventId;

/// Number of stale notes that is always tolerated.
const STALE_MIN: usize = 1_024;

/// Notes of a chunk.
const CHUNK: usize = 256;

/// Notes at the start that one call examines: most evictions are of the oldest events.
const FRONT_STEPS: usize = 4;

/// Notes that are swept for each call while too many are stale.
const SWEEP_STEPS: usize = 8;

/// Most notes that one call examines.
#[cfg(test)]
const EXAMINED_MAX: usize = CHUNK + FRONT_STEPS;

/// An event, and the slot of its topic.
type Note = (EventId, u32);

/// Notes of (event, topic slot) with rising ids; an event with several topics has several.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// None is empty.
    chunks: VecDeque<Vec<Note>>,
    /// Removed notes of the first chunk.
    gone: usize,
    len: usize,
    /// The chunk that is swept next.
    sweep: usize,
    /// Notes that may be swept by now; a chunk is swept at once.
    credit: usize,
}

/// A place among the notes. Valid until the next call that changes them.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotePlace {
    chunk: usize,
    at: usize,
}

impl Order {
    /// The oldest event noted. It may be stale.
    pub(super) fn first_id(&self) -> Option<EventId> {
        let (id, _) = self.chunks.front()?.get(self.gone)?;
        Some(*id)
    }

    /// The newest event noted.
    pub(super) fn last_id(&self) -> Option<EventId> {
        let (id, _) = self.chunks.back()?.last()?;
        Some(*id)
    }

    /// Notes an event.
    pub(super) fn push(&mut self, id: EventId, topic: u32) {
        match self.chunks.back_mut() {
            // The first chunk grows by doubling, so that a quiet node stays small.
            Some(last) if last.len() < CHUNK => last.push((id, topic)),
            last => {
                let mut chunk = Vec::with_capacity(if last.is_some() { CHUNK } else { 4 });
                chunk.push((id, topic));
                self.chunks.push_back(chunk);
            }
        }
        self.len += 1;
    }

    /// Removes the newest note.
    pub(super) fn pop(&mut self) -> Option<Note> {
        let (number, is_only) = (self.chunks.len().checked_sub(1)?, self.chunks.len() == 1);
        let chunk = self.chunks.get_mut(number)?;
        let note = chunk.pop()?;
        self.len -= 1;
        if chunk.is_empty() || is_only && chunk.len() == self.gone {
            self.remove_chunk(number);
        }
        Some(note)
    }

    /// Removes some stale notes, if there are many; to be called for each evicted event. `kept` is
    /// the number of notes that are not stale, and `is_kept` reports which. Returns the number of
    /// notes examined.
    pub(super) fn tidy(&mut self, kept: usize, is_kept: impl Fn(EventId, u32) -> bool) -> usize {
        let mut examined = self.tidy_front(&is_kept);
        if self.len <= kept + kept / 2 + STALE_MIN {
            self.credit = 0;
            return examined;
        }
        self.credit += SWEEP_STEPS;
        if self.credit >= CHUNK {
            self.credit = 0;
            examined += self.sweep_chunk(&is_kept);
        }
        examined
    }

    fn tidy_front(&mut self, is_kept: &impl Fn(EventId, u32) -> bool) -> usize {
        for step in 0..FRONT_STEPS {
            let note = self.chunks.front().and_then(|chunk| chunk.get(self.gone));
            if note.is_none_or(|(id, topic)| is_kept(*id, *topic)) {
                return step + 1;
            }
            self.gone += 1;
            self.len -= 1;
            if self
                .chunks
                .front()
                .is_some_and(|chunk| chunk.len() == self.gone)
            {
                self.remove_chunk(0);
            }
        }
        FRONT_STEPS
    }

    /// Removes the stale notes of one chunk, and joins it with the one before if both are half
    /// empty.
    fn sweep_chunk(&mut self, is_kept: &impl Fn(EventId, u32) -> bool) -> usize {
        if self.sweep >= self.chunks.len() {
            self.sweep = 0;
        }
        let number = self.sweep;
        let Some(chunk) = self.chunks.get_mut(number) else {
            return 0;
        };
        if number == 0 {
            chunk.drain(..self.gone);
            self.gone = 0;
        }
        let examined = chunk.len();
        chunk.retain(|(id, topic)| is_kept(*id, *topic));
        self.len -= examined - chunk.len();
        if chunk.is_empty() {
            self.remove_chunk(number);
            return examined;
        }
        let room = number
            .checked_sub(1)
            .map_or(0, |before| CHUNK - self.chunks[before].len());
        if self.chunks[number].len() <= room {
            let notes = self.chunks.remove(number).unwrap_or_default();
            self.chunks[number - 1].extend(notes);
        } else {
            self.sweep += 1;
        }
        examined
    }

    fn remove_chunk(&mut self, number: usize) {
        self.chunks.remove(number);
        if number == 0 {
            self.gone = 0;
            self.sweep = self.sweep.saturating_sub(1);
        }
        if self.chunks.capacity() > 64 && self.chunks.len() * 4 < self.chunks.capacity() {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }

    /// The place of the first note above `id`.
    pub(super) fn after(&self, id: EventId) -> NotePlace {
        if self.last_id().is_none_or(|last| last <= id) {
            return NotePlace {
                chunk: self.chunks.len(),
                at: 0,
            };
        }
        let is_before = |chunk: &Vec<Note>| chunk.last().is_some_and(|(last, _)| *last <= id);
        let chunk = self.chunks.partition_point(is_before);
        let notes = self.chunks.get(chunk).map_or(&[][..], |notes| notes);
        let at = notes.partition_point(|(noted, _)| *noted <= id);
        NotePlace {
            chunk,
            at: if chunk == 0 { at.max(self.gone) } else { at },
        }
    }

    /// The note at a place; the place moves on to the next one.
    pub(super) fn next(&self, place: &mut NotePlace) -> Option<Note> {
        let chunk = self.chunks.get(place.chunk)?;
        let note = *chunk.get(place.at)?;
        place.at += 1;
        if place.at == chunk.len() {
            *place = NotePlace {
                chunk: place.chunk + 1,
                at: 0,
            };
        }
        Some(note)
    }

    /// The note before a place; the place moves back to it.
    pub(super) fn previous(&self, place: &mut NotePlace) -> Option<Note> {
        let first = |chunk: usize| if chunk == 0 { self.gone } else { 0 };
        if place.at <= first(place.chunk) {
            let chunk = place.chunk.checked_sub(1)?;
            let at = self.chunks.get(chunk)?.len();
            *place = NotePlace { chunk, at };
        }
        place.at = place.at.checked_sub(1)?;
        let chunk = self.chunks.get(place.chunk)?;
        chunk.get(place.at).copied()
    }

    /// All notes, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = Note> {
        let chunks = self.chunks.iter().enumerate().rev();
        chunks.flat_map(|(number, chunk)| {
            let gone = if number == 0 { self.gone } else { 0 };
            chunk[gone..].iter().rev().copied()
        })
    }

    /// Empties it: no event is kept.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that it has allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        let notes: usize = self.chunks.iter().map(Vec::capacity).sum();
        notes * size_of::<Note>() + self.chunks.capacity() * size_of::<Vec<Note>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Once in a million events, a million notes were examined under the store's lock.
    #[test]
    fn stale_notes_are_thrown_out_in_small_steps() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut order = Order::default();
        let mut kept = BTreeSet::new();
        for number in 1..120_000_u64 {
            order.push(EventId::new(number), number as u32);
            kept.insert(number);
            // The oldest go, or any; later any: a quiet topic keeps its events among those of a
            // busy one.
            let many = number < 80_000 && number % 4 > 0;
            for _ in 0..if many { 0 } else { random.usize(1..4) } {
                let gone = if number < 80_000 && random.bool() {
                    kept.pop_first()
                } else {
                    let from = random.u64(0..number);
                    let gone = kept.range(from..).next().copied();
                    gone.filter(|gone| kept.remove(gone))
                };
                if gone.is_some() {
                    let examined = order.tidy(kept.len(), |id, _| kept.contains(&id.get()));
                    assert!(examined <= EXAMINED_MAX, "{examined}");
                }
            }
            if number % 10_000 == 0 {
                check(&order, &kept, random.u64(0..number));
            }
        }
        while kept.pop_first().is_some() {
            let examined = order.tidy(kept.len(), |id, _| kept.contains(&id.get()));
            assert!(examined <= EXAMINED_MAX, "{examined}");
        }
        assert!(order.len <= STALE_MIN + CHUNK);
        order.clear();
        assert_eq!(order.allocated_bytes(), 0);
    }

    /// One quiet topic kept the first note, and behind it the notes of a busy one piled up.
    #[test]
    fn stale_notes_behind_one_that_is_kept_are_swept() {
        let mut order = Order::default();
        let mut kept = BTreeSet::new();
        for number in 1..20_000_u64 {
            order.push(EventId::new(number), 0);
            kept.insert(number);
            if kept.len() > 100 {
                let second = kept.iter().nth(1).copied();
                second.map(|second| kept.remove(&second));
                order.tidy(kept.len(), |id, _| kept.contains(&id.get()));
            }
            assert!(order.len <= 2 * kept.len() + STALE_MIN + CHUNK);
        }
        check(&order, &kept, 0);
    }

    /// All kept events are found, in order, and not much else.
    fn check(order: &Order, kept: &BTreeSet<u64>, from: u64) {
        assert!(
            order.len <= 2 * kept.len() + STALE_MIN + CHUNK,
            "{}",
            order.len
        );
        assert!(order.chunks.len() <= order.len / (CHUNK / 2) + 2);
        let mut place = order.after(EventId::new(from));
        let notes = std::iter::from_fn(|| order.next(&mut place));
        let ids: Vec<u64> = notes.map(|(id, _)| id.get()).collect();
        assert!(ids.is_sorted() && ids.first().is_none_or(|first| *first > from));
        let mut place = order.after(EventId::new(u64::MAX));
        let notes = std::iter::from_fn(|| order.previous(&mut place));
        let back = notes.map(|(id, _)| id.get()).take_while(|id| *id > from);
        assert!(back.eq(ids.iter().rev().copied()));
        let mut place = order.after(EventId::new(from));
        let (before, _) = order.previous(&mut place).unzip();
        assert!(before.is_none_or(|id| id.get() <= from));
        let all: Vec<u64> = ids.into_iter().filter(|id| kept.contains(id)).collect();
        assert!(all.iter().eq(kept.range(from + 1..)));
    }
}
