use std::time::{Duration, Instant};

use serde_json::json;

use crate::node::{HUB, Node, now_unix_s, token};
use crate::support::DEADLINE;

#[test]
fn a_stream_ends_with_its_token() {
    let node = Node::guarded();
    for target in [format!("{HUB}?topic=a"), "/events/a".to_owned()] {
        let ends = now_unix_s() + 2;
        let claims = json!({ "exp": ends, "mercure": { "subscribe": ["a"] } });
        let mut stream = node.subscribe(&target, &token(&claims));
        node.publish("topic=a&data=before&private=on");
        assert_eq!(stream.take_data(1), ["before"]);
        let began = Instant::now();
        assert_eq!(stream.next(), None, "it ends properly");
        assert!(stream.retry.is_some(), "and is told when to come back");
        let ended = now_unix_s();
        assert!(ended >= ends, "not before its time: {ended} < {ends}");
        assert!(began.elapsed() < DEADLINE - Duration::from_secs(1));
        // Whoever comes back with it is refused.
        assert_eq!(node.get(&target, &token(&claims)).status, 401);
    }
}
