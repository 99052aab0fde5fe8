use serde_json::json;

use crate::node::{FORM, HUB, bearer, publisher, token};
use crate::support::http::request;
use crate::support::node::Node;
use crate::support::sse::SseStream;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mercure.toml");

/// The configuration that people try the hub with, and that the protocol's own conformance tests
/// need.
#[test]
fn the_example_is_a_hub() {
    let node = Node::start_with(&["--config", EXAMPLE]);
    let target = format!("{HUB}?topic=https://example.com/books/%7Bid%7D");
    let mut anonymous = SseStream::open(node.http, &target);
    let claims = json!({ "mercure": { "subscribe": ["https://example.com/books/{id}"] } });
    let cookie = format!("mercureAuthorization={}", token(&claims));
    let page = "http://localhost:3000";
    let fields = [("Cookie", &*cookie), ("Origin", page)];
    let mut granted = SseStream::request(node.http, &target, &fields);
    assert_eq!(
        granted.head.field("access-control-allow-origin"),
        Some(page)
    );
    let credentials = granted.head.field("access-control-allow-credentials");
    assert_eq!(credentials, Some("true"));
    let publish = |form: &str| {
        let header = bearer(&publisher(&["*"]));
        let fields = [("Authorization", &*header), ("Content-Type", FORM)];
        let answer = request(node.http, "POST", HUB, &fields, form.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    node.wait_for_streams(2);
    publish("topic=https://example.com/books/1&data=secret&private=on");
    publish("topic=https://example.com/books/1&data=open");
    assert_eq!(granted.take_data(2), ["secret", "open"]);
    assert_eq!(anonymous.take_data(1), ["open"]);
    let all = bearer(&token(&json!({ "mercure": { "subscribe": ["*"] } })));
    let target = format!("{HUB}/subscriptions");
    let list = request(node.http, "GET", &target, &[("Authorization", &all)], b"");
    assert_eq!(
        list.json()["subscriptions"].as_array().map(Vec::len),
        Some(2)
    );
    assert!(!node.logged().contains("eyJ"), "no token in the log");
}
