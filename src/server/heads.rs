//! The memory of unfinished request heads, and of header blocks of HTTP/2.
//!
//! hyper holds a head until its end has come. Most heads come in one piece, and none of them is
//! counted. The buffer of any other is charged to the node's account. A short one is refused only
//! when the whole account is spent. The buffer of a long one stays with its connection, and so does
//! its charge.

use std::sync::Arc;

use super::socket::RECEIVE_BYTES;
use crate::core::budget::{Budget, Charge, Exhausted, Part};

/// hyper's buffer for a head that comes in pieces, as long as it is short.
const FIRST_BUFFER_BYTES: usize = 2 * RECEIVE_BYTES;

/// What one connection holds of a head.
pub(crate) struct Head {
    budget: Arc<Budget>,
    is_begun: bool,
    keeps_buffer: bool,
    /// While the head is unfinished, and as long as a large buffer stays.
    charge: Option<Charge>,
}

impl Head {
    /// On HTTP/1, where the buffer of a long head stays with its connection.
    pub(crate) fn of_http1(budget: &Arc<Budget>) -> Self {
        Self {
            keeps_buffer: true,
            ..Self::of_http2(budget)
        }
    }

    /// On HTTP/2, where a header block is gathered by itself.
    pub(crate) fn of_http2(budget: &Arc<Budget>) -> Self {
        Self {
            keeps_buffer: false,
            budget: Arc::clone(budget),
            is_begun: false,
            charge: None,
        }
    }

    /// The head has `bytes` so far, and has not ended.
    ///
    /// # Errors
    /// [`Exhausted`] where the account has no room for it. Then nothing of it is charged.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.is_begun = true;
        let (budget, part) = (&self.budget, Part::Bodies);
        let charge = self.charge.get_or_insert_with(|| Charge::new(budget, part));
        // hyper's buffer doubles, and has room for one more read, or for two once one was full.
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

    /// The head has ended, or none has begun. A buffer that has grown stays as large.
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
