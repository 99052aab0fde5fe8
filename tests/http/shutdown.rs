use std::net::TcpStream;

use crate::node::Node;
use crate::support::wait_until;

#[test]
fn requests_in_hand_are_finished_and_idle_connections_closed() {
    let mut node = Node::start();
    let mut idle = node.connect();
    idle.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response("GET").status, 200);
    let mut silent = node.connect();
    let mut busy = node.connect();
    busy.send(b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    node.wait_for_connections(3);
    node.stop();
    assert!(idle.at_end());
    assert!(silent.at_end());
    node.wait_for_connections(1);
    wait_until("the listener is closed", || {
        TcpStream::connect(node.address).is_err()
    });
    busy.send(b"y");
    let answer = busy.response("POST");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.head.field("connection"), Some("close"));
    assert!(busy.at_end());
    node.wait_served();
    assert_eq!(node.hub.history_len("a"), 1);
}

#[test]
fn streams_outlive_the_listener() {
    let mut node = Node::start();
    let mut stream = node.subscribe("/events/a");
    node.stop();
    node.wait_served();
    let limits = node.hub.event_limits();
    let event = fantail::core::event::Event::new("a", "late");
    let mut drafts = [fantail::core::sse::Draft::new(event, limits).expect("valid")];
    let published = node
        .hub
        .publish(fantail::metrics::Source::Http, &mut drafts);
    node.runtime.block_on(published).expect("open");
    assert_eq!(stream.take_data(1), ["late"]);
}
