use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fantail::metrics::{CloseReason, GapReason};
use fantail::settings::{SlowConsumerPolicy, SlowConsumerRule};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::kernel::{cpu_time, held_sockets, resident_bytes};
use crate::node::{Node, with_private_events};
use crate::publisher::{Draft, Publisher};
use crate::raw::{Raw, Version};
use crate::source::Wire;
use crate::support::sse::{SseEvent, SseStream};
use crate::support::{self, wait_until};

/// Events kept per topic: few, so that a stopped client falls out soon.
const HISTORY: usize = 20;
/// Bytes of each event's data.
const DATA_BYTES: usize = 2_000;
/// Events that are published while a reader stands still: far more than kernel and history hold.
const EVENTS: usize = 300;

/// A node on which each policy has a topic prefix of its own.
fn node() -> Node {
    Node::with(|settings| {
        with_private_events(settings);
        settings.history_events = HISTORY;
        settings.slow_consumer_rules = [
            ("skip/", SlowConsumerPolicy::Skip),
            ("latest/", SlowConsumerPolicy::Latest),
        ]
        .map(|(prefix, policy)| SlowConsumerRule {
            prefix: prefix.to_owned(),
            policy,
        })
        .to_vec();
    })
}

fn data(number: usize) -> String {
    format!("{number} {}", "x".repeat(DATA_BYTES))
}

/// The number of an event that was published by [`flood`].
fn number(event: &SseEvent) -> usize {
    assert_eq!(event.event, "message", "{event:?}");
    let number = event
        .data
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok());
    number.expect("a number")
}

fn numbers(events: &[SseEvent]) -> Vec<usize> {
    events.iter().map(number).collect()
}

/// Publishes all events; their ids. `healthy` hears each before the next one: on a busy machine, its
/// socket may be full for a moment, too, and `latest` leaves out all but the newest then.
fn flood(publisher: &mut Publisher, topic: &str, healthy: &mut SseStream) -> Vec<String> {
    let publish_and_hear = |number| {
        let id = publisher.publish(topic, &data(number));
        let heard = healthy.take(1);
        assert_eq!(numbers(&heard), [number], "the healthy stream");
        id
    };
    (0..EVENTS).map(publish_and_hear).collect()
}

/// Checks that an event reports a gap in exactly these words.
fn check_gap(event: &SseEvent, from: &str, to: &str, reason: &str) {
    assert_eq!(event.event, "gap", "{event:?}");
    let told: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
    let expected = serde_json::json!({ "from": from, "to": to, "reason": reason });
    assert_eq!(told, expected);
    assert_eq!(event.id, to, "the cursor of a gap is its end");
}

/// A stream that stops reading at once, and more events than are kept for it.
fn stall(node: &Node, topic: &str) -> (Raw, Vec<String>, SseStream) {
    let target = format!("/events/{topic}");
    let mut healthy = node.subscribe(&target);
    let stalled = Raw::open_narrow(node.at.http, &target);
    node.wait_for_streams(2);
    let ids = flood(&mut node.publisher(), topic, &mut healthy);
    assert_eq!(node.hub.streams(), 2);
    wait_until("the other stream is behind", || {
        node.count(|shard| &shard.behind) == 1
    });
    (stalled, ids, healthy)
}

/// Splits the events of a stalled stream: its first events, which have no hole, and the rest from
/// the first gap.
fn split_at_gap(events: &[SseEvent]) -> (usize, &[SseEvent]) {
    let at = events.iter().position(|event| event.event == "gap");
    let (before, rest) = events.split_at(at.unwrap_or(events.len()));
    assert_eq!(numbers(before), (0..before.len()).collect::<Vec<_>>());
    assert!(
        !before.is_empty() && before.len() < EVENTS - HISTORY,
        "{}",
        before.len()
    );
    (before.len(), rest)
}

