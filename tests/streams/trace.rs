use crate::publisher::{Draft, Publisher};
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
