//! A node that is behind the others: cursors that come from a faster one.

use std::time::Duration;

use crate::course::Course;
use crate::nodes::{Nodes, publish};
use crate::proxy::Proxy;
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::streams::Hops;
use crate::support::sse::SseStream;

/// How far the slow node is behind.
const BEHIND: Duration = Duration::from_millis(500);

#[test]
fn a_cursor_from_a_faster_node_is_waited_for() {
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let nodes = Nodes::start(&[server.url(), proxy.url()], &[]);
    proxy.delay(BEHIND);
    let (fast, slow) = (nodes.at(0), nodes.at(1));
    let mut stream = SseStream::open(fast.http, "/events/news");
    for round in 0..3 {
        assert_eq!(publish(fast, "news", &format!("{round} seen")).status, 200);
        assert_eq!(stream.take_data(1), [format!("{round} seen")]);
        // The client goes on at the node that has not heard of it yet.
        let mut hopped = SseStream::resume(slow.http, "/events/news", &stream.cursor);
        assert_eq!(publish(fast, "news", &format!("{round} next")).status, 200);
        // On a busy machine, a node that is this far behind may turn it away: then it comes again.
        let event = loop {
            match hopped.next() {
                Some(event) => break event,
                None => {
                    hopped = SseStream::resume(slow.http, "/events/news", &stream.cursor);
                }
            }
        };
        assert_eq!(event.data, format!("{round} next"));
        assert_eq!(stream.take_data(1), [format!("{round} next")]);
    }
}

#[test]
fn streams_that_hop_to_a_node_that_is_behind_have_no_gap() {
    let scale = Scale::or(6, 40, 300);
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let nodes = Nodes::start(&[server.url(), proxy.url()], &[]);
    proxy.delay(BEHIND);
    let mut course = Course::new("faster", scale, 10, &nodes);
    course.open(scale.streams, &Hops::Every(500..1_500));
    course.publish(4, 1, false);
    std::thread::sleep(Duration::from_secs(scale.seconds));
    let verdict = course.end(&nodes, &server, |_| false);
    assert_eq!(verdict.gaps(), 0);
}
