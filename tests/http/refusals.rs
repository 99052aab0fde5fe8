//! A client must learn from the answer whether its connection lives: a pooled one would otherwise
//! fail at the next request.

use std::io::Write;

use crate::node::Node;
use crate::support::http::Connection;

/// Refused publish calls: method, target, fields, and the status.
const REFUSED: [(&str, &str, &str, u16); 9] = [
    ("POST", "/publish", "Content-Type: text/plain\r\n", 415),
    (
        "POST",
        "/publish",
        "Content-Type: application/json\r\n",
        400,
    ),
    (
        "POST",
        "/publish",
        "Content-Type: application/x-ndjson\r\n",
        400,
    ),
    ("POST", "/publish/a", "Content-Encoding: gzip\r\n", 415),
    ("POST", "/publish/a?nonsense=1", "", 400),
    ("POST", "/publish/a", "Origin: http://evil.example\r\n", 403),
    ("POST", "/.well-known/mercure", "", 401),
    ("POST", "/events/a", "", 405),
    ("PUT", "/nothing", "", 404),
];

/// Reads the answer; then the connection is at its end if that was announced, and otherwise answers
/// one more request.
fn answered(connection: &mut Connection, what: &str) -> (u16, bool) {
    let answer = connection.response("POST");
    let closes = answer.head.field("connection") == Some("close");
    if closes {
        assert!(connection.at_end(), "{what}: {answer:?}");
    } else {
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(connection.response("GET").status, 200, "{what}: {answer:?}");
    }
    (answer.status, closes)
}

fn heads(length: &str) -> impl Iterator<Item = (String, u16)> {
    REFUSED
        .into_iter()
        .map(move |(method, target, fields, status)| {
            (
                format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}{length}\r\n"),
                status,
            )
        })
}

#[test]
fn a_refused_publish_with_a_short_body_keeps_its_connection() {
    let node = Node::start();
    let body = "x".repeat(10_000);
    let chunked = format!("2710\r\n{body}\r\n0\r\n\r\n");
    for (length, body) in [
        ("Content-Length: 10000\r\n", &body),
        ("Transfer-Encoding: chunked\r\n", &chunked),
    ] {
        for (head, status) in heads(length) {
            // In one piece, and with the body behind the head.
            let mut whole = node.connect();
            whole.send(format!("{head}{body}").as_bytes());
            assert_eq!(answered(&mut whole, &head), (status, false), "{head}");
            let mut pieces = node.connect();
            pieces.send(head.as_bytes());
            for piece in body.as_bytes().chunks(1_000) {
                pieces.send(piece);
            }
            assert_eq!(answered(&mut pieces, &head), (status, false), "{head}");
        }
    }
}

#[test]
fn a_refused_publish_with_a_long_body_is_told_that_its_connection_ends() {
    let node = Node::with(|settings| settings.publish_body_bytes_max = 1_024);
    let refused = [("POST", "/publish/a", "", 413)];
    for (method, target, fields, status) in REFUSED.into_iter().chain(refused) {
        // A body that is too large is that first.
        let status = if status == 400 && !target.contains('?') {
            413
        } else {
            status
        };
        for (length, chunk) in [
            ("Content-Length: 1000000", String::new()),
            ("Transfer-Encoding: chunked", "186a0\r\n".to_owned()),
        ] {
            let what =
                format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}{length}\r\n\r\n{chunk}");
            let mut connection = node.connect();
            connection.send(what.as_bytes());
            // The node may be gone when the last bytes arrive.
            let _gone = connection.socket().write_all(&[b'x'; 100_000]);
            assert_eq!(answered(&mut connection, &what), (status, true), "{what}");
        }
    }
}

#[test]
fn a_client_that_sends_all_of_a_large_body_before_it_reads_gets_its_answer() {
    let node = Node::start();
    let length = 9_000_000;
    for (head, status) in heads(&format!("Content-Length: {length}\r\n")) {
        let mut connection = node.connect();
        connection.send(head.as_bytes());
        let body = vec![b'x'; length];
        let sent = connection.socket().write_all(&body);
        assert!(sent.is_ok(), "{head}: {sent:?}");
        let answer = connection.response("POST");
        // The size is checked before the body's other faults.
        assert!([status, 413].contains(&answer.status), "{head}: {answer:?}");
        assert_eq!(answer.head.field("connection"), Some("close"), "{head}");
        assert!(connection.at_end(), "{head}");
    }
}

