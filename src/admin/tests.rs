//! The page of `/metrics`: every figure is on it, and it is well formed.

use std::sync::Arc;

use super::exposition::Exposition;
use super::negotiate::Format;
use super::node_metrics::Readings;
use crate::core::budget::{Budget, Part};
use crate::core::history::HistorySize;
use crate::hub::KeyFigures;
use crate::hub::log::LogState;
use crate::hub::presence::Figures;
use crate::metrics::{CloseReason, GapReason, NodeMetrics, ShardMetrics, Source};

struct Fixed {
    shards: Vec<Arc<ShardMetrics>>,
    node: NodeMetrics,
    budget: Arc<Budget>,
}

impl Readings for Fixed {
    fn log_state(&self) -> Option<LogState> {
        Some(LogState::Refilling { behind: 31 })
    }

    fn shards(&self) -> &[Arc<ShardMetrics>] {
        &self.shards
    }

    fn node(&self) -> &NodeMetrics {
        &self.node
    }

    fn history(&self) -> HistorySize {
        HistorySize {
            topics: 3,
            patterns: 18,
            events: 40,
            bytes: 5_000,
        }
    }

    fn mailboxes(&self) -> Vec<usize> {
        vec![0, 17]
    }

    fn draining(&self) -> bool {
        true
    }

    fn presence(&self) -> Figures {
        Figures {
            waiting: 21,
            untold: 22,
            unlisted: 23,
        }
    }

    fn budget(&self) -> &Budget {
        &self.budget
    }

    fn history_budget_bytes(&self) -> usize {
        24
    }

    fn keys(&self) -> KeyFigures {
        KeyFigures {
            count: 25,
            ..KeyFigures::default()
        }
    }
}

/// The page of a node with two shards; the second has a value in every counter.
fn page(format: Format) -> String {
    let fixed = Fixed {
        shards: vec![Arc::default(), Arc::default()],
        node: NodeMetrics::default(),
        budget: Budget::new(800),
    };
    fixed.budget.take_anyway(Part::Commands, 25);
    fixed.budget.note_refusal(Part::Answers);
    let (shard, node) = (&fixed.shards[1], &fixed.node);
    shard.streams_socket.set(100);
    shard.streams_body.set(2);
    shard.opened.set(150);
    shard.closed[CloseReason::WriteTimeout as usize].set(48);
    shard.deliveries.set(12_345);
    shard.bytes.set(1_000_000);
    shard.writes.set(9_000);
    shard.batches.set(77);
    shard.replayed.set(45);
    shard.gaps[GapReason::Evicted as usize].set(6);
    shard.heartbeats.set(7);
    shard.behind.set(8);
    shard.lag_ms_max.set(1_500);
    shard.turn.record(3, 4);
    shard.publish_to_write.record(1_000_000, 2);
    fixed.shards[0].publish_to_write.record(500_000_000, 1);
    node.events_in[Source::Ingest as usize].add(9);
    node.events_in[Source::Presence as usize].add(20);
    node.http.connections.add(10);
    node.http.accepted.add(11);
    node.http.refused.add(5);
    node.ingest_refused.add(7);
    node.http.accept_errors.add(4);
    node.admin.accept_errors.add(4);
    node.ingest_accept_errors.add(5);
    node.streams_shed.add(14);
    node.tokens_refused.add(19);
    node.ingest_connections.add(15);
    node.ingest_commands.add(16);
    node.ingest_foreign[0].add(21);
    node.ingest_ended[1].add(22);
    node.publish_waits.add(17);
    node.key_repeats.add(26);
    node.keys_reused.add(27);
    node.keys_dropped.add(28);
    node.log_events.add(29);
    node.log_unreadable.add(30);
    node.log_too_large.add(31);
    let log = &node.log;
    let counters = [
        &log.published,
        &log.not_published,
        &log.unknown,
        &log.reconnects,
        &log.passed_over,
        &log.forks,
        &log.trimmed,
        &log.reaped,
    ];
    for (value, counter) in (41..).zip(counters) {
        counter.add(value);
    }
    let (page, media_type) = Exposition::new(fixed).text(format).expect("a page");
    let version = match format {
        Format::Classic => "text/plain; version=0.0.4",
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0",
    };
    assert!(media_type.starts_with(version));
    page
}

#[test]
fn every_figure_is_on_the_page() {
    every_figure_is_on(&page(Format::OpenMetrics));
    every_figure_is_on(&page(Format::Classic));
}

