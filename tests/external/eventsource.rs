//! Open, named events, resume and gap, by both `EventSource`s.

use serde_json::{Value, json};

use crate::log_lines;
use crate::support::http;
use crate::support::node::Node;
use crate::support::resp;
use crate::watcher::{Client, Fired, Watcher};

#[test]
fn npm_gets_named_events() {
    named_events(Client::Npm);
}

#[test]
fn chromium_gets_named_events() {
    named_events(Client::Chromium);
}

#[test]
fn npm_comes_back_where_it_was() {
    resume(Client::Npm);
}

#[test]
fn chromium_comes_back_where_it_was() {
    resume(Client::Chromium);
}

#[test]
fn npm_is_told_a_gap() {
    gap(Client::Npm);
}

#[test]
fn chromium_is_told_a_gap() {
    gap(Client::Chromium);
}

/// Publishes one event over HTTP; the node's id for it.
fn publish(node: &Node, event: &Value) -> String {
    let body = event.to_string();
    let fields = [("Content-Type", "application/json")];
    let answer = http::request(node.http, "POST", "/publish", &fields, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn named_events(client: Client) {
    let (mut watcher, node) = Watcher::with_node(client, &[]);
    watcher.open(&node.url("/events?topic=orders&topic=users"), &["created"]);
    node.wait_for_streams(1);

    let event = json!({"topic": "orders", "event": "created", "data": {"n": 7}});
    let id = publish(&node, &event);
    let expected = fired("created", &id, r#"{"n":7}"#);
    assert_eq!(watcher.event(), expected);

    // The client sees a publisher's own id and resumes with it; every kind of line break is one
    // break.
    let event = json!({"topics": ["users", "orders"], "id": "user/9", "data": "a\r\nb\rc\n\n d"});
    publish(&node, &event);
    assert_eq!(watcher.event(), fired("message", "user/9", "a\nb\nc\n\n d"));

    let id = publish(&node, &json!({"topic": "users", "data": ""}));
    assert_eq!(watcher.event(), fired("message", &id, ""));
}

/// Streams that are cut while events flow lose none and double none.
fn resume(client: Client) {
    const CUTS: usize = 5;
    let (mut watcher, node) = Watcher::with_node(client, &["--retry", "50ms"]);
    watcher.open(&node.url("/events/log"), &[]);

    let lines = log_lines::lines();
    let mut publisher = resp::Client::open(node.ingest);
    for part in lines.chunks(lines.len().div_ceil(CUTS)) {
        let stream = &node.wait_for_streams(1)[0];
        let (before, after) = part.split_at(part.len() / 2);
        for line in before {
            publisher.publish("log", line);
        }
        // The next events are published while the client is away or on its way back.
        node.cut(stream);
        for line in after {
            publisher.publish("log", line);
        }
    }
    publisher.publish("log", "the end");

    let mut ids = std::collections::HashSet::new();
    for (number, line) in lines.iter().chain(&["the end"]).enumerate() {
        let fired = watcher.event();
        assert_eq!(fired.data, *line, "line {number}");
        assert!(ids.insert(fired.id), "line {number} has an id of its own");
    }
    assert_eq!(watcher.opened, CUTS + 1);
}

/// A cursor whose successors are gone, and one that is not the node's: both are reported, and every
/// kept event follows.
fn gap(client: Client) {
    const KEPT: usize = 10;
    let (mut watcher, node) = Watcher::with_node(client, &["--history-events", "10"]);
    let lines = &log_lines::lines()[..2 * KEPT];
    let ids: Vec<String> = lines
        .iter()
        .map(|line| publish(&node, &json!({"topic": "log", "data": line})))
        .collect();

    for (cursor, reason) in [(ids[0].as_str(), "evicted"), ("nobody-gave-it", "unknown")] {
        let url = node.url(&format!("/events/log?last_event_id={cursor}"));
        watcher.open(&url, &["gap"]);
        let told = watcher.event();
        assert_eq!(told.event, "gap", "{told:?}");
        let gap: Value = serde_json::from_str(&told.data).expect("a gap is told in JSON");
        let last_missing = ids[KEPT - 1].as_str();
        assert_eq!(
            gap,
            json!({"from": cursor, "to": last_missing, "reason": reason})
        );
        assert_eq!(told.id, last_missing, "the cursor moves past the gap");
        for (id, line) in ids.iter().zip(lines).skip(KEPT) {
            assert_eq!(watcher.event(), fired("message", id, line));
        }
    }
}

fn fired(event: &str, id: &str, data: &str) -> Fired {
    Fired {
        event: event.to_owned(),
        id: id.to_owned(),
        data: data.to_owned(),
    }
}
