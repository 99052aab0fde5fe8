//! The memory of unfinished request heads.
//!
//! hyper holds a head until its end has come. A usual head fits into the connection's first buffer
//! and is not counted; a longer one is charged to the node's account.

use std::sync::Arc;

use super::socket::RECEIVE_BYTES;
use crate::core::budget::{Budget, Charge, Exhausted, Part};

/// What one connection holds of a head.
pub(crate) struct Head {
    budget: Arc<Budget>,
    bytes: usize,
    /// Only while the head is a long one.
    charge: Option<Charge>,
}

impl Head {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
            charge: None,
        }
    }

    /// So many bytes have come, after which the head has not ended.
    ///
    /// # Errors
    /// [`Exhausted`] where the account has no room for it. Then nothing of it is charged.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.bytes += bytes;
        if self.bytes <= RECEIVE_BYTES {
            return Ok(());
        }
        let (budget, part) = (&self.budget, Part::Bodies);
        let charge = self.charge.get_or_insert_with(|| Charge::new(budget, part));
        // hyper's buffer doubles.
        let grown = charge.set(self.bytes.next_power_of_two());
        grown.inspect_err(|_| self.charge = None)
    }

    /// The head has ended, or none has begun.
    pub(crate) fn end(&mut self) {
        if self.bytes > 0 {
            self.bytes = 0;
            self.charge = None;
        }
    }
}
