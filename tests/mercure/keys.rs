use std::sync::Arc;

use fantail::auth::{KeySet, Role};
use jsonwebtoken::Header;
use serde_json::json;

use crate::node::{HUB, Node, SECRET, sign};

/// A key set with one secret of this name.
fn named(id: &str) -> Arc<KeySet> {
    // base64url of the secret of these tests.
    let secret = "IUNoYW5nZVRoaXNNZXJjdXJlSHViSldUU2VjcmV0S2V5IQ";
    let set = json!({ "keys": [{ "kty": "oct", "kid": id, "alg": "HS256", "k": secret }] });
    let keys = KeySet::from_jwks(set.to_string().as_bytes(), None);
    Arc::new(keys.expect("a key set"))
}

fn token(id: &str) -> String {
    let header = Header {
        kid: Some(id.to_owned()),
        ..Header::default()
    };
    let claims = json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] } });
    sign(&header, &claims, SECRET)
}

#[test]
fn a_request_waits_for_a_key_that_is_not_known_yet() {
    let node = Node::guarded();
    for role in [Role::Publisher, Role::Subscriber] {
        node.auth.replace(role, named("old"));
    }
    let roles = [Role::Publisher, Role::Subscriber];
    let mut asked = node.auth.kept_by(&roles);
    let auth = Arc::clone(&node.auth);
    node.runtime.spawn(async move {
        while let Some(done) = asked.recv().await {
            for role in roles {
                auth.replace(role, named("new"));
            }
            let _ = done.send(());
        }
    });
    // The first request of all waits, and becomes a stream all the same.
    let mut stream = node.subscribe(&format!("{HUB}?topic=a"), &token("new"));
    let answer = node.post(&token("new"), "topic=a&data=x");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(stream.take_data(1), ["x"]);
    // One that stays unknown is refused after the wait.
    let answer = node.get("/events/a", &token("none"));
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(node.post(&token("none"), "topic=a").status, 401);
}
