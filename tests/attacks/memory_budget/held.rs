//! Attacks whose memory was counted, but for less than the process held: buffers that double, heads
//! that do not end, answers that are built and then refused, blocks that the allocator keeps.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{Attacked, with_a_mebibyte};
use crate::frames::{
    CONTINUATION, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, Peer, block, frame, literal,
};
use crate::readings::metric;
use crate::support::http::request;
use crate::support::{DEADLINE, resp, wait_until};

/// Connections of an attack.
const MANY: usize = 300;

/// Sends `start` on many connections, then each of `pieces`. A refused one is closed while it sends.
fn send(to: SocketAddr, count: usize, start: &[u8], piece: &[u8], pieces: usize) -> Vec<TcpStream> {
    let mut sockets: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut socket = TcpStream::connect(to).expect("the node accepts");
            socket.set_write_timeout(Some(DEADLINE)).expect("a socket");
            let _ = socket.write_all(start);
            socket
        })
        .collect();
    for _ in 0..pieces {
        for socket in &mut sockets {
            let _ = socket.write_all(piece);
        }
    }
    sockets
}

/// What has been answered so far.
fn answers(sockets: &mut [TcpStream]) -> String {
    let mut all = Vec::new();
    for socket in sockets {
        let _ = socket.set_nonblocking(true);
        let mut part = [0; 4 * 1024];
        let read = socket.read(&mut part).unwrap_or(0);
        all.extend_from_slice(&part[..read]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Heads were counted by nothing.
#[test]
fn request_heads_that_do_not_end_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start();
    let field = format!("x-{}: {}\r\n", "n".repeat(20), "h".repeat(570));
    let start = b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n";
    let pieces = 50;
    let mut sockets = send(
        attacked.node.http,
        4 * MANY,
        start,
        field.as_bytes(),
        pieces,
    );
    attacked.stays_within_budget("request_bodies");
    let answers = answers(&mut sockets);
    assert!(answers.contains("HTTP/1.1 503 "), "{answers}");
    assert!(answers.contains("memory_budget"), "{answers}");
    drop(sockets);
    attacked.gives_back("request_bodies");
}

/// A head that fits into a connection's first buffer was not counted, and neither was the buffer.
#[test]
fn short_heads_that_do_not_end_are_counted_and_refused_last() {
    // 64 buffers fill it.
    let node = with_a_mebibyte();
    let start = b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n";
    let mut sockets = send(node.http, MANY, start, b"x-a: b\r\n", 1);
    let part = |name: &str| metric(&node, &format!("{name}{{part=\"request_bodies\"}} "));
    wait_until("some are refused", || {
        part("fantail_memory_refused_total") > 0
    });
    let held = part("fantail_memory_bytes");
    assert!((1 << 19..=(1 << 20) + (16 << 10)).contains(&held), "{held}");
    assert!(answers(&mut sockets).contains("HTTP/1.1 503 "));
    // A head in one piece is never refused for its memory.
    assert_eq!(request(node.http, "GET", "/healthz", &[], b"").status, 200);
    drop(sockets);
    wait_until("all is given back", || part("fantail_memory_bytes") == 0);
}

/// The buffer of a long head stays with its connection, and was counted by nothing.
#[test]
fn connections_that_sent_a_long_head_take_no_more_than_is_counted() {
    let attacked = Attacked::start();
    let field = format!("x-{}: {}\r\n", "n".repeat(20), "h".repeat(970));
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        field.repeat(30)
    );
    let sockets = send(attacked.node.http, 2 * MANY, head.as_bytes(), b"", 0);
    attacked.stays_within_budget("request_bodies");
    assert!(attacked.held("request_bodies") > 0, "while they are idle");
    drop(sockets);
    attacked.gives_back("request_bodies");
}

/// A buffer that doubled was counted by its length.
#[test]
fn json_bodies_that_do_not_end_take_no_more_than_is_counted() {
    let attacked = Attacked::start_with(&["--body-budget-bytes", "12MiB"]);
    let start = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                  Content-Length: 1000000\r\n\r\n{\"topic\":\"a\",\"data\":\"";
    let sockets = send(attacked.node.http, MANY, start, &[b'x'; 32 << 10], 20);
    attacked.stays_within_budget("request_bodies");
    drop(sockets);
    attacked.gives_back("request_bodies");
}

#[test]
fn lines_of_ndjson_that_do_not_end_take_no_more_than_is_counted() {
    let attacked = Attacked::start_with(&["--body-budget-bytes", "12MiB"]);
    let start = b"POST /publish HTTP/1.1\r\nHost: localhost\r\n\
                  Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    let piece = [b"8000\r\n".as_slice(), &[b'x'; 32 << 10], b"\r\n"].concat();
    let sockets = send(attacked.node.http, MANY, start, &piece, 20);
    attacked.stays_within_budget("request_bodies");
    drop(sockets);
    attacked.gives_back("request_bodies");
}

#[test]
fn commands_of_many_elements_that_do_not_end_take_no_more_than_is_counted() {
    let attacked = Attacked::start();
    let element = [b"$30000\r\n".as_slice(), &[b'q'; 30_000], b"\r\n"].concat();
    let start = b"*1000\r\n$4\r\nEVAL\r\n";
    let sockets = send(attacked.node.ingest, MANY, start, &element, 20);
    attacked.stays_within_budget("ingest");
    drop(sockets);
    attacked.gives_back("ingest");
}

/// Each connection made up to 64 KiB of a reply before it asked for room.
#[test]
fn replies_of_many_connections_are_refused_before_they_are_made() {
    let attacked = Attacked::start();
    let data = "d".repeat(1_000);
    for _ in 0..900 {
        attacked.node.publish("long", &data);
    }
    let range = resp::command(&["XRANGE", "long", "-", "+"]).repeat(20);
    let sockets = send(attacked.node.ingest, MANY, &range, b"", 0);
    attacked.stays_within_budget("ingest");
    drop(sockets);
    attacked.gives_back("ingest");
}

/// `CLIENT LIST` was written whole, and counted when it waited to be read.
#[test]
fn lists_of_clients_are_refused_before_they_are_made() {
    let attacked = Attacked::start();
    let list = resp::command(&["CLIENT", "LIST"]).repeat(200);
    let sockets = send(attacked.node.ingest, 2 * MANY, &list, b"", 0);
    attacked.stays_within_budget("ingest");
    drop(sockets);
    attacked.gives_back("ingest");
}

/// A page of topics was built, and refused when it was to be sent.
#[test]
fn lists_of_topics_that_have_no_room_are_refused_and_counted() {
    let attacked = Attacked::start_with(&["--answer-budget-bytes", "2MiB"]);
    let node = &attacked.node;
    let mut client = resp::Client::open(node.ingest);
    for n in 0..2_000 {
        client.send(&["PUBLISH", &format!("{n}-{}", "t".repeat(100)), "x"]);
        assert_eq!(client.line(), ":0");
    }
    let list = b"GET /topics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(40);
    let mut sockets = send(node.http, 40, &list, b"", 0);
    wait_until("lists are refused", || attacked.refused("answers") > 0);
    assert!(attacked.held("answers") <= 2 << 20);
    let shed = metric(node, "fantail_answers_shed_total ");
    assert!(attacked.refused("answers") >= shed, "each is counted");
    wait_until("a client reads its refusal", || {
        answers(&mut sockets).contains("HTTP/1.1 503 ")
    });
    attacked.stays_within_budget("answers");
    drop(sockets);
    attacked.gives_back("answers");
}

/// Header blocks were counted by nothing.
#[test]
fn header_blocks_of_http2_that_do_not_end_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start();
    let mut block = block("GET", "/events/a");
    while block.len() < 14_000 {
        block.extend(literal(b"x-a", &[b'h'; 600]));
    }
    let more = frame(
        CONTINUATION,
        0,
        1,
        &literal(b"x-b", &[b'h'; 600]).repeat(20),
    );
    let mut peers = Vec::new();
    let refused = (0..4 * MANY).any(|_| {
        let mut peer = Peer::open(attacked.node.http, &[]);
        // One that was refused is closed while it sends.
        let _ = peer.send(&frame(HEADERS, 0, 1, &block)) && peer.send(&more);
        peers.push(peer);
        peers.len() % 50 == 0 && attacked.refused("request_bodies") > 0
    });
    assert!(refused, "{}", attacked.held("request_bodies"));
    attacked.stays_within_budget("request_bodies");
    let last = peers.last_mut().expect("a peer");
    let goodbye = last.until("a goodbye", |frame| frame.kind == GOAWAY);
    assert_eq!(goodbye.payload[4..8], ENHANCE_YOUR_CALM.to_be_bytes());
    drop(peers);
    attacked.gives_back("request_bodies");
}
