use crate::node::{FORM, HUB, Node, bearer, publisher, token};
use crate::support::http::{Response, request};
use serde_json::json;

fn post_as(node: &Node, kind: &str, body: &[u8]) -> Response {
    let header = bearer(&publisher(&["*"]));
    let fields = [("Authorization", &*header), ("Content-Type", kind)];
    request(node.address, "POST", HUB, &fields, body)
}

#[test]
fn the_answer_is_the_id() {
    let node = Node::guarded();
    let answer = node.post(&publisher(&["*"]), "topic=a&data=x");
    assert_eq!(answer.status, 200);
    let kind = answer.head.field("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"));
    assert!(
        answer.body.starts_with("urn:uuid:") && answer.body.len() == 45,
        "{answer:?}"
    );
    assert_ne!(node.publish("topic=a"), answer.body);
    assert_eq!(
        node.publish("topic=a&id=https://a.example/1"),
        "https://a.example/1"
    );
    assert_eq!(node.hub.history_len("a"), 3);
}

#[test]
fn what_is_left_out_and_what_is_unknown_does_not_matter() {
    let node = Node::guarded();
    for form in [
        "topic=a",
        "topic=a&data=&id=&type=&retry=",
        "topic=a&data=x&target=y&unknown=z&unknown=z",
        "data=x&topic=a&topic=b",
    ] {
        assert_eq!(node.post(&publisher(&["*"]), form).status, 200, "{form}");
    }
    let utf8 = post_as(
        &node,
        "application/x-www-form-urlencoded; charset=UTF-8",
        b"topic=a",
    );
    assert_eq!(utf8.status, 200);
    for charset in ["utf8", "\"UTF-8\"", "us-ascii"] {
        let kind = format!("{FORM};charset={charset}");
        assert_eq!(post_as(&node, &kind, b"topic=a").status, 200, "{charset}");
    }
}

#[test]
fn mistakes_are_told_and_nothing_is_published() {
    let node = Node::with(|settings| settings.event_limits.data_bytes_max = 8);
    for (form, status, field) in [
        (&b"data=x"[..], 400, json!("topic")),
        (b"", 400, json!("topic")),
        (b"topic=", 400, json!("topic")),
        (b"topic=a&id=%23x", 400, json!("id")),
        (b"topic=a&id=x%0Ay", 400, json!("id")),
        (b"topic=a&id=x%7Fy", 400, json!("id")),
        (b"topic=a&id=x%C2%85y", 400, json!("id")),
        (b"topic=a&id=+x", 400, json!("id")),
        (b"topic=a&id=x%20", 400, json!("id")),
        (b"topic=a&id=earliest", 400, json!("id")),
        (b"topic=a&id=%24", 400, json!("id")),
        (b"topic=a&type=gap", 400, json!("event")),
        (b"topic=a&type=heartbeat", 400, json!("event")),
        (b"topic=a&type=x%0Ay", 400, json!("event")),
        (b"topic=a&retry=soon", 400, json!("retry")),
        (b"topic=a&retry=99999999999", 400, json!("retry")),
        (b"topic=a&data=1&data=2", 400, json!("data")),
        (b"topic=a&private=&private=", 400, json!("private")),
        (b"topic=a&id=1&id=1", 400, json!("id")),
        (b"topic=a&type=1&type=1", 400, json!("type")),
        (b"topic=a&retry=1&retry=1", 400, json!("retry")),
        (b"topic=a&data=%ff", 400, json!(null)),
        (b"topic=a&data=\xff", 400, json!(null)),
        (b"topic=a&data=123456789", 413, json!("data")),
    ] {
        let answer = post_as(&node, FORM, form);
        let shown = String::from_utf8_lossy(form);
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (status, &field),
            "{shown}"
        );
    }
    for kind in [
        "application/json",
        "multipart/form-data",
        "",
        "application/x-www-form-urlencoded; charset=latin1",
        "application/x-www-form-urlencoded; charset=utf-16",
    ] {
        let answer = post_as(&node, kind, b"topic=a");
        assert_eq!(answer.status, 415, "{kind}");
        assert_eq!(answer.head.field("accept-post"), Some(FORM));
    }
    assert_eq!(node.hub.history_len("a"), 0);
}

#[test]
fn the_body_is_bounded() {
    let node = Node::with(|settings| settings.publish_body_bytes_max = 100);
    let form = |length: usize| format!("topic=a&data={}", "x".repeat(length - 13));
    assert_eq!(post_as(&node, FORM, form(100).as_bytes()).status, 200);
    let answer = post_as(&node, FORM, form(101).as_bytes());
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("publish_body_bytes_max"));
}

#[test]
fn every_topic_has_to_be_granted() {
    let node = Node::guarded();
    let books = publisher(&["https://a.example/books/{id}", "b"]);
    for (form, status) in [
        ("topic=https://a.example/books/1", 200),
        ("topic=https://a.example/books/1&topic=b&private=on", 200),
        ("topic=https://a.example/books/1&topic=c", 403),
        ("topic=c&topic=b", 403),
        ("topic=https://a.example/books/1/pages", 403),
    ] {
        assert_eq!(node.post(&books, form).status, status, "{form}");
    }
    let answer = node.post(&books, "topic=c");
    let challenge = answer.head.field("www-authenticate").unwrap_or_default();
    assert!(challenge.contains("error=\"insufficient_scope\""));
    assert_eq!(node.hub.history_len("https://a.example/books/1"), 2);
    assert_eq!(node.hub.history_len("b"), 1);
    assert_eq!(node.hub.history_len("c"), 0);
    // Neither a claim without selectors nor a missing claim allows publishing.
    for claims in [
        json!({ "mercure": { "publish": [] } }),
        json!({ "mercure": { "subscribe": ["*"] } }),
        json!({ "mercure": {} }),
        json!({}),
    ] {
        assert_eq!(
            node.post(&token(&claims), "topic=a").status,
            403,
            "{claims}"
        );
    }
}

