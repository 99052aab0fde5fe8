use serde_json::{Value, json};

use crate::node::{Node, subscriber};
use crate::support::http::request;

fn publish(node: &Node, topic: &str) -> Value {
    let answer = request(
        node.address,
        "POST",
        &format!("/publish/{topic}"),
        &[],
        b"x",
    );
    assert_eq!(answer.status, 200);
    answer.json()["id"].clone()
}

fn names(answer: &Value) -> Vec<&str> {
    let topics = answer["topics"].as_array().expect("a list").iter();
    let mut names: Vec<_> = topics.filter_map(|topic| topic["topic"].as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_topic_tells_who_listens_and_what_is_kept() {
    let node = Node::open();
    let _one = node.subscribe_anonymously("/events/a%20b/c");
    let _two = node.subscribe_anonymously("/events?topic=a%20b/c&topic=d");
    let _pattern = node.subscribe_anonymously("/events?topic=a%20b/*");
    let first = publish(&node, "a%20b/c");
    let last = publish(&node, "a%20b/c");
    let answer = node.call("GET", "/topics/a%20b/c", &[]);
    assert_eq!(answer.head.field("content-type"), Some("application/json"));
    let expected = json!({
        "topic": "a b/c",
        "streams": 2,
        "streams_by_pattern": 1,
        "events": 2,
        "first_id": first,
        "last_id": last,
    });
    assert_eq!(answer.json(), expected);
    let nothing = json!({
        "topic": "none",
        "streams": 0,
        "streams_by_pattern": 0,
        "events": 0,
        "first_id": null,
        "last_id": null,
    });
    assert_eq!(node.call("GET", "/topics/none", &[]).json(), nothing);
    for bad in ["/topics/", "/topics/%ff"] {
        assert_eq!(node.call("GET", bad, &[]).status, 400, "{bad}");
    }
    assert_eq!(node.call("HEAD", "/topics/none", &[]).status, 200);
    let answer = node.call("POST", "/topics", &[]);
    assert_eq!(
        (answer.status, answer.head.field("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn topics_are_listed_in_pages() {
    let node = Node::open();
    assert_eq!(
        node.call("GET", "/topics", &[]).json(),
        json!({ "topics": [] })
    );
    let lines: String = (0..5_000)
        .map(|n| format!("{{\"topic\":\"t/{n}\",\"data\":\"\"}}\n"))
        .collect();
    let fields = [("Content-Type", "application/x-ndjson")];
    let answer = request(node.address, "POST", "/publish", &fields, lines.as_bytes());
    assert_eq!(answer.status, 200);
    let mut found = 0;
    let mut target = "/topics".to_owned();
    let pages = std::iter::from_fn(|| {
        let page = node.call("GET", &target, &[]).json();
        found += page["topics"].as_array().expect("a list").len();
        target = format!("/topics?after={}", page["next"].as_u64()?);
        Some(())
    });
    assert!(pages.count() >= 2);
    assert_eq!(found, 5_000);
    let page = node.call("GET", "/topics?prefix=t/499", &[]).json();
    let wanted: Vec<String> = std::iter::once(499)
        .chain(4_990..5_000)
        .map(|n| format!("t/{n}"))
        .collect();
    assert_eq!(names(&page), wanted);
    assert_eq!(node.call("GET", "/topics?after=x", &[]).status, 400);
    assert_eq!(
        node.call("GET", "/topics?after=4000000000", &[]).json(),
        json!({ "topics": [] })
    );
}

#[test]
fn a_token_shows_what_it_grants() {
    let node = Node::guarded();
    for topic in ["a/1", "a/2", "b"] {
        node.publish(&format!("topic={topic}"));
    }
    let list = |selectors: &[&str]| node.get("/topics", &subscriber(selectors)).json();
    assert_eq!(names(&list(&["*"])), ["a/1", "a/2", "b"]);
    assert_eq!(names(&list(&["a/{id}"])), ["a/1", "a/2"]);
    assert_eq!(names(&list(&["b", "c"])), ["b"]);
    assert!(names(&list(&[])).is_empty());
    assert_eq!(node.get("/topics/b", &subscriber(&["b"])).status, 200);
    let answer = node.get("/topics/b", &subscriber(&["a/{id}"]));
    assert_eq!(answer.status, 403);
    let challenge = answer.head.field("www-authenticate").unwrap_or_default();
    assert!(challenge.contains("insufficient_scope"));
}
