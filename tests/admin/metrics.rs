//! `/metrics`: in the requested format, and every metric is in the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use fantail::node;
use fantail::settings::{KeySource, Settings};
use tokio::io::AsyncWriteExt;

use crate::{Node, Response};

/// Path of the table of metrics, and the lines around it.
const OPERATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");
const BEGIN: &str = "<!-- metrics: begin (a test compares it with a scrape) -->\n";
const END: &str = "<!-- metrics: end -->\n";

/// Prometheus 2.40's own field.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// A metric, as the table or a scrape describes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metric {
    kind: String,
    /// Label names, and the values of those that have few.
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Metric {
    fn label(&mut self, name: &str, value: &str) {
        let values = self.labels.entry(name.to_owned()).or_default();
        // Any number of them.
        if !["shard", "version", "le"].contains(&name) {
            values.insert(value.to_owned());
        }
    }
}

/// The rows of the table in the documentation.
fn documented() -> BTreeMap<String, Metric> {
    let document = fs::read_to_string(OPERATIONS).expect("docs/OPERATIONS.md");
    let (_, rest) = document.split_once(BEGIN).expect("the line before it");
    let (table, _) = rest.split_once(END).expect("the line behind it");
    let mut rows = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[name, labels, kind, meaning, action] = &cells[..] else {
            panic!("five cells are needed: {line}");
        };
        assert!(!meaning.is_empty() && !action.is_empty(), "{line}");
        let (kind, unit) = kind.split_once(", ").expect(line);
        assert!(!unit.is_empty(), "{line}");
        let mut metric = Metric {
            kind: kind.to_owned(),
            ..Metric::default()
        };
        for label in labels.split("; ").filter(|label| !label.is_empty()) {
            let (name, values) = label.split_once(": ").unwrap_or((label, ""));
            let name = name.trim_matches('`');
            metric.label(name, "");
            metric.labels.insert(
                name.to_owned(),
                values
                    .split(", ")
                    .filter(|value| !value.is_empty())
                    .map(|value| value.trim_matches('`').to_owned())
                    .collect(),
            );
        }
        let name = name.trim_matches('`').to_owned();
        assert!(rows.insert(name, metric).is_none(), "twice: {line}");
    }
    rows
}

/// The families of a page in the classic format.
fn scraped(page: &str) -> BTreeMap<String, Metric> {
    let mut families: BTreeMap<String, Metric> = BTreeMap::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            name.clone_into(&mut family);
            let metric = families.entry(family.clone()).or_default();
            metric.kind = match name.ends_with("_info") {
                true => "info".to_owned(),
                false => kind.to_owned(),
            };
        } else if !line.starts_with('#') {
            let metric = families.get_mut(&family).expect(line);
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once('}'));
            for label in labels.iter().flat_map(|(labels, _)| labels.split(',')) {
                let (name, value) = label.split_once('=').expect(line);
                if name != "le" {
                    metric.label(name, value.trim_matches('"'));
                }
            }
        }
    }
    families
}

/// A node with everything that could have metrics of its own.
fn fully_configured(state_dir: &Path) -> Settings {
    Settings {
        state_dir: Some(state_dir.to_owned()),
        shards: 2,
        jwt_keys: Some(KeySource::Secret(
            "a secret of thirty-two bytes or more".into(),
        )),
        anonymous: true,
        mercure_subscriptions: true,
        ingest_password: Some("secret".into()),
        max_connections: 100,
        max_connections_per_address: 100,
        trace_topics: vec!["traced".parse().expect("a topic")],
        ..Settings::on_free_ports()
    }
}

#[tokio::test]
async fn every_metric_is_explained_and_nothing_else_is() {
    let state_dir = tempfile::tempdir().expect("a directory");
    let mut node = node::Node::start(fully_configured(state_dir.path())).await;
    let node = node.as_mut().expect("free ports");
    let page = Response::of(node.addresses().admin, "GET", "/metrics").await;
    let (mut documented, scraped) = (documented(), scraped(&page.body));
    if !scraped.contains_key("process_open_fds") {
        // An older kernel.
        documented.remove("process_open_fds");
    }
    for (name, metric) in &scraped {
        let row = documented.get(name);
        let row = row.unwrap_or_else(|| panic!("{name} has no row in docs/OPERATIONS.md"));
        assert_eq!(
            row, metric,
            "the row of {name} (left) says what a scrape does not"
        );
    }
    let gone: Vec<_> = documented
        .keys()
        .filter(|name| !scraped.contains_key(*name))
        .collect();
    assert!(gone.is_empty(), "rows without a metric: {gone:?}");
    let drained = node.drain().await;
    assert_eq!(drained.streams_cut, 0);
}

#[tokio::test]
async fn the_classic_format_was_asked_for_and_openmetrics_came() {
    let node = Node::start(Settings::on_free_ports()).await;
    let classic = "text/plain; version=0.0.4; charset=utf-8";
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for (accept, media_type) in [
        ("", classic),
        ("Accept: */*\r\n", classic),
        ("Accept: text/plain\r\n", classic),
        ("accept:text/plain;version=0.0.4;q=1,*/*;q=0.1\r\n", classic),
        ("Accept: application/json\r\n", classic),
        ("Accept: application/openmetrics-text\r\n", open),
        (
            "Accept: text/plain;q=0.2\r\nAccept: application/openmetrics-text;q=0.3\r\n",
            open,
        ),
        (&format!("Accept: {PROMETHEUS}\r\n"), open),
    ] {
        for version in ["1.1", "1.0"] {
            let request = format!(
                "GET /metrics HTTP/{version}\r\nHost: localhost\r\n{accept}Connection: close\r\n\r\n"
            );
            let page = node.raw(&request).await;
            assert_eq!(page.status, 200);
            assert_eq!(page.header("content-type"), Some(media_type), "{accept}");
            assert_eq!(page.header("vary"), Some("accept"));
            assert_eq!(
                page.body.ends_with("# EOF\n"),
                media_type == open,
                "{accept}"
            );
            assert_eq!(
                page.body.contains("# UNIT "),
                media_type == open,
                "{accept}"
            );
        }
    }
    let mut connection = node.connect().await;
    let head = b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(head).await.expect("sending");
    let head = Response::read(&mut connection).await;
    assert_eq!(head.header("content-type"), Some(classic));
    assert_eq!(head.body, "");
    node.stop().await;
}
