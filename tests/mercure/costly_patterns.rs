//! Templates are compared with topics, and both come from clients: the cost is bounded, and no
//! other client waits for it.

use std::net::IpAddr;

use serde_json::json;

use crate::node::{FORM, HUB, Node, bearer, publisher, subscriber};
use crate::support::http::{Connection, Response, request};
use crate::support::sse::SseStream;
use crate::support::wait_until;

fn anonymous() -> Node {
    Node::with(|settings| settings.anonymous = true)
}

/// Different templates that match the same topics.
fn templates(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|n| format!("{{v{n}}}")).collect()
}

fn target(path: &str, topics: &[String]) -> String {
    let each: Vec<String> = topics
        .iter()
        .map(|topic| format!("topic={}", topic.replace('{', "%7B").replace('}', "%7D")))
        .collect();
    format!("{path}?{}", each.join("&"))
}

#[test]
fn a_stream_has_twenty_patterns_of_its_own_choice() {
    let node = anonymous();
    for path in [HUB, "/events"] {
        for method in ["GET", "HEAD"] {
            let mut connection = Connection::open(node.address);
            let target = target(path, &templates(0, 21));
            connection.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
            let answer = connection.response(method);
            assert_eq!(answer.status, 400, "{method} {target}: {answer:?}");
            if method == "GET" {
                assert_eq!(answer.json()["field"], "topic");
                assert!(
                    answer.body.contains("patterns_per_stream_max"),
                    "{answer:?}"
                );
            }
            // The connection lives.
            connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(connection.response("GET").status, 200);
        }
        drop(node.subscribe_anonymously(&target(path, &templates(0, 20))));
    }
    // Names are no patterns.
    let names: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
    drop(node.subscribe_anonymously(&target("/events", &names)));
}

#[test]
fn patterns_that_the_token_names_are_not_counted() {
    let node = Node::with(|settings| settings.patterns_per_address_max = 20);
    let named = templates(0, 50);
    let grants: Vec<&str> = named.iter().map(String::as_str).collect();
    let token = subscriber(&grants);
    let _stream = node.subscribe(&target(HUB, &named), &token);
    let more = [named.clone(), templates(50, 20)].concat();
    let _both = node.subscribe(&target(HUB, &more), &token);
    let too_many = [named, templates(50, 21)].concat();
    assert_eq!(node.get(&target(HUB, &too_many), &token).status, 400);
    let others = node.get(&target(HUB, &templates(90, 1)), &token);
    assert_eq!(others.status, 429, "{others:?}");
}

#[test]
fn one_client_takes_a_share_of_the_patterns_and_no_more() {
    let node = anonymous();
    let mut streams: Vec<SseStream> = (0..5)
        .map(|n| node.subscribe_anonymously(&target(HUB, &templates(20 * n, 20))))
        .collect();
    let next = target(HUB, &templates(100, 1));
    let refused = node.call("GET", &next, &[]);
    assert_eq!(refused.status, 429);
    assert!(refused.head.field("retry-after").is_some(), "{refused:?}");
    assert!(
        refused.body.contains("patterns_per_address_max"),
        "{refused:?}"
    );
    // An `EventSource` would give up for good on any other status.
    let shed = node.call("GET", &next, &[("Accept", "text/event-stream")]);
    assert_eq!(shed.status, 200);
    assert!(shed.body.starts_with("retry: "), "{shed:?}");
    assert_eq!(node.hub.node_metrics().streams_shed.get(), 2);
    // A pattern in use already is not new, and others have their own share.
    let _same = node.subscribe_anonymously(&target(HUB, &templates(0, 20)));
    let mut other = node.subscribe_from(IpAddr::from([127, 0, 0, 2]), &next);
    node.publish("topic=one&data=x");
    assert_eq!(other.take_data(1), ["x"]);
    drop(streams.pop());
    // The templates of one stream match the same topics, so each stream holds one pattern.
    wait_until("the patterns are given back", || node.hub.patterns() == 5);
    let _next = node.subscribe_anonymously(&next);
}

