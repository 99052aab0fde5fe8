//! A web page on a machine that reaches the admin listener makes its browser send requests: under
//! its own name, which it points here, and across origins.

use fantail::settings::Settings;

use crate::{Node, read_until};

/// Every call, with a method that it has.
const CALLS: [(&str, &str); 8] = [
    ("GET", "/metrics"),
    ("GET", "/streams"),
    ("DELETE", "/streams/0-0-1"),
    ("DELETE", "/streams?subject=a"),
    ("DELETE", "/topics/a"),
    ("GET", "/trace"),
    ("PUT", "/trace?topic=a"),
    ("DELETE", "/trace"),
];

fn request(method: &str, target: &str, version: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/{version}\r\n{fields}Connection: close\r\n\r\n")
}

#[tokio::test]
async fn a_name_that_was_pointed_at_the_node_was_answered() {
    let settings = Settings {
        admin_hosts: ["node.example", "*.in.example"]
            .map(|name| name.parse().expect(name))
            .into(),
        ..Settings::on_free_ports()
    };
    let node = Node::start(settings).await;
    let mut stream = node.stream("a").await;
    read_until(&mut stream, "hello").await;
    for (host, misdirected) in [
        ("evil.example", true),
        ("evil.example:8081", true),
        ("localhost.evil.example", true),
        ("127.0.0.1.evil.example", true),
        ("127.1", true),
        ("in.example", true),
        ("", true),
        ("127.0.0.1", false),
        ("192.0.2.1:8081", false),
        ("[::1]:8081", false),
        ("LOCALHOST:1", false),
        ("localhost.", false),
        ("Node.Example:8081", false),
        ("a.in.example", false),
    ] {
        for (method, target) in CALLS {
            for version in ["1.1", "1.0"] {
                let field = format!("Host: {host}\r\n");
                let answer = node.raw(&request(method, target, version, &field)).await;
                assert_eq!(
                    answer.status == 421,
                    misdirected,
                    "{method} {target} {host:?}"
                );
                if misdirected {
                    assert!(answer.body.contains("admin_hosts"), "{answer:?}");
                    assert!(!answer.body.contains("127.0.0.1\""), "{answer:?}");
                }
            }
        }
        // Health is answered under any host name.
        for target in ["/healthz", "/readyz"] {
            let field = format!("Host: {host}\r\n");
            let answer = node.raw(&request("GET", target, "1.1", &field)).await;
            assert_eq!(answer.status, 200, "{target} {host:?}");
        }
    }
    for host in ["a:b", "a:99999", "[zz]", "user@127.0.0.1", "a b", "\u{fc}"] {
        let field = format!("Host: {host}\r\n");
        let answer = node.raw(&request("GET", "/streams", "1.1", &field)).await;
        assert_eq!(answer.status, 400, "{host}");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_authority_of_the_target_wins_over_the_field() {
    let node = Node::start(Settings::on_free_ports()).await;
    for (target, host, status) in [
        ("http://evil.example/streams", "127.0.0.1", 421),
        ("http://127.0.0.1/streams", "evil.example", 200),
        ("http://127.0.0.1/streams", "user@127.0.0.1", 400),
        ("http://user@127.0.0.1/streams", "127.0.0.1", 400),
    ] {
        let field = format!("Host: {host}\r\n");
        let answer = node.raw(&request("GET", target, "1.1", &field)).await;
        assert_eq!(answer.status, status, "{target} {host}");
    }
    // Without a name: HTTP/1.0, which no browser speaks.
    let answer = node.raw(&request("GET", "/streams", "1.0", "")).await;
    assert_eq!(answer.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn nothing_is_changed_on_behalf_of_a_page() {
    let node = Node::start(Settings::on_free_ports()).await;
    for (method, target) in CALLS {
        for field in [
            "Origin: http://localhost",
            "Origin: null",
            "Sec-Fetch-Site: same-origin",
            "Sec-Fetch-Site: cross-site",
        ] {
            let fields = format!("Host: localhost\r\n{field}\r\n");
            let answer = node.raw(&request(method, target, "1.1", &fields)).await;
            assert_eq!(
                answer.status == 403,
                method != "GET",
                "{method} {target} {field}"
            );
            // No answer allows another origin to read it.
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        // The answer to a preflight allows nothing.
        let fields = "Host: localhost\r\nOrigin: http://localhost\r\nAccess-Control-Request-Method: DELETE\r\n";
        let answer = node.raw(&request("OPTIONS", target, "1.1", fields)).await;
        assert_eq!(answer.status, 403, "{target}");
    }
    node.stop().await;
}
