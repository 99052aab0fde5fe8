//! The metrics of the log that orders the events of several nodes.

use std::fmt;

use super::{Labels, label};
use super::{Node, Page, Readings};

impl<R: Readings> Node<R> {
    /// What the log has brought; all 0 without one.
    pub(super) fn log(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let node = self.0.node();
        page.counters(
            "log_events",
            "Events that the log has brought, those of all its nodes.",
            None,
            [(Labels::new(), node.log_events.get())],
        )?;
        let passed_over = [
            ("unreadable", &node.log_unreadable),
            ("too_large", &node.log_too_large),
        ];
        page.counters(
            "log_passed_over",
            "Entries of the log that could not be events and were passed over, by reason.",
            None,
            passed_over.map(|(reason, count)| (vec![label("reason", reason)], count.get())),
        )
    }
}
