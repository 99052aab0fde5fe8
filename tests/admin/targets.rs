//! Requests whose host, target or length two servers could read differently: the admin listener has
//! the rules of the public one.

use fantail::settings::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::{DEADLINE, Node, publish};

/// Sends both requests in one packet; returns the statuses, and whether the first answer announced
/// the connection's end.
async fn statuses(node: &Node, first: &str) -> (Vec<String>, bool) {
    let mut socket = node.connect().await;
    let last = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let both = format!("{first}{last}");
    socket.write_all(both.as_bytes()).await.expect("is sent");
    let mut text = Vec::new();
    let read = socket.read_to_end(&mut text);
    // A reset after the answer is an end, too.
    let _ended = timeout(DEADLINE, read).await.expect("an end in time");
    let text = String::from_utf8_lossy(&text).into_owned();
    let statuses = text
        .match_indices("HTTP/1.1 ")
        .map(|(at, found)| text[at + found.len()..][..3].to_owned());
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let is_last = head.to_ascii_lowercase().contains("connection: close");
    (statuses.collect(), is_last)
}

#[tokio::test]
async fn a_host_or_target_that_is_none_was_answered_by_the_admin_listener() {
    let node = Node::start(Settings::on_free_ports()).await;
    for path in ["/healthz", "/metrics"] {
        for fields in [
            "Host: u@a",
            "Host: a:b",
            "Host: a:99999",
            "Host: [zz]",
            "Host: a\r\nHost: a",
            "X: no-host",
        ] {
            let request = format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n");
            let (found, is_last) = statuses(&node, &request).await;
            assert_eq!(found, ["400", "200"], "{request:?}");
            assert!(!is_last, "{request:?}");
        }
    }
    for (line, status) in [
        ("GET ftp://127.0.0.1/streams", "400"),
        ("GET streams", "400"),
        ("GET *", "400"),
        ("OPTIONS *", "204"),
        ("CONNECT a:80", "405"),
        ("CONNECT /streams", "400"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let (found, _) = statuses(&node, &request).await;
        assert_eq!(found, [status, "200"], "{line}");
    }
    node.stop().await;
}

#[tokio::test]
async fn nothing_behind_a_chunked_body_is_run_by_the_admin_listener() {
    let node = Node::start(Settings::on_free_ports()).await;
    for (coding, body) in [
        ("chunked", "0\r\n\r\n"),
        ("chunked", "0;bad[=x\r\n\r\n"),
        ("gzip, chunked", "0\r\n\r\n"),
        ("chunked", "0\r\nX: y\n\n"),
    ] {
        for method in ["GET", "PUT"] {
            let request = format!(
                "{method} /trace?topic=a HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: {coding}\r\n\r\n{body}"
            );
            let (found, is_last) = statuses(&node, &request).await;
            assert_eq!(found, ["400"], "{request:?}");
            assert!(is_last, "{request:?}");
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_parameter_of_a_call_that_has_none_was_passed_over() {
    let node = Node::start(Settings::on_free_ports()).await;
    publish(&node.hub, "a", "kept").await;
    for target in [
        "/topics/a?topic=b",
        "/topics/a?dry_run",
        "/streams/0-0-1?force=1",
    ] {
        let answer = node.request("DELETE", target).await;
        assert_eq!(answer.status, 400, "{target}");
        assert!(answer.body.contains("parameter"), "{answer:?}");
    }
    assert_eq!(node.request("GET", "/trace?topic=a").await.status, 400);
    // Nothing was erased.
    let answer = node.request("DELETE", "/topics/a").await;
    assert_eq!(answer.body, "{\"erased\":1}\n");
    node.stop().await;
}
