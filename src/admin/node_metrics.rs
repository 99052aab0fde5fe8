//! The node's own metrics: their names, their help texts, and the source of each value.

mod keys;
mod log;
mod pubsub;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::page::{Labels, Page, label};
use crate::clock::unix_ms;
use crate::core::budget::{Budget, Part};
use crate::core::history::HistorySize;
use crate::hub::log::LogState;
use crate::hub::presence::Figures;
use crate::hub::{Hub, KeyFigures};
use crate::logging;
use crate::metrics::{
    Cell, CloseReason, Counter, Foreign, GapReason, HistogramSnapshot, IngestEnd, NodeMetrics,
    ShardMetrics, Source,
};

/// The node's values that a scrape reads.
pub(super) trait Readings: Send + Sync + 'static {
    /// Counters of each shard.
    fn shards(&self) -> &[Arc<ShardMetrics>];
    /// Node-wide counters.
    fn node(&self) -> &NodeMetrics;
    /// Size of the history.
    fn history(&self) -> HistorySize;
    /// Messages waiting for each shard.
    fn mailboxes(&self) -> Vec<usize>;
    /// Whether the node shuts down.
    fn draining(&self) -> bool;
    /// Announcements of subscriptions that are late or lost.
    fn presence(&self) -> Figures;
    /// The memory held for clients beside the history.
    fn budget(&self) -> &Budget;
    /// Bounds on the history.
    fn history_budget_bytes(&self) -> usize;
    /// The idempotency keys.
    fn keys(&self) -> KeyFigures;
    /// How the node stands to its log, if it has one.
    fn log_state(&self) -> Option<LogState>;
}

impl Readings for Hub {
    fn log_state(&self) -> Option<LogState> {
        self.log().map(|shared| shared.state())
    }

    fn shards(&self) -> &[Arc<ShardMetrics>] {
        self.shard_metrics()
    }

    fn node(&self) -> &NodeMetrics {
        self.node_metrics()
    }

    fn history(&self) -> HistorySize {
        self.history_size()
    }

    fn mailboxes(&self) -> Vec<usize> {
        self.mailbox_depths()
    }

    fn draining(&self) -> bool {
        Hub::draining(self)
    }

    fn presence(&self) -> Figures {
        Hub::presence(self).figures()
    }

    fn budget(&self) -> &Budget {
        Hub::budget(self)
    }

    fn history_budget_bytes(&self) -> usize {
        self.history_limits().budget_bytes
    }

    fn keys(&self) -> KeyFigures {
        self.key_figures()
    }
}

/// The node's own metrics.
pub(super) struct Node<R>(R);

impl<R> fmt::Debug for Node<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl<R: Readings> Collector for Node<R> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(&mut encoder);
        self.streams(&mut page)?;
        self.deliveries(&mut page)?;
        self.times(&mut page)?;
        self.events_in(&mut page)?;
        self.pubsub(&mut page)?;
        self.connections(&mut page)?;
        self.state(&mut page)
    }
}

impl<R: Readings> Node<R> {
    /// Reads these values at every scrape.
    pub(super) fn new(readings: R) -> Self {
        Self(readings)
    }

    /// One sample per shard.
    fn each<T>(&self, read: impl Fn(&ShardMetrics) -> T) -> impl Iterator<Item = (Labels, T)> {
        let shards = self.0.shards().iter().enumerate();
        shards.map(move |(number, shard)| (vec![shard_label(number)], read(shard)))
    }

