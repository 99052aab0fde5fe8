use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, Peer, block, frame, get, post, settings,
};
use crate::innocent::Innocent;
use crate::readings::{log_lines, metric, resident_bytes};
use crate::support::http::Connection;
use crate::support::node::Node;
use crate::support::{DEADLINE, wait_until};

/// Short enough to wait for, long enough for the innocent on a loaded machine.
const SHORT: &[&str] = &[
    "--header-timeout",
    "1s",
    "--body-timeout",
    "1s",
    "--idle-timeout",
    "1s",
];

/// Time between two bytes of a client that trickles: far below every timeout.
const TRICKLE: Duration = Duration::from_millis(100);

/// Opens every connection at once, sends it its beginning, and waits until the node has ended it.
fn ended_in_time(node: &Node, beginnings: &[(&str, Vec<u8>)]) {
    let innocent = Innocent::join(node);
    innocent.beside(|| {
        let peers: Vec<_> = beginnings
            .iter()
            .map(|(what, bytes)| {
                let mut peer = Peer::connect(node.http);
                assert!(peer.send(bytes), "{what}");
                (what, peer)
            })
            .collect();
        for (what, mut peer) in peers {
            let code = peer.last_word();
            println!("{what}: {code:?}");
        }
    });
}

/// Preface and settings.
fn hello() -> Vec<u8> {
    [PREFACE, &settings(&[])].concat()
}

#[test]
fn http2_that_never_gets_on() {
    let node = Node::start_with(SHORT);
    let request = get(1, "/healthz");
    let data = frame(DATA, 0, 1, &[b'x'; 1_000]);
    let begun = |rest: &[u8]| [&hello()[..], rest].concat();
    ended_in_time(
        &node,
        &[
            ("one byte of the preface", PREFACE[..1].to_vec()),
            ("half of the preface", PREFACE[..12].to_vec()),
            ("all but the last byte of it", PREFACE[..23].to_vec()),
            ("no settings", PREFACE.to_vec()),
            ("half of the settings", hello()[..28].to_vec()),
            ("no request", hello()),
            ("half of the head of a frame", begun(&request[..5])),
            ("half of a frame", begun(&request[..20])),
            (
                "half of a header block",
                begun(&frame(HEADERS, END_STREAM, 1, &block("GET", "/healthz"))),
            ),
            ("no more requests", begun(&request)),
            ("no body", begun(&post(1, "/publish"))),
            (
                "a body that stops",
                begun(&[post(1, "/publish"), data.clone()].concat()),
            ),
            (
                "a frame of a body that stops",
                begun(&[&post(1, "/publish"), &data[..500]].concat()),
            ),
        ],
    );
    // Every connection has ended.
    wait_until("no connection is left", || {
        metric(&node, "fantail_http_connections ") == 0
    });
}

#[test]
fn an_http2_frame_that_never_ends_does_not_count_as_idling() {
    // The connection could idle for longer than this test waits.
    let node = Node::start_with(&["--header-timeout", "1s", "--body-timeout", "1s"]);
    let request = get(3, "/healthz");
    let data = frame(DATA, 0, 3, &[b'x'; 1_000]);
    let block = frame(HEADERS, END_STREAM, 3, &block("GET", "/healthz"));
    let begun = |rest: &[u8]| [&hello()[..], &get(1, "/healthz"), rest].concat();
    ended_in_time(
        &node,
        &[
            ("half of the head of a frame", begun(&request[..5])),
            ("half of a frame", begun(&request[..20])),
            ("half of a header block", begun(&block)),
            (
                "half of a frame of a body",
                begun(&[&post(3, "/publish"), &data[..500]].concat()),
            ),
        ],
    );
}

#[test]
fn http2_that_comes_byte_by_byte() {
    let node = Node::start_with(SHORT);
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[b'x'; 10_000]);
    let data = [post(1, "/publish"), frame(DATA, 0, 1, &[b'\n'; 10_000])].concat();
    let innocent = Innocent::join(&node);
    innocent.beside(|| {
        thread::scope(|scope| {
            for bytes in [
                [&hello()[..], &head].concat(),
                [&hello()[..], &data].concat(),
            ] {
                let node = &node;
                scope.spawn(move || {
                    let mut peer = Peer::connect(node.http);
                    assert!(peer.send(&bytes[..200]));
                    let steps = DEADLINE.as_millis() / TRICKLE.as_millis();
                    let ended = bytes[200..].iter().take(steps as usize).any(|byte| {
                        thread::park_timeout(TRICKLE);
                        peer.socket.write_all(&[*byte]).is_err()
                    });
                    assert!(ended, "it goes on for ever");
                });
            }
        });
    });
}

#[test]
fn an_http2_body_of_small_frames_is_ended_in_time() {
    let node = Node::start_with(&["--body-time-max", "1s"]);
    let mut peer = Peer::open(node.http, &[]);
    peer.send(&post(1, "/publish/a"));
    let mut reader = peer.again();
    thread::scope(|scope| {
        let answer = scope.spawn(move || {
            let answer = reader.until("an answer", |frame| frame.kind == HEADERS);
            assert_eq!(answer.stream, 1);
        });
        let begun = Instant::now();
        while !answer.is_finished() {
            assert!(begun.elapsed() < DEADLINE, "it goes on for ever");
            // As NDJSON, a line that does not end.
            peer.send(&frame(DATA, 0, 1, b" "));
            thread::park_timeout(TRICKLE);
        }
    });
}

#[test]
fn http2_that_answers_no_ping() {
    let node = Node::start_with(SHORT);
    let mut peer = Peer::open(node.http, &[]);
    peer.send(&get(1, "/events/a"));
    // A stream keeps its connection, but not for a client that is gone.
    peer.last_word();
    node.wait_for_streams(0);
}

/// Connections that drip at once.
const DRIPPERS: usize = 100;

#[test]
fn http1_heads_and_bodies_that_come_byte_by_byte_on_many_connections() {
    let flags = ["--header-timeout", "2s", "--body-time-max", "2s"];
    let node = Node::start_with(&flags);
    let innocent = Innocent::join(&node);
    let (lines, bytes) = (log_lines(&node), resident_bytes(&node));
    innocent.beside(|| {
        let mut drippers: Vec<_> = (0..DRIPPERS)
            .map(|n| {
                let mut dripper = Connection::open(node.http);
                dripper.send(match n % 2 {
                    0 => b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
                    _ => b"POST /publish/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
                });
                dripper
            })
            .collect();
        let begun = Instant::now();
        let mut answered = 0;
        while !drippers.is_empty() {
            assert!(begun.elapsed() < DEADLINE, "it goes on for ever");
            drippers.retain_mut(|dripper| {
                // Without an answer the connection is not over, whether or not it accepts more.
                let _ = dripper.socket().write_all(b"x");
                let socket = dripper.socket();
                socket.set_nonblocking(true).expect("a socket");
                let is_answered = socket.peek(&mut [0]).is_ok();
                socket.set_nonblocking(false).expect("a socket");
                if is_answered {
                    let answer = dripper.response("GET");
                    assert_eq!(answer.status, 408, "{answer:?}");
                    assert_eq!(answer.head.field("connection"), Some("close"));
                    answered += 1;
                }
                !is_answered
            });
            thread::park_timeout(TRICKLE);
        }
        assert_eq!(answered, DRIPPERS);
    });
    wait_until("no connection is left", || {
        metric(&node, "fantail_http_connections ") == 0
    });
    assert_eq!(log_lines(&node), lines, "{}", node.logged());
    let grown = resident_bytes(&node).saturating_sub(bytes);
    assert!(grown < 32 << 20, "{grown} bytes more");
}
