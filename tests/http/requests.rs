use crate::node::Node;
use crate::support::http::request;

#[test]
fn health_and_readiness() {
    let node = Node::start();
    for target in ["/healthz", "/readyz"] {
        assert_eq!(node.get(target).status, 200);
        let head = request(node.address, "HEAD", target, &[], b"");
        assert_eq!((head.status, head.body.as_str()), (200, ""));
    }
    node.runtime.block_on(node.hub.drain());
    assert_eq!(node.get("/healthz").status, 200);
    let draining = node.get("/readyz");
    assert_eq!(draining.status, 503);
    assert!(draining.head.field("retry-after").is_some());
}

#[test]
fn what_is_not_there_is_a_problem() {
    let node = Node::start();
    for target in ["/", "/event", "/events2/a", "/healthz/"] {
        let answer = node.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(
            answer.head.field("content-type"),
            Some("application/problem+json")
        );
        let problem = answer.json();
        assert_eq!(problem["status"], 404);
        assert_eq!(problem["title"], "Not Found");
        assert!(problem["detail"].is_string());
    }
}

#[test]
fn wrong_methods_are_told_the_right_ones() {
    let node = Node::start();
    for (method, target, allow) in [
        ("POST", "/events", "GET, HEAD, OPTIONS"),
        ("DELETE", "/events/a", "GET, HEAD, OPTIONS"),
        ("GET", "/publish", "POST, OPTIONS"),
        ("PUT", "/publish/a", "POST, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("BREW", "/readyz", "GET, HEAD, OPTIONS"),
    ] {
        let answer = request(node.address, method, target, &[], b"");
        assert_eq!(answer.status, 405, "{method} {target}");
        assert_eq!(answer.head.field("allow"), Some(allow));
        let options = request(node.address, "OPTIONS", target, &[], b"");
        assert_eq!(options.status, 204);
        assert_eq!(options.head.field("allow"), Some(allow));
    }
}

#[test]
fn a_connection_is_kept_and_pipelined_requests_are_answered_in_order() {
    let node = Node::start();
    let mut connection = node.connect();
    for _ in 0..3 {
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(connection.response("GET").body, "ok\n");
    }
    connection.send(
        b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1\
          GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n\
          POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n2\
          GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let statuses = [(); 4].map(|()| connection.response("GET").status);
    assert_eq!(statuses, [200, 404, 200, 200]);
    assert!(connection.at_end());
    assert_eq!(node.hub.history_len("a"), 2);
    node.wait_for_connections(0);
}

#[test]
fn an_absolute_target_and_a_bare_http_1_0_request_are_understood() {
    let node = Node::start();
    let absolute = node.raw("GET http://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(absolute.status, 200);
    let old = node.raw("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!((old.status, old.body.as_str()), (200, "ok\n"));
}

#[test]
fn a_call_in_the_wrong_place_is_told_the_right_one() {
    let node = Node::start();
    for (method, target, status, call) in [
        ("POST", "/events/news", 405, "`POST /publish/news`"),
        ("POST", "/events", 405, "POST /publish"),
        ("PUT", "/publish/news", 405, "`POST /publish/news`"),
        ("GET", "/publish", 405, "GET /events"),
        ("GET", "/publish/news", 405, "`GET /events/news`"),
        ("POST", "/topics", 405, "POST /publish"),
        ("POST", "/healthz", 405, "GET"),
        ("get", "/events/news", 405, "capitals"),
        ("GET", "/metrics", 404, "admin_listen"),
        ("GET", "/streams", 404, "admin_listen"),
        ("DELETE", "/streams/1", 404, "admin_listen"),
        ("GET", "/subscribe", 404, "GET /events"),
        ("GET", "/stream?topic=a", 404, "GET /events"),
        ("GET", "/Events/news", 404, "GET /events"),
        ("POST", "/pub/news", 404, "POST /publish"),
        ("GET", "/health", 404, "/healthz"),
        ("GET", "/mercure?topic=a", 404, "/.well-known/mercure"),
    ] {
        let answer = request(node.address, method, target, &[], b"");
        assert_eq!(answer.status, status, "{method} {target}");
        let problem = answer.json();
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains(call), "{method} {target}: {detail}");
    }
}
