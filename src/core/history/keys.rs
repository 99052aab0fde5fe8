//! The idempotency keys beside the history: they come with its files, and refer to its ids.

use crate::core::idempotency::{Keys, Remembered};

use super::{RestoreError, Store};

impl Store {
    /// The idempotency keys of the last events.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The same, to be changed.
    pub fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }

    /// Adds idempotency keys that an earlier process remembered.
    ///
    /// # Errors
    /// [`RestoreError::Ids`] if they do not fit behind those before them.
    pub(crate) fn restore_keys(&mut self, keys: Vec<Remembered>) -> Result<(), RestoreError> {
        let fit = keys.into_iter().all(|key| self.keys.restore(key));
        fit.then_some(()).ok_or(RestoreError::Ids)
    }

    /// Checks that no restored key is that of an event above the head.
    pub(crate) fn check_keys(&self) -> Result<(), RestoreError> {
        let fit = self.keys.newest().is_none_or(|newest| newest <= self.head);
        fit.then_some(()).ok_or(RestoreError::Ids)
    }
}
