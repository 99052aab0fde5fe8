//! The text of a value, in the shape that its source gives it.
//!
//! Holds secrets in the clear, so nothing here implements `Debug` or `Display`.

use crate::secret::Secret;

/// The text of a value.
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
    /// The shape of a plain text: split at the separator of a list, and trimmed.
    pub(super) fn from_text(separator: Option<char>, text: &str) -> Self {
        match separator {
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
