//! The page of metrics, read by the strict parsers of Prometheus's own Python client.

use crate::program::run;
use crate::support::http;
use crate::support::node::Node;
use crate::watcher::PYTHON;

#[test]
fn both_formats_are_read_by_prometheus_own_parsers_and_say_the_same() {
    let node = Node::start_with(&["--mercure-subscriptions", "--anonymous"]);
    let read = |format: &str, accept: &str| {
        let page = http::request(node.admin, "GET", "/metrics", &[("Accept", accept)], b"");
        let program = ["tests/python/metrics.py", format];
        run(PYTHON, &program, page.body.as_bytes())
    };
    let settled = |samples: &str| -> Vec<String> {
        // A shard's turns go on between two scrapes.
        let lines = samples.lines().filter(|line| !line.contains("shard_turn"));
        lines.map(str::to_owned).collect()
    };
    let classic = settled(&read("classic", "text/plain"));
    assert!(classic.len() > 50, "{classic:?}");
    let open = read("openmetrics", "application/openmetrics-text");
    assert_eq!(settled(&open), classic);
}
