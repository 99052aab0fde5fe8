use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::pin::pin;
use std::task::Poll;
use tokio::net::TcpStream;

use crate::node::Node;
use crate::support::frozen::Freezing;
use crate::support::wait_until;

type Client = SendRequest<Full<Bytes>>;

async fn connect(node: &Node) -> Client {
    let socket = TcpStream::connect(node.address).await.expect("accepted");
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    client
}

async fn call(client: &mut Client, method: &str, target: &str, body: &str) -> Response<Incoming> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://node{target}"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .expect("a request");
    client.send_request(request).await.expect("an answer")
}

/// Reads a stream until its text contains `what`.
async fn read_until(body: &mut Incoming, what: &str) -> String {
    let mut text = String::new();
    while !text.contains(what) {
        let frame = body.frame().await.expect("more").expect("open");
        text.push_str(std::str::from_utf8(&frame.into_data().expect("data")).expect("UTF-8"));
    }
    text
}

#[test]
fn streams_and_publishing_share_a_connection() {
    let node = Node::start();
    node.runtime.block_on(async {
        let mut client = connect(&node).await;
        let first = call(&mut client, "GET", "/events/a", "").await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()["content-type"], "text/event-stream");
        assert_eq!(first.headers()["x-accel-buffering"], "no");
        let mut first = first.into_body();
        let mut second = call(&mut client, "GET", "/events?topic=a&topic=b", "")
            .await
            .into_body();
        let prime = read_until(&mut first, "\n\n").await;
        assert!(prime.starts_with(": heartbeat 15000\nid: "), "{prime:?}");
        read_until(&mut second, "\n\n").await;
        let answer = call(
            &mut client,
            "POST",
            "/publish",
            r#"{"topic":"a","data":"x"}"#,
        )
        .await;
        assert_eq!(answer.status(), StatusCode::OK);
        let text = answer
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes();
        let receipt: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(receipt["subscribers"], 2);
        read_until(&mut first, "data: x\n").await;
        read_until(&mut second, "data: x\n").await;
        assert_eq!(node.hub.streams(), 2);

        // One stream less, the connection and the other stream live on.
        drop(first);
        wait_until("one stream is closed", || node.hub.streams() == 1);
        call(
            &mut client,
            "POST",
            "/publish",
            r#"{"topic":"b","data":"y"}"#,
        )
        .await;
        read_until(&mut second, "data: y\n").await;
        drop(client);
        drop(second);
    });
    node.wait_for_streams(0);
    node.wait_for_connections(0);
}

#[test]
fn a_freeze_does_not_wait_for_streams_and_answers_requests_in_hand() {
    let mut node = Node::start();
    let runtime = node.runtime.handle().clone();
    let (client, mut stream) = runtime.block_on(async {
        let mut client = connect(&node).await;
        let stream = call(&mut client, "GET", "/events/a", "").await;
        (client, stream.into_body())
    });
    node.freeze();
    let kept = node.frozen(|frozen| (frozen.connections.len(), frozen.left));
    assert_eq!(kept, (0, 0), "it cannot be carried, and is not waited for");
    // The hub is not frozen here: its streams go on until it ends them.
    node.thaw();
    node.publish("a", "x");
    runtime.block_on(async {
        read_until(&mut stream, "data: x\n").await;
        drop(stream);
    });
    // It was told to go, so it ends with its last stream.
    node.wait_for_connections(0);
    runtime.block_on(async {
        wait_until("the client knows", || client.is_closed());
        let mut client = connect(&node).await;
        let answer = call(&mut client, "GET", "/healthz", "").await;
        assert_eq!(answer.status(), StatusCode::OK);
    });
}

#[test]
fn resume_and_refusals_are_the_same() {
    let node = Node::with(|settings| settings.max_streams = 1);
    let id = node.publish("a", "1")["id"]
        .as_str()
        .expect("id")
        .to_owned();
    node.publish("a", "2");
    node.runtime.block_on(async {
        let mut client = connect(&node).await;
        let target = format!("/events/a?last_event_id={id}");
        let stream = call(&mut client, "GET", &target, "").await;
        assert_eq!(stream.headers()["last-event-id"], id.as_str());
        let text = read_until(&mut stream.into_body(), "data: 2\n").await;
        assert!(!text.contains("data: 1\n"));
        for (method, target, status) in [
            ("GET", "/events", 400),
            ("GET", "/nothing", 404),
            ("PUT", "/publish", 405),
        ] {
            assert_eq!(call(&mut client, method, target, "").await.status(), status);
        }
        wait_until("the first stream is closed", || node.hub.streams() == 0);
        let stream = call(&mut client, "GET", "/events/a", "").await;
        let full = call(&mut client, "GET", "/events/a", "").await;
        assert_eq!(
            (stream.status(), full.status().as_u16()),
            (StatusCode::OK, 503)
        );
    });
}

