//! What operators and publishers do to one node concerns all: upgrades, drains, erased topics,
//! repeats, transactions.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::course::Course;
use crate::nodes::{Nodes, publish, publish_with_key};
use crate::scale::Scale;
use crate::server::{Keeps, Server, try_ask};
use crate::streams::Hops;
use crate::support::http;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const TOPICS: u32 = 10;

/// The program of a running node is replaced: its streams stay, and it goes on in the log where it
/// was.
#[test]
fn an_upgrade_of_a_node_is_noticed_by_nobody() {
    let scale = Scale::or(5, 40, 400);
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&vec![server.url(); 2], &[]);
    let mut course = Course::new("upgrade", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Never);
    course.publish(6, 1, false);
    let began = Instant::now();
    let mut upgrades = 0;
    while began.elapsed() < Duration::from_secs(scale.seconds) {
        let node = nodes.at(upgrades % 2);
        upgrades += 1;
        node.signal(Signal::USR2);
        wait_until("it is upgraded", || {
            let status = node.admin_get("/upgrade").json();
            status["last"]["number"] == upgrades.div_ceil(2) && status["last"]["failed"].is_null()
        });
    }
    println!("upgrade: {upgrades} upgrades");
    let verdict = course.end(&nodes, &server, |_| false);
    assert_eq!(verdict.gaps(), 0);
    for one in &verdict.seen {
        assert_eq!(one.opened, 1, "a stream was closed by an upgrade");
    }
}

/// Nodes are stopped and started one after the other, as a deploy does it.
#[test]
fn a_rolling_restart_loses_nothing() {
    let scale = Scale::or(5, 40, 400);
    let server = Server::start(Keeps::Written, &[]);
    let mut nodes = Nodes::start(&vec![server.url(); 3], &[]);
    let mut course = Course::new("rolling", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Never);
    course.publish(6, 1, true);
    let began = Instant::now();
    let mut restarts = 0;
    while began.elapsed() < Duration::from_secs(scale.seconds) || restarts < 3 {
        let index = restarts % 3;
        restarts += 1;
        nodes.stop(index);
        nodes.restart(index);
    }
    println!("rolling: {restarts} restarts");
    let verdict = course.end(&nodes, &server, |_| false);
    assert_eq!(verdict.gaps(), 0);
    assert_eq!(verdict.published(), verdict.fates.len());
}

#[test]
fn a_topic_that_is_erased_at_one_node_is_erased_at_all() {
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&vec![server.url(); 2], &[]);
    nodes.publish("news", "erased");
    let kept = |index: usize| {
        let node = nodes.at(index);
        http::request(node.http, "GET", "/topics/news/events", &[], b"").body
    };
    wait_until("both have it", || {
        (0..2).all(|index| kept(index).contains("erased"))
    });
    let answer = http::request(nodes.at(0).admin, "DELETE", "/topics/news", &[], b"");
    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
    wait_until("neither has it", || {
        (0..2).all(|index| !kept(index).contains("erased"))
    });
    nodes.publish("news", "after");
    let late = Nodes::start(&[server.url()], &[]);
    let mut stream = SseStream::resume(late.at(0).http, "/events/news", "earliest");
    assert_eq!(stream.take_data(1), ["after"]);
}

/// A publisher that got no answer asks another node, while the first is still at it.
#[test]
fn of_the_same_key_at_several_nodes_one_event_is_published() {
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&vec![server.url(); 3], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    for round in 0..10 {
        let (key, data) = (format!("key-{round}"), format!("event {round}"));
        let ids: Vec<serde_json::Value> = thread::scope(|scope| {
            let ask = |index: usize| {
                let (key, data, nodes) = (&key, &data, &nodes);
                scope.spawn(move || publish_with_key(nodes.at(index), "news", data, key))
            };
            let asked: Vec<_> = (0..6).map(|number| ask(number % 3)).collect();
            let answers = asked.into_iter().map(|one| one.join().expect("no panic"));
            answers.map(|answer| answer.json()["id"].clone()).collect()
        });
        assert!(ids[0].is_string(), "{ids:?}");
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
    nodes.publish("news", "last");
    let mut expected: Vec<String> = (0..10).map(|round| format!("event {round}")).collect();
    expected.push("last".to_owned());
    assert_eq!(stream.take_data(11), expected);
    // Another event with a used key is refused, at any node.
    let reused = publish_with_key(nodes.at(2), "news", "another", "key-0");
    assert_eq!(reused.status, 422, "{reused:?}");
}

#[test]
fn a_transaction_of_the_ingest_port_is_one_batch_and_watch_is_refused() {
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&vec![server.url(); 2], &[]);
    let mut stream = SseStream::open(nodes.at(1).http, "/events/news");
    let mut connection = crate::server::connection(nodes.at(0).ingest).expect("it listens");
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("PUBLISH").arg("news").arg("1");
    pipe.cmd("XADD").arg("news").arg("*").arg("data").arg("2");
    let answers: (i64, String) = pipe.query(&mut connection).expect("answers");
    assert_eq!(answers.0, 0, "nobody listens at this node");
    assert_eq!(stream.take_data(2), ["1", "2"]);
    let watch = try_ask::<redis::Value>(&mut connection, &["WATCH", "news"]);
    let error = watch.expect_err("it is refused").to_string();
    assert!(error.contains("log"), "{error}");
    // Also by a script.
    let script = "return redis.call('PUBLISH', KEYS[1], ARGV[1])";
    let _: i64 =
        try_ask(&mut connection, &["EVAL", script, "1", "news", "3"]).expect("it publishes");
    assert_eq!(stream.take_data(1), ["3"]);
    assert_eq!(publish(nodes.at(0), "news", "4").status, 200);
    assert_eq!(stream.take_data(1), ["4"]);
}
