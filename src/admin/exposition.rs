//! `/metrics`: the node's metrics, in the text formats that Prometheus reads.
//!
//! Nothing is counted here. A scrape reads the shards' own cells and the hub's counters, so that
//! its cost does not depend on the number of open streams.

use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::classic;
use super::negotiate::Format;
use super::node_metrics::{Node, Readings};
use super::process::ThisProcess;

/// Media type of a scrape that asked for OpenMetrics (OpenMetrics 1.0, "Text format").
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that `/metrics` shows.
pub(super) struct Exposition(Registry);

impl Exposition {
    /// The page of a node.
    pub(super) fn new(readings: impl Readings) -> Self {
        let mut registry = Registry::default();
        registry
            .sub_registry_with_prefix("fantail")
            .register_collector(Box::new(Node::new(readings)));
        registry.register_collector(Box::new(ThisProcess));
        Self(registry)
    }

    /// Writes the page; returns it with its media type.
    pub(super) fn text(&self, format: Format) -> Result<(String, &'static str), fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(match format {
            Format::OpenMetrics => (page, MEDIA_TYPE),
            Format::Classic => (classic::from_openmetrics(&page), classic::MEDIA_TYPE),
        })
    }
}
