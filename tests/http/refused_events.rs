//! Events that no publisher may send: tried over every HTTP call, over one connection that has to
//! live on.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use fantail::core::event::{EventId, OrderMark};

use crate::node::Node;
use crate::support::http::{Connection, Response};
use crate::support::sse::SseStream;

const WAYS: [&str; 4] = ["object", "array", "ndjson", "raw"];

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// One call on a connection that stays.
fn call(connection: &mut Connection, target: &str, kind: &str, body: &str) -> Response {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes());
    connection.send(body.as_bytes());
    connection.response("POST")
}

/// Publishes an event with these members in one of the ways; to `topic` if they name none.
fn publish(connection: &mut Connection, way: &str, members: &Map<String, Value>) -> Response {
    let mut event = members.clone();
    event.insert("data".into(), "x".into());
    event.entry("topic").or_insert_with(|| "t".into());
    let event = Value::Object(event);
    match way {
        "object" => call(
            connection,
            "/publish",
            "application/json",
            &event.to_string(),
        ),
        "array" => {
            let body = json!([{ "topic": "t", "data": "good" }, event]).to_string();
            call(connection, "/publish", "application/json", &body)
        }
        "ndjson" => call(
            connection,
            "/publish",
            "application/x-ndjson",
            &format!("{event}\n"),
        ),
        _ => {
            let text = |name: &str| match &event[name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let query: Vec<String> = ["event", "id", "private"]
                .iter()
                .filter(|name| event.get(**name).is_some())
                .map(|name| format!("{name}={}", encoded(&text(name))))
                .collect();
            let target = format!("/publish/{}?{}", encoded(&text("topic")), query.join("&"));
            call(connection, &target, "text/plain", "x")
        }
    }
}

/// Every way to publish refuses each value of a member with this status and names the member;
/// nothing is published and the connection lives.
fn refused_everywhere(node: &Node, status: u16, member: &str, values: &[Value]) {
    let mut connection = node.connect();
    for value in values {
        let members = Map::from_iter([(member.to_owned(), value.clone())]);
        for way in WAYS {
            let answer = publish(&mut connection, way, &members);
            assert_eq!(answer.status, status, "{way} {value}: {answer:?}");
            assert_eq!(answer.json()["field"], member, "{way} {value}");
            if way == "array" {
                assert_eq!(answer.json()["pointer"], format!("/1/{member}"));
            }
            if way == "ndjson" {
                assert_eq!(answer.json()["line"], 1);
            }
            assert_eq!(answer.head.field("connection"), None, "{way} {value}");
        }
    }
    assert_eq!(node.hub.history_len("t"), 0);
    let good = publish(&mut connection, "object", &Map::new());
    assert_eq!(good.status, 200, "{good:?}");
}

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(*text)).collect()
}

#[test]
fn a_subscription_event_cannot_be_forged_by_a_spelling_of_its_topic() {
    let node = Node::start();
    let topics = texts(&[
        "/.well-known/mercure",
        "/.well-known/mercure/subscriptions/a/b",
        "/.well-known/mercure/subscriptions/../..",
        "/.well-known/mercure/subscriptions/%2e%2e/%2E%2e",
        "/.well-known/mercure/subscriptions/..%2f..",
        "/.well-known//mercure//subscriptions/a/b",
        "\\.well-known\\mercure\\subscriptions\\a\\b",
        "/%2Ewell-known/mercure/subscriptions/a/b",
        "/.%77ell-known%2Fmercure%2fsubscriptions/a/b",
        "https://node.example/.well-known/mercure/subscriptions/a/b",
        "https://127.0.0.1:8080/.well-known/mercure/subscriptions/a/b?x#y",
        "/.well-known/mercure./subscriptions/a/b",
        "/a/../.well-known/mercure/subscriptions/a/b",
    ]);
    refused_everywhere(&node, 403, "topic", &topics);
    // Not as one topic among others, either.
    let both = r#"{"topics":["t","/.well-known/mercure/subscriptions/../.."],"data":1}"#;
    let answer = node.post("/publish", "application/json", both);
    assert_eq!(
        (answer.status, &answer.json()["field"]),
        (403, &json!("topic"))
    );
}

#[test]
fn an_event_named_gap_is_the_nodes_own() {
    let node = Node::start();
    refused_everywhere(
        &node,
        400,
        "event",
        &texts(&["gap", "heartbeat", " gap", "gap "]),
    );
    let mut connection = node.connect();
    for name in ["Gap", "gaps"] {
        let members = Map::from_iter([("event".to_owned(), name.into())]);
        assert_eq!(publish(&mut connection, "raw", &members).status, 200);
    }
    // The node's own events arrive as usual.
    let mut stream = SseStream::resume(node.address, "/events/t", "unknown");
    assert_eq!(stream.take(1)[0].event, "gap");
}

