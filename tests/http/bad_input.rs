use std::time::{Duration, Instant};

use crate::node::{Node, SHORT};
use crate::support::http::Connection;
use crate::support::{DEADLINE, wait_until};

/// Time between two drops of a body that never pauses.
const DRIP_EVERY: Duration = Duration::from_millis(20);

#[test]
fn host_is_required_and_single() {
    let node = Node::start();
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
    ] {
        for start in ["GET /events/a", "POST /publish/a", "GET /healthz"] {
            let answer = node.raw(&format!("{start} HTTP/1.1\r\n{fields}\r\n"));
            assert_eq!(answer.status, 400, "{start} {fields:?}");
            assert_eq!(answer.json()["field"], "host");
        }
    }
    assert_eq!(
        node.raw("GET /healthz HTTP/1.1\r\nHost:\r\n\r\n").status,
        200
    );
    assert_eq!(
        node.raw("GET /healthz HTTP/1.1\r\nhOsT: [::1]:80\r\n\r\n")
            .status,
        200
    );
    assert_eq!(node.hub.streams(), 0);
}

#[test]
fn heads_are_bounded() {
    let node = Node::with(|settings| {
        settings.request_target_bytes_max = 1_000;
        settings.header_bytes_max = 4_000;
        settings.header_count_max = 10;
    });
    let get = |target: &str, fields: &str| {
        node.raw(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    };
    let healthz = |length: usize| format!("/healthz?{}", "x".repeat(length - "/healthz?".len()));
    assert_eq!(get(&healthz(1_000), "").status, 200);
    let long = get(&healthz(1_001), "");
    assert_eq!(long.status, 414);
    assert!(long.body.contains("request_target_bytes_max"));

    assert_eq!(get("/healthz", &"X: y\r\n".repeat(9)).status, 200);
    let many = get("/healthz", &"X: y\r\n".repeat(10));
    assert_eq!(many.status, 431);
    assert!(many.body.contains("header_count_max"));

    let field = |length: usize| format!("X: {}\r\n", "y".repeat(length));
    assert_eq!(get("/healthz", &field(3_900)).status, 200);
    let large = get("/healthz", &field(4_000));
    assert_eq!(large.status, 431);
    assert!(large.body.contains("header_bytes_max"));
    // Far beyond, the answer is the status alone.
    assert_eq!(get("/healthz", &field(20_000)).status, 431);
    assert_eq!(get("/healthz", &"X: y\r\n".repeat(200)).status, 431);
    assert_eq!(get(&format!("/{}", "x".repeat(70_000)), "").status / 100, 4);
}

#[test]
fn what_is_no_http_is_refused_and_closed() {
    let node = Node::start();
    for text in [
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/3.0\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\0\r\n\r\n",
        "POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /publish/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST /publish/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{1}\u{1}",
    ] {
        let mut connection = node.connect();
        connection.send(text.as_bytes());
        connection
            .socket()
            .shutdown(std::net::Shutdown::Write)
            .expect("open");
        let mut answer = Vec::new();
        while let Some(part) = connection.rest() {
            answer.extend(part);
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty()
                || answer.starts_with("HTTP/1.1 400 ")
                || answer.starts_with("HTTP/1.0 400 "),
            "{text:?}: {answer}"
        );
    }
    node.wait_for_connections(0);
    assert_eq!(node.hub.history_len("a"), 0);
}

#[test]
fn a_length_beside_chunks_cannot_smuggle() {
    let node = Node::start();
    let mut connection = node.connect();
    connection.send(
        b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
          1\r\nx\r\n0\r\n\r\nPOST /publish/b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\ny",
    );
    // RFC 9112, section 6.1, lets a server accept the chunks or refuse. A proxy in front that uses
    // the length would see two requests.
    let first = connection.response("POST");
    assert_eq!(first.status, 400);
    assert_eq!(first.head.field("connection"), Some("close"));
    assert!(connection.at_end());
    assert_eq!(
        (node.hub.history_len("a"), node.hub.history_len("b")),
        (0, 0)
    );
}

#[test]
fn a_broken_body_publishes_nothing() {
    let node = Node::start();
    for (fields, body) in [
        ("Content-Length: 10", "short"),
        ("Transfer-Encoding: chunked", "5\r\nshort"),
        ("Transfer-Encoding: chunked", "zz\r\nbad"),
        ("Transfer-Encoding: chunked", "ffffffffffffffffff\r\n"),
    ] {
        let mut connection = node.connect();
        connection.send(
            format!("POST /publish/a HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}").as_bytes(),
        );
        connection
            .socket()
            .shutdown(std::net::Shutdown::Write)
            .expect("open");
        while connection.rest().is_some() {}
    }
    node.wait_for_connections(0);
    assert_eq!(node.hub.history_len("a"), 0);
}

#[test]
fn a_slow_head_is_ended_in_time() {
    let node = Node::with(|settings| settings.header_timeout = SHORT);
    for text in ["", "G", "PRI * HTTP/2.0\r\n", "GET /healthz HTTP/1.1\r\nHo"] {
        let begun = Instant::now();
        let mut connection = node.connect();
        connection.send(text.as_bytes());
        let mut answer = Vec::new();
        while let Some(part) = connection.rest() {
            answer.extend(part);
        }
        assert!(begun.elapsed() >= SHORT, "{text:?}: {:?}", begun.elapsed());
        let told = String::from_utf8_lossy(&answer);
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 408 "),
            "{told}"
        );
    }
    // Bytes that trickle in do not buy time.
    let begun = Instant::now();
    let mut connection = node.connect();
    let socket = connection.socket().try_clone().expect("a socket");
    socket.set_nodelay(true).expect("a socket");
    connection.send(b"GET /healthz HTTP/1.1\r\nX: ");
    wait_until("the connection is closed", || {
        std::io::Write::write_all(&mut &socket, b"y").is_err()
    });
    assert!(begun.elapsed() >= SHORT);
    node.wait_for_connections(0);
}

