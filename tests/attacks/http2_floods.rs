use std::io::Read;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::frames::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,
    PING, PRIORITY, Peer, block, frame, get, literal, post, reset, settings, window_update,
};
use crate::innocent::Innocent;
use crate::readings::{log_lines, metric, resident_bytes};
use crate::support::http::Connection;
use crate::support::node::Node;

/// Rounds that the innocent go through while a flood is on.
const ROUNDS: usize = 5;

/// Connections that flood at once; each alone can occupy a thread for ever.
const ATTACKERS: usize = 2;

/// Repetitions of an attack before it gives up, far above the number that should succeed.
const TIMES: usize = 5_000;

/// Bytes by which the node may grow meanwhile; the build under test is not optimised, and its
/// allocator keeps some.
const GROWTH_MAX: usize = 48 << 20;

/// Lines that an attack may log: the first of its kind, and one more per minute on a slow machine.
const LOG_LINES_MAX: usize = 3;

/// Runs `attack` beside innocent clients, which are served meanwhile; neither the node's memory nor
/// its log may grow with it.
fn beside_innocents(attack: impl FnOnce(&Node)) {
    let node = Node::start();
    let mut innocent = Innocent::join(&node);
    innocent.check(5);
    let (lines, bytes) = (log_lines(&node), resident_bytes(&node));
    let mut innocent = innocent.beside(|| attack(&node));
    innocent.check(1);
    let grown = resident_bytes(&node).saturating_sub(bytes);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    let lines = log_lines(&node) - lines;
    assert!(lines <= LOG_LINES_MAX, "{lines} lines: {}", node.logged());
}

/// Sends `bytes(n)` for n = 0, 1, 2 … until the node ends the connection, which it must; the error
/// code of its last word, if that came through.
fn flooded(peer: &mut Peer, bytes: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    for n in 0..TIMES as u32 {
        if peer.flood(&bytes(n), 1) {
            break;
        }
    }
    // A node that is kept busy ends it after the last bytes. One that puts up with all of them for
    // ever fails here.
    peer.last_word()
}

/// The node asks the flood to calm down, and ends the connection.
fn calmed(bytes: impl Fn(u32) -> Vec<u8>) {
    beside_innocents(|node| {
        let mut peer = Peer::open(node.http, &[]);
        assert_eq!(flooded(&mut peer, &bytes), Some(ENHANCE_YOUR_CALM));
    });
}

/// Client streams have odd numbers.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

#[test]
fn requests_that_are_reset_at_once() {
    // One frame after the other, and all together.
    calmed(|n| [get(stream(n), "/topics"), reset(stream(n), CANCEL)].concat());
    calmed(|n| {
        let streams = (n * 100..(n + 1) * 100).map(stream);
        let pairs = streams.map(|id| [get(id, "/healthz"), reset(id, CANCEL)].concat());
        pairs.collect::<Vec<_>>().concat()
    });
}

#[test]
fn requests_whose_frames_make_the_node_reset_them() {
    type Bad = fn(u32) -> Vec<u8>;
    let bad: [(&str, Bad); 7] = [
        ("window update of 0", |id| window_update(id, 0)),
        ("window beyond its maximum", |id| {
            window_update(id, 0x7fff_ffff)
        }),
        ("priority of a wrong length", |id| {
            frame(PRIORITY, 0, id, &[0])
        }),
        ("priority on itself", |id| {
            let dependency = id.to_be_bytes();
            frame(PRIORITY, 0, id, &[&dependency[..], &[1]].concat())
        }),
        ("data after the end", |id| frame(DATA, 0, id, b"x")),
        ("trailers after the end", |id| get(id, "/topics")),
        ("a field name in upper case", |id| {
            let block = [block("GET", "/topics"), literal(b"X-A", b"b")].concat();
            frame(HEADERS, END_HEADERS | END_STREAM, id + 2, &block)
        }),
    ];
    beside_innocents(|node| {
        for (what, bad) in bad {
            let mut peer = Peer::open(node.http, &[]);
            // Every stream of this one has two numbers.
            let code = flooded(&mut peer, |n| {
                let id = 4 * n + 1;
                [get(id, "/events/a"), bad(id)].concat()
            });
            println!("{what}: {code:?}");
        }
    });
}

#[test]
fn a_header_block_without_end() {
    for part in [0, 1, 1_000, 16 << 10] {
        beside_innocents(|node| {
            let mut peer = Peer::open(node.http, &[]);
            peer.send(&frame(HEADERS, END_STREAM, 1, &block("GET", "/healthz")));
            let field = literal(b"x", &vec![b'a'; part]);
            let part = &field[..part.min(field.len())];
            flooded(&mut peer, |_| frame(CONTINUATION, 0, 1, part));
        });
    }
}

