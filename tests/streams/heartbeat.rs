use std::thread;
use std::time::{Duration, Instant};

use crate::node::Node;
use crate::support::sse::SseStream;
use crate::support::{DEADLINE, wait_until};

const INTERVAL: Duration = Duration::from_secs(1);

/// A heartbeat may be late on a busy machine, but not this late.
const LATE: Duration = Duration::from_secs(1);

/// Reads one block that fires nothing; returns its cursor.
fn heartbeat(stream: &mut SseStream) -> String {
    let event = stream.step().expect("an open stream");
    assert_eq!(event, None, "nobody published to this topic");
    stream.cursor.clone()
}

fn node(interval: Duration) -> Node {
    Node::with(|settings| settings.heartbeat_interval = interval)
}

#[test]
fn silence_lasts_no_longer_than_the_interval() {
    let node = node(INTERVAL);
    let mut streams = [
        node.subscribe("/events/a"),
        node.subscribe("/events?topic=a&topic=b"),
    ];
    let prime = streams[0].cursor.clone();
    for _ in 0..3 {
        let begun = Instant::now();
        for stream in &mut streams {
            assert_eq!(heartbeat(stream), prime, "nothing was published");
        }
        assert!(begun.elapsed() < INTERVAL + LATE, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_heartbeat_moves_the_resume_point_of_a_quiet_topic() {
    let node = Node::with(|settings| {
        settings.heartbeat_interval = INTERVAL;
        settings.history_age = Duration::from_secs(1);
    });
    let mut stream = node.subscribe("/events/quiet");
    let prime = stream.cursor.clone();
    let elsewhere = node.publisher().publish("elsewhere", "x");
    wait_until("the other topic is forgotten", || {
        node.hub.history_size().topics == 1
    });
    let end = Instant::now() + DEADLINE;
    while heartbeat(&mut stream) < elsewhere {
        assert!(Instant::now() < end, "heartbeats stay behind");
    }
    let cursor = stream.cursor.clone();
    drop(stream);
    node.wait_for_streams(0);

    // Of a forgotten topic, the node knows only how far it has forgotten: a cursor before that may
    // have missed events.
    let mut early = node.resume("/events/quiet", &prime);
    assert_eq!(early.next().expect("a gap").event, "gap");
    let mut late = node.resume("/events/quiet", &cursor);
    node.wait_for_streams(2);
    node.publisher().publish("quiet", "live");
    assert_eq!(late.take_data(1), ["live"]);
    assert_eq!(early.take_data(1), ["live"]);
}

/// The sweep that sends heartbeats must not go by how many streams there were: the few that stay
/// would wait for as many intervals.
#[test]
fn silence_lasts_no_longer_when_most_streams_have_left() {
    const STREAMS: usize = 600;
    let node = Node::with(|settings| {
        settings.heartbeat_interval = INTERVAL;
        settings.shards = 1;
    });
    let mut stays = node.subscribe("/events/a");
    for round in 0..2 {
        let leaving: Vec<SseStream> = (1..STREAMS).map(|_| node.subscribe("/events/b")).collect();
        // A sweep in its second half is past everything that will be left of the table.
        let beats = node.count(|shard| &shard.heartbeats);
        wait_until("a sweep is well under way", || {
            node.count(|shard| &shard.heartbeats) > beats + STREAMS as u64 / 2
        });
        drop(leaving);
        node.wait_for_streams(1);
        let begun = Instant::now();
        heartbeat(&mut stays);
        heartbeat(&mut stays);
        assert!(
            begun.elapsed() < 2 * INTERVAL + LATE,
            "round {round}: {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn a_busy_stream_is_sent_no_heartbeats() {
    const LONG: Duration = Duration::from_secs(2);
    let node = node(LONG);
    let mut stream = node.subscribe("/events/a");
    let mut publisher = node.publisher();
    let begun = Instant::now();
    let (mut last, mut longest) = (begun, Duration::ZERO);
    while begun.elapsed() < LONG + LONG / 2 {
        publisher.publish("a", "x");
        assert_eq!(stream.take_data(1), ["x"]);
        longest = longest.max(last.elapsed());
        last = Instant::now();
        thread::park_timeout(LONG / 20);
    }
    // Half an interval without an event, on a machine that has better to do, may be silence.
    if longest < LONG / 2 {
        assert_eq!(node.count(|shard| &shard.heartbeats), 0);
    }
}

/// A client knows after how much silence its line is dead.
#[test]
fn the_prime_announces_the_longest_silence() {
    for interval in [INTERVAL, Duration::from_millis(2_500)] {
        let node = node(interval);
        let mut stream = node.subscribe("/events/a");
        assert_eq!(stream.heartbeat_ms, Some(interval.as_millis() as u64));
        stream.heartbeat_ms = None;
        heartbeat(&mut stream);
        assert_eq!(stream.heartbeat_ms, None, "the prime only");
        let mut resumed = node.resume("/events/a", &stream.cursor);
        assert_eq!(resumed.step(), Some(None));
        assert_eq!(resumed.heartbeat_ms, Some(interval.as_millis() as u64));
    }
}

/// A plain `EventSource` does not hear a silent heartbeat, and so does not notice that its line is
/// dead.
#[test]
fn a_heartbeat_that_was_asked_for_is_an_event_and_moves_the_resume_point() {
    let node = node(INTERVAL);
    let mut silent = node.subscribe("/events/a?heartbeat=silent");
    for target in [
        "/events/a?heartbeat=event&with=topic",
        "/.well-known/mercure?topic=a&heartbeat=event",
    ] {
        let mut stream = node.subscribe(target);
        let elsewhere = node.publisher().publish("elsewhere", "x");
        let end = Instant::now() + DEADLINE;
        let beat = loop {
            assert!(Instant::now() < end, "heartbeats stay behind");
            let beat = stream.next().expect("an open stream");
            assert_eq!((&*beat.event, &*stream.topics), ("heartbeat", &[][..]));
            if beat.id >= elsewhere {
                break beat;
            }
        };
        assert_eq!(stream.cursor, beat.id);
        let sent_ms: u64 = beat.data.parse().expect("milliseconds");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_ms = now.expect("a clock").as_millis() as u64;
        assert!(sent_ms <= now_ms && now_ms < sent_ms + 60_000, "{sent_ms}");
    }
    heartbeat(&mut silent);
}