#[test]
fn a_second_head_has_its_own_time() {
    let node = Node::with(|settings| settings.header_timeout = SHORT);
    let mut connection = node.connect();
    connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.response("GET").status, 200);
    let begun = Instant::now();
    connection.send(b"GET /healthz HTTP/1.1\r\n");
    assert_eq!(connection.response("GET").status, 408);
    assert!(begun.elapsed() >= SHORT);
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let node = Node::with(|settings| settings.idle_timeout = SHORT);
    let mut connection = node.connect();
    for _ in 0..2 {
        connection.send(b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(connection.response("POST").status, 200);
    }
    let begun = Instant::now();
    assert!(connection.at_end());
    assert!(begun.elapsed() >= SHORT / 2);
    node.wait_for_connections(0);
}

#[test]
fn a_body_that_pauses_is_ended_in_time() {
    let node = Node::with(|settings| settings.body_timeout = SHORT);
    let begun = Instant::now();
    let answer = node.raw("POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nx");
    assert_eq!(answer.status, 408);
    assert!(answer.body.contains("body_timeout"), "{answer:?}");
    assert!(begun.elapsed() >= SHORT);
    node.wait_for_connections(0);
}

/// Sends bytes that keep a connection from pausing, again and again, until the node ends it.
fn drip(connection: &mut Connection, drop: &[u8]) {
    let socket = connection.socket().try_clone().expect("a socket");
    socket.set_read_timeout(Some(DRIP_EVERY)).expect("a socket");
    let end = Instant::now() + DEADLINE;
    while socket.peek(&mut [0]).is_err() {
        assert!(Instant::now() < end, "it goes on for ever");
        connection.send(drop);
    }
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
}

#[test]
fn a_body_that_comes_byte_by_byte_is_ended_in_time() {
    let node = Node::with(|settings| settings.body_time_max = SHORT);
    for (head, drop) in [
        ("POST /publish/a", "x"),
        ("POST /publish", "x"),
        ("POST /publish", "1\r\nx\r\n"),
    ] {
        let framing = match drop {
            "x" => "Content-Length: 1000000",
            _ => "Transfer-Encoding: chunked",
        };
        let mut connection = node.connect();
        let json = "Content-Type: application/json";
        let head = format!("{head} HTTP/1.1\r\nHost: a\r\n{json}\r\n{framing}\r\n\r\n");
        connection.send(head.as_bytes());
        drip(&mut connection, drop.as_bytes());
        let answer = connection.response("POST");
        assert_eq!(answer.status, 408, "{answer:?}");
        assert_eq!(answer.head.field("connection"), Some("close"));
        assert!(answer.body.contains("body_time_max"), "{answer:?}");
        assert!(connection.at_end());
    }
    node.wait_for_connections(0);
}

#[test]
fn a_line_that_comes_byte_by_byte_is_ended_in_time_and_those_before_it_count() {
    let node = Node::with(|settings| settings.body_time_max = SHORT);
    let mut connection = node.connect();
    connection.send(
        b"POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n\
          Content-Length: 1000000\r\n\r\n{\"topic\":\"a\",\"data\":1}\n{\"topic\"",
    );
    drip(&mut connection, b" ");
    let answer = connection.response("POST");
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(answer.head.field("connection"), Some("close"));
    assert_eq!(answer.json()["accepted"], 1);
    assert!(connection.at_end());
}

#[test]
fn lines_may_come_for_longer_than_a_body_may_take_and_idle_between() {
    let node = Node::with(|settings| {
        settings.body_time_max = SHORT;
        settings.body_timeout = SHORT;
        settings.idle_timeout = DEADLINE;
    });
    let mut stream = node.subscribe("/events/a");
    let mut connection = node.connect();
    connection.send(
        b"POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n\
          Transfer-Encoding: chunked\r\n\r\n",
    );
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < SHORT * 4 {
        connection.send(b"17\r\n{\"topic\":\"a\",\"data\":1}\n\r\n");
        count += 1;
        assert_eq!(stream.next().expect("published").data, "1");
        std::thread::park_timeout(SHORT * 3 / 2);
    }
    connection.send(b"0\r\n\r\n");
    let answer = connection.response("POST");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["accepted"], count);
}

#[test]
fn an_answer_that_nobody_reads_is_given_up() {
    let node = Node::with(|settings| {
        settings.write_timeout = SHORT;
        settings.send_buffer_bytes = 4_096;
        settings.publish_batch_max = 100_000;
    });
    let body = format!("[{}]", vec![r#"{"topic":"a","data":1}"#; 60_000].join(","));
    let mut connection = node.connect();
    let head = format!(
        "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket2::SockRef::from(connection.socket())
        .set_recv_buffer_size(4_096)
        .expect("a socket");
    connection.send(head.as_bytes());
    connection.send(body.as_bytes());
    node.wait_for_connections(1);
    node.wait_for_connections(0);
}