#[test]
fn empty_data_without_end() {
    beside_innocents(|node| {
        for padded in [false, true] {
            let mut peer = Peer::open(node.http, &[]);
            peer.send(&post(1, "/publish"));
            let data = match padded {
                false => frame(DATA, 0, 1, &[]),
                // The length of the padding alone.
                true => frame(DATA, 8, 1, &[0]),
            };
            assert_eq!(
                flooded(&mut peer, |_| data.clone()),
                Some(ENHANCE_YOUR_CALM)
            );
        }
    });
}

#[test]
fn pings_without_end() {
    calmed(|_| frame(PING, 0, 0, &[0; 8]));
}

#[test]
fn answers_to_pings_that_nobody_sent() {
    calmed(|_| frame(PING, ACK, 0, &[0; 8]).repeat(100));
}

#[test]
fn settings_without_end() {
    calmed(|_| settings(&[]));
    calmed(|n| settings(&[(4, n)]).repeat(10));
}

#[test]
fn priorities_without_end() {
    calmed(|n| frame(PRIORITY, 0, stream(n), &[0, 0, 0, 0, 16]));
}

#[test]
fn window_updates_without_end() {
    calmed(|_| window_update(0, 1));
    beside_innocents(|node| {
        let mut peer = Peer::open(node.http, &[]);
        peer.send(&get(1, "/events/a"));
        let code = flooded(&mut peer, |_| window_update(1, 1));
        assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    });
}

#[test]
fn frames_of_unknown_extensions_without_end() {
    calmed(|_| frame(0xbe, 0, 0, b"what?"));
}

#[test]
fn a_small_header_block_that_stands_for_a_large_one() {
    beside_innocents(|node| {
        let mut peer = Peer::open(node.http, &[]);
        // Stored in the table once, and then named by its number (RFC 7541 §6.2.1, §6.1).
        let mut field = vec![0x40];
        field.extend(&literal(b"x", &[b'a'; 4_000])[1..]);
        let first = [block("GET", "/healthz"), field].concat();
        peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &first));
        let bomb = [block("GET", "/healthz"), vec![0x80 | 62; 16_000]].concat();
        let code = flooded(&mut peer, |n| {
            frame(HEADERS, END_HEADERS | END_STREAM, stream(n + 1), &bomb)
        });
        println!("{code:?}");
    });
}

#[test]
fn connections_that_are_ended_for_a_flood_are_counted() {
    let node = Node::start();
    let mut peer = Peer::open(node.http, &[]);
    flooded(&mut peer, |_| frame(PING, 0, 0, &[0; 8]).repeat(100));
    assert_eq!(metric(&node, "fantail_http2_floods_total"), 1);
    node.wait_for_log("an HTTP/2 connection was ended");
}

/// Has the innocent served `ROUNDS` times while attackers repeat the attack; an attacker that is
/// ended reconnects.
fn served_during(node: &Node, attack: impl Fn(&AtomicBool) + Sync) {
    let over = AtomicBool::new(false);
    let mut innocent = Innocent::join(node);
    thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    attack(&over);
                }
            });
        }
        // Also if the innocent are not served, or the attackers would never end.
        let end = AtEnd(&over);
        innocent.check(ROUNDS);
        drop(end);
    });
}

struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn small_frames_without_end_keep_no_thread_from_others() {
    // One thread for everything but delivery: it is lost at once if one connection keeps it.
    let node = Node::start_with(&["--io-threads", "1"]);
    let mut frames = Vec::new();
    for _ in 0..500 {
        frames.extend(window_update(0, 1));
        frames.extend(frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]));
    }
    served_during(&node, |over| {
        let mut peer = Peer::open(node.http, &[]);
        while !over.load(Ordering::Relaxed) && !peer.flood(&frames, 10) {}
    });
}

#[test]
fn a_body_or_requests_without_end_keep_no_thread_from_others() {
    let node = Node::start_with(&["--io-threads", "1"]);
    let mut chunks = Vec::new();
    for _ in 0..200 {
        chunks.extend(b"40\r\n");
        chunks.extend([b'\n'; 64]);
        chunks.extend(b"\r\n");
    }
    let requests = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    served_during(&node, |over| {
        let mut body = Connection::open(node.http);
        body.send(
            b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
              Transfer-Encoding: chunked\r\n\r\n",
        );
        let mut pipelined = Connection::open(node.http);
        while !over.load(Ordering::Relaxed) {
            body.send(&chunks);
            pipelined.send(requests.as_bytes());
            for _ in 0..200 {
                assert_eq!(pipelined.response("GET").status, 200);
            }
        }
    });
}

#[test]
fn a_client_that_still_sends_after_the_last_word_is_not_reset() {
    let node = Node::start();
    let mut peer = Peer::open(node.http, &[]);
    // A frame that h2 itself refuses: a window update of 0 for the connection.
    assert!(peer.send(&window_update(0, 0)));
    peer.until("the last word", |frame| frame.kind == GOAWAY);
    for _ in 0..4 {
        assert!(peer.send(&[0; 16 * 1024]), "it is read and dropped");
    }
    peer.socket.shutdown(Shutdown::Write).expect("open");
    let end = peer.socket.read(&mut [0]).expect("an orderly end");
    assert_eq!(end, 0);
}
