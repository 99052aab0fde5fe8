use std::time::Duration;

use fantail::metrics::CloseReason;
use socket2::{SockFilter, SockRef};

use crate::node::Node;
use crate::support::wait_until;

/// Classic BPF: return 0, which drops the packet (bpf(2), `BPF_RET | BPF_K`).
const DROP: SockFilter = SockFilter::new(0x06, 0, 0, 0);

#[test]
fn a_client_behind_a_cut_cable_was_counted_as_open_for_a_quarter_of_an_hour() {
    let node = Node::with(|settings| {
        settings.write_timeout = Duration::from_secs(1);
        settings.heartbeat_interval = Duration::from_secs(1);
    });
    let stream = node.subscribe("/events/t");
    let mut other = node.subscribe("/events/t");
    node.wait_for_streams(2);
    // The client's kernel no longer sees bytes of the node, so it acknowledges nothing.
    let cut = SockRef::from(stream.connection().socket());
    cut.attach_filter(&[DROP]).expect("a filter");
    let closed = |reason: CloseReason| node.count(move |shard| &shard.closed[reason as usize]);
    wait_until("the dead stream is ended", || node.hub.streams() == 1);
    assert_eq!(closed(CloseReason::WriteTimeout), 1);
    node.publisher().publish("t", "still here");
    assert_eq!(other.take_data(1), ["still here"]);
}