    /// One sample per shard and value of the label `name`.
    fn each_by<T, const N: usize>(
        &self,
        name: &'static str,
        values: [&'static str; N],
        read: impl Fn(&ShardMetrics, usize) -> T,
    ) -> impl Iterator<Item = (Labels, T)> {
        let shards = self.0.shards().iter().enumerate();
        shards.flat_map(move |(number, shard)| {
            let samples: [_; N] = std::array::from_fn(|i| {
                let labels = vec![label(name, values[i]), shard_label(number)];
                (labels, read(shard, i))
            });
            samples
        })
    }

    fn streams(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.gauges(
            "streams",
            "Open streams, by kind: a detached socket (HTTP/1) or a response body (HTTP/2).",
            None,
            self.each_by("kind", ["socket", "body"], |shard, kind| {
                [&shard.streams_socket, &shard.streams_body][kind].get() as f64
            }),
        )?;
        page.counters(
            "streams_opened",
            "Streams opened.",
            None,
            self.each(|shard| shard.opened.get()),
        )?;
        page.counters(
            "streams_closed",
            "Streams closed, by reason.",
            None,
            self.each_by(
                "reason",
                CloseReason::ALL.map(CloseReason::as_str),
                |shard, i| shard.closed[i].get(),
            ),
        )?;
        page.counters(
            "streams_turned_away",
            "Streams whose connection the system does not watch, answered with a delay.",
            None,
            self.each(|shard| shard.turned_away.get()),
        )?;
        page.gauges(
            "streams_behind",
            "Streams that are behind: blocked by their client, or reading history.",
            None,
            self.each(|shard| shard.behind.get() as f64),
        )?;
        page.gauges(
            "stream_lag_max",
            "How far the slowest stream is behind the newest event.",
            Some(&Unit::Seconds),
            self.each(|shard| shard.lag_ms_max.get() as f64 / 1e3),
        )?;
        page.counters(
            "gaps",
            "Gaps told to streams, by reason.",
            None,
            self.each_by(
                "reason",
                GapReason::ALL.map(GapReason::as_str),
                |shard, i| shard.gaps[i].get(),
            ),
        )
    }

    fn deliveries(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        type Read = fn(&ShardMetrics) -> &Cell;
        let counters: [(&str, &str, Option<&Unit>, Read); 6] = [
            (
                "deliveries",
                "Events handed to streams, counted for each stream, replayed ones included.",
                None,
                |shard| &shard.deliveries,
            ),
            (
                "replayed_events",
                "Events read from history for a stream that resumed or was slow.",
                None,
                |shard| &shard.replayed,
            ),
            (
                "delivered",
                "Bytes accepted by the streams' sockets and bodies.",
                Some(&Unit::Bytes),
                |shard| &shard.bytes,
            ),
            (
                "writes",
                "Writes to streams; for sockets, system calls.",
                None,
                |shard| &shard.writes,
            ),
            (
                "batches",
                "Batches of events taken from the mailbox.",
                None,
                |shard| &shard.batches,
            ),
            ("heartbeats", "Heartbeats written.", None, |shard| {
                &shard.heartbeats
            }),
        ];
        for (name, help, unit, read) in counters {
            page.counters(name, help, unit, self.each(|shard| read(shard).get()))?;
        }
        Ok(())
    }

    fn times(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.histograms(
            "shard_turn",
            "Time of one turn of a shard's loop, without waiting.",
            self.each(|shard| {
                let mut turns = HistogramSnapshot::default();
                shard.turn.add_to(&mut turns);
                turns
            }),
        )?;
        let mut times = HistogramSnapshot::default();
        for shard in self.0.shards() {
            shard.publish_to_write.add_to(&mut times);
        }
        page.histograms(
            "publish_to_write",
            "Time from the ordering of a batch to the end of a shard's writes of it.",
            [(Labels::new(), times)],
        )
    }

    fn events_in(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let node = self.0.node();
        page.counters(
            "events_in",
            "Events published, by source.",
            None,
            Source::ALL.iter().enumerate().map(|(i, source)| {
                let labels = vec![label("source", source.as_str())];
                (labels, node.events_in[i].get())
            }),
        )?;
        page.counters(
            "publish_waits",
            "Times that a publisher had to wait for a full mailbox.",
            None,
            [(Labels::new(), node.publish_waits.get())],
        )?;
        self.idempotency(page)?;
        self.log(page)?;
        page.gauges(
            "mailbox_messages",
            "Messages that wait for a shard: batches of events, new streams, questions of operators.",
            None,
            self.0
                .mailboxes()
                .into_iter()
                .enumerate()
                .map(|(number, depth)| (vec![shard_label(number)], depth as f64)),
        )
    }

    fn connections(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let node = self.0.node();
        let http = &node.http;
        let gauges: [(&str, &str, u64); 2] = [
            (
                "http_connections",
                "Open HTTP connections that are not streams.",
                http.connections.get(),
            ),
            (
                "ingest_connections",
                "Open ingest connections.",
                node.ingest_connections.get(),
            ),
        ];
        for (name, help, gauge) in gauges {
            page.gauges(name, help, None, [(Labels::new(), gauge as f64)])?;
        }
        page.gauges(
            "answers_waiting",
            "Long answers that wait for their clients to read them.",
            Some(&Unit::Bytes),
            [(Labels::new(), http.answer_bytes.get() as f64)],
        )?;
        page.gauges(
            "request_bodies",
            "Request bodies that are held until they are complete and published.",
            Some(&Unit::Bytes),
            [(Labels::new(), http.body_bytes.get() as f64)],
        )?;
        let counters: [(&str, &str, u64); 10] = [
            (
                "http_connections_accepted",
                "HTTP connections accepted.",
                http.accepted.get(),
            ),
            (
                "connections_refused",
                "Connections refused by a limit.",
                node.connections_refused(),
            ),
            (
                "accept_errors",
                "Failed accept calls: out of file descriptors or memory.",
                node.accept_errors(),
            ),
            (
                "answers_shed",
                "Requests refused because too many bytes of answers wait to be read.",
                http.answers_shed.get(),
            ),
            (
                "request_bodies_shed",
                "Requests refused because too many bytes of unfinished bodies are held.",
                http.bodies_shed.get(),
            ),
            (
                "http2_floods",
                "HTTP/2 connections ended for a flood of frames.",
                http.http2_floods.get(),
            ),
            (
                "streams_shed",
                "Subscriptions turned away: full, or draining.",
                node.streams_shed.get(),
            ),
            (
                "drain_answers",
                "Subscriptions answered with a `retry:` and an end while the node drains.",
                node.drain_answers.get(),
            ),
            (
                "tokens_refused",
                "Requests refused for their token, or for lack of one.",
                node.tokens_refused.get(),
            ),
            (
                "ingest_commands",
                "Ingest commands answered.",
                node.ingest_commands.get(),
            ),
        ];
        for (name, help, counter) in counters {
            page.counters(name, help, None, [(Labels::new(), counter)])?;
        }
        let by_listener = |counters: [&Counter; 3]| {
            let listeners = ["public", "admin", "ingest"].map(|name| vec![label("listener", name)]);
            listeners.into_iter().zip(counters.map(Counter::get))
        };
        page.counters(
            "connections_carried",
            "Connections that went on where another process had been frozen.",
            None,
            by_listener([&http.carried, &node.admin.carried, &node.ingest_carried]),
        )?;
        page.counters(
            "connections_left",
            "Connections that could not be carried: a request or transaction was in hand.",
            None,
            by_listener([&http.left, &node.admin.left, &node.ingest_left]),
        )?;
        page.counters(
            "ingest_ended",
            "Ingest connections ended by the node.",
            None,
            IngestEnd::ALL.iter().enumerate().map(|(i, reason)| {
                let labels = vec![label("reason", reason.as_str())];
                (labels, node.ingest_ended[i].get())
            }),
        )?;
        page.counters(
            "ingest_foreign",
            "Ingest connections ended because they spoke another protocol.",
            None,
            Foreign::ALL.iter().enumerate().map(|(i, protocol)| {
                let labels = vec![label("protocol", protocol.as_str())];
                (labels, node.ingest_foreign[i].get())
            }),
        )?;
        page.counters(
            "log_lines_dropped",
            "Log lines that standard error did not take.",
            None,
            [(Labels::new(), logging::dropped())],
        )
    }

    fn state(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let history = self.0.history();
        let gauges: [(&str, &str, Option<&Unit>, f64); 5] = [
            (
                "topics",
                "Topics that have an event in history, a subscriber, or both.",
                None,
                history.topics as f64,
            ),
            (
                "patterns",
                "Different patterns that streams and grants hold.",
                None,
                history.patterns as f64,
            ),
            (
                "history_events",
                "Events kept in history; one with several topics counts once in each.",
                None,
                history.events as f64,
            ),
            (
                "history",
                "Memory that the history holds, overhead included.",
                Some(&Unit::Bytes),
                history.bytes as f64,
            ),
            (
                "draining",
                "1 while the node shuts down, else 0.",
                None,
                f64::from(u8::from(self.0.draining())),
            ),
        ];
        for (name, help, unit, value) in gauges {
            page.gauges(name, help, unit, [(Labels::new(), value)])?;
        }
        self.history_file(page)?;
        self.memory(page)?;
        self.presence(page)?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.0
            .encode_descriptor("build", "The running program.", None, MetricType::Info)?
            .encode_info(&version)
    }
}

impl<R: Readings> Node<R> {
    /// The memory held for clients, and its bound.
    fn memory(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let budget = self.0.budget();
        let history = [("history", self.0.history().bytes)].into_iter();
        let parts = Part::ALL.iter();
        let parts = parts.map(|part| (part.as_str(), budget.used(*part)));
        page.gauges(
            "memory",
            "Memory that is held for clients.",
            Some(&Unit::Bytes),
            history
                .chain(parts)
                .map(|(part, bytes)| (vec![label("part", part)], bytes as f64)),
        )?;
        let max = budget.max().saturating_add(self.0.history_budget_bytes());
        page.gauges(
            "memory_budget",
            "Memory that may be held for clients.",
            Some(&Unit::Bytes),
            [(Labels::new(), max as f64)],
        )?;
        page.counters(
            "memory_refused",
            "Times that a part was refused memory.",
            None,
            Part::ALL.iter().map(|part| {
                let refused = budget.refused(*part) as u64;
                (vec![label("part", part.as_str())], refused)
            }),
        )
    }