fn every_figure_is_on(page: &str) {
    let lines = [
        r#"fantail_streams{kind="socket",shard="0"} 0.0"#,
        r#"fantail_streams{kind="socket",shard="1"} 100.0"#,
        r#"fantail_streams{kind="body",shard="1"} 2.0"#,
        r#"fantail_streams_opened_total{shard="1"} 150"#,
        r#"fantail_streams_closed_total{reason="write_timeout",shard="1"} 48"#,
        r#"fantail_streams_closed_total{reason="client",shard="1"} 0"#,
        r#"fantail_streams_behind{shard="1"} 8.0"#,
        r#"fantail_stream_lag_max_seconds{shard="1"} 1.5"#,
        r#"fantail_gaps_total{reason="evicted",shard="1"} 6"#,
        r#"fantail_deliveries_total{shard="1"} 12345"#,
        r#"fantail_replayed_events_total{shard="1"} 45"#,
        r#"fantail_delivered_bytes_total{shard="1"} 1000000"#,
        r#"fantail_writes_total{shard="1"} 9000"#,
        r#"fantail_batches_total{shard="1"} 77"#,
        r#"fantail_heartbeats_total{shard="1"} 7"#,
        r#"fantail_shard_turn_seconds_count{shard="0"} 0"#,
        r#"fantail_shard_turn_seconds_bucket{le="0.000002",shard="1"} 0"#,
        r#"fantail_shard_turn_seconds_bucket{le="0.000004",shard="1"} 4"#,
        r#"fantail_shard_turn_seconds_bucket{le="+Inf",shard="1"} 4"#,
        r#"fantail_shard_turn_seconds_sum{shard="1"} 0.000012"#,
        r#"fantail_publish_to_write_seconds_bucket{le="1.048576"} 2"#,
        r#"fantail_publish_to_write_seconds_bucket{le="16.777216"} 2"#,
        r#"fantail_publish_to_write_seconds_bucket{le="+Inf"} 3"#,
        r#"fantail_publish_to_write_seconds_sum 502.0"#,
        r#"fantail_events_in_total{source="http"} 0"#,
        r#"fantail_events_in_total{source="ingest"} 9"#,
        r#"fantail_events_in_total{source="presence"} 20"#,
        "fantail_publish_waits_total 17",
        "fantail_idempotency_keys 25.0",
        "fantail_idempotency_oldest_key_seconds 0.0",
        "fantail_idempotency_repeats_total 26",
        "fantail_idempotency_reused_total 27",
        "fantail_idempotency_dropped_total 28",
        "fantail_log_events_total 29",
        r#"fantail_log_passed_over_total{reason="unreadable"} 30"#,
        r#"fantail_log_passed_over_total{reason="too_large"} 31"#,
        r#"fantail_log_appends_total{outcome="published"} 41"#,
        r#"fantail_log_appends_total{outcome="not_published"} 42"#,
        r#"fantail_log_appends_total{outcome="unknown"} 43"#,
        "fantail_log_reconnects_total 44",
        r#"fantail_log_passed_over_total{reason="id"} 45"#,
        "fantail_log_forks_total 46",
        "fantail_log_trims_unread_total 47",
        "fantail_log_subscriptions_ended_total 48",
        r#"fantail_mailbox_messages{shard="1"} 17.0"#,
        "fantail_http_connections 10.0",
        "fantail_ingest_connections 15.0",
        "fantail_http_connections_accepted_total 11",
        "fantail_connections_refused_total 12",
        "fantail_accept_errors_total 13",
        "fantail_streams_shed_total 14",
        "fantail_tokens_refused_total 19",
        "fantail_ingest_commands_total 16",
        r#"fantail_ingest_foreign_total{protocol="http"} 21"#,
        r#"fantail_ingest_ended_total{reason="displaced"} 22"#,
        "fantail_topics 3.0",
        "fantail_patterns 18.0",
        "fantail_history_events 40.0",
        "fantail_history_bytes 5000.0",
        "fantail_draining 1.0",
        r#"fantail_memory_bytes{part="history"} 5000.0"#,
        r#"fantail_memory_bytes{part="ingest"} 25.0"#,
        r#"fantail_memory_bytes{part="stream_bodies"} 0.0"#,
        "fantail_memory_budget_bytes 824.0",
        r#"fantail_memory_refused_total{part="answers"} 1"#,
        "fantail_subscription_changes_waiting 21.0",
        "fantail_subscriptions_untold_total 22",
        "fantail_subscriptions_unlisted_total 23",
    ];
    for line in lines {
        assert!(page.lines().any(|l| l == line), "{line}\nis not in\n{page}");
    }
    for name in ["resident_memory_bytes", "cpu_seconds_total", "max_fds"] {
        let start = format!("process_{name} ");
        assert!(page.lines().any(|l| l.starts_with(&start)), "{name}");
    }
}

/// OpenMetrics 1.0: samples follow the HELP, TYPE and UNIT of their family, the unit ends the name,
/// the page ends in EOF.
#[test]
fn the_page_is_well_formed() {
    let page = page(Format::OpenMetrics);
    let mut seen = std::collections::HashSet::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            match words[..] {
                ["HELP", name, help] => {
                    assert!(seen.insert(name.to_owned()), "{name} comes twice");
                    assert!(help.ends_with('.'), "{line}");
                    name.clone_into(&mut family);
                }
                ["TYPE", name, "counter" | "gauge" | "histogram" | "info"] => {
                    assert_eq!(name, family);
                }
                ["UNIT", name, unit] => {
                    assert!(
                        name == family && name.ends_with(&format!("_{unit}")),
                        "{line}"
                    );
                }
                ["EOF"] => assert!(page.ends_with("# EOF\n")),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect(line);
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        assert!(labels.ends_with('}'), "{line}");
        let suffix = name.strip_prefix(&family).expect(line);
        assert!(
            ["", "_total", "_sum", "_count", "_bucket", "_info"].contains(&suffix),
            "{line}"
        );
    }
}

/// The classic format: a family has its `HELP` and `TYPE` right before its samples, whose names are
/// the family's (but for a histogram's), and nothing of OpenMetrics is left.
#[test]
fn the_classic_page_has_nothing_of_openmetrics() {
    let page = page(Format::Classic);
    let mut seen = std::collections::HashSet::new();
    let (mut family, mut kind) = ("", "");
    for line in page.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                assert!(seen.insert(name) && help.ends_with('.'), "{line}");
                family = name;
            }
            [
                "#",
                "TYPE",
                name,
                found @ ("counter" | "gauge" | "histogram"),
            ] => {
                assert_eq!(name, family);
                assert_eq!(name.ends_with("_total"), found == "counter", "{line}");
                kind = found;
            }
            _ => {
                assert!(!line.starts_with('#'), "{line}");
                let name = line.split(['{', ' ']).next().expect(line);
                let suffix = name.strip_prefix(family).expect(line);
                let suffixes: &[&str] = match kind {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(suffixes.contains(&suffix), "{line}");
            }
        }
    }
    assert!(seen.contains("fantail_build_info") && seen.len() > 30);
}
