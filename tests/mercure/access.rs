use fantail::auth::Role;
use jsonwebtoken::{Algorithm, Header};
use serde_json::json;

use crate::node::{
    FORM, HUB, Node, SECRET, bearer, now_unix_s, publisher, sign, subscriber, token,
};
use crate::support::http::{Connection, Response, request};

const CHALLENGE: &str = "Bearer realm=\"fantail\"";

/// Calls that need a token if keys are configured.
const SUBSCRIBER_CALLS: [(&str, &str); 6] = [
    ("GET", "/events/a"),
    ("HEAD", "/events/a"),
    ("GET", "/.well-known/mercure?topic=a"),
    ("HEAD", "/.well-known/mercure?topic=a"),
    ("GET", "/topics"),
    ("GET", "/topics/a"),
];
const PUBLISHER_CALLS: [(&str, &str); 2] = [("POST", "/publish/a"), ("POST", HUB)];

fn is_refused(answer: &Response, challenge: &str) {
    assert_eq!(answer.status, 401, "{answer:?}");
    let found = answer.head.field("www-authenticate").unwrap_or_default();
    assert!(found.starts_with(challenge), "{answer:?}");
    assert_eq!(
        answer.head.field("content-type"),
        Some("application/problem+json")
    );
}

#[test]
fn a_token_is_needed_where_there_are_keys() {
    let node = Node::guarded();
    for (method, target) in SUBSCRIBER_CALLS.into_iter().chain(PUBLISHER_CALLS) {
        let answer = node.call(method, target, &[("Content-Type", FORM)]);
        is_refused(&answer, CHALLENGE);
        let challenge = answer.head.field("www-authenticate");
        assert_eq!(challenge, Some(CHALLENGE), "no token, no error: {target}");
    }
    // An `EventSource` gets the true status, too: it has to give up.
    let fields = [("Accept", "text/event-stream")];
    is_refused(&node.call("GET", "/events/a", &fields), CHALLENGE);
    assert_eq!(node.hub.streams(), 0);
    assert_eq!(node.hub.history_len("a"), 0);
}

#[test]
fn what_needs_no_token_never_does() {
    let node = Node::guarded();
    assert_eq!(node.call("GET", "/healthz", &[]).status, 200);
    assert_eq!(node.call("GET", "/readyz", &[]).status, 200);
    for (_, target) in SUBSCRIBER_CALLS.into_iter().chain(PUBLISHER_CALLS) {
        assert_eq!(node.call("OPTIONS", target, &[]).status, 204, "{target}");
    }
}

#[test]
fn a_valid_token_opens_every_door_of_its_role() {
    let node = Node::guarded();
    let token = token(&json!({ "mercure": { "publish": ["a"], "subscribe": ["a"] } }));
    let cookie = format!("x=1; mercureAuthorization={token}");
    let fields: [(&str, &str); 2] = [("Authorization", &bearer(&token)), ("Cookie", &cookie)];
    for field in &fields {
        for (method, target) in SUBSCRIBER_CALLS {
            // A stream would never end.
            let method = if method == "GET" && !target.starts_with("/topics") {
                "HEAD"
            } else {
                method
            };
            let answer = node.call(method, target, &[*field]);
            assert_eq!(
                answer.status, 200,
                "{method} {target} {field:?}: {answer:?}"
            );
        }
    }
    for (_, target) in SUBSCRIBER_CALLS {
        let join = if target.contains('?') { '&' } else { '?' };
        let target = format!("{target}{join}authorization={token}");
        assert_eq!(node.call("HEAD", &target, &[]).status, 200, "{target}");
    }
    let field = [("Authorization", &*bearer(&token))];
    assert_eq!(node.call("POST", "/publish/a", &field).status, 200);
    let target = format!("/publish/a?authorization={token}&event=e");
    assert_eq!(node.call("POST", &target, &[]).status, 200);
    assert_eq!(node.post(&token, "topic=a").status, 200);
}