#[test]
fn disconnect_ends_the_stream_and_its_client_comes_back_to_an_exact_gap() {
    let node = node();
    let (mut stalled, ids, mut healthy) = stall(&node, "t");
    let events = stalled.read_to_end();
    assert!(stalled.wire.has_ended(), "it ends with the last chunk");
    assert!(stalled.wire.retry.is_some(), "it is told when to come back");
    let (heard, rest) = split_at_gap(&events);
    assert_eq!(rest, []);
    assert_eq!(stalled.cursor, ids[heard - 1]);
    let lagged = |node: &Node| node.count(|shard| &shard.closed[CloseReason::Lagged as usize]);
    assert_eq!(lagged(&node), 1);

    let mut again = node.resume("/events/t", &stalled.cursor);
    let lost = &ids[EVENTS - HISTORY - 1];
    assert_eq!(again.head.field("last-event-id"), Some(lost.as_str()));
    check_gap(&again.take(1)[0], &stalled.cursor, lost, "evicted");
    let kept = again.take(HISTORY);
    assert_eq!(
        numbers(&kept),
        (EVENTS - HISTORY..EVENTS).collect::<Vec<_>>()
    );
    node.publisher().publish("t", "live");
    assert_eq!(again.take_data(1), ["live"]);
    assert_eq!(healthy.take_data(1), ["live"]);
}

#[test]
fn skip_jumps_to_the_oldest_event_kept_and_tells_the_gap() {
    let node = node();
    let (mut stalled, ids, mut healthy) = stall(&node, "skip/t");
    let events = stalled.read_to(&data(EVENTS - 1));
    let (heard, rest) = split_at_gap(&events);
    check_gap(
        &rest[0],
        &ids[heard - 1],
        &ids[EVENTS - HISTORY - 1],
        "lagged",
    );
    assert_eq!(
        numbers(&rest[1..]),
        (EVENTS - HISTORY..EVENTS).collect::<Vec<_>>()
    );
    node.publisher().publish("skip/t", "live");
    stalled.read_to("live");
    assert_eq!(healthy.take_data(1), ["live"]);
    assert_eq!(node.hub.streams(), 2);
    assert_eq!(
        node.count(|shard| &shard.gaps[GapReason::Lagged as usize]),
        1
    );
    wait_until("nobody is behind", || {
        node.count(|shard| &shard.behind) == 0
    });
}

#[test]
fn latest_jumps_to_the_newest_event_and_tells_the_gap() {
    let node = node();
    let (mut stalled, ids, mut healthy) = stall(&node, "latest/t");
    let events = stalled.read_to(&data(EVENTS - 1));
    let (heard, rest) = split_at_gap(&events);
    check_gap(&rest[0], &ids[heard - 1], &ids[EVENTS - 2], "lagged");
    assert_eq!(numbers(&rest[1..]), [EVENTS - 1]);
    node.publisher().publish("latest/t", "live");
    stalled.read_to("live");
    assert_eq!(healthy.take_data(1), ["live"]);
    assert_eq!(node.hub.streams(), 2);
}

/// An event that a stream may not see is not the newest one for it, nor is it missing.
#[test]
fn latest_does_not_jump_to_a_private_event() {
    let node = node();
    let (mut stalled, ids, _healthy) = stall(&node, "latest/t");
    let mut publisher = node.publisher();
    for _ in 0..3 {
        publisher.send(&Draft {
            topics: &["latest/t"],
            data: "secret",
            private: true,
            ..Draft::default()
        });
        publisher.id();
    }
    // An event on every shard, so that all of them know the node's newest id.
    let mut others = ["/events/other"; 2].map(|target| node.subscribe(target));
    publisher.publish("other", "x");
    for other in &mut others {
        other.take(1);
    }
    let events = stalled.read_to(&data(EVENTS - 1));
    let (heard, rest) = split_at_gap(&events);
    check_gap(&rest[0], &ids[heard - 1], &ids[EVENTS - 2], "lagged");
    assert_eq!(numbers(&rest[1..]), [EVENTS - 1]);
}

