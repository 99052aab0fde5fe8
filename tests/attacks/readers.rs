use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::frames::{
    CANCEL, DATA, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, Peer, RST_STREAM, get, window_update,
};
use crate::innocent::Innocent;
use crate::readings::{metric, resident_bytes};
use crate::support::http::request;
use crate::support::node::Node;
use crate::support::{DEADLINE, resp, wait_until};

/// Topics of a node whose list is long: one page of it.
const TOPICS: usize = 1_000;

/// Length of their names, which makes the list a quarter of a megabyte.
const NAME_BYTES: usize = 200;

/// Pause of a client that reads slowly, and the bytes that it reads then; with much less it would
/// count as stopped.
const PAUSE: Duration = Duration::from_millis(50);
const STEP_BYTES: usize = 4 * 1024;

/// Bytes that a node may grow by beside the setting for answers. The build under test is not
/// optimised.
const GROWTH_MAX: usize = 48 << 20;

/// Makes the list of topics long.
fn fill(node: &Node) {
    let mut publisher = resp::Client::open(node.ingest);
    for n in 0..TOPICS {
        publisher.send(&["PUBLISH", &format!("{n:0NAME_BYTES$}"), "x"]);
    }
    for _ in 0..TOPICS {
        assert_eq!(publisher.line(), ":0");
    }
}

const SHORT: &[&str] = &["--write-timeout", "1s"];

/// A client whose streams read nothing until it allows it.
fn deaf(node: &Node) -> Peer {
    Peer::open(node.http, &[(INITIAL_WINDOW_SIZE, 0)])
}

fn closed_by_write_timeout(node: &Node) -> u64 {
    let page = node.admin_get("/metrics").body;
    let lines = page.lines().filter(|line| {
        line.starts_with("fantail_streams_closed_total{") && line.contains("write_timeout")
    });
    let values = lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>());
    values.map(|value| value.expect("a number") as u64).sum()
}

#[test]
fn an_http2_stream_that_takes_nothing_is_reset_and_its_neighbour_is_not() {
    let node = Node::start_with(SHORT);
    let mut peer = deaf(&node);
    peer.send(&[get(1, "/events/a"), get(3, "/events/a")].concat());
    peer.send(&window_update(3, 1 << 20));
    node.wait_for_streams(2);
    assert_eq!(node.publish("a", "x"), 2);
    let reset = peer.until("a reset", |frame| frame.kind == RST_STREAM);
    assert_eq!((reset.stream, reset.code()), (1, CANCEL));
    node.wait_for_streams(1);
    assert_eq!(closed_by_write_timeout(&node), 1);
    // The stream frees its topic at the end of the turn that closed it.
    wait_until("its topic has one stream", || node.publish("a", "y") == 1);
    peer.until("the event", |frame| {
        frame.kind == DATA && String::from_utf8_lossy(&frame.payload).contains("data: y")
    });
}

/// The end waited in the node's own queue, and the node said "drained".
#[test]
fn a_drain_counts_http2_streams_that_did_not_take_their_end() {
    let mut node = Node::start_with(&["--drain-period", "500ms", "--write-timeout", "1h"]);
    let mut peer = deaf(&node);
    let streams = [1, 3, 5].map(|stream| get(stream, "/events/a"));
    peer.send(&streams.concat());
    peer.send(&window_update(3, 1 << 20));
    node.wait_for_streams(3);
    assert_eq!(node.publish("a", "x"), 3);
    let reader = thread::spawn(move || {
        peer.until("the end of the stream that reads", |frame| {
            frame.kind == DATA && frame.stream == 3 && frame.flags & END_STREAM != 0
        });
        // A client that leaves is owed nothing.
        peer
    });
    assert_eq!(node.stop().code(), Some(1), "{}", node.logged());
    let logged = node.logged();
    assert!(logged.contains("streams_cut=2"), "{logged}");
    drop(reader.join().expect("its end"));
}

#[test]
fn a_drain_counts_http2_streams_that_are_reset_before_they_took_their_end() {
    let flags = ["--drain-period", "1h", "--shards", "1"];
    let mut node = Node::start_with(&[&flags[..], SHORT].concat());
    let mut peer = deaf(&node);
    peer.send(&get(1, "/events/a"));
    node.wait_for_streams(1);
    assert_eq!(node.stop().code(), Some(1), "{}", node.logged());
    let logged = node.logged();
    assert!(logged.contains("streams_cut=1"), "{logged}");
}

#[test]
fn an_http2_answer_that_takes_nothing_is_reset() {
    let node = Node::start_with(SHORT);
    let mut peer = deaf(&node);
    peer.send(&[get(1, "/topics"), get(3, "/healthz")].concat());
    for _ in 0..2 {
        let reset = peer.until("a reset", |frame| frame.kind == RST_STREAM);
        assert_eq!(reset.code(), CANCEL);
    }
    // The connection lives.
    peer.send(&[get(5, "/healthz"), window_update(5, 100)].concat());
    peer.until("an answer", |frame| {
        frame.stream == 5 && frame.kind == DATA && frame.flags & END_STREAM != 0
    });
}

