//! What was read but not yet checked: texts, and where each of them stood.
//!
//! Holds secrets in the clear, so nothing here that carries a value implements `Debug` or `Display`.

use std::fmt;
use std::sync::Arc;

use super::Problem;
use super::table::Setting;
use crate::secret::Secret;

/// Where a value stood. Displayed the way a compiler would: `fantail.toml:3`, `FANTAIL_LISTEN`, `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file.
    File {
        /// The file as it was named.
        path: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// In an environment variable of this name.
    Environment(String),
    /// Behind this flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The text of a value, as far as its source gives it a shape.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// One value.
    One(String),
    /// A list of values.
    Many(Vec<String>),
    /// Users, which the file writes as tables.
    Users(Vec<RawUser>),
}

/// A user as it was written.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RawUser {
    pub(super) name: String,
    pub(super) password: Secret,
    pub(super) publish: Vec<String>,
}

impl Given {
    /// The shape of a plain text: split where the setting is a list, and trimmed.
    pub(super) fn from_text(setting: &Setting, text: &str) -> Self {
        match setting.kind.separator() {
            None => Self::One(text.to_owned()),
            Some(separator) => Self::Many(
                text.split(separator)
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
        }
    }
}

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
