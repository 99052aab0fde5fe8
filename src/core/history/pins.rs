//! Selectors of a stream on its way in: pinned in portions, so that later steps need their ids
//! alone.
//!
//! A pin keeps the id of a topic or pattern valid. A stream's token may grant a hundred thousand
//! selectors; they are looked up under several holds of the lock, and counted for the stream under
//! one.

use crate::core::selector::Selector;

use super::{Grant, Released, SelectorId, Store, Work};

/// A new pattern costs as much as this many topics.
const PATTERN_REFERENCES: usize = 4;

/// A stream's right to hear private events, as far as it was looked up.
#[derive(Clone, Copy, Debug)]
pub enum Rights<'g> {
    /// The stream may hear none.
    Anonymous,
    /// It has a grant, whose record was not looked up.
    Unknown,
    /// The record of its grant.
    Record(&'g [SelectorId]),
}

/// The record of a grant is needed to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordNeeded;

impl<'g> Rights<'g> {
    pub(super) fn granted(self) -> bool {
        !matches!(self, Self::Anonymous)
    }

    pub(super) fn record(self) -> Result<Option<&'g [SelectorId]>, RecordNeeded> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Unknown => Err(RecordNeeded),
            Self::Record(record) => Ok(Some(record)),
        }
    }
}

impl Store {
    /// Pins the selectors that are not in `pinned` yet, as far as the work goes, in their order;
    /// returns whether all are. Pins must be released.
    pub fn pin_some(
        &mut self,
        selectors: &[Selector],
        pinned: &mut Vec<SelectorId>,
        work: &mut Work,
    ) -> bool {
        for selector in selectors.iter().skip(pinned.len()) {
            let cost = if selector.is_exact() {
                1
            } else {
                PATTERN_REFERENCES
            };
            if !work.charge_references(cost) {
                return false;
            }
            pinned.push(self.pin(selector));
        }
        true
    }

    /// The record of a grant on these ids, which are sorted, unique and pinned. The pins are moved
    /// into the record, or into `released` if there is one already. `None` without ids.
    pub fn share_pinned(
        &mut self,
        pinned: &mut Vec<SelectorId>,
        released: &mut Released,
    ) -> Option<Grant> {
        debug_assert!(pinned.is_sorted_by(|id, next| id < next), "without doubles");
        if pinned.is_empty() {
            return None;
        }
        if let Some(grant) = self.grants.share(pinned) {
            released.add_pins(pinned.drain(..));
            return Some(grant);
        }
        let grant = self.grants.add(pinned);
        pinned.clear();
        Some(grant)
    }
}
