use serde_json::Value;

use crate::node::{HUB, Node, subscriber};
use crate::support::wait_until;

/// The data of a page's events.
fn data(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().expect("a list").iter();
    events
        .map(|event| event["data"].as_str().expect("text"))
        .collect()
}

/// A node with public and private events of one topic, and of topics of users.
fn node() -> Node {
    let node = Node::with(|settings| settings.anonymous = true);
    node.publish("topic=a&data=1");
    node.publish("topic=a&topic=user/1&data=2&private=on");
    node.publish("topic=a&topic=user/2&data=3&private=on");
    node.publish("topic=a&data=4&private=on");
    node.publish("topic=a&topic=user/1&data=5&private=on&id=urn:x:5&type=t");
    node
}

#[test]
fn a_new_stream_begins_with_the_last_events_that_it_may_hear() {
    let node = node();
    for target in [
        "/events/a?",
        "/events?topic={id}&",
        "/events?topic=a&topic=user/1&",
    ] {
        for (grant, last, expected) in [
            ("user/1", 2, &["2", "5"][..]),
            ("user/1", 3, &["1", "2", "5"]),
            ("user/{id}", 3, &["2", "3", "5"]),
            ("a", 9, &["1", "2", "3", "4", "5"]),
            ("none", 9, &["1"]),
        ] {
            let target = format!("{target}last={last}");
            let mut stream = node.subscribe(&target, &subscriber(&[grant]));
            let heard = stream.take_data(expected.len());
            assert_eq!(heard, expected, "{target} {grant}");
        }
        let mut stream = node.subscribe_anonymously(&format!("{target}last=2"));
        assert_eq!(stream.take_data(1), ["1"], "{target}");
    }
}

#[test]
fn a_new_stream_of_the_hub_begins_in_the_past_as_well() {
    let node = node();
    let target = format!("{HUB}?topic=a");
    let granted = subscriber(&["user/1"]);
    let mut last = node.subscribe(&format!("{target}&last=2"), &granted);
    assert_eq!(last.head.field("last-event-id"), None);
    assert_eq!(last.take_data(2), ["2", "5"]);
    // An event of this very millisecond is not yet of the past.
    let mut published = 0;
    wait_until("a stream begins behind the last event", || {
        let mut since = node.subscribe(&format!("{target}&since=0s"), &granted);
        node.publish("topic=a&data=live");
        published += 1;
        let first = since.take_data(1);
        assert!(first == ["live"] || first == ["5"], "{first:?}");
        first == ["live"]
    });
    assert_eq!(last.take_data(published), vec!["live"; published]);
    for wrong in ["last=none", "since=x", "last=1&since=1m"] {
        let answer = node.get(&format!("{target}&{wrong}"), &granted);
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[test]
fn the_history_is_shown_as_a_stream_would_be_sent_it() {
    let node = node();
    for (grant, expected) in [
        ("user/1", &["1", "2", "5"][..]),
        ("user/{id}", &["1", "2", "3", "5"]),
        ("a", &["1", "2", "3", "4", "5"]),
        ("none", &["1"]),
    ] {
        let answer = node.get("/topics/a/events", &subscriber(&[grant]));
        assert_eq!(data(&answer.json()), expected, "{grant}");
        // Private events of others neither fill a page nor promise another one.
        let pages = node.get("/topics/a/events?limit=1", &subscriber(&[grant]));
        let is_over = expected.len() == 1;
        assert_eq!(pages.json()["next"].is_null(), is_over, "{grant}");
    }
    let anonymous = node.call("GET", "/topics/a/events", &[]);
    assert_eq!(data(&anonymous.json()), ["1"]);
    let all = node.get("/topics/a/events", &subscriber(&["*"])).json();
    let last = &all["events"][4];
    assert_eq!(
        (&last["own_id"], &last["event"]),
        (&"urn:x:5".into(), &"t".into())
    );
    // The id that the hub made is none of the publisher's.
    assert!(all["events"][0]["own_id"].is_null(), "{all}");
    // To a client that may not hear it, an event's id is unknown.
    for (grant, reason) in [("user/1", Value::Null), ("none", "unknown".into())] {
        let answer = node.get("/topics/a/events?after=urn:x:5", &subscriber(&[grant]));
        assert_eq!(answer.json()["gap"]["reason"], reason, "{grant}");
    }
}

#[test]
fn the_history_needs_the_token_that_a_stream_needs() {
    let node = Node::guarded();
    assert_eq!(node.call("GET", "/topics/a/events", &[]).status, 401);
    assert_eq!(node.get("/topics/a/events", "x").status, 401);
    let publisher = crate::node::publisher(&["*"]);
    assert_eq!(node.get("/topics/a/events", &publisher).status, 200);
    let answer = node.get("/topics/a/events", &subscriber(&["b"]));
    assert_eq!(answer.status, 200, "public events need no grant");
    let field = answer.head.field("cache-control");
    assert_eq!(field, Some("private, no-store"));
}
