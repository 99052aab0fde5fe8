//! Requests that come while the node drains.

use std::collections::HashSet;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::node::Node;
use crate::support::http::{Connection, Response, request};

const EVENT_STREAM: (&str, &str) = ("Accept", "text/event-stream");

/// A node that drains, with a `retry` of 2 s.
fn draining() -> Node {
    let node = Node::with(|settings| {
        settings.retry = Some(std::time::Duration::from_secs(2));
        settings.cors_origins = vec!["https://shop.example".parse().expect("an origin")];
    });
    node.runtime.block_on(node.hub.drain());
    node
}

/// The delay of an event stream that says nothing but when to come back.
fn retry_ms(body: &str) -> u64 {
    let ms = body.strip_prefix("retry: ").expect(body);
    let ms = ms.strip_suffix("\n\n").expect(body);
    ms.parse().expect(body)
}

fn check(answer: &Response) -> u64 {
    assert_eq!(answer.status, 200, "{answer:?}");
    let media_type = answer.head.field("content-type");
    assert_eq!(media_type, Some("text/event-stream"));
    assert_eq!(answer.head.field("connection"), Some("close"));
    retry_ms(&answer.body)
}

#[test]
fn an_event_source_is_never_refused_by_a_node_that_drains() {
    let node = draining();
    let mut delays = HashSet::new();
    for target in [
        "/events/a",
        "/events?topic=a&topic=b",
        "/events/a?last_event_id=1-0",
        "/.well-known/mercure?topic=a",
        "/.well-known/mercure?topic=https%3A%2F%2Fshop.example%2F%7Bid%7D",
    ] {
        for _ in 0..4 {
            let answer = request(node.address, "GET", target, &[EVENT_STREAM], b"");
            delays.insert(check(&answer));
        }
    }
    // The source of the delays that the drain itself tells: half to one and a half of `retry`.
    let bounds = 1_000..=3_000;
    assert!(delays.iter().all(|ms| bounds.contains(ms)), "{delays:?}");
    assert!(delays.len() > 10, "spread: {delays:?}");
    assert_eq!(node.hub.node_metrics().drain_answers.get(), 20);
    // A page of an allowed origin may read it, and so its `EventSource` obeys it.
    let fields = [EVENT_STREAM, ("Origin", "https://shop.example")];
    let answer = request(node.address, "GET", "/events/a", &fields, b"");
    check(&answer);
    let allowed = answer.head.field("access-control-allow-origin");
    assert_eq!(allowed, Some("https://shop.example"));
}

#[test]
fn an_event_source_over_http2_is_never_refused_by_a_node_that_drains() {
    let node = Node::start();
    node.runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(node.address).await;
        let io = TokioIo::new(socket.expect("accepted"));
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io)
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        node.hub.drain().await;
        for target in ["/events/a", "/.well-known/mercure?topic=a"] {
            let ask = Request::get(format!("http://node{target}"))
                .header("accept", "text/event-stream")
                .body(Full::<Bytes>::default())
                .expect("a request");
            let answer = client.send_request(ask).await.expect("an answer");
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            let body = answer.into_body().collect().await.expect("its end");
            retry_ms(std::str::from_utf8(&body.to_bytes()).expect("text"));
        }
        let ask = Request::post("http://node/publish/a")
            .body(Full::from("late"))
            .expect("a request");
        let answer = client.send_request(ask).await.expect("an answer");
        assert_eq!(answer.status(), 200, "the connection stays, and publishes");
    });
    assert_eq!(node.hub.history_len("a"), 1);
}

#[test]
fn other_calls_keep_their_meaning_while_the_node_drains() {
    let node = draining();
    assert_eq!(node.publish("a", "late")["subscribers"], 0);
    assert_eq!(node.get("/topics").json()["topics"][0]["topic"], "a");
    assert_eq!(node.get("/healthz").status, 200);
    assert_eq!(node.get("/readyz").status, 503);
    let head = request(node.address, "HEAD", "/events/a", &[EVENT_STREAM], b"");
    assert_eq!(head.status, 200);
    for (target, status) in [("/events", 400), ("/nothing", 404)] {
        let answer = request(node.address, "GET", target, &[EVENT_STREAM], b"");
        assert_eq!(answer.status, status, "{target}");
    }
    assert_eq!(node.hub.node_metrics().drain_answers.get(), 0);
}

/// A client that sent its next request at the moment in which the node closed the connection got
/// none.
#[test]
fn a_connection_that_is_kept_alive_was_closed_without_notice() {
    let node = Node::start();
    let mut publisher = node.connect();
    let post = b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    publisher.send(post);
    assert_eq!(publisher.response("POST").head.field("connection"), None);
    node.runtime.block_on(node.hub.drain());
    publisher.send(post);
    let last = publisher.response("POST");
    assert_eq!(last.status, 200);
    assert_eq!(last.head.field("connection"), Some("close"));
    assert!(publisher.at_end());
    let mut next = Connection::open(node.address);
    next.send(post);
    assert_eq!(next.response("POST").status, 200);
}