/// Invalid tokens, with the challenge for each.
fn bad_tokens() -> Vec<(&'static str, String)> {
    let claims = json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] } });
    let good = token(&claims);
    let timed = |claim: &str, at: u64| {
        token(&json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] }, claim: at }))
    };
    let (_, rest) = good.split_once('.').expect("three parts");
    let (claims_part, signature) = rest.split_once('.').expect("three parts");
    // {"alg":"none"}
    let none = "eyJhbGciOiJub25lIn0";
    let other_secret = "another secret that is long enough for HS512, which wants sixty-four bytes";
    vec![
        (
            "another key",
            sign(&Header::default(), &claims, other_secret),
        ),
        (
            "another algorithm",
            sign(&Header::new(Algorithm::HS512), &claims, SECRET),
        ),
        ("no algorithm", format!("{none}.{claims_part}.")),
        (
            "no algorithm, signed",
            format!("{none}.{claims_part}.{signature}"),
        ),
        ("truncated", good[..good.len() - 1].to_owned()),
        (
            "no signature",
            good[..good.rfind('.').expect("a dot")].to_owned(),
        ),
        ("expired", timed("exp", now_unix_s() - 10)),
        ("early", timed("nbf", now_unix_s() + 1_000)),
        ("too long", format!("{good}{}", "a".repeat(8 << 10))),
        ("garbage", "secretsecret".to_owned()),
        ("nothing", String::new()),
        ("wrong claims", token(&json!({ "mercure": 1 }))),
    ]
}

#[test]
fn a_bad_token_is_never_taken_for_none_and_never_repeated() {
    for anonymous in [false, true] {
        let node = Node::with(|settings| settings.anonymous = anonymous);
        for (name, token) in bad_tokens() {
            let own_origin = format!("http://{}", node.address);
            for (method, target) in SUBSCRIBER_CALLS.into_iter().chain(PUBLISHER_CALLS) {
                let join = if target.contains('?') { '&' } else { '?' };
                let in_query = format!("{target}{join}authorization={token}");
                let cookie = format!("mercureAuthorization={token}");
                let cookie = [("Cookie", &*cookie), ("Origin", &*own_origin)];
                for answer in [
                    node.call(method, target, &[("Authorization", &bearer(&token))]),
                    node.call(method, &in_query, &[]),
                    node.call(method, target, &cookie),
                ] {
                    let challenge =
                        format!("{CHALLENGE}, error=\"invalid_token\", error_description=\"");
                    is_refused(&answer, &challenge);
                    if !token.is_empty() {
                        assert!(
                            !format!("{answer:?}").contains(&token),
                            "{name}: {answer:?}"
                        );
                    }
                }
            }
        }
        assert_eq!(node.hub.history_len("a"), 0);
    }
}

#[test]
fn the_header_wins_then_the_query_then_the_cookie() {
    let node = Node::guarded();
    let good = subscriber(&["a"]);
    let header = bearer(&good);
    let cookie = format!("mercureAuthorization={good}");
    let bad_cookie = ("Cookie", "mercureAuthorization=bad");
    let with = |target: &str, fields: &[(&str, &str)]| node.call("HEAD", target, fields).status;
    let good_query = format!("/events/a?authorization={good}");
    let bad_query = "/events/a?authorization=bad";
    assert_eq!(
        with(bad_query, &[("Authorization", &header), bad_cookie]),
        200
    );
    assert_eq!(with(&good_query, &[bad_cookie]), 200);
    assert_eq!(with("/events/a", &[("Cookie", &cookie)]), 200);
    assert_eq!(with(&good_query, &[("Authorization", "Bearer bad")]), 401);
    assert_eq!(with(bad_query, &[("Cookie", &cookie)]), 401);
}