#[test]
fn an_id_that_cannot_come_back_is_refused() {
    let node = Node::start();
    let control = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32);
    let ids: Vec<Value> = control
        .map(|c| format!("a{c}b").into())
        .chain(texts(&[
            "",
            " a",
            "a ",
            "\ta",
            "a\t",
            " ",
            "a\u{a0}",
            "\u{3000}a",
            "\u{feff}a",
        ]))
        .collect();
    refused_everywhere(&node, 400, "id", &ids);
}

#[test]
fn an_id_that_means_something_as_a_cursor_is_refused() {
    let node = Node::start();
    let words = ["earliest", "latest", "$", "-", "+", "*", ">", "0-0", "#1"];
    refused_everywhere(&node, 400, "id", &texts(&words));
}

/// A publisher could give its event the id of another one, or of a future one: as a cursor it means
/// that place.
#[test]
fn an_id_of_the_nodes_own_order_is_refused() {
    let node = Node::start();
    let head = node.hub.head();
    let ahead = EventId::new(head.get() + (60_000 << 20));
    let own = [head, ahead].map(|id| node.hub.marked(id));
    let ids = own.map(|id| [id.to_string(), id.urn()]).concat();
    // Misspelt, they are no places, and look like ids of the node all the same.
    let mark = node.hub.mark();
    let numbers = ["99999999999999-5", "18446744073709551616-0", "01-0", "0-0"];
    let misspelt = numbers.map(|numbers| format!("{numbers}.{mark}"));
    let upper = ids.iter().map(|id| id.to_uppercase());
    let ids: Vec<_> = ids.iter().cloned().chain(upper).chain(misspelt).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    refused_everywhere(&node, 400, "id", &texts(&ids));
    // Ids of other orders arrive with copied events.
    let mut connection = node.connect();
    let other = head.marked(OrderMark::new(!node.hub.mark().bits()));
    for id in [head.to_string(), other.to_string(), other.urn()] {
        let members = Map::from_iter([("id".to_owned(), id.clone().into())]);
        for way in WAYS {
            assert_eq!(publish(&mut connection, way, &members).status, 200);
        }
        node.publish("t", "next");
        let stream = SseStream::resume(node.address, "/events/t", &id);
        assert_eq!(stream.head.field("last-event-id"), Some(&*id));
    }
}

#[test]
fn a_private_event_that_nobody_could_hear_is_refused() {
    let node = Node::start();
    let mut connection = node.connect();
    refused_everywhere(&node, 400, "private", &[true.into()]);
    let members = Map::from_iter([("private".to_owned(), true.into())]);
    let answer = publish(&mut connection, "object", &members).json();
    let detail = answer["detail"].as_str().expect("a sentence");
    assert!(detail.contains("jwt_secret_file"), "{detail}");
    let members = Map::from_iter([("private".to_owned(), false.into())]);
    for way in WAYS {
        assert_eq!(publish(&mut connection, way, &members).status, 200, "{way}");
    }
}

/// The events after this id, for a client that sends it back in the header and for one that does in
/// the query.
fn resumed(node: &Node, id: &str) -> [String; 2] {
    let mut connection = node.connect();
    connection.send(b"GET /events/t HTTP/1.1\r\nHost: a\r\nLast-Event-ID: ");
    connection.send(id.as_bytes());
    connection.send(b"\r\n\r\n");
    let target = format!("/events/t?last_event_id={}", encoded(id));
    let streams = [
        SseStream::read(connection),
        SseStream::request(node.address, &target, &[]),
    ];
    streams.map(|mut stream| {
        assert_eq!(stream.head.field("last-event-id"), Some(id));
        stream.take_data(1).remove(0)
    })
}

#[test]
fn every_id_that_is_taken_is_a_cursor() {
    let node = Node::with(|settings| settings.history_events = 2);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let ids = prop_oneof![
        "\\PC{1,8}",
        "[\\x00-\\xff]{1,3}",
        "[ \t#$*+>0a-]{1,3}",
        "[\u{2028}\u{feff}\u{fffe}\u{10ffff}ä ]{1,4}",
    ];
    let outcome = runner.run(&ids, |id| {
        let event = json!({ "topic": "t", "data": "seen", "id": id }).to_string();
        let answer = node.post("/publish", "application/json", &event);
        if answer.status == 400 {
            prop_assert_eq!(&answer.json()["field"], "id");
            return Ok(());
        }
        prop_assert_eq!(answer.status, 200);
        node.publish("t", "next");
        prop_assert_eq!(resumed(&node, &id), ["next", "next"]);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
