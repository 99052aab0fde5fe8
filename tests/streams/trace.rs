use crate::publisher::{Draft, Publisher};
use crate::support::http::{Response, request};
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::support::wait_for;

/// Bytes of data that the log line shows.
const SHOWN_BYTES: usize = 200;

/// The log line of the event with this id.
fn line(node: &Node, id: &str) -> String {
    wait_for("the event is logged", || {
        let log = node.logged();
        let line = log.lines().find(|line| line.contains(id))?;
        Some(line.to_owned())
    })
}

#[test]
fn a_traced_event_is_logged_with_its_way_and_cut_data() {
    let flags = [
        "--trace-topic",
        "traced",
        "--trace-topic",
        "other",
        "--log-format",
        "json",
    ];
    let node = Node::start_with(&flags);
    let _streams = [
        "/events/traced",
        "/events?topic=traced&topic=b",
        "/events/b",
    ]
    .map(|target| SseStream::open(node.http, target));
    let mut publisher = Publisher::open(node.ingest);
    // 200 falls within a character.
    let data = format!("a{}", "é".repeat(150));
    let silent = publisher.publish("b", "not traced");
    let id = publisher.publish("traced", &data);
    let unheard = publisher.publish("other", "short");
    publisher.send(&Draft {
        topics: &["b", "traced"],
        data: "two topics",
        ..Draft::default()
    });
    let both = publisher.id();

    let logged =
        |id: &str| -> serde_json::Value { serde_json::from_str(&line(&node, id)).expect("JSON") };
    let fields = logged(&id);
    let expected = serde_json::json!({
        "timestamp": fields["timestamp"],
        "level": "INFO",
        "target": "fantail::traced",
        "message": "event delivered",
        "id": id,
        "topic": "traced",
        "bytes": fields["bytes"],
        "streams": 2,
        "behind": 0,
        "took_us": fields["took_us"],
        "data": data[..SHOWN_BYTES - 1],
    });
    assert_eq!(fields, expected);
    assert!(fields["bytes"].as_u64().expect("a size") > data.len() as u64);
    assert!(fields["took_us"].is_u64());
    assert_eq!(logged(&unheard)["streams"], 0);
    let fields = logged(&both);
    assert_eq!(
        (&fields["streams"], &fields["data"]),
        (&3.into(), &"two topics".into())
    );
    assert!(!node.logged().contains(&silent));
}

#[test]
fn the_text_log_shows_a_traced_event_in_one_line() {
    let node = Node::start_with(&["--trace-topic", "traced"]);
    let mut publisher = Publisher::open(node.ingest);
    let id = publisher.publish("traced", "one\ntwo \u{1b}[31m");
    let line = line(&node, &id);
    for part in [
        "event delivered",
        "topic=\"traced\"",
        "streams=0",
        "behind=0",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(
        line.contains(r#"data="one\ntwo "#),
        "a line break cannot forge a line: {line}"
    );
    assert!(
        !line.contains("\u{1b}[31m"),
        "nor can the data paint the terminal: {line}"
    );
}

/// A call to `/trace`.
fn trace(node: &Node, method: &str, query: &str) -> Response {
    request(node.admin, method, &format!("/trace{query}"), &[], b"")
}

#[test]
fn a_trace_took_no_pattern_and_needed_a_restart() {
    let flags = [
        "--trace-topic",
        "start/*",
        "--log-level",
        "error,fantail::node=info",
        "--trace-topics-max",
        "3",
    ];
    let node = Node::start_with(&flags);
    let mut publisher = Publisher::open(node.ingest);
    let began = publisher.publish("start/1", "x");
    let before = publisher.publish("orders/1/new", "x");
    let listed = trace(
        &node,
        "PUT",
        "?topic=orders/**&topic=start/*&topic=%7Ba%7D.log",
    );
    assert_eq!(listed.status, 200);
    let all = serde_json::json!(["start/*", "orders/**", "{a}.log"]);
    assert_eq!(listed.json(), all);
    let during = publisher.publish("orders/1/new", "x");
    let by_template = publisher.publish("web.log", "x");
    for id in [&began, &during, &by_template] {
        assert!(line(&node, id).contains("event delivered"));
    }

    // Bounded, and all or nothing.
    let many = trace(&node, "PUT", "?topic=a");
    assert_eq!(many.status, 409);
    assert!(many.body.contains("trace_topics_max"), "{many:?}");
    assert_eq!(trace(&node, "GET", "").json(), all);

    let rest = trace(&node, "DELETE", "?topic=orders/**&topic=never");
    assert_eq!(rest.json(), serde_json::json!(["start/*", "{a}.log"]));
    let after = publisher.publish("orders/1/new", "x");
    assert_eq!(trace(&node, "DELETE", "").json(), serde_json::json!([]));
    let ended = publisher.publish("start/1", "x");
    assert_eq!(trace(&node, "PUT", "?topic=last").status, 200);
    let last = publisher.publish("last", "x");
    line(&node, &last);
    for id in [before, after, ended] {
        assert!(!node.logged().contains(&id), "{id} was not traced");
    }
}