#[test]
fn the_hubs_own_topics_are_nobodys() {
    let node = Node::guarded();
    let all = publisher(&["*"]);
    for topic in [
        "/.well-known/mercure",
        "/.well-known/mercure/subscriptions/a/urn%253Auuid%253Ab",
        "https://a.example/.well-known/mercure/subscriptions/a/b",
        "//a.example/.well-known/mercure",
        "/%252ewell-known/mercure/x",
        "/a/../.well-known/mercure/x",
        "/.well-known/mercure/subscriptions/../..",
        "/.well-known/mercure/subscriptions/%252e%252e/%252E%252e",
        "/.well-known/mercure/subscriptions/..%252f..",
        "/.well-known%2Fmercure%2Fsubscriptions%2Fa%2Fb",
        "/.well-known/mercure/subscriptions%5C..%5C..",
    ] {
        for form in [format!("topic={topic}"), format!("topic=a&topic={topic}")] {
            assert_eq!(node.post(&all, &form).status, 403, "{form}");
        }
    }
    assert_eq!(node.post(&all, "topic=mercure").status, 200);
    let header = bearer(&all);
    let fields = [("Authorization", &*header)];
    let target = "/publish//.well-known/mercure/subscriptions/a/b";
    assert_eq!(
        node.call("POST", target, &fields).status,
        403,
        "nor natively"
    );
    assert_eq!(node.hub.history_len("a"), 0);
}

#[test]
fn browsers_ask_first() {
    let page = "https://app.example";
    let node = Node::with(|settings| settings.cors_origins = vec![page.parse().expect(page)]);
    let fields = [("Origin", page), ("Access-Control-Request-Method", "POST")];
    let answer = node.call("OPTIONS", HUB, &fields);
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("allow", "GET, HEAD, POST, OPTIONS"),
        ("access-control-allow-origin", page),
        ("access-control-allow-methods", "GET, HEAD, POST, OPTIONS"),
        (
            "access-control-expose-headers",
            "Last-Event-ID, Link, ETag, WWW-Authenticate, Retry-After, Idempotency-Replayed",
        ),
    ] {
        assert_eq!(answer.head.field(name), Some(value));
    }
    // A foreign page publishes nothing, even with a valid token.
    let header = bearer(&publisher(&["*"]));
    let fields = [
        ("Authorization", &*header),
        ("Content-Type", FORM),
        ("Origin", "https://evil.example"),
    ];
    assert_eq!(
        request(node.address, "POST", HUB, &fields, b"topic=a").status,
        403
    );
}

#[test]
fn a_private_update_that_nobody_could_hear_is_refused() {
    let node = Node::with_keys(&[fantail::auth::Role::Publisher], |_| {});
    for form in ["topic=a&private=on", "topic=a&private="] {
        let answer = node.post(&publisher(&["*"]), form);
        assert_eq!(answer.status, 400, "{form}");
        assert_eq!(answer.json()["field"], "private");
        assert!(answer.body.contains("jwt_secret_file"), "{answer:?}");
    }
    assert_eq!(node.hub.history_len("a"), 0);
    assert_eq!(node.post(&publisher(&["*"]), "topic=a").status, 200);
}

#[test]
fn no_stream_hears_a_forged_subscription_event() {
    let node = Node::with(|settings| settings.anonymous = true);
    let all = publisher(&["*"]);
    let targets = [
        "/events?topic=/.well-known/mercure/subscriptions%7B/topic%7D%7B/subscriber%7D&topic=end",
        "/events?topic=/.well-known/mercure/**&topic=end",
    ];
    let mut streams = targets.map(|target| node.subscribe_anonymously(target));
    for topic in ["../..", "%2e%2e/%2e%2e", "a/..", "./b", "a/b"] {
        let topic = format!("/.well-known/mercure/subscriptions/{topic}");
        let body = json!({ "topic": topic, "data": "forged" }).to_string();
        let header = bearer(&all);
        let fields = [
            ("Authorization", &*header),
            ("Content-Type", "application/json"),
        ];
        let answer = request(node.address, "POST", "/publish", &fields, body.as_bytes());
        assert_eq!(answer.status, 403, "{topic}");
    }
    assert_eq!(node.post(&all, "topic=end&data=end").status, 200);
    for stream in &mut streams {
        assert_eq!(stream.take_data(1), ["end"]);
    }
}

/// The receipt of one event as the id of another: as a cursor it means the first one's place.
#[test]
fn an_id_that_the_hub_gave_is_refused() {
    let node = Node::with(|_| {});
    let all = publisher(&["*"]);
    let urn = node.post(&all, "topic=a&data=x").body;
    assert!(urn.starts_with("urn:uuid:"), "{urn}");
    let refused = node.post(&all, &format!("topic=a&data=x&id={urn}"));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.json()["field"], "id");
    // Another hub's id arrives with a copied event.
    let last = if urn.ends_with('0') { "1" } else { "0" };
    let other = format!("{}{last}", &urn[..urn.len() - 1]);
    let copied = node.post(&all, &format!("topic=a&data=x&id={other}"));
    assert_eq!((copied.status, copied.body), (200, other));
}
