use fantail::settings::OriginPattern;
use jsonwebtoken::Header;
use serde_json::json;

use crate::node::{FORM, HUB, Node, now_unix_s, publisher, sign, subscriber, token};
use crate::support::http::request;

const PAGE: &str = "https://app.example";

fn node() -> Node {
    Node::with(|settings| {
        settings.cors_origins = vec![PAGE.parse().expect(PAGE)];
        settings.cors_credentials = true;
    })
}

/// Statuses of both ways to publish, with a cookie and this field.
fn posted(node: &Node, field: Option<(&str, &str)>) -> [u16; 2] {
    let cookie = format!("mercureAuthorization={}", publisher(&["*"]));
    let mut fields = vec![("Cookie", &*cookie), ("Content-Type", FORM)];
    fields.extend(field);
    [
        request(node.address, "POST", HUB, &fields, b"topic=a").status,
        request(node.address, "POST", "/publish/a", &fields, b"x").status,
    ]
}

#[test]
fn a_cookie_publishes_from_known_pages_only() {
    let node = node();
    let own = format!("http://{}", node.address);
    let own_page = format!("{own}/page?x=1");
    for field in [
        ("Origin", PAGE),
        ("Origin", &*own),
        ("Referer", "https://app.example/page"),
        ("Referer", &*own_page),
    ] {
        assert_eq!(posted(&node, Some(field)), [200, 200], "{field:?}");
    }
    assert_eq!(node.hub.history_len("a"), 8);
    for field in [
        None,
        Some(("Origin", "null")),
        Some(("Origin", "https://evil.example")),
        Some(("Origin", "https://app.example.evil.example")),
        Some(("Referer", "https://evil.example/https://app.example/")),
        Some(("Referer", "")),
    ] {
        assert_eq!(posted(&node, field), [403, 403], "{field:?}");
    }
    assert_eq!(node.hub.history_len("a"), 8);
}

#[test]
fn any_origin_is_no_page_that_is_known() {
    let node = Node::with(|settings| settings.cors_origins = vec![OriginPattern::Any]);
    assert_eq!(posted(&node, Some(("Origin", PAGE))), [403, 403]);
}

#[test]
fn a_cookie_is_ignored_beside_a_header() {
    let node = node();
    let header = crate::node::bearer(&publisher(&["*"]));
    let fields = [
        ("Authorization", &*header),
        ("Cookie", "mercureAuthorization=bad"),
        ("Content-Type", FORM),
    ];
    assert_eq!(
        request(node.address, "POST", HUB, &fields, b"topic=a").status,
        200
    );
}

#[test]
fn of_two_cookies_of_the_tokens_name_the_valid_one_counts_in_any_order() {
    let node = node();
    let good = publisher_and_subscriber(None);
    let stale = [
        publisher_and_subscriber(Some(now_unix_s() - 10)),
        sign(
            &Header::default(),
            &json!({}),
            "another-secret-of-thirty-two-bytes!",
        ),
        "garbage".to_owned(),
        String::new(),
    ];
    let status = |fields: &[(&str, &str)]| {
        let get = node.call("HEAD", "/events/a", fields).status;
        let post = [fields, &[("Origin", PAGE), ("Content-Type", FORM)]].concat();
        let posted = request(node.address, "POST", HUB, &post, b"topic=a").status;
        (get, posted)
    };
    for stale in &stale {
        for [first, second] in [[stale, &good], [&good, stale]] {
            let one = format!("x=1; mercureAuthorization={first}; mercureAuthorization={second}");
            assert_eq!(status(&[("Cookie", &one)]), (200, 200), "{one}");
            let fields = [first, second].map(|token| format!("mercureAuthorization={token}"));
            let two = fields.each_ref().map(|field| ("Cookie", field.as_str()));
            assert_eq!(status(&two), (200, 200), "{two:?}");
        }
        let bad = format!("mercureAuthorization={stale}; mercureAuthorization={stale}x");
        assert_eq!(status(&[("Cookie", &bad)]), (401, 401), "{bad}");
    }
    // As many as are tried, and one more.
    let others = |count: usize| {
        let all = (0..count).map(|n| format!("mercureAuthorization={n}; "));
        all.collect::<String>() + "mercureAuthorization=" + &good
    };
    assert_eq!(status(&[("Cookie", &others(7))]), (200, 200));
    assert_eq!(status(&[("Cookie", &others(8))]), (400, 400));
}

#[test]
fn of_two_valid_cookies_the_fresher_one_counts_in_any_order() {
    let node = node();
    // The claim `a` is first and decides the alphabetical order of two texts.
    let ending = |first: &str, topic: &str, ends: u64| {
        let claims = json!({ "a": first, "exp": ends, "mercure": { "publish": [topic] } });
        token(&claims)
    };
    let old = ending("m", "a", now_unix_s() + 1_000);
    let before = ending("a", "b", now_unix_s() + 2_000);
    let behind = ending("z", "b", now_unix_s() + 2_000);
    assert!(before < old && old < behind);
    for fresh in [&before, &behind] {
        is_the_one(&node, &old, fresh);
    }
}

fn is_the_one(node: &Node, old: &str, fresh: &str) {
    for [first, second] in [[old, fresh], [fresh, old]] {
        let cookie = format!("mercureAuthorization={first}; mercureAuthorization={second}");
        let fields = [("Cookie", &*cookie), ("Origin", PAGE)];
        let status = |target| request(node.address, "POST", target, &fields, b"x").status;
        assert_eq!((status("/publish/a"), status("/publish/b")), (403, 200));
    }
}

fn publisher_and_subscriber(ends: Option<u64>) -> String {
    let mut claims = json!({ "mercure": { "publish": ["a"], "subscribe": ["a"] } });
    if let Some(ends) = ends {
        claims["exp"] = json!(ends);
    }
    token(&claims)
}

#[test]
fn the_cookies_name_is_a_setting() {
    let node = Node::with(|settings| settings.cookie_name = "hub2".to_owned());
    let token = subscriber(&["a"]);
    let status = |name: &str| {
        let cookie = format!("{name}={token}");
        node.call("HEAD", "/events/a", &[("Cookie", &cookie)])
            .status
    };
    assert_eq!(status("hub2"), 200);
    assert_eq!(status("mercureAuthorization"), 401);
}

#[test]
fn pages_of_listed_origins_read_streams_with_their_cookie() {
    let node = node();
    let cookie = format!("mercureAuthorization={}", subscriber(&["a"]));
    let fields = [("Cookie", &*cookie), ("Origin", PAGE)];
    for target in ["/events/a", "/.well-known/mercure?topic=a"] {
        let answer = node.call("HEAD", target, &fields);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.head.field("access-control-allow-origin"), Some(PAGE));
        let credentials = answer.head.field("access-control-allow-credentials");
        assert_eq!(credentials, Some("true"));
    }
    // A refusal may be read, too.
    let answer = node.call("GET", "/events/a", &[("Origin", PAGE)]);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.head.field("access-control-allow-origin"), Some(PAGE));
}
