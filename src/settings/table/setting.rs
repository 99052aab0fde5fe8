//! One row of the table, and a group of rows.

use super::super::kind::Kind;

/// Prefix of the environment variables of settings.
pub(in super::super) const PREFIX: &str = "FANTAIL_";

/// One setting.
pub(in super::super) struct Setting {
    /// Its key in the file; flag and variable follow from it.
    pub(in super::super) key: &'static str,
    /// Its meaning, in one sentence.
    pub(in super::super) help: &'static str,
    /// Its values and its field.
    pub(in super::super) kind: Kind,
}

impl Setting {
    /// Its flag, without the leading dashes.
    pub(in super::super) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The flag for a single value of a list: `--trace-topic` beside `--trace-topics`.
    pub(in super::super) fn one(&self) -> String {
        self.flag().trim_end_matches('s').to_owned()
    }

    /// Its environment variable.
    pub(in super::super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.to_ascii_uppercase())
    }
}

/// Settings that belong together.
pub(in super::super) struct Group {
    pub(in super::super) title: &'static str,
    pub(in super::super) settings: &'static [Setting],
}
