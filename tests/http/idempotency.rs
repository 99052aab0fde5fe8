//! `Idempotency-Key`, and the member `key`: a repeat publishes nothing.

use crate::node::Node;
use crate::support::http::{Response, request};
use crate::support::wait_until;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// Publishes with a key in the header.
fn post(node: &Node, target: &str, kind: &str, key: &str, body: &str) -> Response {
    let fields = [("Content-Type", kind), ("Idempotency-Key", key)];
    request(node.address, "POST", target, &fields, body.as_bytes())
}

fn is_repeat(answer: &Response) -> bool {
    match answer.head.field("idempotency-replayed") {
        Some(value) => value == "true",
        None => false,
    }
}

/// Checks that the second answer is that of a repeat of the first.
#[track_caller]
fn assert_repeat(first: &Response, second: &Response) {
    assert_eq!((first.status, is_repeat(first)), (200, false), "{first:?}");
    assert_eq!(
        (second.status, is_repeat(second)),
        (200, true),
        "{second:?}"
    );
    assert_eq!(first.body, second.body);
}

/// Checks a refusal and returns its JSON.
#[track_caller]
fn refused(answer: &Response, status: u16, field: &str) -> serde_json::Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(!is_repeat(answer));
    let problem = answer.json();
    assert_eq!(problem["field"], field, "{problem}");
    problem
}

