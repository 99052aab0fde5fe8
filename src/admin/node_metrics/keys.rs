//! The metrics of idempotency keys.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{Labels, Node, Page, Readings};
use crate::clock::unix_ms;
use crate::core::event::EventId;

impl<R: Readings> Node<R> {
    /// Idempotency keys.
    pub(super) fn idempotency(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let (node, keys) = (self.0.node(), self.0.keys());
        let oldest_ms = keys.oldest.map_or(u64::MAX, EventId::unix_ms);
        let age_ms = unix_ms().saturating_sub(oldest_ms);
        page.gauges(
            "idempotency_keys",
            "Idempotency keys that are remembered.",
            None,
            [(Labels::new(), keys.count as f64)],
        )?;
        page.gauges(
            "idempotency_oldest_key",
            "Age of the oldest idempotency key.",
            Some(&Unit::Seconds),
            [(Labels::new(), age_ms as f64 / 1e3)],
        )?;
        for (name, help, total) in [
            (
                "idempotency_repeats",
                "Events that were not published because their idempotency keys were known.",
                &node.key_repeats,
            ),
            (
                "idempotency_reused",
                "Publish attempts that were refused because an idempotency key was that of another event.",
                &node.keys_reused,
            ),
            (
                "idempotency_dropped",
                "Idempotency keys that were forgotten before `idempotency_window`, for lack of room.",
                &node.keys_dropped,
            ),
        ] {
            page.counters(name, help, None, [(Labels::new(), total.get())])?;
        }
        Ok(())
    }
}
