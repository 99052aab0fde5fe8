use crate::node::Node;
use crate::support::http::request;
use crate::support::sse::SseStream;

const PAGE: &str = "https://app.example";

fn node() -> Node {
    Node::with(|settings| {
        settings.cors_origins = vec![PAGE.parse().expect(PAGE)];
        settings.cors_credentials = true;
    })
}

#[test]
fn a_preflight_is_answered() {
    let node = node();
    let fields = [
        ("Origin", PAGE),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let answer = request(node.address, "OPTIONS", "/publish", &fields, b"");
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "POST, OPTIONS"),
        (
            "access-control-allow-headers",
            "authorization, cache-control, last-event-id, content-type, idempotency-key",
        ),
        ("vary", "origin"),
    ] {
        assert_eq!(answer.head.field(name), Some(value));
    }
    let foreign = [("Origin", "https://evil.example"), fields[1]];
    let answer = request(node.address, "OPTIONS", "/publish", &foreign, b"");
    assert_eq!(answer.head.field("access-control-allow-origin"), None);
    assert_eq!(answer.head.field("access-control-allow-methods"), None);
}

#[test]
fn a_page_may_send_what_its_tracer_adds() {
    let node = node();
    let asked = "traceparent,baggage,x-requested-with,content-type";
    let fields = [
        ("Origin", PAGE),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", asked),
    ];
    let answer = request(node.address, "OPTIONS", "/events/a", &fields, b"");
    assert_eq!(
        answer.head.field("access-control-allow-headers"),
        Some(
            "authorization, cache-control, last-event-id, content-type, idempotency-key, traceparent, baggage, x-requested-with"
        )
    );
    let foreign = [("Origin", "https://evil.example"), fields[1], fields[2]];
    let answer = request(node.address, "OPTIONS", "/events/a", &foreign, b"");
    assert_eq!(answer.head.field("access-control-allow-headers"), None);
}

#[test]
fn a_listed_origin_may_be_written_in_any_spelling() {
    let node = Node::with(|settings| {
        settings.cors_origins = vec!["HTTPS://App.Example:443".parse().expect("an origin")];
    });
    let stream = SseStream::request(node.address, "/events/a", &[("Origin", PAGE)]);
    let allowed = stream.head.field("access-control-allow-origin");
    assert_eq!(allowed, Some(PAGE));
}

#[test]
fn streams_answers_and_problems_may_be_read_by_listed_origins() {
    let node = node();
    let stream = SseStream::request(node.address, "/events/a", &[("Origin", PAGE)]);
    let answer = request(
        node.address,
        "POST",
        "/publish/a",
        &[("Origin", PAGE)],
        b"x",
    );
    let problem = request(node.address, "GET", "/nothing", &[("Origin", PAGE)], b"");
    for head in [&stream.head, &answer.head, &problem.head] {
        assert_eq!(head.field("access-control-allow-origin"), Some(PAGE));
        assert_eq!(
            head.field("access-control-expose-headers"),
            Some("Last-Event-ID, Link, ETag, WWW-Authenticate, Retry-After, Idempotency-Replayed")
        );
    }
    let foreign = [("Origin", "https://evil.example")];
    let stream = SseStream::request(node.address, "/events/a", &foreign);
    assert_eq!(stream.head.field("access-control-allow-origin"), None);
}

/// A page that is refused has to know why, and when to come back.
#[test]
fn every_field_that_tells_a_page_what_to_do_may_be_read_by_listed_origins() {
    let node = Node::with(|settings| {
        settings.cors_origins = vec![PAGE.parse().expect(PAGE)];
        settings.max_streams = 1;
    });
    let stream = SseStream::request(
        node.address,
        "/events/a?last_event_id=earliest",
        &[("Origin", PAGE)],
    );
    node.wait_for_streams(1);
    let full = request(node.address, "GET", "/events/a", &[("Origin", PAGE)], b"");
    assert_eq!(full.status, 503);
    for (head, field) in [(&stream.head, "last-event-id"), (&full.head, "retry-after")] {
        assert!(head.field(field).is_some(), "{head:?}");
        assert_eq!(head.field("access-control-allow-origin"), Some(PAGE));
        let exposed = head
            .field("access-control-expose-headers")
            .unwrap_or_default();
        assert!(exposed.to_lowercase().contains(field), "{head:?}");
    }
    let history = request(
        node.address,
        "GET",
        "/topics/a/events",
        &[("Origin", PAGE)],
        b"",
    );
    let allowed = history.head.field("access-control-allow-origin");
    assert_eq!((history.status, allowed), (200, Some(PAGE)));
}

#[test]
fn a_foreign_page_cannot_publish_behind_the_users_back() {
    let node = node();
    for origin in ["https://evil.example", "null", "http://app.example"] {
        let answer = request(
            node.address,
            "POST",
            "/publish/a",
            &[("Origin", origin)],
            b"x",
        );
        assert_eq!(answer.status, 403, "{origin}");
    }
    let own = format!("http://{}", node.address);
    let answer = request(
        node.address,
        "POST",
        "/publish/a",
        &[("Origin", &own)],
        b"x",
    );
    assert_eq!(answer.status, 200);
    assert_eq!(node.hub.history_len("a"), 1);
}

#[test]
fn who_opens_an_address_in_a_browser_is_shown_what_is_wrong() {
    let node = node();
    let navigation = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (target, status) in [("/", 404), ("/events", 400), ("/publish", 405)] {
        for (accept, kind) in [
            (navigation, "text/plain; charset=utf-8"),
            ("*/*", "application/problem+json"),
            ("text/event-stream", "application/problem+json"),
        ] {
            let answer = request(node.address, "GET", target, &[("Accept", accept)], b"");
            assert_eq!(answer.status, status, "{target}");
            assert_eq!(answer.head.field("content-type"), Some(kind), "{target}");
            assert_eq!(answer.json()["status"], status, "{target}");
        }
    }
}
