use serde_json::json;

use crate::node::{HUB, Node, bearer, publisher, subscriber, token};
use crate::support::sse::SseStream;

fn node() -> Node {
    Node::with(|settings| settings.anonymous = true)
}

#[test]
fn topics_have_to_be_named() {
    let node = Node::with(|settings| {
        settings.anonymous = true;
        settings.event_limits.topics_per_stream_max = 2;
    });
    for (target, status) in [
        (HUB.to_owned(), 400),
        (format!("{HUB}?topics=a"), 400),
        (format!("{HUB}?topic="), 400),
        (format!("{HUB}?topic=%ff"), 400),
        (format!("{HUB}?topic=a&topic=b&topic=a"), 200),
        (format!("{HUB}?topic=a&topic=b&topic=c"), 400),
    ] {
        let answer = node.call("HEAD", &target, &[]);
        assert_eq!(answer.status, status, "{target}");
    }
    let answer = node.call("GET", HUB, &[]);
    assert_eq!(answer.json()["field"], "topic");
}

#[test]
fn a_stream_is_one_of_events() {
    let node = node();
    let target = format!("{HUB}?topic=https%3A%2F%2Fa.example%2F1&topic=b");
    let mut stream = node.subscribe_anonymously(&target);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(stream.head.field(name), Some(value));
    }
    assert_eq!(stream.head.field("last-event-id"), None);
    let first = node.publish("topic=https://a.example/1&data=one%0Atwo&type=t&retry=7");
    node.publish("topic=c&data=other");
    node.publish("topic=b&data=three&id=urn:example:3");
    let events = stream.take(2);
    assert_eq!(events[0].data, "one\ntwo");
    assert_eq!((&*events[0].event, &events[0].id), ("t", &first));
    assert_eq!(stream.retry, Some(7));
    assert_eq!(
        (&*events[1].data, &*events[1].id),
        ("three", "urn:example:3")
    );
}

#[test]
fn selectors_are_exact_templates_or_everything() {
    let node = node();
    let open = |topic: &str| {
        let topic: String = topic.bytes().map(|byte| format!("%{byte:02x}")).collect();
        node.subscribe_anonymously(&format!("{HUB}?topic={topic}"))
    };
    let mut all = open("*");
    let mut template = open("https://a.example/books/{id}");
    let mut exact = open("https://a.example/books/1");
    // Wildcards are the native API's; here they are names like any other.
    let mut name = open("a/**");
    for topic in [
        "a/b",
        "https://a.example/books/1",
        "https://a.example/books/2",
        "a/**",
    ] {
        node.publish(&format!("topic={topic}&data={topic}"));
    }
    let books = ["https://a.example/books/1", "https://a.example/books/2"];
    assert_eq!(all.take_data(4), ["a/b", books[0], books[1], "a/**"]);
    assert_eq!(template.take_data(2), books);
    assert_eq!(exact.take_data(1), [books[0]]);
    assert_eq!(name.take_data(1), ["a/**"]);
}

#[test]
fn an_update_of_several_topics_comes_once() {
    let node = node();
    let mut canonical = node.subscribe_anonymously(&format!("{HUB}?topic=a&topic=b&topic=*"));
    let mut alternate = node.subscribe_anonymously(&format!("{HUB}?topic=b"));
    node.publish("topic=a&topic=b&data=1");
    node.publish("topic=b&data=2");
    assert_eq!(canonical.take_data(2), ["1", "2"]);
    assert_eq!(alternate.take_data(2), ["1", "2"]);
}

#[test]
fn cursors_go_on_where_they_were_and_say_from_where() {
    let node = node();
    let ids: Vec<String> = (0..3)
        .map(|n| node.publish(&format!("topic=a&data={n}")))
        .collect();
    let own = node.publish("topic=a&data=3&id=urn:example:own");
    let target = format!("{HUB}?topic=a");
    for name in [
        "lastEventID",
        "last_event_id",
        "lastEventId",
        "Last-Event-ID",
    ] {
        let target = format!("{target}&{name}={}", ids[1]);
        let mut stream = SseStream::request(node.address, &target, &[]);
        assert_eq!(stream.head.field("last-event-id"), Some(&*ids[1]), "{name}");
        assert_eq!(stream.take_data(2), ["2", "3"]);
        let head = node.call("HEAD", &target, &[]);
        assert_eq!(head.head.field("last-event-id"), Some(&*ids[1]));
    }
    // The header wins.
    let both = format!("{target}&lastEventID={}", ids[0]);
    let mut stream = SseStream::resume(node.address, &both, &ids[2]);
    assert_eq!(stream.head.field("last-event-id"), Some(&*ids[2]));
    assert_eq!(stream.take_data(1), ["3"]);
    // A publisher's id is a cursor, too.
    let stream = SseStream::resume(node.address, &target, &own);
    assert_eq!(stream.head.field("last-event-id"), Some(&*own));
}

