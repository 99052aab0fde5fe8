//! The metrics of the log that orders the events of several nodes.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{Labels, label};
use super::{Node, Page, Readings};
use crate::hub::log::LogState;

impl<R: Readings> Node<R> {
    /// What the log has brought, and how the node stands to it; all 0 without one.
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
            ("id", &node.log.passed_over),
        ];
        page.counters(
            "log_passed_over",
            "Entries of the log that could not be events and were passed over, by reason.",
            None,
            passed_over.map(|(reason, count)| (vec![label("reason", reason)], count.get())),
        )?;
        self.log_state(page)
    }

    fn log_state(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let (name, lag, behind) = match self.0.log_state() {
            None => ("none", 0.0, 0),
            Some(LogState::Live { lag }) => ("live", lag.as_secs_f64(), 0),
            Some(LogState::Away { since }) => ("away", since.elapsed().as_secs_f64(), 0),
            Some(LogState::Refilling { behind }) => ("refilling", 0.0, behind),
        };
        let states = ["live", "away", "refilling"];
        page.gauges(
            "log_state",
            "1 for the state of the node's connection to its log, 0 for the others, and for all without a log.",
            None,
            states.map(|state| {
                (
                    vec![label("state", state)],
                    f64::from(u8::from(state == name)),
                )
            }),
        )?;
        page.gauges(
            "log_lag",
            "Time since the node had read all of the log; 0 while it waits for the next entry.",
            Some(&Unit::Seconds),
            [(Labels::new(), lag)],
        )?;
        page.gauges(
            "log_behind",
            "Entries of the log that a start has yet to read, about.",
            None,
            [(Labels::new(), behind as f64)],
        )?;
        let log = &self.0.node().log;
        let outcomes = [
            ("published", &log.published),
            ("not_published", &log.not_published),
            ("unknown", &log.unknown),
        ];
        page.counters(
            "log_appends",
            "Batches of events that were to be written to the log, by outcome; `unknown` may or may not be in it.",
            None,
            outcomes.map(|(outcome, count)| (vec![label("outcome", outcome)], count.get())),
        )?;
        for (name, help, count) in [
            (
                "log_reconnects",
                "Connections to the log that were lost, or could not be made.",
                &log.reconnects,
            ),
            (
                "log_forks",
                "Times that the log had lost its newest entries, and every stream was told a gap.",
                &log.forks,
            ),
            (
                "log_trims_unread",
                "Times that the log was trimmed before this node had read it, and every stream was told a gap.",
                &log.trimmed,
            ),
            (
                "log_subscriptions_ended",
                "Ends of subscriptions that this node told in place of a node that is gone.",
                &log.reaped,
            ),
        ] {
            page.counters(name, help, None, [(Labels::new(), count.get())])?;
        }
        Ok(())
    }
}
