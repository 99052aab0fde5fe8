//! What happened to an event whose reply did not come? It is in the log once or not at all, and the
//! publisher's answer is true.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::course::{Course, KEY, read_log};
use crate::id::Id;
use crate::judge::{self, Fate, Report};
use crate::nodes::{Nodes, publish};
use crate::proxy::Proxy;
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::streams::Hops;
use crate::support::sse::SseStream;
use crate::support::{wait_for, wait_until};

const TOPICS: u32 = 4;

/// How long the server stops: longer than the node waits for it.
const STOP: Duration = Duration::from_secs(8);

#[test]
fn a_server_that_stops_for_a_while_doubles_nothing_and_every_answer_is_true() {
    let scale = Scale::or(3, 20, 400);
    let server = Server::start(Keeps::Always, &[]);
    let nodes = Nodes::start(&vec![server.url(); 2], &[]);
    let mut course = Course::new("ghost", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Never);
    course.publish(8, 1, false);
    thread::sleep(Duration::from_secs(scale.seconds));
    server.pause();
    thread::sleep(STOP);
    server.resume();
    let before = course.publishers().published();
    wait_until("it is published again", || {
        course.publishers().published() > before + 100
    });
    let verdict = course.end(&nodes, &server, |_| false);
    assert_eq!(verdict.gaps(), 0);
    let refused = verdict
        .fates
        .values()
        .filter(|fate| !matches!(fate, Fate::Published(_)));
    assert!(refused.count() > 0, "the stop was not noticed");
}

#[test]
fn replies_that_are_cut_off_double_nothing_and_every_answer_is_true() {
    let scale = Scale::or(6, 20, 400);
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let nodes = Nodes::start(&[proxy.url(), server.url()], &[]);
    let mut dice = fastrand::Rng::with_seed(scale.seed);
    let mut course = Course::new("cut", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Every(500..2_000));
    course.publish(8, 1, false);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(scale.seconds) {
        thread::sleep(Duration::from_millis(dice.u64(100..600)));
        // Within a reply or between two, of the tail or of a publisher: whichever comes first.
        proxy.cut_after(dice.u64(1..3_000));
    }
    let verdict = course.end(&nodes, &server, |_| false);
    assert_eq!(verdict.gaps(), 0);
}

/// The tail brings an event before the replicas have it. The answer about them is lost.
#[test]
fn an_event_that_came_before_its_replicas_confirmed_it_was_written_twice() {
    let [master, replica] = [(); 2].map(|()| Server::start(Keeps::Written, &[]));
    replica.follow(&master);
    let proxy = Proxy::to(master.address());
    let nodes = Nodes::start(&[proxy.url()], &["--log-ack-replicas", "1"]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    nodes.publish("news", "first");
    assert_eq!(stream.take_data(1), ["first"]);
    replica.pause();
    let answer = thread::scope(|scope| {
        let answer = scope.spawn(|| publish(nodes.at(0), "news", "once"));
        assert_eq!(stream.take_data(1), ["once"]);
        proxy.cut();
        answer.join().expect("no panic")
    });
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["published"], "unknown", "{answer:?}");
    replica.resume();
    nodes.publish("news", "last");
    assert_eq!(stream.take_data(1), ["last"]);
}

