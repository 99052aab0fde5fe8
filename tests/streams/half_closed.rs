//! Clients that end their side while their answer is still being sent.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::node::Node;
use crate::support::DEADLINE;

/// How the node's side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As a body ends that is whole.
    Clean,
    /// It cannot be mistaken for the whole.
    Reset,
}

/// Asks for a stream, ends the client's side at once, and reads the answer.
fn ask_and_end(node: &Node, version: &str, pieces: bool) -> (Vec<u8>, End) {
    let mut socket = TcpStream::connect(node.at.http).expect("the node accepts");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let request =
        format!("GET /events/t?last_event_id=earliest {version}\r\nHost: localhost\r\n\r\n");
    if pieces {
        for byte in request.as_bytes() {
            socket.write_all(&[*byte]).expect("the node reads");
        }
    } else {
        socket
            .write_all(request.as_bytes())
            .expect("the node reads");
    }
    socket.shutdown(Shutdown::Write).expect("open");
    let mut bytes = Vec::new();
    let end = match socket.read_to_end(&mut bytes) {
        Ok(_) => End::Clean,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error} after {} bytes", bytes.len()),
    };
    (bytes, end)
}

#[test]
fn a_client_that_ended_its_side_is_not_told_that_a_part_is_all() {
    const EVENTS: usize = 300;
    let node = Node::start();
    let mut publisher = node.publisher();
    let data = "x".repeat(1_000);
    for _ in 0..EVENTS {
        publisher.publish("t", &data);
    }
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        for pieces in [false, true] {
            for _ in 0..8 {
                let (bytes, end) = ask_and_end(&node, version, pieces);
                let text = String::from_utf8_lossy(&bytes);
                let events = text.matches("data: x").count();
                assert!(!text.ends_with("0\r\n\r\n"), "{version}: {events} events");
                assert_eq!(end, End::Reset, "{version}: {events} events");
            }
        }
    }
    node.wait_for_streams(0);
}

/// A stream that waits for events is ended likewise, and so is one that has been open for long.
#[test]
fn a_quiet_stream_that_is_half_closed_is_cut_as_well() {
    let node = Node::start();
    let stream = node.subscribe("/events/t");
    let mut socket = stream.connection().socket();
    socket.shutdown(Shutdown::Write).expect("open");
    let error = socket.read_to_end(&mut Vec::new()).expect_err("a cut");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    node.wait_for_streams(0);
}
