//! The memory of unfinished request heads and of HTTP/2 header blocks.
//!
//! hyper buffers a head until it is complete. Most heads arrive in one piece and are not counted.
//! For any other head, the buffer is charged to the node's account. A short head is refused only if
//! the whole account is spent. The buffer of a long head stays with its connection, and so does its
//! charge.

use std::sync::Arc;

use super::socket::RECEIVE_BYTES;
use crate::core::budget::{Budget, Charge, Exhausted, Part};

/// hyper's buffer for a short head that arrives in pieces.
const FIRST_BUFFER_BYTES: usize = 2 * RECEIVE_BYTES;

/// The charge for the unfinished head of one connection.
pub(crate) struct Head {
    budget: Arc<Budget>,
    is_begun: bool,
    keeps_buffer: bool,
    /// `Some` while the head is unfinished, and as long as a large buffer stays.
    charge: Option<Charge>,
}

impl Head {
    /// For HTTP/1, where the buffer of a long head stays with its connection.
    pub(crate) fn of_http1(budget: &Arc<Budget>) -> Self {
        Self {
            keeps_buffer: true,
            ..Self::of_http2(budget)
        }
    }

    /// For HTTP/2, where each header block has its own buffer.
    pub(crate) fn of_http2(budget: &Arc<Budget>) -> Self {
        Self {
            keeps_buffer: false,
            budget: Arc::clone(budget),
            is_begun: false,
            charge: None,
        }
    }

    /// Notes that the head has `bytes` so far and is not complete.
    ///
    /// # Errors
    /// [`Exhausted`] if the account has no room for it. Then nothing of the head is charged.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.is_begun = true;
        let (budget, part) = (&self.budget, Part::Bodies);
        let charge = self.charge.get_or_insert_with(|| Charge::new(budget, part));
        // hyper's buffer doubles. It has room for one more read, or for two once one read was full.
        let ahead = if bytes < RECEIVE_BYTES { 1 } else { 2 } * RECEIVE_BYTES;
        let allocated = (bytes + ahead).next_power_of_two();
        let allocated = allocated.max(charge.bytes());
        let grown = if bytes > RECEIVE_BYTES {
            charge.set(allocated)
        } else if budget.is_spent() {
            budget.note_refusal(part);
            Err(Exhausted)
        } else {
            charge.set_anyway(allocated);
            Ok(())
        };
        grown.inspect_err(|_| self.charge = None)
    }

    /// Notes that the head is complete, or that none has begun. A buffer that has grown keeps its
    /// size.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.is_begun) {
            let is_kept = self.keeps_buffer;
            self.charge
                .take_if(|charge| !is_kept || charge.bytes() <= FIRST_BUFFER_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(max: usize) -> (Head, Arc<Budget>) {
        let budget = Budget::new(max);
        (Head::of_http1(&budget), budget)
    }

    #[test]
    fn a_head_is_charged_as_the_buffer_that_holds_it() {
        let (mut head, budget) = head(1 << 20);
        assert!(head.set(100).is_ok());
        assert_eq!(budget.used(Part::Bodies), FIRST_BUFFER_BYTES);
        head.end();
        assert_eq!(budget.used(Part::Bodies), 0);
        assert!((1..4).all(|n| head.set(n * RECEIVE_BYTES).is_ok()));
        assert_eq!(budget.used(Part::Bodies), 64 << 10);
        head.end();
        assert!(head.set(1).is_ok());
        assert_eq!(budget.used(Part::Bodies), 64 << 10, "it stays");
        drop(head);
        assert_eq!(budget.used(Part::Bodies), 0);
    }

    #[test]
    fn a_long_head_is_refused_before_a_short_one() {
        let (mut long, budget) = head(128 << 10);
        let mut short = Head::of_http1(&budget);
        budget.take_anyway(Part::Bodies, 96 << 10);
        assert!(long.set(RECEIVE_BYTES + 1).is_err());
        assert!(short.set(1).is_ok());
        let mut last = Head::of_http1(&budget);
        assert!(last.set(1).is_ok());
        assert!(last.set(1).is_err(), "all is spent");
        assert_eq!(budget.refused(Part::Bodies), 2);
    }
}