#[test]
fn a_refused_publish_whose_body_does_not_come_is_answered_in_time() {
    let node = Node::start();
    for (head, status) in heads("Content-Length: 10\r\n") {
        // These two are about the body.
        if status == 400 && !head.contains('?') {
            continue;
        }
        let mut connection = node.connect();
        connection.send(head.as_bytes());
        assert_eq!(answered(&mut connection, &head), (status, true), "{head}");
    }
}

#[test]
fn a_publish_that_asks_first_is_refused_without_being_told_to_go_on() {
    let node = Node::start();
    for (head, status) in heads("Expect: 100-continue\r\nContent-Length: 10\r\n") {
        if status == 400 && !head.contains('?') {
            continue;
        }
        let mut connection = node.connect();
        connection.send(head.as_bytes());
        let first = String::from_utf8(connection.rest().expect("an answer")).expect("text");
        assert!(
            first.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {first}"
        );
        let first = first.to_ascii_lowercase();
        assert!(
            first.contains("\r\nconnection: close\r\n"),
            "{head}: {first}"
        );
        while connection.rest().is_some() {}
    }
}

#[test]
fn an_old_client_is_told_the_same() {
    let node = Node::start();
    for (fields, closes) in [("", true), ("Connection: keep-alive\r\n", false)] {
        let mut connection = node.connect();
        let head = format!("POST /publish HTTP/1.0\r\nContent-Length: 1\r\n{fields}\r\n");
        connection.send(format!("{head}x").as_bytes());
        let answer = connection.response("POST");
        assert_eq!(answer.status, 415);
        let kept = answer.head.field("connection") == Some("keep-alive");
        assert_eq!(kept, !closes);
        if kept {
            connection.send(format!("{head}x").as_bytes());
            assert_eq!(connection.response("POST").status, 415);
        } else {
            assert!(connection.at_end());
        }
    }
}

#[test]
fn a_body_on_a_request_that_needs_none_is_read_and_checked() {
    let node = Node::start();
    let mut connection = node.connect();
    for method in ["GET", "OPTIONS", "DELETE"] {
        connection.send(
            format!("{method} /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
                .as_bytes(),
        );
        let answer = connection.response("GET");
        assert_eq!(answer.head.field("connection"), None, "{method}");
    }
    connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\r\nabc\r\n0\r\n\r\n");
    let answer = connection.response("GET");
    assert_eq!(
        (answer.status, answer.head.field("connection")),
        (400, Some("close"))
    );
    assert!(answer.body.contains("chunk extension"), "{answer:?}");
    assert!(connection.at_end());
}

#[test]
fn a_stream_of_lines_that_breaks_says_how_many_were_taken() {
    let node = Node::start();
    let line = "{\"topic\":\"a\",\"data\":1}\n";
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    for bad in [
        "5;\r\n",
        "zz\r\n",
        "5 \r\n",
        "0\r\nx\r\n\r\n",
        "0\r\na: b\n\r\n",
        "1\r\nxx",
    ] {
        let head = "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
        let text = format!("{head}{chunk}{chunk}{bad}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        for piece in [text.len(), 1] {
            let before = node.hub.history_len("a");
            let mut connection = node.connect();
            for piece in text.as_bytes().chunks(piece) {
                if connection.socket().write_all(piece).is_err() {
                    break;
                }
            }
            let answer = connection.response("POST");
            assert_eq!(answer.status, 400, "{bad:?}");
            assert_eq!(answer.head.field("connection"), Some("close"), "{bad:?}");
            assert_eq!(answer.json()["accepted"], 2, "{bad:?} {answer:?}");
            assert!(connection.at_end());
            assert_eq!(node.hub.history_len("a"), before + 2, "{bad:?}");
        }
    }
}
