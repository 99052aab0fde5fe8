//! Identities of streams, for operators: the subject of the token, and the client's address if the
//! connection is a proxy's.
//!
//! Beside the slab and with its slots, in pieces of a thousand, which exist only if one of the
//! thousand has a value. A stream without a subject costs nothing, one with a subject 16 bytes and
//! its text, one behind a proxy 17 bytes.

use std::net::IpAddr;
use std::sync::Arc;

/// Slots in one piece.
const PIECE: usize = 1_024;

/// Facts about a stream's client beside its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The claim `sub` of its token.
    pub subject: Option<Arc<str>>,
    /// Its address, if that is not the address of the connection.
    pub forwarded: Option<IpAddr>,
}

impl Identity {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// Bytes of a slot of a piece; the pages on sizing have the same numbers.
const _: () = assert!(size_of::<Option<Arc<str>>>() == 16 && size_of::<Option<IpAddr>>() == 17);

/// The identities of a shard's streams.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    subjects: Pieces<Arc<str>>,
    forwarded: Pieces<IpAddr>,
}

impl Identities {
    pub(crate) fn insert(&mut self, slot: u32, identity: Identity) {
        if let Some(subject) = identity.subject {
            self.subjects.insert(slot, subject);
        }
        if let Some(client) = identity.forwarded {
            self.forwarded.insert(slot, client);
        }
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Identity {
        Identity {
            subject: self.subjects.remove(slot),
            forwarded: self.forwarded.remove(slot),
        }
    }

    pub(crate) fn subject(&self, slot: u32) -> Option<&Arc<str>> {
        self.subjects.get(slot)
    }

    pub(crate) fn forwarded(&self, slot: u32) -> Option<IpAddr> {
        self.forwarded.get(slot).copied()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.subjects.0.is_empty() && self.forwarded.0.is_empty()
    }
}

/// Values by slot; a slot has one at most.
#[derive(Debug)]
struct Pieces<T>(Vec<Option<Piece<T>>>);

#[derive(Debug)]
struct Piece<T> {
    held: usize,
    values: Box<[Option<T>]>,
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pieces<T> {
    fn get(&self, slot: u32) -> Option<&T> {
        let piece = self.0.get(slot as usize / PIECE)?.as_ref()?;
        piece.values[slot as usize % PIECE].as_ref()
    }

    fn insert(&mut self, slot: u32, value: T) {
        let number = slot as usize / PIECE;
        if number >= self.0.len() {
            self.0.resize_with(number + 1, || None);
        }
        let piece = self.0[number].get_or_insert_with(|| Piece {
            held: 0,
            values: (0..PIECE).map(|_| None).collect(),
        });
        let old = piece.values[slot as usize % PIECE].replace(value);
        debug_assert!(old.is_none(), "a slot has one stream");
        piece.held += 1;
    }

    fn remove(&mut self, slot: u32) -> Option<T> {
        let place = self.0.get_mut(slot as usize / PIECE)?;
        let piece = place.as_mut()?;
        let value = piece.values[slot as usize % PIECE].take()?;
        piece.held -= 1;
        if piece.held == 0 {
            *place = None;
            while self.0.last().is_some_and(Option::is_none) {
                self.0.pop();
            }
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_goes_with_its_stream_and_leaves_nothing() {
        let mut identities = Identities::default();
        let of = |number: u32| Identity {
            subject: number.is_multiple_of(2).then(|| number.to_string().into()),
            forwarded: number
                .is_multiple_of(3)
                .then(|| IpAddr::from(number.to_be_bytes())),
        };
        let slots = [0, 1, 2, 3, 1_023, 1_024, 5_000, 60_000];
        for slot in slots {
            identities.insert(slot, of(slot));
        }
        // Only the needed pieces exist.
        assert_eq!(identities.subjects.0.iter().flatten().count(), 4);
        for slot in slots {
            assert_eq!(identities.subject(slot), of(slot).subject.as_ref());
            assert_eq!(identities.forwarded(slot), of(slot).forwarded);
            assert_eq!(identities.remove(slot), of(slot));
            assert_eq!(identities.subject(slot), None);
        }
        assert!(identities.is_empty());
        assert!(identities.remove(7).is_empty());
        assert!(of(1).is_empty() && !of(2).is_empty() && !of(3).is_empty());
    }
}
