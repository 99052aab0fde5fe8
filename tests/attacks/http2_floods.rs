use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::frames::{PRIORITY, Peer, frame, window_update};
use crate::innocent::Innocent;
use crate::support::http::Connection;
use crate::support::node::Node;

/// Rounds that the innocent go through while a flood is on.
const ROUNDS: usize = 5;

/// Connections that flood at once; each alone can occupy a thread that never lets go.
const ATTACKERS: usize = 2;

/// Has the innocent served `ROUNDS` times while attackers do the same again and again; whatever ends an attacker, it comes back.
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
        // Also when the innocent are not served: nobody would end the attackers.
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
