use std::time::Duration;

use serde_json::json;

use crate::node::{HUB, Node, bearer, now_unix_ms, now_unix_s, token};
use crate::support::http::Connection;
use crate::support::wait_until;

#[test]
fn a_stream_ends_with_its_token() {
    // Nothing else wakes the shard in time.
    let node = Node::with(|settings| settings.heartbeat_interval = Duration::from_secs(3_600));
    for target in [format!("{HUB}?topic=a"), "/events/a".to_owned()] {
        let ends = now_unix_s() + 3;
        let claims = json!({ "exp": ends, "mercure": { "subscribe": ["a"] } });
        let mut stream = node.subscribe(&target, &token(&claims));
        node.publish("topic=a&data=before&private=on");
        assert_eq!(stream.take_data(1), ["before"]);
        assert_eq!(stream.next(), None, "it ends properly");
        assert!(stream.retry.is_some(), "and is told when to come back");
        let ended = now_unix_s();
        assert!(ended >= ends, "not before its time: {ended} < {ends}");
        // A client that reconnects with it is refused.
        assert_eq!(node.get(&target, &token(&claims)).status, 401);
    }
}

#[test]
fn a_token_that_was_made_a_moment_ago_is_valid_by_a_clock_with_fractions() {
    let node = Node::guarded();
    for _ in 0..20 {
        let now = now_unix_ms() as f64 / 1e3;
        let claims =
            json!({ "nbf": now, "iat": now, "mercure": { "subscribe": ["a"], "publish": ["a"] } });
        let answer = node.call(
            "HEAD",
            "/events/a",
            &[("Authorization", &bearer(&token(&claims)))],
        );
        assert_eq!(answer.status, 200, "{now}: {answer:?}");
        assert_eq!(node.post(&token(&claims), "topic=a").status, 200);
    }
}

#[test]
fn a_stream_ends_within_the_second_of_its_token_and_not_at_its_start() {
    let node = Node::with(|settings| settings.heartbeat_interval = Duration::from_secs(3_600));
    // Whatever the current time is, some of these have a large fraction.
    for fraction_ms in [250, 500, 750, 990] {
        let ends_ms = (now_unix_ms() / 1_000 + 2) * 1_000 + fraction_ms;
        let claims = json!({ "exp": ends_ms as f64 / 1e3, "mercure": { "subscribe": ["a"] } });
        let mut stream = node.subscribe("/events/a", &token(&claims));
        assert_eq!(stream.next(), None, "it ends properly");
        // Tokens that end within 50 ms end together.
        let ended_ms = now_unix_ms();
        assert!(ended_ms + 50 >= ends_ms, "{ended_ms} is before {ends_ms}");
    }
}

#[test]
fn a_stream_of_events_ends_with_its_token() {
    let node = Node::guarded();
    let ends = now_unix_s() + 3;
    let claims = json!({ "exp": ends, "mercure": { "publish": ["a"] } });
    let mut connection = Connection::open(node.address);
    let head = format!(
        "POST /publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
        token(&claims)
    );
    connection.send(head.as_bytes());
    let line = b"18\r\n{\"topic\":\"a\",\"data\":\"\"}\n\r\n";
    connection.send(line);
    wait_until("the first event is published", || {
        node.hub.history_len("a") == 1
    });
    wait_until("the token has ended", || now_unix_s() >= ends);
    connection.send(line);
    let answer = connection.response("POST");
    assert_eq!(answer.status, 401, "{answer:?}");
    let challenge = answer.head.field("www-authenticate").unwrap_or_default();
    assert!(challenge.contains("error=\"invalid_token\""), "{answer:?}");
    let problem = answer.json();
    assert_eq!(
        (&problem["line"], &problem["accepted"]),
        (&2.into(), &1.into())
    );
    assert_eq!(node.hub.history_len("a"), 1);
}
