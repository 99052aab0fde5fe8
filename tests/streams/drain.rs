use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::publisher::Publisher;
use crate::raw::Raw;
use crate::support::http::request;
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const STREAMS: usize = 60;

/// Longer than any wait in a test.
const NEVER: &str = "1h";

/// How one stream ended.
struct End {
    at: Instant,
    retry_ms: u64,
    heard: Vec<String>,
}

/// Reads a stream to its end, which must be the last chunk.
fn read_to_end(mut stream: SseStream) -> End {
    let mut heard = Vec::new();
    while let Some(event) = stream.next() {
        heard.push(event.data);
    }
    End {
        at: Instant::now(),
        retry_ms: stream.retry.expect("a last retry"),
        heard,
    }
}

fn ready(node: &Node) -> u16 {
    node.admin_get("/readyz").status
}

#[test]
fn streams_end_in_even_steps_while_publishers_are_served() {
    let mut node = Node::start_with(&["--drain-period", "2s", "--retry", "2s", "--shards", "2"]);
    let readers: Vec<_> = (0..STREAMS)
        .map(|_| SseStream::open(node.http, "/events/t"))
        .map(|stream| thread::spawn(move || read_to_end(stream)))
        .collect();
    let mut publisher = Publisher::open(node.ingest);
    publisher.publish("t", "0");
    assert_eq!(ready(&node), 200);
    node.signal(Signal::TERM);
    wait_until("the node is not ready", || ready(&node) == 503);
    check_new_streams_are_turned_away(&node);

    // Publishers are served while streams end, and the streams that are left hear them.
    let ended = || readers.iter().filter(|reader| reader.is_finished()).count();
    let mut published = 1;
    while ended() < STREAMS / 2 {
        let before = ended();
        publisher.publish("t", &published.to_string());
        published += 1;
        wait_until("one more stream has ended", || ended() > before);
    }
    assert_eq!(node.wait().code(), Some(0), "{}", node.logged());

    let mut ends: Vec<End> = readers
        .into_iter()
        .map(|reader| reader.join().expect("a proper end"))
        .collect();
    for end in &ends {
        let expected: Vec<String> = (0..end.heard.len()).map(|n| n.to_string()).collect();
        assert_eq!(
            end.heard, expected,
            "a stream hears everything up to its end"
        );
        assert!((1_000..=3_000).contains(&end.retry_ms), "{}", end.retry_ms);
    }
    let most = ends.iter().map(|end| end.heard.len()).max();
    assert!(
        published > 2 && most == Some(published),
        "{most:?} of {published}"
    );
    let retries: HashSet<u64> = ends.iter().map(|end| end.retry_ms).collect();
    assert!(retries.len() > STREAMS / 2, "{retries:?}");
    ends.sort_by_key(|end| end.at);
    let (first, last) = (ends[0].at, ends[STREAMS - 1].at);
    assert!(last - first > Duration::from_secs(1), "{:?}", last - first);
    let halfway = first + (last - first) / 2;
    let by_then = ends.iter().filter(|end| end.at <= halfway).count();
    assert!(
        (STREAMS / 5..=STREAMS * 4 / 5).contains(&by_then),
        "{by_then} of {STREAMS}"
    );
}

