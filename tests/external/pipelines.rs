//! Publishers with the Redis clients that people use: transactions, pipelines and scripts as those
//! send them.

use serde_json::{Value, json};

use crate::program::run;
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::watcher::PYTHON;

/// The report of the client's program on its steps, and the data of a stream, each once.
fn publish(program: &str, arguments: &[&str], events: usize) -> (Vec<Value>, Vec<String>) {
    let node = Node::start();
    let mut stream = SseStream::open(node.http, "/events/t");
    let port = node.ingest.port().to_string();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|argument| {
            if *argument == "PORT" {
                &port
            } else {
                *argument
            }
        })
        .collect();
    let said = run(program, &arguments, b"");
    let steps = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let steps = steps.collect();
    // The mark shows that no event arrived twice.
    node.publish("t", "the end");
    (steps, stream.take_data(events + 1))
}

fn check(steps: &[Value], streams_first: &Value) {
    assert_eq!(steps[0]["step"], "multi");
    assert!(steps[0].get("error").is_none(), "{steps:?}");
    assert!(
        steps[0]["value"]
            .to_string()
            .contains(&streams_first.to_string()),
        "{steps:?}"
    );
    assert_eq!(steps[1]["step"], "bad");
    let refused = steps[1]["error"].as_str().expect("refused");
    assert!(
        refused.contains("EXECABORT")
            || refused.contains("must not be empty")
            || refused.contains("commands failed"),
        "{refused}"
    );
    assert!(
        steps[2].get("error").is_none() && steps[3].get("error").is_none(),
        "{steps:?}"
    );
}

#[test]
fn transactions_of_redis_py_are_published_once() {
    for protocol in ["2", "3"] {
        let arguments = ["tests/python/redis_pipeline.py", "PORT", protocol];
        let (steps, data) = publish(PYTHON, &arguments, 8);
        check(&steps, &json!(1));
        assert_eq!(steps[4], json!({"step": "watched", "value": 2}));
        assert_eq!(data, ["1", "2", "3", "4", "5", "6", "7", "8", "the end"]);
    }
}

#[test]
fn transactions_of_node_clients_are_published_once() {
    for package in ["ioredis", "redis"] {
        let arguments = ["tests/node/redis.mjs", package, "PORT"];
        let (steps, data) = publish("node", &arguments, 6);
        check(&steps, &json!(1));
        assert_eq!(data, ["1", "2", "3", "4", "5", "6", "the end"], "{package}");
    }
}
