//! Releasing streams.

use crate::core::history::{Released, Work};

use super::Desk;

impl Desk {
    /// Takes back the references of closed streams, as far as the work goes. Returns whether none
    /// is left.
    pub fn release(&mut self, released: &mut Released, work: &mut Work) -> bool {
        self.store.release(released, work)
    }
}