#[test]
fn more_than_one_token_is_a_malformed_request() {
    let node = Node::guarded();
    let good = subscriber(&["a"]);
    let header = bearer(&good);
    let twice = [("Authorization", &*header), ("Authorization", &*header)];
    let target = format!("/events/a?authorization={good}&authorization={good}");
    for answer in [
        node.call("GET", "/events/a", &twice),
        node.call("GET", &target, &[]),
    ] {
        assert_eq!(answer.status, 400, "{answer:?}");
        let challenge = answer.head.field("www-authenticate").unwrap_or_default();
        assert!(
            challenge.contains("error=\"invalid_request\""),
            "{answer:?}"
        );
        assert!(!answer.body.contains(&good));
    }
}

#[test]
fn other_schemes_are_not_for_this_node() {
    let basic = [("Authorization", "Basic dXNlcjpwYXNz")];
    let guarded = Node::guarded();
    is_refused(&guarded.call("GET", "/events/a", &basic), CHALLENGE);
    let scheme = bearer(&subscriber(&["a"])).replace("Bearer", "bEARER");
    let fields = [("Authorization", &*scheme)];
    assert_eq!(guarded.call("HEAD", "/events/a", &fields).status, 200);
    // Without keys it may be a proxy's.
    assert_eq!(Node::open().call("HEAD", "/events/a", &basic).status, 200);
}

#[test]
fn without_keys_the_native_api_is_open_and_no_token_is_valid() {
    let node = Node::open();
    let good = token(&json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] } }));
    for (method, target) in SUBSCRIBER_CALLS {
        if method == "HEAD" || target.starts_with("/topics") {
            assert_eq!(node.call(method, target, &[]).status, 200, "{target}");
        }
        is_refused(&node.get(target, &good), CHALLENGE);
    }
    assert_eq!(node.call("POST", "/publish/a", &[]).status, 200);
    // The hub accepts nothing without a publisher's token, and no token here is valid.
    is_refused(
        &node.call("POST", HUB, &[("Content-Type", FORM)]),
        CHALLENGE,
    );
    is_refused(&node.post(&good, "topic=a"), CHALLENGE);
    let mut stream = node.subscribe_anonymously("/.well-known/mercure?topic=a");
    let fields = [("Content-Type", "text/plain")];
    request(node.address, "POST", "/publish/a", &fields, b"public");
    assert_eq!(stream.take_data(1), ["public"]);
}

#[test]
fn keys_of_one_role_leave_the_other_open() {
    let node = Node::with_keys(&[Role::Publisher], |_| {});
    assert_eq!(node.call("HEAD", "/events/a", &[]).status, 200);
    is_refused(&node.call("POST", "/publish/a", &[]), CHALLENGE);
    let node = Node::with_keys(&[Role::Subscriber], |_| {});
    is_refused(&node.call("HEAD", "/events/a", &[]), "");
    assert_eq!(node.call("POST", "/publish/a", &[]).status, 200);
}

#[test]
fn anonymous_subscribers_are_a_setting() {
    let node = Node::with(|settings| settings.anonymous = true);
    assert_eq!(node.call("HEAD", "/events/a", &[]).status, 200);
    let target = "/.well-known/mercure?topic=a";
    assert_eq!(node.call("HEAD", target, &[]).status, 200);
    // They listen; they neither list subscriptions nor publish.
    for (method, target) in [
        ("GET", "/topics"),
        ("GET", "/topics/a"),
        ("POST", "/publish/a"),
        ("POST", HUB),
    ] {
        is_refused(&node.call(method, target, &[]), CHALLENGE);
    }
}

#[test]
fn refusals_of_the_request_say_nothing_of_its_query() {
    let node = Node::guarded();
    let token = subscriber(&["a"]);
    let long = format!("/events/a?authorization={token}&x={}", "x".repeat(17 << 10));
    for (target, status) in [
        (format!("/nowhere?authorization={token}"), 404),
        (format!("/publish?authorization={token}"), 405),
        (long, 414),
        (format!("/events?topic=%ff&authorization={token}"), 400),
        (format!("/events?topic=&authorization={token}"), 400),
    ] {
        let answer = node.call("GET", &target, &[]);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(!answer.body.contains(&token), "{answer:?}");
    }
}