#[test]
fn a_repeat_gets_the_first_answer_and_publishes_nothing() {
    let node = Node::start();
    let mut stream = node.subscribe("/events/a");
    let object = r#"{"topic":"a","data":{"n":1}}"#;
    let first = post(&node, "/publish", JSON, "one", object);
    assert_eq!(first.json()["subscribers"], 1);
    drop(node.subscribe("/events/a"));
    // The same key in quotes, the same event with other spaces.
    let spaced = r#" { "data" : { "n" : 1 } , "topic" : "a" } "#;
    let second = post(&node, "/publish", JSON, "\"one\"", spaced);
    assert_repeat(&first, &second);
    let third = node.post(
        "/publish",
        JSON,
        r#"{"topic":"a","data":{"n":1},"key":"one"}"#,
    );
    assert_repeat(&first, &third);
    let first = post(&node, "/publish/a?event=e", "text/plain", "two", "x");
    let second = post(&node, "/publish/a?event=e", "text/plain", "two", "x");
    assert_repeat(&first, &second);
    node.publish("a", "last");
    assert_eq!(stream.take_data(3), [r#"{"n":1}"#, "x", "last"]);
    let metrics = node.hub.node_metrics();
    assert_eq!(metrics.events_in[0].get(), 3);
    assert_eq!(
        (metrics.key_repeats.get(), metrics.keys_reused.get()),
        (3, 0)
    );
    assert_eq!(node.hub.key_figures().count, 2);
}

#[test]
fn the_key_of_a_call_covers_each_event_of_its_array() {
    let node = Node::start();
    let event = |topic: &str, n: usize| format!(r#"{{"topic":"{topic}","data":"{n}"}}"#);
    let array = format!("[{},{},{}]", event("a", 1), event("a", 1), event("b", 2));
    let first = post(&node, "/publish", JSON, "k", &array);
    assert_repeat(&first, &post(&node, "/publish", JSON, "k", &array));
    assert_eq!(node.hub.history_len("a"), 2, "equal events of one call");
    let longer = format!(
        "[{},{},{},{}]",
        event("a", 1),
        event("a", 1),
        event("b", 2),
        event("b", 3)
    );
    for other in [
        longer.as_str(),
        &event("a", 1),
        &format!("[{}]", event("a", 1)),
    ] {
        let answer = post(&node, "/publish", JSON, "k", other);
        refused(&answer, 422, "idempotency-key");
    }
    let one = post(&node, "/publish", JSON, "l", &event("a", 7));
    let array = format!("[{}]", event("a", 7));
    let again = post(&node, "/publish", JSON, "l", &array);
    assert!(is_repeat(&again), "an array of one is the same call");
    assert_eq!(again.json()[0], one.json());
    assert_eq!(post(&node, "/publish", JSON, "m", "[]").body, "[]\n");
    assert!(!is_repeat(&post(&node, "/publish", JSON, "m", "[]")));
    assert_eq!(
        (node.hub.history_len("a"), node.hub.history_len("b")),
        (3, 1)
    );
}

#[test]
fn a_key_of_its_own_goes_with_an_event_into_any_call() {
    let node = Node::start();
    let event = |n: usize| format!(r#"{{"topic":"a","data":"{n}","key":"k{n}"}}"#);
    let first = node.post("/publish", JSON, &event(1));
    let mixed = node.post(
        "/publish",
        JSON,
        &format!("[{},{},{}]", event(2), event(1), event(2)),
    );
    assert!(!is_repeat(&mixed), "one of them is new");
    let receipts = mixed.json();
    assert_eq!(receipts[1], first.json());
    assert_eq!(receipts[2], receipts[0], "twice in one array");
    let lines = format!("{}\n{}\n{}\n", event(1), event(3), event(2));
    let answer = node.post("/publish", NDJSON, &lines);
    assert_eq!(answer.body, "{\"accepted\":3,\"repeated\":2}\n");
    assert!(is_repeat(&node.post("/publish", NDJSON, &lines)));
    assert_eq!(node.hub.history_len("a"), 3);
    // All or nothing, and the element is pointed to.
    let other = r#"{"topic":"a","data":"other","key":"k1"}"#;
    let answer = node.post("/publish", JSON, &format!("[{},{other}]", event(4)));
    let problem = refused(&answer, 422, "key");
    assert_eq!(problem["pointer"], "/1/key");
    // Also if the other event is in the same array.
    let answer = node.post(
        "/publish",
        JSON,
        &format!("[{},{}]", event(5), event(5).replace("\"5\"", "\"6\"")),
    );
    refused(&answer, 422, "key");
    assert_eq!(node.hub.history_len("a"), 3);
    assert_eq!(node.hub.node_metrics().keys_reused.get(), 2);
}

#[test]
fn a_stream_of_lines_that_broke_goes_on_where_it_was() {
    // Lines are published two by two.
    let node = Node::with(|settings| settings.publish_batch_max = 2);
    let line = |n: usize| format!(r#"{{"topic":"a","data":"{n}"}}"#);
    let broken = format!("{}\n\n{}\n{{\n", line(1), line(2));
    let answer = post(&node, "/publish", NDJSON, "s", &broken);
    assert_eq!(
        (answer.status, &answer.json()["accepted"]),
        (400, &2.into())
    );
    let whole = format!("{}\n{}\n{}\n", line(1), line(2), line(3));
    let answer = post(&node, "/publish", NDJSON, "s", &whole);
    assert_eq!(answer.body, "{\"accepted\":3,\"repeated\":2}\n");
    assert_eq!(node.hub.history_len("a"), 3);
    // Another line with the same index ends it there; the lines before it count.
    let other = format!("{}\n{}\n{}\n", line(1), line(7), line(8));
    let answer = post(&node, "/publish", NDJSON, "s", &other);
    let problem = refused(&answer, 422, "idempotency-key");
    assert_eq!(
        (&problem["line"], &problem["accepted"]),
        (&2.into(), &1.into())
    );
    assert_eq!(node.hub.history_len("a"), 3);
}

#[test]
fn another_event_with_a_used_key_is_refused() {
    let node = Node::with(|settings| settings.shards = 1);
    let body = |member: &str| format!(r#"{{"topic":"a","data":"1"{member}}}"#);
    let key = |member: &str| post(&node, "/publish", JSON, "k", &body(member));
    let first = key("");
    for other in [r#","event":"e""#, r#","id":"i""#, r#","retry":5"#] {
        let problem = refused(&key(other), 422, "idempotency-key");
        let detail = problem["detail"].as_str().expect("text");
        assert!(detail.contains("used for another event"), "{detail}");
    }
    for other in [
        r#"{"topic":"b","data":"1"}"#,
        r#"{"topics":["a","b"],"data":"1"}"#,
    ] {
        refused(
            &post(&node, "/publish", JSON, "k", other),
            422,
            "idempotency-key",
        );
    }
    assert_repeat(&first, &key(""));
    assert_eq!(
        (node.hub.history_len("a"), node.hub.history_len("b")),
        (1, 0)
    );
}

#[test]
fn what_was_refused_leaves_no_key() {
    let node = Node::start();
    let answer = post(&node, "/publish", JSON, "k", r#"{"topic":"a"}"#);
    assert_eq!(answer.status, 400);
    let body = format!(
        r#"[{{"topic":"a","data":1}},{}]"#,
        r#"{"topic":"","data":1}"#
    );
    assert_eq!(post(&node, "/publish", JSON, "k", &body).status, 400);
    let answer = post(&node, "/publish", JSON, "k", r#"{"topic":"a","data":2}"#);
    assert_eq!((answer.status, is_repeat(&answer)), (200, false));
}

#[test]
fn what_is_no_key_is_refused_by_name() {
    let node = Node::start();
    let body = r#"{"topic":"a","data":1}"#;
    let long = "k".repeat(256);
    for (key, said) in [
        ("", "empty"),
        ("\"\"", "empty"),
        (long.as_str(), "255"),
        ("a,b", "in double quotes"),
        ("\"a", "in double quotes"),
        ("ä", "printable ASCII"),
    ] {
        let problem = refused(
            &post(&node, "/publish", JSON, key, body),
            400,
            "idempotency-key",
        );
        let detail = problem["detail"].as_str().expect("text");
        assert!(detail.contains(said), "{key}: {detail}");
    }
    let fields = [
        ("Content-Type", JSON),
        ("Idempotency-Key", "a"),
        ("Idempotency-Key", "a"),
    ];
    let answer = request(node.address, "POST", "/publish", &fields, body.as_bytes());
    refused(&answer, 400, "idempotency-key");
    for (key, said) in [
        (r#""""#, "empty"),
        (r#""\n""#, "printable ASCII"),
        ("7", "must be a string"),
    ] {
        let answer = node.post(
            "/publish",
            JSON,
            &format!(r#"{{"topic":"a","data":1,"key":{key}}}"#),
        );
        let detail = refused(&answer, 400, "key")["detail"].to_string();
        assert!(detail.contains(said), "{key}: {detail}");
    }
    let keyed = r#"{"topic":"a","data":1,"key":"k"}"#;
    refused(&post(&node, "/publish", JSON, "k", keyed), 400, "key");
    let answer = post(&node, "/publish", JSON, "k", &format!("[{body},{keyed}]"));
    assert_eq!(refused(&answer, 400, "key")["pointer"], "/1/key");
    let none = r#"{"topic":"a","data":1,"key":null}"#;
    assert_eq!(node.post("/publish", JSON, none).status, 200);
    assert_eq!(node.hub.history_len("a"), 1);
}

#[test]
fn a_node_that_remembers_no_keys_says_so() {
    let node = Node::with(|settings| settings.idempotency_window = std::time::Duration::ZERO);
    let body = r#"{"topic":"a","data":1}"#;
    let answer = post(&node, "/publish", JSON, "k", body);
    let detail = refused(&answer, 400, "idempotency-key")["detail"].to_string();
    assert!(detail.contains("idempotency_window"), "{detail}");
    let keyed = r#"{"topic":"a","data":1,"key":"k"}"#;
    refused(&node.post("/publish", JSON, keyed), 400, "key");
    assert_eq!(node.post("/publish", JSON, body).status, 200);
    assert_eq!(node.hub.history_len("a"), 1);
}

#[test]
fn of_many_repeats_at_once_one_is_published_and_all_get_its_receipt() {
    let node = Node::start();
    for round in 0..10 {
        let key = format!("round {round}");
        let body = r#"[{"topic":"a","data":1},{"topic":"b","data":2}]"#;
        let answers = std::thread::scope(|scope| {
            let call = || post(&node, "/publish", JSON, &key, body);
            let calls: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
            let answers = calls
                .into_iter()
                .map(|call| call.join().expect("an answer"));
            answers.collect::<Vec<_>>()
        });
        assert!(answers.iter().all(|answer| answer.body == answers[0].body));
        let first = answers.iter().filter(|answer| !is_repeat(answer)).count();
        assert_eq!(first, 1, "{answers:?}");
        assert_eq!(node.hub.history_len("a"), round + 1);
    }
}

#[test]
fn a_large_array_is_checked_as_a_whole_before_its_first_portion() {
    let node = Node::with(|settings| {
        settings.history_events = 10_000;
        settings.publish_batch_max = 10_000;
    });
    let event = |n: usize| format!(r#"{{"topic":"t{}","data":"{n}","key":"k{n}"}}"#, n % 3);
    let array = |numbers: std::ops::Range<usize>| {
        let events: Vec<String> = numbers.map(event).collect();
        format!("[{}]", events.join(","))
    };
    let first = node.post(
        "/publish",
        JSON,
        &event(1_900).replace("\"1900\"", "\"other\""),
    );
    assert_eq!(first.status, 200, "{first:?}");
    let answer = node.post("/publish", JSON, &array(0..2_500));
    assert_eq!(refused(&answer, 422, "key")["pointer"], "/1900/key");
    assert_eq!(node.hub.history_size().events, 1);
    let first = node.post("/publish", JSON, &array(0..1_500));
    assert_eq!(first.status, 200);
    assert_repeat(&first, &node.post("/publish", JSON, &array(0..1_500)));
    assert_eq!(node.hub.history_size().events, 1_501);
    let twice = format!(
        "[{},{}",
        event(1_600).replace("\"1600\"", "\"x\""),
        &array(1_550..2_900)[1..]
    );
    let answer = node.post("/publish", JSON, &twice.replace("\"1900\"", "\"other\""));
    assert_eq!(refused(&answer, 422, "key")["pointer"], "/51/key");
    assert_eq!(node.hub.history_size().events, 1_501);
}

#[test]
fn the_oldest_key_makes_room_and_is_counted() {
    let node = Node::with(|settings| settings.idempotency_keys_max = 1_000);
    let line = |n: usize| format!("{{\"topic\":\"a\",\"data\":\"{n}\",\"key\":\"k{n}\"}}\n");
    let lines: String = (0..1_001).map(line).collect();
    assert_eq!(node.post("/publish", NDJSON, &lines).status, 200);
    let dropped = || node.hub.node_metrics().keys_dropped.get();
    wait_until("one was forgotten", || dropped() == 1);
    assert_eq!(node.hub.key_figures().count, 1_000);
    let answer = node.post("/publish", NDJSON, &line(1));
    assert!(is_repeat(&answer));
    assert!(!is_repeat(&node.post("/publish", NDJSON, &line(0))));
}
