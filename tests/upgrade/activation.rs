//! Upgrades of a node whose listening sockets are its supervisor's.

use std::os::fd::AsRawFd;

use crate::node::{publish, upgrade};
use crate::support::activation::{launcher, listener};
use crate::support::http::Connection;
use crate::support::node::Node;
use crate::support::resp;
use crate::support::sse::SseStream;

#[test]
fn inherited_sockets_are_the_listeners_after_upgrades() {
    let ((http, to_http), (ingest, to_ingest)) = (listener(), listener());
    let sockets: [&dyn AsRawFd; 2] = [&ingest, &http];
    let start = || Node::start_as(launcher(&sockets, Some("ingest:http")), &[]);
    let mut node = start();
    let mut stream = SseStream::open(to_http, "/events/t");
    let mut publisher = resp::Client::open(to_ingest);
    for round in ["first", "second"] {
        upgrade(&node);
        publisher.publish("t", round);
        assert_eq!(stream.take_data(1), [round]);
        let mut late = SseStream::open(to_http, "/events/t");
        resp::publish(to_ingest, "t", "late");
        assert_eq!(late.take_data(1), ["late"]);
        assert_eq!(stream.take_data(1), ["late"]);
    }
    publish(&node, "t", "last");
    assert_eq!(stream.take_data(1), ["last"]);
    drop((stream, publisher));
    assert!(node.stop().success(), "{}", node.logged());
    // The supervisor's sockets are still open, and hold who comes between two nodes.
    let mut waiting = Connection::open(to_http);
    waiting.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let _next = start();
    assert_eq!(waiting.response("GET").status, 200);
}
