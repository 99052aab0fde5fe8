//! Streams on their way out.

use crate::core::history::{Released, Work};

use super::Desk;

impl Desk {
    /// Takes back what closed streams had, as far as the work goes. Returns whether nothing is left.
    pub fn release(&mut self, released: &mut Released, work: &mut Work) -> bool {
        self.store.release(released, work)
    }
}
