use fantail::core::selector::EXPRESSIONS_MAX;

use crate::node::Node;
use crate::support::http::request;
use crate::support::sse::SseStream;
use crate::support::wait_until;

#[test]
fn a_full_node_sheds_each_client_in_its_own_words() {
    let node = Node::with(|settings| settings.max_streams = 1);
    let stream = node.subscribe("/events/a");
    let refused = node.get("/events/a");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("max_streams"));
    assert!(refused.head.field("retry-after").is_some());
    let fields = [("Accept", "text/event-stream")];
    let shed = request(node.address, "GET", "/events/a", &fields, b"");
    assert_eq!(shed.status, 200);
    assert_eq!(shed.head.field("content-type"), Some("text/event-stream"));
    let retry = shed
        .body
        .strip_prefix("retry: ")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    assert!(
        retry.is_some_and(|ms| ms.parse::<u32>().is_ok()),
        "{shed:?}"
    );
    drop(stream);
    node.wait_for_streams(0);
    node.subscribe("/events/a");
}

#[test]
fn a_draining_node_takes_no_streams() {
    let node = Node::start();
    node.runtime.block_on(node.hub.drain());
    assert_eq!(node.get("/events/a").status, 503);
    let fields = [("Accept", "text/event-stream")];
    let shed = request(node.address, "GET", "/events/a", &fields, b"");
    assert_eq!(shed.status, 200);
    assert!(shed.body.starts_with("retry: "));
}

#[test]
fn connections_are_bounded_in_all() {
    let node = Node::with(|settings| settings.max_connections = 2);
    let mut first = node.connect();
    let second = node.connect();
    node.wait_for_connections(2);
    let mut third = node.connect();
    third.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    let refused = third.response("GET");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("max_connections"));
    assert!(third.at_end());
    assert_eq!(node.hub.node_metrics().connections_refused(), 1);
    // A stream is no connection any more.
    first.send(b"GET /events/a HTTP/1.1\r\nHost: a\r\n\r\n");
    let _stream = SseStream::read(first);
    node.wait_for_connections(1);
    assert_eq!(node.get("/healthz").status, 200);
    drop(second);
}

#[test]
fn an_address_has_its_share_of_connections_and_streams() {
    let node = Node::with(|settings| settings.max_connections_per_address = 3);
    let _streams = [node.subscribe("/events/a"), node.subscribe("/events/a")];
    node.wait_for_connections(0);
    let third = node.connect();
    node.wait_for_connections(1);
    let refused = node.get("/healthz");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("max_connections_per_address"));
    drop(third);
    node.wait_for_connections(0);
    let _third = node.subscribe("/events/a");
    node.wait_for_connections(0);
    assert_eq!(node.get("/healthz").status, 503);
}

#[test]
fn patterns_are_bounded_in_all_and_come_free_with_their_streams() {
    let node = Node::with(|settings| settings.max_patterns = 2);
    let mut wildcard = node.subscribe("/events?topic=a/*/c");
    let template = node.subscribe("/events?topic=a/%7Bx%7D/%7By%7D");
    let refused = node.get("/events?topic=b/**");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("max_patterns"), "{refused:?}");
    // Patterns in use already, and names, are not new.
    let same = node.subscribe("/events?topic=a/*/c&topic=b");
    assert_eq!(node.hub.streams(), 3, "a refusal takes no place");
    node.publish("a/b/c", "both");
    node.publish("a/c", "neither");
    node.publish("a/d/c", "both again");
    assert_eq!(wildcard.take_data(2), ["both", "both again"]);
    drop(template);
    wait_until("the template is let go", || node.hub.patterns() == 1);
    let _rest = node.subscribe("/events?topic=b/**");
    drop(same);
}

#[test]
fn a_template_of_too_many_expressions_is_refused_with_the_way_out() {
    let node = Node::start();
    let target = |count: usize| format!("/events?topic={}", "%7Ba%7D".repeat(count));
    drop(node.subscribe(&target(EXPRESSIONS_MAX)));
    let refused = node.get(&target(EXPRESSIONS_MAX + 1));
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["field"], "topic");
    assert!(
        refused.body.contains("several shorter templates"),
        "{refused:?}"
    );
}
