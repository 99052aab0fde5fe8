//! Idempotency keys: which events of a batch were published before.

use hashbrown::HashMap;

use crate::core::event::EventId;
use crate::core::idempotency::{Key, Recalled, Remembered};
use crate::core::sse::Draft;

use super::Desk;
use super::stamps::Stamps;

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

/// An event with a new key, in front of others of its batch.
struct Earlier<'d> {
    number: usize,
    /// New keys of the batch before it.
    fresh: usize,
    key: &'d Key,
}

impl Desk {
    /// Finds the events that were published before. Costs one comparison an event where none has a
    /// key, and one look-up for each that has one.
    ///
    /// For an event with a given id, the window is counted back from that id, and not from a clock:
    /// all nodes of a log decide alike, also one that reads it later. For the same reason the new keys
    /// in front of it count then as if they were remembered already.
    ///
    /// # Errors
    /// The number of the first one that has the key of another event.
    pub(super) fn recall(&self, drafts: &[Draft<'_>], stamps: &Stamps<'_>) -> Result<Fates, usize> {
        if !self.keys.are_on() || drafts.iter().all(|draft| draft.key().is_none()) {
            return Ok(Fates::default());
        }
        let mut fates = Vec::with_capacity(drafts.len());
        let mut earlier: HashMap<_, Earlier<'_>> = HashMap::new();
        let mut fresh = 0;
        for (number, draft) in drafts.iter().enumerate() {
            let Some(key) = draft.key() else {
                fates.push(Fate::New);
                continue;
            };
            let cut_off = stamps.cut_off(number, &self.keys);
            let newer = if stamps.are_given() { fresh } else { 0 };
            match self.store.keys().recall_from(key, cut_off, newer) {
                Recalled::Repeat(before) => {
                    fates.push(Fate::Repeat(before));
                    continue;
                }
                Recalled::Reused => return Err(number),
                Recalled::New => {}
            }
            let is_known = |old: &&Earlier<'_>| {
                !stamps.are_given()
                    || !stamps.is_below(old.number, cut_off) && fresh - old.fresh <= self.keys.count
            };
            match earlier.get(&key.name).filter(is_known) {
                Some(old) if old.key != key => return Err(number),
                Some(old) => fates.push(Fate::SameAs(old.number)),
                None => {
                    if drafts.len() > 1 {
                        earlier.insert(key.name, Earlier { number, fresh, key });
                    }
                    fresh += 1;
                    fates.push(Fate::New);
                }
            }
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
