//! The log is away for a while: streams stay, publishers are told, and nothing is lost.

use std::time::{Duration, Instant};

use crate::course::Course;
use crate::nodes::{Nodes, publish};
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::streams::Hops;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const TOPICS: u32 = 10;

/// Longest wait of a publisher for its refusal, with room for a busy machine.
const ANSWER: Duration = Duration::from_secs(10);

#[test]
fn streams_stay_open_while_the_log_is_away_and_nothing_is_lost() {
    let scale = Scale::or(8, 100, 200);
    let mut server = Server::start(Keeps::Always, &[]);
    let nodes = Nodes::start(&vec![server.url(); 2], &[]);
    let mut course = Course::new("away", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Never);
    let cursor = nodes.publish("t0", "1 before");
    nodes.publish("t0", "2 before");
    course.publish(8, 1, false);
    wait_until("some are published", || {
        course.publishers().published() > 50
    });
    server.kill();
    let began = Instant::now();
    let mut refused = 0;
    while began.elapsed() < Duration::from_secs(scale.seconds) {
        // Resumes from memory work, whatever they begin with.
        let mut stream = SseStream::resume(nodes.at(refused % 2).http, "/events/t0", &cursor);
        let event = stream.next().expect("an event");
        assert_eq!(event.data, "2 before", "{event:?}");
        let asked = Instant::now();
        let answer = publish(nodes.at(refused % 2), "t0", "3 not published");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.field("retry-after").is_some(), "{answer:?}");
        assert!(asked.elapsed() < ANSWER, "{:?}", asked.elapsed());
        refused += 1;
    }
    server.restart();
    let before = course.publishers().published();
    wait_until("it is published again", || {
        course.publishers().published() > before + 100
    });
    let verdict = course.end(&nodes, &server, |_| false);
    assert_eq!(verdict.gaps(), 0);
    for one in &verdict.seen {
        assert_eq!(one.opened, 1, "a stream was closed while the log was away");
    }
    assert!(verdict.log.place(3).is_none());
    let slowest = verdict.answers[0].slowest;
    println!("away: {refused} refusals, the slowest answer after {slowest:?}");
}

/// The setting decides when a balancer hears of it.
#[test]
fn a_node_without_its_log_is_not_ready_after_a_while() {
    let mut server = Server::start(Keeps::Always, &[]);
    let nodes = Nodes::start(&[server.url()], &["--log-lost-unready", "1s"]);
    assert!(nodes.is_ready(0));
    server.kill();
    wait_until("the node is not ready", || !nodes.is_ready(0));
    assert_eq!(nodes.at(0).admin_get("/healthz").status, 200);
    server.restart();
    wait_until("the node is ready again", || nodes.is_ready(0));
}

/// A master without its replica, or one that is full: it answers, and refuses what is written.
#[test]
fn a_server_that_refused_an_idle_node_was_connected_to_without_end() {
    let server = Server::start(Keeps::Always, &[]);
    let nodes = Nodes::start(&[server.url()], &[]);
    server.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    nodes.at(0).wait_for_log("the log takes no events");
    let answer = publish(nodes.at(0), "news", "refused");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("NOREPLICAS"), "{answer:?}");
    server.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(publish(nodes.at(0), "news", "taken").status, 200);
    let reconnects = nodes.metric(0, "fantail_log_reconnects_total");
    assert_eq!(reconnects as u64, 0);
}

/// What a node says that does not start with the log at this address.
fn refused_with(log: &str) -> String {
    let listeners = ["--listen", "--ingest-listen", "--admin-listen"];
    let listeners = listeners.map(|flag| [flag, "127.0.0.1:0"]);
    let output = std::process::Command::new(crate::support::node::PROGRAM)
        .arg("serve")
        .args(listeners.as_flattened())
        .args(["--log", log, "--log-start-timeout", "1s"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

#[test]
fn a_node_does_not_start_without_its_log_and_says_why() {
    let address = crate::support::free_port::free_address();
    let said = refused_with(&format!("redis://{address}"));
    assert!(said.contains(&address.to_string()), "{said}");
    assert!(!said.contains("serving"), "{said}");
}

/// A server that would lose the log by design.
#[test]
fn a_server_that_evicts_keys_is_refused() {
    let server = Server::start(Keeps::Always, &[]);
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "100mb"]);
    server.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let said = refused_with(&server.url());
    assert!(
        said.contains("maxmemory-policy") && said.contains("noeviction"),
        "{said}"
    );
}
