use std::fs;
use std::sync::Arc;

use fantail::auth::{Algorithm, KeySet, Role, SigningKey};
use serde_json::json;

use crate::node::{HUB, Node};

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys");
const SECRET: [u8; 64] = [7; 64];

/// Every algorithm with a key that checks it, and a token that another one made.
fn everything() -> Vec<(&'static str, KeySet, String)> {
    let claims = json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] } });
    let claims = claims.as_object().expect("an object");
    let mut all = Vec::new();
    for name in ["HS256", "HS384", "HS512"] {
        let algorithm = Algorithm::named(name);
        let keys = KeySet::from_secret(&SECRET, algorithm).expect("a key");
        let signing = SigningKey::from_secret(&SECRET, algorithm).expect("a key");
        all.push((name, keys, signing.sign(claims).expect("a token")));
    }
    for (file, names) in [
        (
            "rsa",
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..],
        ),
        ("p256", &["ES256"]),
        ("p384", &["ES384"]),
        ("p521", &["ES512"]),
        ("ed25519", &["EdDSA"]),
    ] {
        let read = |form: &str| fs::read_to_string(format!("{KEYS}/{file}.{form}")).expect("a key");
        for name in names {
            let algorithm = Algorithm::named(name);
            let keys = KeySet::from_pem(&read("pub.pem"), algorithm).expect("a key");
            let signing = SigningKey::from_pem(&read("pem"), algorithm).expect("a key");
            all.push((name, keys, signing.sign(claims).expect("a token")));
        }
    }
    all
}

#[test]
fn each_algorithm_opens_streams_and_publishes_with_its_own_key_only() {
    let node = Node::guarded();
    let all = everything();
    let target = format!("{HUB}?topic=a");
    for (number, (name, keys, token)) in all.iter().enumerate() {
        let keys = Arc::new(keys.clone());
        for role in [Role::Publisher, Role::Subscriber] {
            node.auth.replace(role, Arc::clone(&keys));
        }
        let mut stream = node.subscribe(&target, token);
        let answer = node.post(token, &format!("topic=a&data={name}&private=on"));
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert_eq!(stream.take_data(1), [*name]);
        for (other, (other_name, _, token)) in all.iter().enumerate() {
            if number != other {
                let post = node.post(token, "topic=a").status;
                let get = node.get("/topics/a", token).status;
                assert_eq!((get, post), (401, 401), "{other_name} by a key for {name}");
            }
        }
    }
    assert_eq!(node.hub.history_len("a"), all.len());
}