/// A draining node opens no new stream: it asks its client to come back.
fn check_new_streams_are_turned_away(node: &Node) {
    for _ in 0..3 {
        let accept = [("Accept", "text/event-stream")];
        let answer = request(node.http, "GET", "/events/t", &accept, b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.starts_with("retry: "), "{answer:?}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // The first step of a drain happens at once, so one stream of two stays.
    let mut node = Node::start_with(&["--drain-period", NEVER, "--shards", "1"]);
    let streams = ["/events/t"; 2].map(|target| SseStream::open(node.http, target));
    let readers = streams.map(|stream| thread::spawn(move || read_to_end(stream)));
    node.signal(Signal::TERM);
    wait_until("the node is not ready", || ready(&node) == 503);
    node.wait_for_streams(1);
    assert_eq!(node.publish("t", "still here"), 1);
    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(1), "{}", node.logged());
    let ended = readers.map(|reader| reader.join().is_ok());
    assert!(ended.contains(&true) && ended.contains(&false), "{ended:?}");
}

#[test]
fn without_streams_nothing_is_waited_for() {
    let mut node = Node::start_with(&["--drain-period", NEVER]);
    node.signal(Signal::INT);
    assert_eq!(node.wait().code(), Some(0), "{}", node.logged());
}

/// A node with streams that do not read, whose sockets are full, and one that has read everything.
fn stalled(drain_period: &str, count: usize) -> (Node, Vec<Raw>, SseStream) {
    let flags = [
        "--drain-period",
        drain_period,
        "--write-timeout",
        NEVER,
        "--slow-consumer",
        "skip",
    ];
    let node = Node::start_with(&flags);
    let stalled: Vec<_> = (0..count)
        .map(|_| Raw::open_narrow(node.http, "/events/t"))
        .collect();
    let mut healthy = SseStream::open(node.http, "/events/t");
    node.wait_for_streams(count + 1);
    let large = "x".repeat(200_000);
    let mut publisher = Publisher::open(node.ingest);
    for _ in 0..3 {
        publisher.publish("t", &large);
        healthy.take(1);
    }
    (node, stalled, healthy)
}

/// The node said "drained" and exited with 0.
#[test]
fn a_drain_that_never_told_its_stalled_streams_said_drained() {
    for period in ["0s", "500ms"] {
        let (mut node, stalled, mut healthy) = stalled(period, 3);
        assert_eq!(node.stop().code(), Some(1), "{}", node.logged());
        let logged = node.logged();
        assert!(logged.contains("streams_cut=3"), "{logged}");
        assert_eq!(healthy.next(), None, "the healthy one was told");
        assert!(healthy.retry.is_some());
        for mut stalled in stalled {
            stalled.read_to_end();
            assert!(
                !stalled.wire.has_ended(),
                "a stream that is cut does not claim to be whole"
            );
        }
    }
}

/// A stream that was stalled when its turn came was cut, however much of the period was left.
#[test]
fn a_stalled_stream_that_reads_again_before_the_end_of_a_drain_is_told() {
    let (mut node, mut stalled, healthy) = stalled(NEVER, 1);
    drop(healthy);
    node.wait_for_streams(1);
    // The first step of a drain happens at once, and the turn of a single stream comes with it.
    node.signal(Signal::TERM);
    wait_until("the node is not ready", || ready(&node) == 503);
    let stalled = &mut stalled[0];
    stalled.read_to_end();
    assert!(stalled.wire.has_ended(), "it has its proper end");
    let text = String::from_utf8_lossy(&stalled.bytes);
    assert_eq!(text.matches("retry: ").count(), 1);
    assert_eq!(node.wait().code(), Some(0), "{}", node.logged());
}

#[test]
fn a_drain_of_thousands_by_default_ends_before_docker_kills_the_node() {
    // `docker stop` waits for 10 s.
    const PATIENCE: Duration = Duration::from_secs(10);
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, wanted).expect("the hard limit is ours");
    // A node with few files keeps half of them from streams.
    let files = limit.maximum.unwrap_or(u64::MAX);
    let count = usize::try_from(files / 4).unwrap_or(usize::MAX).min(3_000);

    let mut node = Node::start();
    let request = b"GET /events/t HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(node.http).expect("the node accepts");
            stream.write_all(request).expect("the node reads");
            stream
        })
        .collect();
    for stream in &mut streams {
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 200");
    }
    let began = Instant::now();
    assert!(node.stop().success(), "{}", node.logged());
    let took = began.elapsed();
    assert!(took < PATIENCE, "{count} streams took {took:?}");
    for stream in &mut streams {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("an end, not a reset");
        assert!(rest.ends_with(b"0\r\n\r\n"), "a proper end");
    }
}
