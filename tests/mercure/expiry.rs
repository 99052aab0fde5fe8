use std::time::Duration;

use serde_json::json;

use crate::node::{HUB, Node, now_unix_s, token};
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
        // Whoever comes back with it is refused.
        assert_eq!(node.get(&target, &token(&claims)).status, 401);
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
