use crate::frames::{
    CANCEL, DATA, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, Peer, RST_STREAM, get, window_update,
};
use crate::support::node::Node;

const SHORT: &[&str] = &["--write-timeout", "1s"];

/// A client whose streams take nothing until it says so.
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
    assert_eq!(node.publish("a", "y"), 1);
    peer.until("the event", |frame| {
        frame.kind == DATA && String::from_utf8_lossy(&frame.payload).contains("data: y")
    });
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
