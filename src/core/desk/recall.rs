//! Idempotency keys: which events of a batch were published before.

use hashbrown::HashMap;

use crate::core::event::EventId;
use crate::core::idempotency::{Key, Recalled, Remembered};
use crate::core::sse::Draft;

use super::{Desk, Stamps};

/// What becomes of an event with a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It is published.
    New,
    /// It was published before.
    Repeat(Remembered),
    /// It is the same as an earlier one of its batch.
    SameAs(usize),
}

/// The fates of a batch's events. Decided before the first one is published: new keys may make the
/// node forget older ones.
#[derive(Debug, Default)]
pub(super) struct Fates(Vec<Fate>);

impl Fates {
    /// Whether no event has a key.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fate of the event with this number.
    pub(super) fn of(&self, number: usize) -> Fate {
        self.0.get(number).copied().unwrap_or(Fate::New)
    }
}

impl Desk {
    /// Finds the events that were published before. Costs one comparison an event where none has a
    /// key, and one look-up for each that has one.
    ///
    /// For an event with a given id, the window is counted back from that id, and not from a clock:
    /// all nodes of a log decide alike, also one that reads it later.
    ///
    /// # Errors
    /// The number of the first one that has the key of another event.
    pub(super) fn recall(&self, drafts: &[Draft<'_>], stamps: &Stamps<'_>) -> Result<Fates, usize> {
        if drafts.iter().all(|draft| draft.key().is_none()) {
            return Ok(Fates::default());
        }
        let mut fates = Vec::with_capacity(drafts.len());
        let mut earlier: HashMap<_, (usize, &Key)> = HashMap::new();
        for (number, draft) in drafts.iter().enumerate() {
            let Some(key) = draft.key() else {
                fates.push(Fate::New);
                continue;
            };
            let cut_off = stamps.cut_off(number, &self.keys);
            fates.push(match self.store.keys().recall_from(key, cut_off) {
                Recalled::Repeat(before) => Fate::Repeat(before),
                Recalled::Reused => return Err(number),
                Recalled::New if drafts.len() == 1 => Fate::New,
                Recalled::New => match earlier.get(&key.name) {
                    Some((old, _)) if stamps.is_below(*old, cut_off) => {
                        earlier.insert(key.name, (number, key));
                        Fate::New
                    }
                    Some((_, other)) if *other != key => return Err(number),
                    Some((same, _)) => Fate::SameAs(*same),
                    None => {
                        earlier.insert(key.name, (number, key));
                        Fate::New
                    }
                },
            });
        }
        Ok(Fates(fates))
    }

    /// Remembers the key of an event that was just published, if it has one.
    pub(super) fn remember(&mut self, draft: &Draft<'_>, id: EventId, subscribers: u64) {
        if let Some(key) = draft.key() {
            self.store.keys_mut().remember(Remembered {
                key: *key,
                id,
                subscribers,
            });
        }
    }
}
