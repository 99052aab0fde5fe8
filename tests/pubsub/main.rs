//! Channels of a real `redis-server` as a source of events (Debian: redis-server).

#![cfg(feature = "external-tests")]

/// Nodes that share a log.
mod forwarding;
/// Outages, and what streams are told of them.
mod outages;
/// The whole program: its settings, its start, its log and its metrics.
mod program;
#[path = "../support/proxy.rs"]
mod proxy;
mod redis_server;
/// Sentinels.
mod sentinel;
#[path = "../support/redis_server.rs"]
mod server;
/// A hub with the source.
mod source;
#[path = "../support/mod.rs"]
mod support;
/// TLS.
mod tls;

use fantail::metrics::PubSubOutcome;

use redis_server::Redis;
use source::Source;

#[test]
fn messages_of_channels_and_patterns_become_events() {
    let redis = Redis::empty();
    let source = Source::start(
        &redis.url(),
        &["sse-events", "news.*"],
        &["sse-events=feed"],
    );
    let mut feed = source.subscribe("feed");
    let mut news = source.subscribe("news.sport");
    redis.publish(
        "sse-events",
        r#"{"event":"tick","data":{"a": 1},"id":"own-1"}"#,
    );
    assert_eq!(
        feed.read_until("\n\n", "tick"),
        "id: own-1\nevent: tick\ndata: {\"a\":1}\n\n"
    );
    redis.publish("sse-events", "hello\nyou");
    assert!(
        feed.read_until("\n\n", "hello")
            .ends_with("data: hello\ndata: you\n\n")
    );
    redis.publish("news.sport", r#"{"type":"goal","data":{"minute":90}}"#);
    let raw = news.read_until("\n\n", "goal");
    assert!(
        raw.ends_with("data: {\"type\":\"goal\",\"data\":{\"minute\":90}}\n\n"),
        "{raw}"
    );
    redis.publish(
        "news.other",
        r#"{"data":"moved","topic":["feed","news.sport"]}"#,
    );
    feed.read_until("\n\n", "data: moved");
    news.read_until("\n\n", "data: moved");
    source.wait_for_count(PubSubOutcome::Event, 2);
    source.wait_for_count(PubSubOutcome::Raw, 2);
}

#[test]
fn a_message_that_comes_by_several_subscriptions_is_published_once() {
    let redis = Redis::empty();
    let source = Source::start(&redis.url(), &["*", "news.*", "news.a"], &[]);
    let mut stream = source.subscribe("news.a");
    assert_eq!(redis.publish("news.a", "one"), 3);
    redis.publish("news.a", "two");
    let text = stream.read_until("\n\n", "data: two");
    assert_eq!(text.matches("data: one").count(), 1, "{text}");
    source.wait_for_count(PubSubOutcome::Raw, 2);
}

#[test]
fn the_probes_of_nodes_are_no_events() {
    let redis = Redis::empty();
    let first = Source::start(&redis.url(), &["*"], &[]);
    let second = Source::start(&redis.url(), &["*"], &[]);
    let mut stream = first.subscribe_to_all();
    // Several probes of both.
    let probes = |source: &Source| source.probes();
    let (a, b) = (probes(&first), probes(&second));
    support::wait_until("both have probed again", || {
        probes(&first) != a && probes(&second) != b
    });
    redis.publish("any", "the only one");
    let text = stream.read_until("\n\n", "the only one").to_owned();
    assert_eq!(text.matches("data:").count(), 1, "{text}");
}

#[test]
fn what_is_refused_is_counted_and_stops_nothing() {
    let redis = Redis::empty();
    let source = Source::start(&redis.url(), &["in"], &[]);
    let mut stream = source.subscribe("in");
    redis.publish("in", "x".repeat(source::MESSAGE_BYTES_MAX + 1));
    redis.publish("in", "x".repeat(300 << 10));
    redis.publish(
        "in",
        r#"{"data":1,"topic":"/.well-known/mercure/subscriptions/x"}"#,
    );
    redis.publish("in", r#"{"data":1,"retry":"soon"}"#);
    redis.publish("in", r#"{"data":1,"event":"gap"}"#);
    redis.publish("in", b"\xff\xfe");
    redis.publish("in", "the next");
    let text = stream.read_until("\n\n", "the next");
    assert_eq!(text.matches("data:").count(), 1, "{text}");
    source.wait_for_count(PubSubOutcome::TooLarge, 2);
    source.wait_for_count(PubSubOutcome::ReservedTopic, 1);
    source.wait_for_count(PubSubOutcome::BadField, 2);
    source.wait_for_count(PubSubOutcome::NotText, 1);
    source.wait_for_count(PubSubOutcome::Raw, 1);
    assert_eq!(source.lost(), 0);
}

#[test]
fn many_messages_arrive_in_order() {
    let redis = Redis::empty();
    let source = Source::start(&redis.url(), &["in"], &[]);
    let mut stream = source.subscribe("in");
    let mut connection = redis.connection();
    for hundred in 0..100 {
        let mut pipe = redis::pipe();
        for n in 0..100 {
            pipe.cmd("PUBLISH")
                .arg("in")
                .arg(format!("n{}", hundred * 100 + n))
                .ignore();
        }
        pipe.query::<()>(&mut connection).expect("published");
    }
    let text = stream.read_until("\n\n", "data: n9999\n");
    let numbers = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: n")?.parse::<u32>().ok());
    assert!(numbers.eq(0..10_000), "{} bytes", text.len());
}
