//! All that was read but not yet checked: texts, and where each of them stood.
//!
//! Holds secrets in the clear, so nothing here that carries a value implements `Debug` or
//! `Display`.

use super::error::Problem;
use super::given::Given;
use super::origin::Origin;
use super::table::Setting;

/// One value that was given.
pub(super) struct RawValue {
    pub(super) setting: &'static Setting,
    pub(super) given: Given,
    pub(super) origin: Origin,
}

/// Everything that was given, weakest source first, and what was already seen to be wrong with it.
#[derive(Default)]
pub struct RawSettings {
    pub(super) values: Vec<RawValue>,
    pub(super) problems: Vec<Problem>,
}

impl RawSettings {
    /// Lays `stronger` over these.
    pub(super) fn append(&mut self, stronger: Self) {
        self.values.extend(stronger.values);
        self.problems.extend(stronger.problems);
    }

    pub(super) fn push(&mut self, setting: &'static Setting, given: Given, origin: Origin) {
        self.values.push(RawValue {
            setting,
            given,
            origin,
        });
    }
}