/// Ten streams of a thousand templates each slowed every publisher down to a three-hundredth.
#[test]
fn templates_of_the_same_topics_are_one_subscription_of_a_stream() {
    let node = Node::with(|settings| {
        settings.anonymous = true;
        settings.patterns_per_stream_max = 1_000;
        settings.patterns_per_address_max = 0;
    });
    let mut streams: Vec<SseStream> = (0..10)
        .map(|n| node.subscribe_anonymously(&target("/events", &templates(100 * n, 100))))
        .collect();
    assert_eq!(node.hub.patterns(), 10);
    let event = json!([{ "topics": ["one"], "data": "x" }, { "topics": ["{v7}"], "data": "own" }]);
    let token = publisher(&["*"]);
    let answer = post(
        &node,
        "/publish",
        "application/json",
        &token,
        &event.to_string(),
    );
    let receipts = answer.json();
    assert_eq!(receipts[0]["subscribers"], 10, "{answer:?}");
    // A selector matches its own text, even if another template makes it superfluous.
    assert_eq!(receipts[1]["subscribers"], 1, "{answer:?}");
    assert_eq!(streams[0].take_data(2), ["x", "own"]);
    assert_eq!(streams[9].take_data(1), ["x"]);
}

/// A topic that takes long to compare with [`hostile`] ones: all of them end like it, and need a
/// letter that it lacks. Only the last one does not.
fn costly_topic() -> String {
    format!("{}x", ",".repeat(900))
}

/// A token of templates that take long to compare, about 6 KB of them.
fn hostile() -> String {
    let mut texts: Vec<String> = (0..55)
        .map(|n| format!("{}q{{end{n}}}x", "{a,b}".repeat(15)))
        .collect();
    texts.push("{zz}x".to_owned());
    let grants: Vec<&str> = texts.iter().map(String::as_str).collect();
    publisher(&grants)
}

fn post(node: &Node, path: &str, kind: &str, token: &str, body: &str) -> Response {
    let fields = [("Authorization", &*bearer(token)), ("Content-Type", kind)];
    request(node.address, "POST", path, &fields, body.as_bytes())
}

#[test]
fn a_token_of_costly_templates_publishes_nothing_and_holds_nobody_up() {
    let node = Node::with(|settings| settings.publish_check_steps_max = 1_000_000);
    let topics = vec![costly_topic(); 100];
    let event = json!({ "topics": topics, "data": "x" });
    let form = format!("topic={}&data=x", topics.join("&topic="));
    let array = json!([event, event]).to_string();
    let line = event.to_string();
    let raw = format!("/publish/{}", costly_topic());
    let token = hostile();
    for (path, kind, body) in [
        ("/publish", "application/json", &line),
        ("/publish", "application/json", &array),
        ("/publish", "application/x-ndjson", &line),
        (&raw, "text/plain", &line),
        (HUB, FORM, &form),
    ] {
        let answer = post(&node, path, kind, &token, body);
        assert_eq!(answer.status, 403, "{path} {kind}: {answer:?}");
        assert_eq!(answer.json()["field"], "topic");
        assert!(
            answer.body.contains("publish_check_steps_max"),
            "{answer:?}"
        );
    }
    assert_eq!(node.hub.history_size().events, 0, "nothing was published");
    // A publisher with a good token is not affected.
    let plain = publisher(&["https://example.com/{id}"]);
    let many: Vec<String> = (0..100)
        .map(|n| format!("https://example.com/{n}"))
        .collect();
    let event = json!({ "topics": many, "data": "x" }).to_string();
    let answer = post(&node, "/publish", "application/json", &plain, &event);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn publishers_go_on_while_a_costly_token_is_checked() {
    // So much that the checks of a few calls would take minutes.
    let node = Node::with(|settings| {
        settings.publish_check_steps_max = 1_000_000_000;
        settings.token_bytes_max = 64 << 10;
    });
    let topics: Vec<String> = (0..100)
        .map(|n| format!("{}{}", ",".repeat(n), costly_topic()))
        .collect();
    let event = json!({ "topics": topics, "data": "x" });
    let batch = json!(vec![event; 20]).to_string();
    let request = format!(
        "POST /publish HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{batch}",
        bearer(&hostile()),
        batch.len()
    );
    let hostile: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(node.address);
            connection.send(request.as_bytes());
            connection
        })
        .collect();
    for _ in 0..20 {
        node.publish("topic=a&data=x");
    }
    let size = node.hub.history_size();
    assert_eq!(size.topics, 1, "the costly ones are still being checked");
    drop(hostile);
}
