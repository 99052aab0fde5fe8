//! `Idempotency-Key` with tokens: whose key it is.

use serde_json::{Value, json};

use crate::node::{FORM, HUB, Node, bearer, token};
use crate::support::http::{Response, request};

fn claims(subject: Option<&str>, publish: &[&str]) -> Value {
    let mut claims = json!({"mercure": {"publish": publish}});
    if let Some(subject) = subject {
        claims["sub"] = subject.into();
    }
    claims
}

fn post(node: &Node, claims: &Value, form: &str) -> Response {
    let fields = [
        ("Authorization", &*bearer(&token(claims))),
        ("Content-Type", FORM),
        ("Idempotency-Key", "\"k\""),
    ];
    request(node.address, "POST", HUB, &fields, form.as_bytes())
}

fn is_repeat(answer: &Response) -> bool {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.head.field("idempotency-replayed").is_some()
}

#[test]
fn a_hub_answers_a_repeat_with_the_first_id() {
    let node = Node::guarded();
    let publisher = claims(None, &["*"]);
    let first = post(&node, &publisher, "topic=a&data=1");
    let second = post(&node, &publisher, "topic=a&data=1");
    assert!(!is_repeat(&first) && is_repeat(&second));
    assert!(first.body.starts_with("urn:uuid:"), "{first:?}");
    assert_eq!(first.body, second.body);
    let other = post(&node, &publisher, "topic=a&data=2");
    assert_eq!(other.status, 422);
    assert_eq!(other.json()["field"], "idempotency-key");
    let private = post(&node, &publisher, "topic=a&data=1&private=on");
    assert_eq!(private.status, 422);
    assert_eq!(node.hub.history_len("a"), 1);
}

#[test]
fn a_key_belongs_to_the_subject_of_its_token_and_to_its_grants_without_one() {
    let node = Node::guarded();
    let form = "topic=a&data=1";
    let publishers = [
        claims(Some("ann"), &["*"]),
        claims(Some("bob"), &["*"]),
        claims(None, &["*"]),
        claims(None, &["a"]),
        claims(None, &["a", "b"]),
    ];
    let ids: Vec<String> = publishers
        .iter()
        .map(|publisher| {
            let answer = post(&node, publisher, form);
            assert!(!is_repeat(&answer), "{publisher}");
            answer.body
        })
        .collect();
    assert_eq!(node.hub.history_len("a"), publishers.len());
    // Renewed: another end, the same subject, other grants; or the same grants in another order.
    let mut renewed = publishers;
    renewed[0] = claims(Some("ann"), &["a"]);
    renewed[4] = claims(None, &["b", "a"]);
    for (publisher, id) in renewed.iter_mut().zip(ids) {
        publisher["exp"] = 4_000_000_000_u64.into();
        let answer = post(&node, publisher, form);
        assert!(is_repeat(&answer), "{publisher}");
        assert_eq!(answer.body, id);
    }
}

#[test]
fn who_may_not_publish_an_event_learns_nothing_of_its_key() {
    let node = Node::guarded();
    let form = "topic=a&data=1";
    assert!(!is_repeat(&post(&node, &claims(Some("ann"), &["a"]), form)));
    let revoked = post(&node, &claims(Some("ann"), &["b"]), form);
    assert_eq!(revoked.status, 403, "{revoked:?}");
    let other = post(&node, &claims(Some("ann"), &["b"]), "topic=a&data=2");
    assert_eq!(other.status, 403, "{other:?}");
}