#[test]
fn an_http2_answer_of_which_a_byte_was_taken_does_not_stay() {
    let node = Node::start_with(SHORT);
    let mut peer = Peer::open(node.http, &[(INITIAL_WINDOW_SIZE, 1)]);
    peer.send(&get(1, "/healthz"));
    peer.until("a head", |frame| frame.kind == HEADERS);
    // h2 has all of it, so its stream can be ended only together with the connection.
    peer.last_word();
}

#[test]
fn http2_lists_that_nobody_reads_take_up_no_more_than_they_may() {
    let node = Node::start();
    fill(&node);
    let mut innocent = Innocent::join(&node);
    innocent.check(1);
    let bytes = resident_bytes(&node);
    let innocent = innocent.beside(|| {
        let mut peer = deaf(&node);
        for n in 0..1_000 {
            assert!(peer.send(&get(2 * n + 1, "/topics")));
        }
        wait_until("the rest is refused", || {
            // 4 MiB have room for some 15 of them.
            metric(&node, "fantail_answers_shed_total") > 950
        });
        assert!(metric(&node, "fantail_answers_waiting_bytes") <= 4 << 20);
        // Others have their lists, also over HTTP/2.
        let list = request(node.http, "GET", "/topics", &[], b"");
        assert!(list.body.len() > TOPICS * NAME_BYTES);
        let mut other = Peer::open(node.http, &[(INITIAL_WINDOW_SIZE, 1 << 30)]);
        other.send(&[window_update(0, 1 << 30), get(1, "/topics")].concat());
        other.until("the end of the list", |frame| {
            frame.kind == DATA && frame.flags & END_STREAM != 0
        });
    });
    drop(innocent);
    let grown = resident_bytes(&node).saturating_sub(bytes);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    wait_until("nothing is kept of it", || {
        metric(&node, "fantail_answers_waiting_bytes") == 0
    });
}

#[test]
fn http1_lists_that_nobody_reads_take_up_no_more_than_they_may_and_not_for_long() {
    let node = Node::start_with(&[
        "--answer-budget-bytes",
        "1MiB",
        "--write-timeout",
        "2s",
        "--idle-timeout",
        "2s",
    ]);
    fill(&node);
    let mut innocent = Innocent::join(&node);
    innocent.check(1);
    let bytes = resident_bytes(&node);
    innocent.beside(|| {
        let get = "GET /topics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(4);
        let deaf: Vec<_> = (0..100)
            .map(|_| {
                let mut socket = TcpStream::connect(node.http).expect("accepted");
                small_receive_buffer(&socket);
                socket.write_all(get.as_bytes()).expect("open");
                socket
            })
            .collect();
        wait_until("some are refused", || {
            metric(&node, "fantail_answers_shed_total") > 10
        });
        assert!(metric(&node, "fantail_answers_waiting_bytes") <= 1 << 20);
        wait_until("they are ended", || {
            metric(&node, "fantail_http_connections ") == 0
        });
        assert_eq!(metric(&node, "fantail_answers_waiting_bytes"), 0);
        drop(deaf);
    });
    let grown = resident_bytes(&node).saturating_sub(bytes);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
}

#[test]
fn an_answer_that_is_read_steadily_is_never_cut() {
    let node = Node::start_with(&["--write-timeout", "2s", "--idle-timeout", "1s"]);
    fill(&node);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut socket = TcpStream::connect(node.http).expect("accepted");
            socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
            small_receive_buffer(&socket);
            socket
                .write_all(b"GET /topics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .expect("open");
            let mut bytes = 0;
            let mut part = [0; STEP_BYTES];
            loop {
                let count = socket.read(&mut part).expect("no reset");
                if count == 0 {
                    break;
                }
                bytes += count;
                thread::park_timeout(PAUSE);
            }
            assert!(bytes > TOPICS * NAME_BYTES, "{bytes}");
        });
        scope.spawn(|| {
            let mut peer = deaf(&node);
            peer.send(&get(1, "/topics"));
            let mut bytes = 0;
            let step = u32::try_from(STEP_BYTES).expect("small");
            loop {
                peer.send(&[window_update(1, step), window_update(0, step)].concat());
                let frame = peer.until("more", |frame| frame.stream == 1 && frame.kind == DATA);
                bytes += frame.payload.len();
                if frame.flags & END_STREAM != 0 {
                    break;
                }
                thread::park_timeout(PAUSE);
            }
            assert!(bytes > TOPICS * NAME_BYTES, "{bytes}");
        });
    });
}

/// Makes the client's own buffer small, so that the node notices how slowly it reads.
fn small_receive_buffer(socket: &TcpStream) {
    rustix::net::sockopt::set_socket_recv_buffer_size(socket, STEP_BYTES).expect("a socket");
}

#[test]
fn a_head_request_over_http2_has_no_body() {
    let node = Node::start();
    let mut peer = Peer::open(node.http, &[]);
    let head = crate::frames::frame(
        HEADERS,
        END_STREAM | crate::frames::END_HEADERS,
        1,
        &crate::frames::block("HEAD", "/healthz"),
    );
    peer.send(&head);
    let answer = peer.until("a head", |frame| frame.kind == HEADERS);
    assert_ne!(answer.flags & END_STREAM, 0);
}
