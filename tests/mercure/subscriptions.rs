use serde_json::{Value, json};

use crate::node::{HUB, Node, bearer, primed, subscriber, token};
use crate::support::http::Response;
use crate::support::sse::SseStream;
use crate::support::wait_for;

const TEMPLATE: &str = "/.well-known/mercure/subscriptions{/topic}{/subscriber}";

fn node() -> Node {
    Node::with(|settings| {
        settings.anonymous = true;
        settings.mercure_subscriptions = true;
    })
}

fn path(rest: &str) -> String {
    format!("{HUB}/subscriptions{rest}")
}

/// The list, once it has `count` subscriptions.
fn listed(node: &Node, path: &str, count: usize) -> Response {
    let token = subscriber(&["*"]);
    wait_for(&format!("{count} subscriptions are listed"), || {
        let answer = node.get(path, &token);
        assert_eq!(answer.status, 200, "{answer:?}");
        let found = answer.json()["subscriptions"].as_array().map(Vec::len);
        (found == Some(count)).then_some(answer)
    })
}

#[test]
fn it_is_there_only_where_it_is_set() {
    let node = Node::guarded();
    for rest in ["", "/a", "/a/b"] {
        assert_eq!(node.get(&path(rest), &subscriber(&["*"])).status, 404);
    }
    let node = self::node();
    for rest in ["/", "/a/", "//b", "/a/b/c"] {
        assert_eq!(
            node.get(&path(rest), &subscriber(&["*"])).status,
            404,
            "{rest}"
        );
    }
    assert_eq!(node.get(&path("/%ff"), &subscriber(&["*"])).status, 400);
    let answer = node.call("POST", &path(""), &[]);
    assert_eq!(
        (answer.status, answer.head.field("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn the_address_has_to_be_granted() {
    let node = node();
    let _stream = node.subscribe_anonymously(&format!("{HUB}?topic=a"));
    let id = listed(&node, &path("/a"), 1).json()["subscriptions"][0]["id"].clone();
    let id = id.as_str().expect("an id").to_owned();
    for (target, selector, status) in [
        (path(""), "*".to_owned(), 200),
        (path(""), path(""), 200),
        (path(""), path("/{topic}"), 403),
        (path(""), "a".to_owned(), 403),
        (path("/a"), path("/{topic}"), 200),
        (path("/a"), path("/b"), 403),
        (id.clone(), path("/{topic}/{subscriber}"), 200),
        (id.clone(), path("/a/{subscriber}"), 200),
        (id.clone(), id.clone(), 200),
        (id.clone(), path("/b/{subscriber}"), 403),
    ] {
        let answer = node.get(&target, &subscriber(&[&selector]));
        assert_eq!(answer.status, status, "{target} by {selector}: {answer:?}");
    }
    // A token is required, even if subscribers need none.
    for target in [path(""), path("/a"), id] {
        let answer = node.call("GET", &target, &[]);
        assert_eq!(answer.status, 401);
        assert!(answer.head.field("www-authenticate").is_some());
        assert_eq!(node.call("OPTIONS", &target, &[]).status, 204);
    }
}

#[test]
fn nothing_yet_is_an_empty_list() {
    let node = node();
    let answer = node.get(&path(""), &subscriber(&[TEMPLATE]));
    assert_eq!(
        answer.head.field("content-type"),
        Some("application/ld+json")
    );
    let expected = json!({
        "@context": "https://mercure.rocks/",
        "id": "/.well-known/mercure/subscriptions",
        "type": "Subscriptions",
        "lastEventID": "earliest",
        "subscriptions": [],
    });
    assert_eq!(answer.json(), expected);
    assert!(answer.body.ends_with("]}\n"), "{answer:?}");
    let tag = answer.head.field("etag").unwrap_or_default();
    assert!(tag.starts_with("\"earliest-"), "{tag}");
}

#[test]
fn subscriptions_are_listed_by_topic_and_one_by_one() {
    let node = node();
    let token = token(&json!({ "mercure": { "subscribe": [], "payload": { "n": [1, null] } } }));
    let template = "https%3A%2F%2Fa.example%2F%7Bid%7D";
    let two = format!("{HUB}?topic={template}&topic=b");
    let _first = node.subscribe(&two, &token);
    let _second = node.subscribe_anonymously(&format!("{HUB}?topic=b"));
    // Streams of the native API are not announced.
    let _native = node.subscribe_anonymously("/events/b");
    let all = listed(&node, &path(""), 3).json();
    let first = &all["subscriptions"][0];
    let urn = first["subscriber"].as_str().expect("a subscriber");
    assert!(urn.starts_with("urn:uuid:"));
    let id = path(&format!("/{template}/{}", urn.replace(':', "%3A")));
    let expected = json!({
        "id": id,
        "type": "Subscription",
        "topic": "https://a.example/{id}",
        "subscriber": urn,
        "active": true,
        "payload": { "n": [1, null] },
    });
    assert_eq!(first, &expected);
    assert_eq!(
        all["subscriptions"][1]["subscriber"], urn,
        "one subscriber, two subscriptions"
    );
    assert_eq!(all["subscriptions"][2].get("payload"), None);
    assert_ne!(all["subscriptions"][2]["subscriber"], urn);

    let answer = node.get(&id, &subscriber(&["*"]));
    assert_eq!(
        answer.head.field("content-type"),
        Some("application/ld+json")
    );
    let one = answer.json();
    assert_eq!(one["@context"], "https://mercure.rocks/");
    assert!(
        one["lastEventID"]
            .as_str()
            .is_some_and(|id| id.starts_with("urn:uuid:"))
    );
    for member in ["id", "type", "topic", "subscriber", "active", "payload"] {
        assert_eq!(one[member], expected[member], "{member}");
    }
    // Any spelling of the address will do.
    let other = id.replace("%3A", "%3a").replace("https", "%68ttps");
    assert_eq!(node.get(&other, &subscriber(&["*"])).json()["id"], id);

    let of_b = listed(&node, &path("/b"), 2).json();
    assert_eq!(of_b["id"], path("/b"));
    assert!(
        of_b["subscriptions"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|one| one["topic"] == "b")
    );
    listed(&node, &path("/c"), 0);
    let unknown = path("/b/urn%3Auuid%3A00000000-0000-4000-8000-000000000000");
    let answer = node.get(&unknown, &subscriber(&["*"]));
    assert_eq!(answer.status, 404);
}

#[test]
fn an_unchanged_list_is_not_sent_again() {
    let node = node();
    let id = node.publish("topic=a");
    let token = subscriber(&["*"]);
    let answer = node.get(&path(""), &token);
    let tag = answer.head.field("etag").expect("a tag").to_owned();
    assert!(tag.starts_with(&format!("\"{id}-")), "{tag}");
    assert_eq!(answer.json()["lastEventID"], Value::from(&*id));
    assert_eq!(
        answer.head.field("link"),
        Some("</.well-known/mercure>; rel=\"mercure\"")
    );
    let cache = answer.head.field("cache-control").unwrap_or_default();
    assert!(
        cache.contains("private") && cache.contains("must-revalidate"),
        "{cache}"
    );
    let again = |tag: &str| {
        let fields = [("Authorization", &*bearer(&token)), ("If-None-Match", tag)];
        node.call("GET", &path(""), &fields)
    };
    let same = again(&tag);
    assert_eq!((same.status, same.head.field("etag")), (304, Some(&*tag)));
    // A cache's headers of the document are not replaced.
    assert_eq!(
        (same.head.field("link"), same.head.field("content-type")),
        (None, None)
    );
    for other in [&*id, "\"earliest\"", "\"x\""] {
        assert_eq!(again(other).status, 200, "{other}");
    }
    assert_eq!(again("*").status, 304);
    node.publish("topic=a");
    assert_eq!(again(&tag).status, 200);
}

#[test]
fn a_list_that_is_written_in_several_turns_is_whole() {
    let node = node();
    let topics: Vec<String> = (0..90).map(|n| format!("topic=t{n:02}")).collect();
    let target = format!("{HUB}?{}", topics.join("&"));
    let _streams = [0; 2].map(|_| node.subscribe_anonymously(&target));
    let list = listed(&node, &path(""), 180).json();
    let list = list["subscriptions"].as_array().expect("a list");
    for (number, one) in list.iter().enumerate() {
        assert_eq!(one["topic"], format!("t{:02}", number % 90));
    }
}

#[test]
fn who_goes_on_from_the_list_misses_nothing() {
    let node = node();
    let mut streams = vec![node.subscribe_anonymously(&format!("{HUB}?topic=a"))];
    let list = listed(&node, &path(""), 1).json();
    let cursor = list["lastEventID"].as_str().expect("a cursor");
    streams.push(node.subscribe_anonymously(&format!("{HUB}?topic=b")));
    let target = format!(
        "/events?topic={}",
        path("/{topic}/{subscriber}")
            .replace('{', "%7B")
            .replace('}', "%7D")
    );
    let mut events: SseStream = node.resume(&target, &subscriber(&["*"]), cursor);
    loop {
        let event: Value = serde_json::from_str(&events.take_data(1)[0]).expect("JSON");
        // The start of the first may arrive after the list was built.
        if event["topic"] == "b" {
            break;
        }
        assert_eq!(event["topic"], "a");
    }
    drop(streams);
    let _ = primed(node.subscribe_anonymously(&format!("{HUB}?topic=c")));
}

#[test]
fn a_list_that_has_changed_without_an_event_is_sent_again() {
    // Nearly no room in the history: announcements are late, and the list is not.
    let node = Node::with(|settings| {
        settings.anonymous = true;
        settings.mercure_subscriptions = true;
        settings.history_budget_bytes = 8 << 10;
    });
    let token = subscriber(&["*"]);
    let again = |tag: &str| {
        let fields = [("Authorization", &*bearer(&token)), ("If-None-Match", tag)];
        node.call("GET", &path(""), &fields)
    };
    let tag = |answer: &Response| answer.head.field("etag").expect("a tag").to_owned();
    let mut streams = Vec::new();
    let mut known = listed(&node, &path(""), 0);
    let mut changed_alone = 0;
    for count in 1..=20 {
        streams.push(node.subscribe_anonymously(&format!("{HUB}?topic=a")));
        let answer = listed(&node, &path(""), count);
        let same_event = answer.json()["lastEventID"] == known.json()["lastEventID"];
        changed_alone += usize::from(same_event);
        assert_ne!(tag(&answer), tag(&known));
        assert_eq!(again(&tag(&known)).status, 200);
        known = answer;
    }
    assert!(changed_alone > 0, "an event was told for every change");
    drop(streams.pop());
    node.wait_for_streams(19);
    let answer = again(&tag(&known));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json()["subscriptions"].as_array().map(Vec::len),
        Some(19)
    );
}
