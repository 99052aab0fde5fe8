//! Idempotency keys, checked by a list of all events that were published with one.
//!
//! The list does not repeat the node's table: it knows what must be remembered, what must not, and
//! what may go either way because a history was saved while the table changed.

use fastrand::Rng;

use crate::core::desk::Receipt;
use crate::core::event::EventId;
use crate::core::idempotency::{Key, KeyLimits, Name, Owner, Place, Scope};

/// Different keys of a schedule.
const NAMES: u8 = 12;

/// The key of an event: whose it is, and for which content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventKey {
    name: u8,
    content: u8,
}

impl EventKey {
    pub(super) fn draw(dice: &mut Rng) -> Self {
        Self {
            name: dice.u8(..NAMES),
            content: u8::from(dice.u8(..5) == 0),
        }
    }

    pub(super) fn key(self) -> Key {
        let owner = Owner::new(Scope::User("u"));
        let name = Name::new(owner, &format!("key {}", self.name), Place::ONLY);
        Key::new(name, [[self.content].as_slice()])
    }
}

/// An event that was published with a key.
#[derive(Clone, Copy, Debug)]
struct Use {
    key: EventKey,
    id: EventId,
    /// It was lost with a process that crashed, or by the log.
    is_lost: bool,
    /// Nothing but newer keys can have made the node forget it.
    is_due: bool,
    /// It is too old.
    is_gone: bool,
}

/// All events with keys, by rising ids.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyOracle {
    uses: Vec<Use>,
    pub(super) repeats: usize,
    pub(super) reused: usize,
    pub(super) forgotten: usize,
}

impl KeyOracle {
    /// The last event that was published with a key of this name and is not lost.
    fn last(&self, name: u8) -> Option<(usize, &Use)> {
        let mut uses = self.uses.iter().enumerate().rev();
        uses.find(|(_, before)| before.key.name == name && !before.is_lost)
    }

    fn must_remember(&self, number: usize, limits: KeyLimits) -> bool {
        self.uses[number].is_due && self.newer(number) < limits.count
    }

    fn newer(&self, number: usize) -> usize {
        let newer = self.uses[number + 1..].iter();
        newer.filter(|newer| !newer.is_lost).count()
    }

    /// Checks the receipts of a batch and notes its new events. `cut_offs` are zero where no log gives
    /// the ids: then all keys of the batch are decided before the first event is remembered.
    pub(super) fn take(
        &mut self,
        keys: &[Option<EventKey>],
        receipts: &[Receipt],
        limits: KeyLimits,
        cut_offs: &[EventId],
    ) {
        let before = self.clone();
        for ((key, receipt), cut_off) in keys.iter().zip(receipts).zip(cut_offs) {
            let Some(key) = *key else {
                assert!(!receipt.is_repeat, "an event without a key is a repeat");
                continue;
            };
            let last = self.last(key.name).map(|(number, last)| (number, *last));
            if receipt.is_repeat {
                let (number, last) = last.expect("nothing was published with this key");
                assert_eq!((last.key, last.id), (key, receipt.id), "another's receipt");
                let is_old = last.is_gone || last.id < *cut_off;
                assert!(!is_old, "it is too old: {last:?}");
                let is_given = *cut_off > EventId::ZERO;
                let is_pushed_out = is_given && self.newer(number) >= limits.count;
                assert!(!is_pushed_out, "newer keys need its place: {last:?}");
                self.repeats += 1;
                continue;
            }
            if let Some((number, last)) = last.filter(|(_, last)| last.id >= *cut_off) {
                let must = if *cut_off > EventId::ZERO {
                    self.must_remember(number, limits)
                } else {
                    let is_of_batch = number >= before.uses.len();
                    is_of_batch || before.must_remember(number, limits)
                };
                assert!(!must, "published twice: {last:?} {:?}", self.uses);
                self.forgotten += 1;
            }
            self.uses.push(Use {
                key,
                id: receipt.id,
                is_lost: false,
                is_due: true,
                is_gone: false,
            });
        }
    }

    /// Checks that the event with this number was refused with reason.
    pub(super) fn take_refusal(
        &mut self,
        keys: &[Option<EventKey>],
        number: usize,
        given: &[EventId],
        cut_off: EventId,
    ) {
        let key = keys[number].expect("an event without a key");
        let is_late = |at: &usize| given.get(*at).is_none_or(|id| *id >= cut_off);
        let among_them = (0..number)
            .filter(is_late)
            .filter_map(|at| keys[at].as_ref());
        let is_other = |other: &EventKey| other.name == key.name && other.content != key.content;
        let is_young = |last: &Use| !last.is_gone && last.id >= cut_off;
        let last = self.last(key.name).filter(|(_, last)| is_young(last));
        let is_reused = last.is_some_and(|(_, last)| is_other(&last.key));
        assert!(
            is_reused || among_them.clone().any(is_other),
            "no other event has this key: {key:?} {last:?}"
        );
        self.reused += 1;
    }

    /// Keys of events below this id are forgotten.
    pub(super) fn expire(&mut self, cut_off: EventId) {
        for old in self.uses.iter_mut().filter(|old| old.id < cut_off) {
            old.is_due = false;
            old.is_gone = true;
        }
    }

    /// The log has lost the events above this id, and their keys with them. What newer keys had
    /// pushed out before does not come back.
    pub(super) fn lose_above(&mut self, id: EventId, limits: KeyLimits) {
        for number in 0..self.uses.len() {
            self.uses[number].is_due = self.must_remember(number, limits);
        }
        for lost in self.uses.iter_mut().filter(|one| one.id > id) {
            lost.is_lost = true;
        }
    }

    /// What a history that was just saved has for certain of the keys up to `through`.
    pub(super) fn saved(&self, through: EventId, limits: KeyLimits) -> Self {
        let mut saved = self.clone();
        saved.uses.retain(|old| old.id <= through);
        for number in 0..saved.uses.len() {
            // Events after `through` have pushed keys out, too.
            saved.uses[number].is_due = self.must_remember(number, limits);
            // It may have been saved before it was forgotten.
            saved.uses[number].is_gone = false;
        }
        saved
    }

    /// Goes on with a history. What is not in it is lost.
    pub(super) fn crash(&mut self, saved: &Self) {
        let lost = self.uses.split_off(saved.uses.len());
        for (now, saved) in self.uses.iter_mut().zip(&saved.uses) {
            let is_lost = now.is_lost || saved.is_lost;
            *now = Use { is_lost, ..*saved };
        }
        let lost = lost.into_iter().map(|old| Use {
            is_lost: true,
            ..old
        });
        self.uses.extend(lost);
    }
}
