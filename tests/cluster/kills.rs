//! Nodes that are killed under load and start again.

use std::time::{Duration, Instant};

use crate::course::{Course, KEY};
use crate::nodes::Nodes;
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::streams::Hops;
use crate::support::sse::SseStream;

const TOPICS: u32 = 10;

#[test]
fn nodes_that_are_killed_lose_nothing_for_anybody() {
    let scale = Scale::or(10, 60, 500);
    let server = Server::start(Keeps::Written, &[]);
    let mut nodes = Nodes::start(&vec![server.url(); 3], &[]);
    let mut course = Course::new("kill", scale, TOPICS, &nodes);
    course.open(scale.streams / 2, &Hops::Never);
    course.open(scale.streams / 2, &Hops::Every(1_000..3_000));
    course.publish(6, 1, true);
    let began = Instant::now();
    let mut kills = 0;
    while began.elapsed() < Duration::from_secs(scale.seconds) {
        let index = kills % nodes.len();
        nodes.kill(index);
        kills += 1;
        std::thread::sleep(Duration::from_millis(500));
        nodes.restart(index);
        assert!(nodes.is_ready(index), "it serves before it has caught up");
        std::thread::sleep(Duration::from_millis(scale.seconds.min(30) * 100));
    }
    println!("kill: {kills} nodes were killed");
    let verdict = course.end(&nodes, &server, |_| false);
    assert_eq!(verdict.gaps(), 0);
    verdict.assert_all_published();
}

#[test]
fn a_node_that_was_killed_goes_on_with_cursors_from_before() {
    let server = Server::start(Keeps::Written, &[]);
    let mut nodes = Nodes::start(&[server.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    nodes.publish("news", "before");
    assert_eq!(stream.take_data(1), ["before"]);
    let cursor = stream.cursor.clone();
    nodes.publish("news", "unread");
    nodes.kill(0);
    // Somebody publishes in the meantime.
    let _: String = server.ask(&["XADD", KEY, "*", "topic", "news", "data", "meanwhile"]);
    nodes.restart(0);
    let mut stream = SseStream::resume(nodes.at(0).http, "/events/news", &cursor);
    assert_eq!(stream.take_data(2), ["unread", "meanwhile"]);
    let mut all = SseStream::resume(nodes.at(0).http, "/events/news", "earliest");
    assert_eq!(all.take_data(3), ["before", "unread", "meanwhile"]);
}

/// A million events are in the log before the node starts.
#[test]
#[ignore = "takes a minute and a gigabyte; `cargo xtask cluster --scenario refill`"]
fn a_million_events_are_refilled() {
    let server = Server::start(Keeps::Nothing, &[]);
    let mut connection = server.connection();
    for _ in 0..1_000 {
        let mut pipe = redis::pipe();
        for number in 0..1_000 {
            let topic = format!("t{}", number % 100);
            let data = "x".repeat(100);
            pipe.cmd("XADD")
                .arg(KEY)
                .arg("*")
                .arg("topic")
                .arg(topic)
                .arg("data")
                .arg(data);
            pipe.ignore();
        }
        pipe.query::<()>(&mut connection).expect("it is added");
    }
    let began = Instant::now();
    let nodes = Nodes::start(&[server.url()], &[]);
    let took = began.elapsed();
    let events = nodes.metric(0, "fantail_history_events");
    println!("refill: {events} events in {took:?}");
    assert_eq!(events as u64, 1_000_000);
}