/// The other node has read an event that is cut off before its own node reads it.
#[test]
fn an_event_that_was_trimmed_before_its_node_read_it_was_written_twice() {
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let nodes = Nodes::start(&[proxy.url(), server.url()], &[]);
    let mut stream = SseStream::open(nodes.at(1).http, "/events/news");
    nodes.publish("news", "first");
    assert_eq!(stream.take_data(1), ["first"]);
    let answer = wait_for(
        "its own node is the only one that does not know of it",
        || {
            wait_until("node 0 writes", || {
                publish(nodes.at(0), "other", "x").status == 200
            });
            // No reply comes any more. If that to the last write is among them, the event waits behind it,
            // and is not written.
            proxy.delay(Duration::from_secs(600));
            let (is_written, answer) = thread::scope(|scope| {
                let answer = scope.spawn(|| publish(nodes.at(0), "news", "once"));
                let is_newest = || {
                    let newest: Vec<(String, Vec<String>)> =
                        server.ask(&["XREVRANGE", KEY, "+", "-", "COUNT", "1"]);
                    newest
                        .iter()
                        .any(|(_, fields)| fields.contains(&"once".to_owned()))
                };
                wait_until("it is written, or not", || {
                    is_newest() || answer.is_finished()
                });
                let is_written = is_newest();
                if is_written {
                    assert_eq!(stream.take_data(1), ["once"]);
                    server.ask::<i64>(&["XTRIM", KEY, "MAXLEN", "0"]);
                    let next = ["topic", "news", "data", "next"];
                    server.ask::<String>(&[&["XADD", KEY, "*"], &next[..]].concat());
                }
                proxy.delay(Duration::ZERO);
                proxy.cut();
                (is_written, answer.join().expect("no panic"))
            });
            is_written.then_some(answer)
        },
    );
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["published"], "unknown", "{answer:?}");
    assert_eq!(publish(nodes.at(1), "news", "last").status, 200);
    assert_eq!(stream.take_data(2), ["next", "last"]);
}

/// A pipeline of the ingest port, while replies of the log are cut off.
#[test]
fn a_pipeline_is_answered_truly_while_replies_of_the_log_are_cut_off() {
    let scale = Scale::or(6, 0, 0);
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let nodes = Nodes::start(&[proxy.url()], &[]);
    let ingest = nodes.at(0).ingest;
    let ends = AtomicBool::new(false);
    let mut dice = fastrand::Rng::with_seed(scale.seed);
    let fates = thread::scope(|scope| {
        let publisher = scope.spawn(|| pipelines(ingest, &ends));
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(scale.seconds) {
            thread::sleep(Duration::from_millis(dice.u64(100..600)));
            proxy.cut_after(dice.u64(1..3_000));
        }
        ends.store(true, Ordering::Relaxed);
        publisher.join().expect("no panic")
    });
    nodes.publish("t0", "1 the end");
    let log = read_log(&server);
    let count = |wanted: fn(&Fate) -> bool| fates.values().filter(|fate| wanted(fate)).count();
    println!(
        "pipeline: {} events, {} published, {} refused, {} unknown",
        fates.len(),
        count(|fate| matches!(fate, Fate::Published(_))),
        count(|fate| *fate == Fate::Refused),
        count(|fate| *fate == Fate::Unknown)
    );
    let faults = judge::answers(&log, &fates, |_| false);
    assert!(
        faults.is_empty(),
        "seed {}: {}",
        scale.seed,
        Report(&faults)
    );
    assert!(count(|fate| matches!(fate, Fate::Published(_))) > 0);
}

/// Sends pipelines of `XADD` until it is to end; what each was answered.
fn pipelines(ingest: SocketAddr, ends: &AtomicBool) -> BTreeMap<u64, Fate> {
    const EACH: u64 = 50;
    let mut fates = BTreeMap::new();
    let mut number = 1 << 40;
    let mut connection = crate::server::connection(ingest).expect("it listens");
    connection
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket");
    while !ends.load(Ordering::Relaxed) {
        let mut pipe = redis::pipe();
        for event in number..number + EACH {
            pipe.cmd("XADD")
                .arg("t0")
                .arg("*")
                .arg("data")
                .arg(event.to_string());
        }
        let packed = pipe.get_packed_pipeline();
        connection.send_packed_command(&packed).expect("it reads");
        for event in number..number + EACH {
            let reply = connection.recv_response().expect("a reply");
            let fate = match redis::from_redis_value::<String>(reply.clone()) {
                Ok(text) => Fate::Published(Id::parse(&text).expect("an id")),
                _ => match format!("{reply:?}") {
                    text if text.contains("TRYAGAIN") => Fate::Refused,
                    text if text.contains("unknown") => Fate::Unknown,
                    text => panic!("an answer without a meaning: {text}"),
                },
            };
            fates.insert(event, fate);
        }
        number += EACH;
    }
    fates
}