    /// The history file, if the node has a directory for it.
    fn history_file(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let file = &self.0.node().history_file;
        if !file.is_on.load(Ordering::Relaxed) {
            return Ok(());
        }
        let written_ms = file.written_unix_ms.load(Ordering::Relaxed);
        let age_ms = unix_ms().saturating_sub(written_ms);
        let took_us = file.took_us.load(Ordering::Relaxed);
        let bytes = file.bytes.load(Ordering::Relaxed);
        let gauges: [(&str, &str, &Unit, f64); 3] = [
            (
                "history_file_age",
                "Time since the last history file was written, or since the start.",
                &Unit::Seconds,
                age_ms as f64 / 1e3,
            ),
            (
                "history_file_duration",
                "Time that the last history file took.",
                &Unit::Seconds,
                took_us as f64 / 1e6,
            ),
            (
                "history_file",
                "Size of the last history file.",
                &Unit::Bytes,
                bytes as f64,
            ),
        ];
        for (name, help, unit, value) in gauges {
            page.gauges(name, help, Some(unit), [(Labels::new(), value)])?;
        }
        page.gauges(
            "history_file_events_loaded",
            "Events that were loaded from the history file at the start.",
            None,
            [(Labels::new(), file.loaded.load(Ordering::Relaxed) as f64)],
        )?;
        page.counters(
            "history_file_failures",
            "Writes to the state directory that failed.",
            None,
            [(Labels::new(), file.failures.get())],
        )
    }

    fn presence(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let presence = self.0.presence();
        page.gauges(
            "subscription_changes_waiting",
            "Starts and ends of subscriptions that wait to be told.",
            None,
            [(Labels::new(), presence.waiting as f64)],
        )?;
        page.counters(
            "subscriptions_untold",
            "Streams that ended before their start was told, so that nobody was told of them.",
            None,
            [(Labels::new(), presence.untold)],
        )?;
        page.counters(
            "subscriptions_unlisted",
            "Times that a list left a stream out because too many ends of its client wait to be told.",
            None,
            [(Labels::new(), presence.unlisted)],
        )
    }
}

fn shard_label(number: usize) -> (&'static str, Cow<'static, str>) {
    ("shard", Cow::Owned(number.to_string()))
}