/// A stream that is cut instead of read, in the middle of an event, resumes from its last whole
/// event.
#[test]
fn a_stalled_stream_that_is_cut_comes_back_with_what_it_has_read() {
    let node = node();
    let (mut stalled, ids, _healthy) = stall(&node, "skip/t");
    let heard = stalled.read(3 * DATA_BYTES).len();
    assert!(heard > 0 && stalled.cursor == ids[heard - 1]);
    drop(stalled.socket);
    node.wait_for_streams(1);
    let mut again = Raw::open(
        node.at.http,
        Version::Http11,
        "/events/skip/t",
        &stalled.cursor,
    );
    let rest = again.read_to(&data(EVENTS - 1));
    check_gap(
        &rest[0],
        &stalled.cursor,
        &ids[EVENTS - HISTORY - 1],
        "evicted",
    );
    assert_eq!(
        numbers(&rest[1..]),
        (EVENTS - HISTORY..EVENTS).collect::<Vec<_>>()
    );
}

/// A stream over HTTP/2 that is not read: it is fed through a queue in place of a socket's buffer.
async fn open_h2(to: SocketAddr, target: &str) -> (SendRequest<Empty<Bytes>>, Incoming) {
    let socket = tokio::net::TcpStream::connect(to).await.expect("accepted");
    let connected = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(16 << 10)
        .handshake(TokioIo::new(socket))
        .await;
    let (mut client, connection) = connected.expect("HTTP/2");
    tokio::spawn(connection);
    let request = hyper::Request::get(format!("http://localhost{target}"));
    let request = request.body(Empty::new()).expect("a request");
    let answer = client.send_request(request).await.expect("an answer");
    (client, answer.into_body())
}

#[test]
fn over_http2_a_stalled_stream_is_told_its_gap_too() {
    let node = node();
    let mut healthy = node.subscribe("/events/skip/t");
    let opened = open_h2(node.at.http, "/events/skip/t");
    let (_client, mut body) = node.runtime.block_on(opened);
    node.wait_for_streams(2);
    let ids = flood(&mut node.publisher(), "skip/t", &mut healthy);
    wait_until("the other stream is behind", || {
        node.count(|shard| &shard.behind) == 1
    });

    let events = node.runtime.block_on(async {
        let (mut wire, mut cursor, mut events) = (Wire::text(), String::new(), Vec::new());
        while events.last().is_none_or(|event| *event != last(&ids)) {
            let frame = body.frame().await.expect("more").expect("open");
            events.extend(wire.feed(&frame.into_data().expect("data"), &mut cursor));
        }
        events
    });
    let (heard, rest) = split_at_gap(&events);
    check_gap(
        &rest[0],
        &ids[heard - 1],
        &ids[EVENTS - HISTORY - 1],
        "lagged",
    );
    assert_eq!(
        numbers(&rest[1..]),
        (EVENTS - HISTORY..EVENTS).collect::<Vec<_>>()
    );
}

/// As over HTTP/1, where the last chunk is missing: the client must not mistake it for the regular
/// end.
#[test]
fn over_http2_a_stalled_stream_that_is_closed_does_not_claim_to_be_whole() {
    let node = Node::with(|settings| {
        settings.history_events = HISTORY;
        settings.write_timeout = Duration::from_secs(1);
        settings.slow_consumer = SlowConsumerPolicy::Skip;
    });
    let mut healthy = node.subscribe("/events/t");
    let opened = open_h2(node.at.http, "/events/t");
    let (_client, mut body) = node.runtime.block_on(opened);
    node.wait_for_streams(2);
    flood(&mut node.publisher(), "t", &mut healthy);
    node.wait_for_streams(1);
    let ended = node.runtime.block_on(async {
        loop {
            match body.frame().await {
                Some(Ok(_events)) => {}
                ended => break ended,
            }
        }
    });
    assert!(matches!(ended, Some(Err(_))), "{ended:?}");
}