#[test]
fn earliest_is_what_nothing_comes_before() {
    let node = node();
    let target = format!("{HUB}?topic=a");
    let told = |cursor: &str| {
        let stream = SseStream::resume(node.address, &target, cursor);
        stream.head.field("last-event-id").map(str::to_owned)
    };
    // Nothing was published yet.
    assert_eq!(told("earliest").as_deref(), Some("earliest"));
    node.publish("topic=a&data=1");
    assert_eq!(told("earliest").as_deref(), Some("earliest"));
    assert_eq!(
        told("urn:uuid:00000000-0000-0000-0000-000000000000").as_deref(),
        Some("earliest")
    );
    let mut stream = SseStream::resume(node.address, &target, "earliest");
    assert_eq!(stream.take_data(1), ["1"]);
}

#[test]
fn an_event_that_is_gone_is_told_by_its_urn() {
    let node = Node::with(|settings| {
        settings.anonymous = true;
        settings.history_events = 2;
    });
    let ids: Vec<String> = (0..4)
        .map(|n| node.publish(&format!("topic=a&data={n}")))
        .collect();
    let target = format!("{HUB}?topic=a");
    let stream = SseStream::resume(node.address, &target, &ids[0]);
    // 0 was seen, 1 is gone, 2 is the first that arrives.
    assert_eq!(stream.head.field("last-event-id"), Some(&*ids[1]));
}

#[test]
fn the_hub_takes_its_methods_and_no_others() {
    let node = node();
    let answer = node.call("DELETE", HUB, &[]);
    assert_eq!(answer.status, 405);
    assert_eq!(answer.head.field("allow"), Some("GET, HEAD, POST, OPTIONS"));
    assert_eq!(node.call("GET", "/.well-known/mercure/", &[]).status, 404);
}

#[test]
fn native_and_hub_streams_hear_the_same_events() {
    let node = Node::guarded();
    let token = subscriber(&[]);
    let mut native = node.subscribe("/events/a", &token);
    let mut hub = node.subscribe(&format!("{HUB}?topic=a"), &token);
    let id = node.publish("topic=a&data=form");
    let fields = [("Authorization", &*bearer(&publisher(&["a"])))];
    let answer = crate::support::http::request(node.address, "POST", "/publish/a", &fields, b"raw");
    let native_id = answer.json()["id"].as_str().expect("an id").to_owned();
    for stream in [&mut native, &mut hub] {
        let events = stream.take(2);
        assert_eq!((&events[0].id, &*events[0].data), (&id, "form"));
        assert_eq!((&events[1].id, &*events[1].data), (&native_id, "raw"));
    }
}

#[test]
fn a_request_of_mercure_1_is_told_which_version_is_spoken() {
    let node = Node::with(|settings| settings.anonymous = true);
    for query in [
        "match=a",
        "matchURLPattern=https://a.example/:id",
        "MATCHregexp=a.*",
        "topic=a&match=b",
        "topic=a&matchExact=b",
        "topic=a&authorization_details=%5B%5D",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = node.call(method, &format!("{HUB}?{query}"), &[]);
            assert_eq!(answer.status, 400, "{query}");
            if method == "GET" {
                assert!(answer.body.contains("Mercure 0.x"), "{query}: {answer:?}");
                assert!(answer.body.contains("topic="), "{query}: {answer:?}");
            }
        }
    }
    let answer = node.post(&publisher(&["*"]), "topic=a&match=b");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("Mercure 0.x"), "{answer:?}");
    // Parameters of no version are ignored, as on other hubs.
    let answer = node.call("HEAD", &format!("{HUB}?topic=a&utm_source=x"), &[]);
    assert_eq!(answer.status, 200);
}

#[test]
fn a_token_of_mercure_1_is_told_which_version_is_spoken() {
    let node = Node::with(|settings| settings.anonymous = true);
    let details =
        json!([{ "type": "https://mercure.rocks/", "actions": ["subscribe"], "topics": ["a"] }]);
    let of_1 = token(&json!({ "authorization_details": details }));
    for answer in [
        node.get(&format!("{HUB}?topic=a"), &of_1),
        node.get("/events?topic=a", &of_1),
        node.post(&of_1, "topic=a"),
    ] {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.body.contains("Mercure 0.x"), "{answer:?}");
        assert!(answer.body.contains("authorization_details"), "{answer:?}");
    }
    // Beside the claim that is read, or about something else, it does not matter.
    for claims in [
        json!({ "authorization_details": details, "mercure": { "subscribe": ["a"] } }),
        json!({ "authorization_details": [{ "type": "payment_initiation" }] }),
        json!({ "authorization_details": "odd" }),
    ] {
        let fields = [("Authorization", &*bearer(&token(&claims)))];
        let answer = node.call("HEAD", &format!("{HUB}?topic=a"), &fields);
        assert_eq!(answer.status, 200, "{claims}");
    }
}

#[test]
fn an_id_that_was_given_twice_hides_nothing() {
    let node = Node::guarded();
    for form in [
        "topic=a/1&data=first&id=x",
        "topic=a/1&data=between",
        "topic=a/1&data=again&id=x",
        "topic=b&data=elsewhere&id=x",
        "topic=a/1&data=last",
    ] {
        node.publish(form);
    }
    let token = subscriber(&[]);
    for target in [
        format!("{HUB}?topic=a/1"),
        format!("{HUB}?topic=a/%7Bn%7D"),
        "/events?topic=a/*".to_owned(),
    ] {
        let mut stream = node.resume(&target, &token, "x");
        assert_eq!(
            stream.take_data(3),
            ["between", "again", "last"],
            "{target}: no gap, and nothing is left out"
        );
    }
}
