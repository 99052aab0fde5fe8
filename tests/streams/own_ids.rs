//! Publishers' own ids as cursors: the same by every way in.

use serde_json::json;

use crate::node::Node;
use crate::publisher::Draft;
use crate::support::http::Connection;

const WAYS: [&str; 5] = ["xadd", "object", "array", "ndjson", "raw"];

/// Publishes to `t`.
fn publish(node: &Node, way: &str, data: &str, id: Option<&str>) {
    if way == "xadd" {
        let mut publisher = node.publisher();
        publisher.send(&Draft {
            topics: &["t"],
            data,
            id,
            ..Draft::default()
        });
        publisher.id();
        return;
    }
    let mut event = json!({ "topic": "t", "data": data });
    if let Some(id) = id {
        event["id"] = id.into();
    }
    let query = id.map(|id| format!("?id={id}")).unwrap_or_default();
    let raw = format!("/publish/t{query}");
    let (target, kind, body) = match way {
        "object" => ("/publish", "application/json", event.to_string()),
        "array" => ("/publish", "application/json", json!([event]).to_string()),
        "ndjson" => ("/publish", "application/x-ndjson", format!("{event}\n")),
        _ => (raw.as_str(), "text/plain", data.to_owned()),
    };
    let length = body.len();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut connection = Connection::open(node.at.http);
    connection.send(request.as_bytes());
    let answer = connection.response("POST");
    assert_eq!(answer.status, 200, "{way}: {answer:?}");
}

/// The second event with an id was used as the cursor: the events between the two were lost without
/// a gap.
#[test]
fn an_own_id_that_was_used_twice_means_the_earliest_that_is_kept() {
    let targets = ["/events/t", "/events?topic=*", "/events?topic=t&topic=u"];
    for (first, second) in std::iter::zip(WAYS, WAYS.into_iter().cycle().skip(1)) {
        let node = Node::with(|settings| settings.history_events = 4);
        publish(&node, first, "1", Some("x"));
        publish(&node, first, "2", None);
        publish(&node, second, "3", Some("x"));
        publish(&node, second, "4", None);
        for target in targets {
            let mut stream = node.resume(target, "x");
            assert_eq!(stream.head.field("last-event-id"), Some("x"));
            assert_eq!(stream.take_data(3), ["2", "3", "4"], "{first} {target}");
        }
        // The first is evicted: the second is the earliest that is kept.
        for data in ["5", "6"] {
            publish(&node, "xadd", data, None);
        }
        for target in targets {
            let mut stream = node.resume(target, "x");
            let events = stream.take(3);
            let data = events.iter().map(|event| event.data.as_str());
            assert!(data.eq(["4", "5", "6"]), "{second} {target}: {events:?}");
        }
    }
}