fn last(ids: &[String]) -> SseEvent {
    SseEvent {
        id: ids[EVENTS - 1].clone(),
        event: "message".to_owned(),
        data: data(EVENTS - 1),
    }
}

#[test]
fn a_socket_that_accepts_nothing_is_closed_after_its_write_timeout() {
    let node = Node::with(|settings| {
        settings.history_events = HISTORY;
        settings.write_timeout = Duration::from_secs(1);
        settings.slow_consumer = SlowConsumerPolicy::Skip;
    });
    let (mut stalled, ids, mut healthy) = stall(&node, "t");
    node.wait_for_streams(1);
    let timed_out = node.count(|shard| &shard.closed[CloseReason::WriteTimeout as usize]);
    assert_eq!(timed_out, 1);
    let events = stalled.read_to_end();
    assert!(!stalled.wire.has_ended(), "there was no room for a goodbye");
    let (heard, rest) = split_at_gap(&events);
    assert_eq!((rest, &stalled.cursor), (&[][..], &ids[heard - 1]));
    // A stream without unread events is not slow.
    node.publisher().publish("t", "live");
    assert_eq!(healthy.take_data(1), ["live"]);
}

#[test]
fn stalled_readers_hold_a_bounded_amount_of_memory() {
    /// Streams that stand still.
    const STALLED: usize = 64;
    /// Bytes published meanwhile.
    const FLOOD_BYTES: usize = 16 << 20;
    /// Most that the node may grow by: a hundred frames or so, and the allocator's rounding.
    const GROWTH_BYTES_MAX: usize = 8 << 20;
    const SEND_BUFFER_BYTES: usize = 16 << 10;
    /// Time for which an idle node is watched.
    const IDLE: Duration = Duration::from_millis(500);

    let send_buffer = SEND_BUFFER_BYTES.to_string();
    let flags = ["--history-events", "20", "--slow-consumer", "skip"];
    let node = support::node::Node::start_with(
        &[&flags[..], &["--send-buffer-bytes", &send_buffer]].concat(),
    );
    let mut healthy = SseStream::open(node.http, "/events/t");
    let stalled: Vec<Raw> = (0..STALLED)
        .map(|_| Raw::open_narrow(node.http, "/events/t"))
        .collect();
    node.wait_for_streams(1 + STALLED);
    let mut publisher = Publisher::open(node.ingest);
    // Every node's one-time allocations happen before the first reading.
    flood(&mut publisher, "t", &mut healthy);
    let before = resident_bytes(node.pid());
    for _ in 0..FLOOD_BYTES / (EVENTS * DATA_BYTES) {
        flood(&mut publisher, "t", &mut healthy);
    }
    let grown = resident_bytes(node.pid()).saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes");

    // A thread that waits for a socket sleeps.
    let (begun, used) = (Instant::now(), cpu_time(node.pid()));
    wait_until("some time has passed", || begun.elapsed() > IDLE);
    let used = cpu_time(node.pid()) - used;
    assert!(used < IDLE / 4, "{used:?} in {IDLE:?}");

    let clients: Vec<u16> = stalled
        .iter()
        .map(|stream| stream.socket.local_addr().expect("an address").port())
        .collect();
    let held = held_sockets(node.http);
    let unsent: Vec<usize> = held
        .iter()
        .filter(|socket| clients.contains(&socket.peer))
        .map(|socket| socket.unsent)
        .collect();
    assert_eq!(
        unsent.len(),
        STALLED,
        "a stalled stream stays open under `skip`"
    );
    let most = unsent.iter().max().expect("some");
    assert!(
        (1..=2 * SEND_BUFFER_BYTES).contains(most),
        "{most} bytes wait in one socket"
    );
    (&stalled[0].socket).write_all(b"still here").expect("open");
}
