//! Raw settings, read but not checked: texts and their places.
//!
//! Holds secrets in the clear, so nothing here that carries a value implements `Debug` or
//! `Display`.

use super::error::Problem;
use super::given::Given;
use super::origin::Origin;
use super::table::Setting;

/// One value and its place.
pub(super) struct RawValue {
    pub(super) setting: &'static Setting,
    pub(super) given: Given,
    pub(super) origin: Origin,
}

/// All values, weakest source first, and the problems found while reading.
#[derive(Default)]
pub struct RawSettings {
    pub(super) values: Vec<RawValue>,
    pub(super) problems: Vec<Problem>,
}

impl RawSettings {
    /// Overlays these settings with `stronger`.
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
