//! A secret that is never shown.

use std::fmt;

/// Longest password or secret, in bytes: far above those of people and generators, far below a
/// wrong file.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// A password, or the secret of a key. Its `Debug` shows only that it is set.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that compares it or signs with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_it() {
        let secret = Some(Secret::from("hush"));
        assert_eq!(format!("{secret:?} {secret:#?}").find("hush"), None);
    }
}
