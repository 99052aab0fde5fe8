//! Which host a request was sent to, and whether the node answers for it.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::node::Node;
use crate::support::http::{Connection, request};

/// Values of `Host` that are none (RFC 9112 §3.2, RFC 3986 §3.2.2).
const NO_HOSTS: [&str; 14] = [
    "u@a",
    "u:p@127.0.0.1",
    "a:b",
    "a:99999",
    "a:-1",
    "[zz]",
    "[::1",
    "::1",
    ":80",
    "a b",
    "a/b",
    "a?b",
    "http://a",
    "a%zz",
];

/// Sends a request and reads the answer, on a connection that goes on.
fn ask(connection: &mut Connection, text: &str) -> (u16, String) {
    connection.send(text.as_bytes());
    let answer = connection.response("GET");
    assert_eq!(
        answer.head.field("connection"),
        None,
        "{text:?}: {answer:?}"
    );
    (answer.status, answer.body)
}

#[test]
fn a_host_that_is_none_is_refused_in_every_version_and_on_every_path() {
    let node = Node::start();
    for host in NO_HOSTS {
        for start in [
            "GET /healthz",
            "GET /events/a",
            "POST /publish/a",
            "OPTIONS *",
            "GET http://a/healthz",
        ] {
            let mut connection = node.connect();
            let text = format!("{start} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let (status, body) = ask(&mut connection, &text);
            assert_eq!(status, 400, "{text:?}");
            assert!(body.contains("\"field\":\"host\""), "{text:?}: {body}");
            assert_eq!(
                ask(&mut connection, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").0,
                200
            );
        }
        let old = node.raw(&format!("GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n"));
        assert_eq!(old.status, 400, "{host}");
    }
}

#[test]
fn two_hosts_are_refused_in_every_version() {
    let node = Node::start();
    for version in ["1.0", "1.1"] {
        for fields in [
            "Host: a\r\nHost: a\r\n",
            "Host: a\r\nHost: b\r\n",
            "Host:\r\nhost: a\r\n",
        ] {
            let answer = node.raw(&format!("GET /healthz HTTP/{version}\r\n{fields}\r\n"));
            assert_eq!(answer.status, 400, "{version} {fields}");
            assert_eq!(answer.json()["field"], "host");
        }
    }
}

#[test]
fn an_absolute_target_wins_over_host() {
    let node = Node::start();
    let post = |target: &str, host: &str, origin: &str| {
        node.raw(&format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Length: 1\r\n\r\nx")).status
    };
    assert_eq!(post("http://a/publish/t", "node", "http://a"), 200);
    assert_eq!(post("http://a/publish/t", "node", "http://node"), 403);
    assert_eq!(post("/publish/t", "node", "http://node"), 200);
    for target in [
        "http://u@a/healthz",
        "http://a:99999/healthz",
        "http://a:b/healthz",
        "ftp://a/healthz",
    ] {
        let answer = node.raw(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status, 400, "{target}");
    }
    let evil = node.raw("GET http://evil.example/topics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(evil.status, 421);
    let named = node.raw("GET http://a/topics HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(named.status, 200);
}

#[test]
fn a_page_that_points_its_own_name_here_is_not_answered() {
    let node =
        Node::with(|settings| settings.hosts = vec!["*.known.example".parse().expect("a name")]);
    let own = format!("127.0.0.1:{}", node.address.port());
    for host in [
        own.as_str(),
        "[::1]",
        "192.0.2.1:80",
        "localhost:8080",
        "LOCALHOST",
        "a.localhost",
        "x.known.example:1",
    ] {
        let answer = node.raw(&format!("GET /topics HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "known.example",
        "0x7f000001",
        "x.known.example.evil",
    ] {
        let mut connection = node.connect();
        for (method, target) in [
            ("GET", "/topics"),
            ("GET", "/events/a"),
            ("HEAD", "/events/a"),
            ("POST", "/publish/a"),
            ("POST", "/.well-known/mercure"),
            ("GET", "/nothing"),
            ("OPTIONS", "/events/a"),
            ("OPTIONS", "*"),
            ("GET", "/healthzz"),
        ] {
            connection.send(
                format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Length: 1\r\n\r\nx").as_bytes(),
            );
            let answer = connection.response(method);
            assert_eq!(answer.status, 421, "{host} {method} {target}");
            assert_eq!(answer.head.field("connection"), None);
            assert!(
                method == "HEAD" || answer.body.contains("`hosts`"),
                "{answer:?}"
            );
        }
        // Load balancers make names up.
        for target in ["/healthz", "/readyz"] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(ask(&mut connection, &text).0, 200);
        }
    }
    assert_eq!((node.hub.streams(), node.hub.history_len("a")), (0, 0));
    // No browser leaves its host out.
    assert_eq!(node.raw("GET /topics HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(
        node.raw("GET /topics HTTP/1.1\r\nHost:\r\n\r\n").status,
        400
    );
}

#[test]
fn a_star_answers_for_every_name() {
    let node = Node::with(|settings| settings.hosts = vec!["*".parse().expect("a name")]);
    let answer = node.raw("GET /topics HTTP/1.1\r\nHost: any.example\r\n\r\n");
    assert_eq!(answer.status, 200);
}

/// Sends one request over HTTP/2, and returns its status; `None` for a stream that was reset.
fn over_http2(node: &Node, method: &str, target: Uri, host: &[&str]) -> Option<u16> {
    let mut request = Request::builder().method(method).uri(target);
    for host in host {
        request = request.header("host", *host);
    }
    let request = request.body(Full::<Bytes>::default()).expect("a request");
    node.runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(node.address).await;
        let socket = TokioIo::new(socket.expect("accepted"));
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), socket)
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        let answer = client.send_request(request).await;
        answer.ok().map(|answer| answer.status().as_u16())
    })
}

#[test]
fn http2_is_held_to_the_same() {
    let node = Node::start();
    for (target, host, status) in [
        ("http://a/topics", [].as_slice(), 200),
        ("http://a/topics", &["a"], 200),
        ("http://a/topics", &["A:80"], 200),
        ("https://a/topics", &["a:443"], 200),
        ("http://a/topics", &["node"], 400),
        ("http://a/topics", &["a:81"], 400),
        ("http://a/topics", &[""], 400),
        ("http://a/topics", &["a", "a"], 400),
        ("http://a/topics", &["u@a"], 400),
        ("http://u@a/topics", &[], 400),
        ("http://evil.example/topics", &[], 421),
        ("http://evil.example/topics", &["a"], 400),
        ("http://evil.example/events/a", &[], 421),
        ("http://evil.example/healthz", &[], 200),
        ("http://127.0.0.1:1/topics", &[], 200),
        ("http://[::1]/topics", &["[0::1]"], 200),
    ] {
        assert_eq!(
            over_http2(&node, "GET", target.parse().expect("an address"), host),
            Some(status),
            "{target} {host:?}"
        );
    }
}

#[test]
fn http2_has_requests_for_the_whole_node_too() {
    let node = Node::start();
    let whole = |host: &str| {
        let uri = Uri::builder().scheme("http").authority(host);
        uri.path_and_query("*").build().expect("a target")
    };
    assert_eq!(over_http2(&node, "OPTIONS", whole("a"), &[]), Some(204));
    assert_eq!(
        over_http2(&node, "OPTIONS", whole("evil.example"), &[]),
        Some(421)
    );
    assert_eq!(over_http2(&node, "GET", whole("a"), &[]), Some(400));
    let place = Uri::from_static("a:80");
    assert_eq!(over_http2(&node, "CONNECT", place, &[]), Some(405));
}

#[test]
fn a_proxy_that_writes_the_default_port_into_host_is_understood() {
    let node = Node::with(|settings| settings.hosts = vec!["example.com".parse().expect("a name")]);
    for (host, origin, status) in [
        ("example.com:443", "https://example.com", 200),
        ("example.com:80", "http://example.com", 200),
        ("Example.COM", "https://example.com:443", 200),
        ("[0:0::1]", "http://[::1]", 200),
        ("example.com:80", "https://example.com", 403),
        ("example.com:8443", "https://example.com", 403),
        ("example.com", "https://example.com.", 403),
        (
            "example.com",
            "https://example.com, https://evil.example",
            403,
        ),
    ] {
        let fields = [("Origin", origin)];
        let mut connection = node.connect();
        connection.send(
            format!(
                "POST /publish/a HTTP/1.1\r\nHost: {host}\r\n{}: {}\r\nContent-Length: 1\r\n\r\nx",
                fields[0].0, origin
            )
            .as_bytes(),
        );
        assert_eq!(
            connection.response("POST").status,
            status,
            "{host} {origin}"
        );
    }
    let two = "POST /publish/a HTTP/1.1\r\nHost: example.com\r\nOrigin: http://example.com\r\nOrigin: http://evil.example\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(node.raw(two).status, 403);
}

#[test]
fn requests_for_the_whole_node_have_their_own_answers() {
    let node = Node::start();
    let mut connection = node.connect();
    for (text, status, allow) in [
        ("OPTIONS * HTTP/1.1", 204, Some("GET, HEAD, POST, OPTIONS")),
        (
            "CONNECT a:80 HTTP/1.1",
            405,
            Some("GET, HEAD, POST, OPTIONS"),
        ),
        // Not the host that was asked, but the one to be connected to.
        (
            "CONNECT stranger.example:443 HTTP/1.1",
            405,
            Some("GET, HEAD, POST, OPTIONS"),
        ),
        ("GET * HTTP/1.1", 400, None),
        ("POST * HTTP/1.1", 400, None),
        ("GET a:80 HTTP/1.1", 400, None),
        ("GET healthz HTTP/1.1", 400, None),
        ("CONNECT /healthz HTTP/1.1", 400, None),
        ("CONNECT a HTTP/1.1", 400, None),
        ("CONNECT * HTTP/1.1", 400, None),
    ] {
        // One after the other on one connection, which lives.
        connection.send(format!("{text}\r\nHost: a\r\n\r\n").as_bytes());
        let answer = connection.response("GET");
        assert_eq!(answer.status, status, "{text}: {answer:?}");
        assert_eq!(answer.head.field("allow"), allow, "{text}");
        assert_eq!(answer.head.field("connection"), None, "{text}");
    }
    let old = node.raw("OPTIONS * HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 204);
    assert_eq!(
        request(node.address, "GET", "/healthz", &[], b"").status,
        200
    );
}
