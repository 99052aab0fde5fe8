use std::net::Shutdown;

use socket2::SockRef;

use crate::node::Node;
use crate::support::http::request;
use crate::support::sse::SseStream;

#[test]
fn topics_come_from_path_and_query() {
    let node = Node::start();
    for target in [
        "/events/a",
        "/events?topic=a",
        "/events?topic=b&topic=%61&_=1",
        "/events/c?topic=a&topic=a",
    ] {
        let mut stream = node.subscribe(target);
        node.publish("a", target);
        assert_eq!(stream.take_data(1), [target]);
    }
    let mut stream = node.subscribe("/events/a%2Fb/c%20%C3%A4");
    node.publish("a/b/c%20%C3%A4", "deep");
    assert_eq!(stream.take_data(1), ["deep"]);
}

#[test]
fn an_event_of_two_topics_comes_once() {
    let node = Node::start();
    let mut stream = node.subscribe("/events?topic=a&topic=b");
    let body = r#"[{"topics":["a","b"],"data":"both"},{"topic":"b","data":"one"}]"#;
    assert_eq!(node.post("/publish", "application/json", body).status, 200);
    assert_eq!(stream.take_data(2), ["both", "one"]);
}

#[test]
fn the_head_keeps_caches_and_proxies_away() {
    let node = Node::start();
    let stream = node.subscribe("/events/a");
    let head = &stream.head;
    assert_eq!((head.version.as_str(), head.status), ("HTTP/1.1", 200));
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(head.field(name), Some(value));
    }
    assert!(head.field("date").is_some_and(|date| date.ends_with("GMT")));
    assert_eq!(head.field("last-event-id"), None);
}

#[test]
fn a_stream_is_no_connection_any_more() {
    let node = Node::start();
    let streams: Vec<_> = (0..40).map(|_| node.subscribe("/events/a")).collect();
    node.wait_for_connections(0);
    assert_eq!(node.hub.streams(), 40);
    assert_eq!(node.publish("a", "x")["subscribers"], 40);
    drop(streams);
    node.wait_for_streams(0);
}

#[test]
fn cursors_are_found_and_the_header_wins() {
    let node = Node::start();
    let ids: Vec<String> = (0..4)
        .map(|n| {
            node.publish("a", &n.to_string())["id"]
                .as_str()
                .expect("id")
                .to_owned()
        })
        .collect();
    for name in ["last_event_id", "lastEventID", "lastEventId"] {
        let target = format!("/events/a?{name}={}", ids[1]);
        let mut stream = SseStream::request(node.address, &target, &[]);
        assert_eq!(stream.head.field("last-event-id"), Some(ids[1].as_str()));
        assert_eq!(stream.take_data(2), ["2", "3"], "{name}");
        let mut stream = SseStream::resume(node.address, &target, &ids[2]);
        assert_eq!(stream.take_data(1), ["3"], "{name}");
    }
    let mut all = SseStream::resume(node.address, "/events/a", "earliest");
    assert_eq!(all.head.field("last-event-id"), Some("earliest"));
    assert_eq!(all.take_data(4), ["0", "1", "2", "3"]);
    let mut unknown = SseStream::resume(node.address, "/events/a", "nobody's");
    assert_eq!(unknown.take(1)[0].event, "gap");
}

#[test]
fn http_1_0_gets_a_stream_without_chunks() {
    let node = Node::start();
    let mut connection = node.connect();
    connection.send(b"GET /events/a HTTP/1.0\r\n\r\n");
    let mut stream = SseStream::read(connection);
    assert_eq!(stream.head.version, "HTTP/1.0");
    assert_eq!(stream.head.field("transfer-encoding"), None);
    node.wait_for_streams(1);
    node.publish("a", "old");
    assert_eq!(stream.take_data(1), ["old"]);
}

#[test]
fn head_tells_about_a_stream_without_opening_one() {
    let node = Node::start();
    let answer = request(node.address, "HEAD", "/events/a", &[], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.head.field("content-type"), Some("text/event-stream"));
    assert_eq!(node.hub.streams(), 0);
    assert_eq!(
        request(node.address, "HEAD", "/events", &[], b"").status,
        400
    );
}

#[test]
fn bad_subscriptions_are_refused() {
    let node = Node::with(|settings| {
        settings.event_limits.topics_per_stream_max = 3;
        settings.event_limits.topic_bytes_max = 8;
    });
    for target in [
        "/events",
        "/events?_=1",
        "/events?topic=",
        "/events/",
        "/events/123456789",
        "/events?topic=a&topic=b&topic=c&topic=d",
        "/events?topic=%ff",
        "/events/%c3%28",
    ] {
        let answer = node.get(target);
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.json()["field"], "topic");
    }
    node.subscribe("/events?topic=a&topic=b&topic=c&topic=a");
    assert_eq!(
        node.get("/events?topic=a&topic=b&topic=c&topic=d").status,
        400
    );
    node.wait_for_streams(0);
}