#[test]
fn a_stalled_stream_holds_up_nobody() {
    let node = Node::start();
    let data = "x".repeat(60_000);
    node.runtime.block_on(async {
        let mut client = connect(&node).await;
        let stalled = call(&mut client, "GET", "/events/a", "").await;
        let mut reading = call(&mut client, "GET", "/events/a", "").await.into_body();
        read_until(&mut reading, "\n\n").await;
        for round in 0..20 {
            let body = serde_json::json!({ "topic": "a", "data": format!("{round}{data}") });
            call(&mut client, "POST", "/publish", &body.to_string()).await;
            read_until(&mut reading, &format!("data: {round}x")).await;
        }
        drop(stalled);
    });
}

#[test]
fn the_preface_may_come_in_pieces() {
    let node = Node::start();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for cut in [1, 3, 14, 23, 24, 25] {
        let mut socket = std::net::TcpStream::connect(node.address).expect("accepted");
        socket.set_nodelay(true).expect("a socket");
        socket.write_all(&preface[..cut]).expect("open");
        node.wait_for_connections(1);
        socket.write_all(&preface[cut..]).expect("open");
        // The server's settings: a frame of type 4 on stream 0.
        let mut frame = [0; 9];
        socket.read_exact(&mut frame).expect("settings");
        assert_eq!((frame[3], &frame[5..]), (4, &[0, 0, 0, 0][..]), "{cut}");
        drop(socket);
        node.wait_for_connections(0);
    }
}

#[test]
fn shutdown_lets_a_connection_go_when_its_streams_have_ended() {
    let mut node = Node::with(|settings| settings.drain_period = std::time::Duration::ZERO);
    let hub = node.hub.clone();
    let rest = node.runtime.block_on(async {
        let mut client = connect(&node).await;
        let mut stream = call(&mut client, "GET", "/events/a", "").await.into_body();
        read_until(&mut stream, "\n\n").await;
        node.stop();
        hub.drain().await;
        stream.collect().await.expect("a proper end").to_bytes()
    });
    assert!(rest.starts_with(b"retry: "), "{rest:?}");
    node.wait_served();
}

#[test]
fn an_unused_connection_is_closed_in_time() {
    let node = Node::with(|settings| settings.idle_timeout = crate::node::SHORT);
    node.runtime.block_on(async {
        let mut client = connect(&node).await;
        assert_eq!(call(&mut client, "GET", "/healthz", "").await.status(), 200);
        let closed = wait_closed(&client);
        tokio::time::timeout(crate::support::DEADLINE, closed)
            .await
            .expect("closed");
    });
    node.wait_for_connections(0);
}

async fn wait_closed(client: &Client) {
    while !client.is_closed() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn every_id_that_is_taken_is_a_cursor_here_too() {
    let node = Node::start();
    let ids = [
        "a",
        "a b",
        "ä\u{20ac}\u{10ffff}",
        "a\u{2028}b",
        "%0a",
        "\"\\",
    ];
    for id in ids {
        let event = serde_json::json!({ "topic": "a", "data": "seen", "id": id }).to_string();
        assert_eq!(
            node.post("/publish", "application/json", &event).status,
            200
        );
        node.publish("a", "next");
        node.runtime.block_on(async {
            let mut client = connect(&node).await;
            let cursor = hyper::header::HeaderValue::from_bytes(id.as_bytes()).expect("a value");
            let request = Request::get("http://node/events/a")
                .header("last-event-id", cursor.clone())
                .body(Full::default())
                .expect("a request");
            let stream = client.send_request(request).await.expect("an answer");
            assert_eq!(stream.headers()["last-event-id"], cursor, "{id:?}");
            let text = read_until(&mut stream.into_body(), "data: next\n").await;
            assert!(!text.contains("seen") && !text.contains("gap"), "{text}");
        });
    }
}

/// An array of very many topics is published in portions. hyper dropped the future of a request
/// that was reset after the first one, and with it the rest.
#[test]
fn a_client_that_went_away_had_a_part_of_its_large_array_published() {
    const EVENTS: usize = 20_000;
    let node = Node::with(|settings| settings.publish_batch_max = EVENTS);
    for round in 0..5 {
        let events = (0..EVENTS).map(|n| format!(r#"{{"topic":"{round}/{n}","data":1}}"#));
        let body = format!("[{}]", events.collect::<Vec<_>>().join(","));
        let kept = |n: usize| node.hub.history_len(&format!("{round}/{n}"));
        node.runtime.block_on(async {
            let mut client = connect(&node).await;
            let mut answer = pin!(call(&mut client, "POST", "/publish", &body));
            poll_fn(|context| match answer.as_mut().poll(context) {
                Poll::Pending if kept(0) == 0 => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            })
            .await;
            // Dropping the answer resets the request.
        });
        wait_until("the last one is published", || kept(EVENTS - 1) == 1);
    }
}
