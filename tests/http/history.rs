use serde_json::{Value, json};

use crate::node::Node;
use crate::support::http::request;

/// A page of a topic's events.
#[track_caller]
fn page(node: &Node, target: &str) -> Value {
    let answer = node.get(target);
    assert_eq!(answer.status, 200, "{target}: {answer:?}");
    answer.json()
}

/// The data of a page's events.
fn data(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().expect("a list").iter();
    let data = events.map(|event| event["data"].as_str().expect("text"));
    data.map(str::to_owned).collect()
}

/// Publishes numbers; the ids of their events.
fn publish(node: &Node, topic: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    let publish = |number: usize| {
        let receipt = node.publish(topic, &number.to_string());
        receipt["id"].as_str().expect("an id").to_owned()
    };
    numbers.map(publish).collect()
}

#[test]
fn the_history_of_a_topic_is_shown_as_json() {
    let node = Node::start();
    let receipt = node.post(
        "/publish",
        "application/json",
        r#"{"topic":"a","data":{"n":1},"event":"created","id":"own","retry":5000}"#,
    );
    let first = receipt.json()["id"].as_str().expect("an id").to_owned();
    let second = node.publish("a", "two\r\nlines \u{7f}\u{1}")["id"].clone();
    let answer = node.get("/topics/a/events");
    assert_eq!(answer.head.field("content-type"), Some("application/json"));
    assert_eq!(
        answer.head.field("cache-control"),
        Some("private, no-store")
    );
    assert!(answer.body.ends_with("}\n"), "{}", answer.body);
    let page = answer.json();
    let time = |number: usize| {
        let time = page["events"][number]["time"].as_str().expect("a time");
        humantime::parse_rfc3339(time).expect("RFC 3339")
    };
    let (ms, _) = first.split_once('-').expect("an id");
    let taken_in = time(0).duration_since(std::time::UNIX_EPOCH);
    assert_eq!(taken_in.expect("now").as_millis().to_string(), ms);
    let expected = json!({
        "topic": "a",
        "events": [
            {
                "id": first,
                "own_id": "own",
                "time": page["events"][0]["time"],
                "event": "created",
                "data": "{\"n\":1}",
                "retry": 5000,
            },
            {
                "id": second,
                "time": page["events"][1]["time"],
                "data": "two\nlines \u{7f}\u{1}",
            },
        ],
        "last_event_id": second,
    });
    assert_eq!(page, expected);
    let head = request(node.address, "HEAD", "/topics/a/events", &[], b"");
    assert_eq!((head.status, &*head.body), (200, ""));
    let answer = node.post("/topics/a/events", "text/plain", "x");
    assert_eq!(
        (answer.status, answer.head.field("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn pages_follow_each_other_and_a_stream_follows_the_last() {
    let node = Node::start();
    publish(&node, "a", 0..7);
    let mut all = Vec::new();
    let mut target = "/topics/a/events?limit=3".to_owned();
    let last = loop {
        let page = page(&node, &target);
        assert!(page["gap"].is_null(), "{page}");
        all.push(data(&page));
        match page["next"].as_str() {
            Some(next) => target = format!("/topics/a/events?limit=3&after={next}"),
            None => break page["last_event_id"].as_str().expect("an id").to_owned(),
        }
    };
    assert_eq!(all, [vec!["0", "1", "2"], vec!["3", "4", "5"], vec!["6"]]);
    // Nothing is missed between the last page and the stream.
    publish(&node, "a", 7..8);
    let mut stream = node.subscribe(&format!("/events/a?last_event_id={last}"));
    assert_eq!(stream.take_data(1), ["7"]);
    // A page that is exactly full is the last one all the same.
    let whole = page(&node, "/topics/a/events?limit=8");
    assert!(whole["next"].is_null() && data(&whole).len() == 8);
}

#[test]
fn what_is_missing_before_a_page_is_told_as_to_a_stream() {
    let node = Node::with(|settings| settings.history_events = 3);
    let ids = publish(&node, "a", 0..6);
    let after = |after: &str| page(&node, &format!("/topics/a/events?after={after}"));
    let kept = ["3", "4", "5"];
    let gap =
        |from: &str, to: &str, reason: &str| json!({"from": from, "to": to, "reason": reason});

    let evicted = after(&ids[0]);
    assert_eq!(evicted["gap"], gap(&ids[0], &ids[2], "evicted"));
    assert_eq!(data(&evicted), kept);
    let unknown = after("1-0.other");
    assert_eq!(unknown["gap"], gap("1-0.other", &ids[2], "unknown"));
    assert_eq!(data(&unknown), kept);
    let seen = after(&ids[4]);
    assert!(seen["gap"].is_null() && data(&seen) == ["5"], "{seen}");
    for all in ["", "earliest"] {
        let all = after(all);
        assert!(all["gap"].is_null() && data(&all) == kept, "{all}");
    }
    let nothing = after(&ids[5]);
    assert!(nothing["gap"].is_null() && data(&nothing).is_empty());
    assert_eq!(nothing["last_event_id"], *ids[5]);

    // A gap is told once, on the first of several pages.
    let first = page(&node, &format!("/topics/a/events?limit=1&after={}", ids[0]));
    let next = first["next"].as_str().expect("more");
    let second = after(next);
    assert!(
        second["gap"].is_null() && data(&second) == ["4", "5"],
        "{second}"
    );
}

#[test]
fn every_name_of_a_topic_has_a_history() {
    let node = Node::start();
    for name in [
        "a/b",
        "a/events",
        "events",
        "/events",
        "a//b/",
        "a b+c%",
        "what?x=1#y",
        "ä\u{1f600}",
        "../..",
        "news/**",
        "{x}",
        "*",
        "\n\t\"",
    ] {
        let event = json!({"topic": name, "data": name}).to_string();
        let published = node.post("/publish", "application/json", &event);
        assert_eq!(published.status, 200, "{name:?}");
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let page = page(&node, &format!("/topics/{escaped}/events"));
        assert_eq!(page["topic"], name);
        assert_eq!(data(&page), [name]);
        // The topic itself is still found, also one that ends as the call does.
        let topic = node.get(&format!("/topics/{escaped}")).json();
        assert_eq!(
            (&topic["topic"], &topic["events"]),
            (&name.into(), &1.into())
        );
    }
    assert_eq!(page(&node, "/topics/a/events/events")["topic"], "a/events");
    let nothing = page(&node, "/topics/nothing/events");
    assert!(data(&nothing).is_empty() && nothing["gap"].is_null());
    for wrong in ["/topics//events", "/topics/%ff/events"] {
        assert_eq!(node.get(wrong).status, 400, "{wrong}");
    }
}

#[test]
fn wrong_parameters_of_a_history_are_refused_and_named() {
    let node = Node::start();
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=1", "limit"),
        ("after=1&after=2", "after"),
        ("before=1", "before"),
        ("last=1", "last"),
    ] {
        let answer = node.get(&format!("/topics/a/events?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["field"], name, "{query}");
    }
}

/// A page has a bound in bytes as well, and shows one event at least.
#[test]
fn large_events_make_short_pages() {
    let node = Node::with(|settings| settings.history_bytes = 16 << 20);
    let large = "x".repeat(200_000);
    for _ in 0..10 {
        node.publish("a", &large);
    }
    let (mut pages, mut events) = (0, 0);
    let mut target = "/topics/a/events".to_owned();
    loop {
        let answer = node.get(&target);
        assert!(answer.body.len() < 1_500_000, "{}", answer.body.len());
        let page = answer.json();
        events += data(&page).len();
        pages += 1;
        let Some(next) = page["next"].as_str() else {
            break;
        };
        target = format!("/topics/a/events?after={next}");
    }
    assert_eq!((pages, events), (2, 10));
}

#[test]
fn a_history_counts_in_the_memory_of_answers() {
    let node = Node::with(|settings| settings.answer_budget_bytes = 1 << 20);
    let large = "x".repeat(100_000);
    for _ in 0..5 {
        node.publish("a", &large);
    }
    // Clients that read nothing.
    let mut silent: Vec<_> = (0..4).map(|_| node.connect()).collect();
    for connection in &mut silent {
        connection.send(b"GET /topics/a/events HTTP/1.1\r\nHost: node\r\n\r\n");
    }
    let metrics = node.hub.node_metrics();
    crate::support::wait_until("an answer is refused", || {
        metrics.http.answers_shed.get() > 0
    });
}
