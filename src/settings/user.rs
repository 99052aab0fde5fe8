//! A named user of the ingest port.

use crate::core::glob::Glob;
use crate::secret::Secret;

/// Longest user name, in bytes.
pub(super) const USER_NAME_BYTES_MAX: usize = 256;
/// Name of the user of an `AUTH` without a name; its password is `ingest_password`.
pub(super) const DEFAULT_USER: &str = "default";

/// A named user of the ingest port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestUser {
    /// Name given to `AUTH`.
    pub name: String,
    /// Password given to `AUTH`.
    pub password: Secret,
    /// Topics it may publish to, as Redis globs (`*`, `?`, `[...]`); empty means none.
    pub publish: Vec<Glob>,
}

impl IngestUser {
    /// Whether it may publish to `topic`.
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        self.publish
            .iter()
            .any(|glob| glob.matches(topic.as_bytes()))
    }
}