#[test]
fn a_request_may_come_in_any_two_pieces() {
    let node = Node::start();
    let text = b"GET /events/a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    let streams: Vec<_> = (1..text.len())
        .map(|cut| {
            let mut connection = node.connect();
            connection.send(&text[..cut]);
            // Once it is counted, the node has accepted it, most likely with the first piece only.
            node.wait_for_connections(1);
            connection.send(&text[cut..]);
            let stream = SseStream::read(connection);
            node.wait_for_connections(0);
            stream
        })
        .collect();
    node.wait_for_streams(streams.len());
    node.publish("a", "x");
    for mut stream in streams {
        assert_eq!(stream.take_data(1), ["x"]);
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let node = Node::start();
    let mut connection = node.connect();
    for byte in b"GET /events/a HTTP/1.1\r\nHost: a\r\n\r\n" {
        connection.send(&[*byte]);
    }
    let mut stream = SseStream::read(connection);
    node.wait_for_streams(1);
    node.publish("a", "x");
    assert_eq!(stream.take_data(1), ["x"]);
}

#[test]
fn a_stream_may_follow_other_requests_in_one_packet() {
    let node = Node::start();
    let mut connection = node.connect();
    connection.send(
        b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nbefore\
          GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n\
          GET /events/a HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(connection.response("POST").status, 200);
    assert_eq!(connection.response("GET").body, "ok\n");
    let mut stream = SseStream::read(connection);
    node.wait_for_streams(1);
    node.wait_for_connections(0);
    node.publish("a", "after");
    assert_eq!(stream.take_data(1), ["after"]);
}

#[test]
fn a_stream_waits_for_the_answers_before_it() {
    // A large answer that the client does not read is still in hyper's buffer when the subscription
    // is read.
    let node = Node::with(|settings| {
        settings.send_buffer_bytes = 64 * 1024;
        settings.publish_batch_max = 100_000;
    });
    let body = format!("[{}]", vec![r#"{"topic":"a","data":1}"#; 10_000].join(","));
    let mut connection = node.connect();
    SockRef::from(connection.socket())
        .set_recv_buffer_size(16 * 1024)
        .expect("a socket");
    let head = format!(
        "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes());
    connection.send(body.as_bytes());
    connection.send(b"GET /events/a HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = connection.response("POST");
    assert_eq!(answer.json().as_array().map(Vec::len), Some(10_000));
    let mut stream = SseStream::read(connection);
    node.wait_for_streams(1);
    node.publish("a", "live");
    assert_eq!(stream.take_data(1), ["live"]);
}

#[test]
fn what_follows_the_request_is_thrown_away() {
    let node = Node::start();
    for garbage in ["\0\u{1}garbage", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut connection = node.connect();
        connection.send(b"GET /events/a HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.send(garbage.as_bytes());
        let mut stream = SseStream::read(connection);
        node.wait_for_streams(1);
        for round in ["1", "2"] {
            let mut socket = stream.connection().socket();
            std::io::Write::write_all(&mut socket, garbage.as_bytes()).expect("open");
            node.publish("a", round);
            assert_eq!(stream.take_data(1), [round]);
        }
        drop(stream);
        node.wait_for_streams(0);
    }
}

#[test]
fn a_body_on_a_subscription_is_thrown_away() {
    let node = Node::start();
    let mut connection = node.connect();
    connection.send(b"GET /events/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    let mut stream = SseStream::read(connection);
    node.wait_for_streams(1);
    node.publish("a", "x");
    assert_eq!(stream.take_data(1), ["x"]);
}

#[test]
fn clients_that_leave_cost_nothing() {
    let node = Node::start();
    for _ in 0..10 {
        // Reset.
        let stream = node.subscribe("/events/a");
        SockRef::from(stream.connection().socket())
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("a socket");
        drop(stream);
        // Gone before the answer.
        let mut connection = node.connect();
        connection.send(b"GET /events/a HTTP/1.1\r\nHost: a\r\n\r\n");
        drop(connection);
        // Ended its side.
        let stream = node.subscribe("/events/a");
        let _ = stream.connection().socket().shutdown(Shutdown::Write);
        // Silence, and half a request.
        drop(node.connect());
        node.connect().send(b"GET /ev");
    }
    node.wait_for_streams(0);
    node.wait_for_connections(0);
}