#[test]
fn answers_to_a_token_in_the_query_are_private() {
    let node = Node::guarded();
    let token = subscriber(&["a"]);
    for target in ["/events/a?", "/.well-known/mercure?topic=a&"] {
        let answer = node.call("HEAD", &format!("{target}authorization={token}"), &[]);
        let cache = answer.head.field("cache-control");
        assert_eq!(cache, Some("private, no-cache, no-transform"));
        let target = format!("{target}authorization={token}");
        let stream = node.subscribe_anonymously(&target);
        let cache = stream.head.field("cache-control");
        assert_eq!(cache, Some("private, no-cache, no-transform"));
    }
}

#[test]
fn native_publishing_needs_every_topic() {
    let node = Node::guarded();
    let header = bearer(&publisher(&["a", "b"]));
    let post = |target: &str, kind: &str, body: &str| {
        let fields = [("Authorization", &*header), ("Content-Type", kind)];
        request(node.address, "POST", target, &fields, body.as_bytes())
    };
    let json = "application/json";
    let good = r#"{"topics":["a","b"],"data":1}"#;
    let bad = r#"{"topics":["a","c"],"data":1}"#;
    assert_eq!(post("/publish", json, good).status, 200);
    let answer = post("/publish", json, bad);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.json()["field"], "topic");
    assert!(
        answer.json()["detail"]
            .as_str()
            .is_some_and(|text| text.contains("\"c\""))
    );
    let challenge = answer.head.field("www-authenticate").unwrap_or_default();
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{answer:?}"
    );
    let answer = post("/publish", json, &format!("[{good},{bad}]"));
    assert_eq!(
        (answer.status, &answer.json()["pointer"]),
        (403, &"/1/topic".into())
    );
    assert_eq!(post("/publish/c", "text/plain", "x").status, 403);
    assert_eq!(node.hub.history_len("a"), 1, "nothing else was published");
    let lines = format!("{good}\n{good}\n{bad}\n{good}\n");
    let answer = post("/publish", "application/x-ndjson", &lines);
    assert_eq!(answer.status, 403);
    assert!(answer.head.field("www-authenticate").is_some());
    let problem = answer.json();
    assert_eq!(
        (&problem["line"], &problem["accepted"]),
        (&3.into(), &2.into())
    );
    assert_eq!(node.hub.history_len("a"), 3);
}

#[test]
fn a_token_brings_its_own_topics() {
    let node =
        Node::with(|settings| settings.topics_from = vec!["user/{sub}".parse().expect("a rule")]);
    let token = token(&json!({ "sub": "42" }));
    let mut stream = node.subscribe("/events", &token);
    node.publish("topic=user/42&data=yours&private=on");
    assert_eq!(stream.take_data(1), ["yours"]);
    // The hub's protocol asks for a topic.
    assert_eq!(node.get(HUB, &token).status, 400);
    assert_eq!(node.get("/events", &subscriber(&["a"])).status, 400);
}

#[test]
fn any_name_is_answered_only_where_everybody_needs_a_token() {
    for (roles, listed, status) in [
        (vec![Role::Publisher, Role::Subscriber], vec![], 400),
        (vec![Role::Publisher], vec![], 421),
        (vec![], vec![], 421),
        (vec![], vec!["any.example"], 400),
        (
            vec![Role::Publisher, Role::Subscriber],
            vec!["other.example"],
            421,
        ),
    ] {
        let what = format!("{roles:?} {listed:?}");
        let node = Node::with_keys(&roles, |settings| {
            settings.anonymous = true;
            settings.hosts = listed
                .iter()
                .map(|name| name.parse().expect("a name"))
                .collect();
        });
        let mut connection = Connection::open(node.address);
        // No topic is named, so every accepted caller gets that answer.
        connection.send(b"GET /events HTTP/1.1\r\nHost: any.example\r\n\r\n");
        assert_eq!(connection.response("GET").status, status, "{what}");
    }
}
