//! The whole program: its settings, its start, its log and its metrics.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::process::Command;

use rustix::process::Signal;

use crate::redis_server::Redis;
use crate::support::http;
use crate::support::node::{Node, PROGRAM};
use crate::support::sse::{SseEvent, SseStream};
use crate::support::wait_until;

fn is_upstream(event: &SseEvent) -> bool {
    event.event == "gap" && event.data.contains("\"reason\":\"upstream\"")
}

#[test]
fn the_streams_of_a_node_that_starts_beside_its_server_are_told_no_gap() {
    let redis = Redis::empty();
    let flags = [
        "--redis-pubsub",
        &redis.url(),
        "--redis-channels",
        "sse-events,news.*",
    ];
    let node = Node::start_with(&flags);
    let mut stream = SseStream::open(node.http, "/events?topic=sse-events&topic=news.a");
    redis.publish(
        "sse-events",
        r#"{"event":"tick","data":{"n":1},"id":"one"}"#,
    );
    redis.publish("news.a", "plain");
    let events = stream.take(2);
    assert_eq!(
        (
            events[0].event.as_str(),
            events[0].data.as_str(),
            events[0].id.as_str()
        ),
        ("tick", "{\"n\":1}", "one")
    );
    assert_eq!(
        (events[1].event.as_str(), events[1].data.as_str()),
        ("message", "plain")
    );
    let page = http::request(node.admin, "GET", "/metrics", &[], b"");
    let page = page.body;
    for line in [
        "fantail_pubsub_state{state=\"subscribed\"} 1",
        "fantail_pubsub_state{state=\"away\"} 0",
        "fantail_pubsub_messages_total{outcome=\"event\"} 1",
        "fantail_pubsub_messages_total{outcome=\"raw\"} 1",
        "fantail_pubsub_subscriptions_total 1",
        "fantail_pubsub_lost_total{reason=\"silent\"} 0",
        "fantail_events_in_total{source=\"pubsub\"} 2",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    node.wait_for_log("subscribed to Redis channels");
}

#[test]
fn a_node_starts_without_its_server_and_tells_a_gap_when_it_comes() {
    let mut redis = Redis::empty();
    redis.kill();
    let node = Node::start_with(&["--redis-pubsub", &redis.url(), "--redis-channels", "in"]);
    assert_eq!(node.admin_get("/readyz").status, 200);
    node.wait_for_log("cannot subscribe to Redis channels");
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    redis.restart();
    let gap = stream.next().expect("a gap");
    assert!(is_upstream(&gap), "{gap:?}");
    redis.publish("in", "after");
    assert_eq!(stream.take_data(1), ["after"]);
}

#[test]
fn a_stream_that_resumes_over_a_restart_is_told_that_messages_may_be_missing() {
    let redis = Redis::empty();
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().to_str().expect("text");
    let url = redis.url();
    let flags = [
        "--redis-pubsub",
        &url,
        "--redis-channels",
        "in",
        "--state-dir",
        state,
    ];
    let mut node = Node::start_with(&flags);
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    redis.publish("in", "one");
    redis.publish("in", "two");
    let first = stream.next().expect("an event");
    assert!(node.stop().success());
    redis.publish("in", "nobody hears it");
    let node = Node::start_with(&flags);
    let mut stream = SseStream::resume(node.http, "/events?topic=in", &first.id);
    let events = stream.take(2);
    assert_eq!(events[0].data, "two");
    assert!(is_upstream(&events[1]), "{events:?}");
    // The gap's own id is a cursor from which nothing is missing.
    let mut stream = SseStream::resume(node.http, "/events?topic=in", &events[1].id);
    redis.publish("in", "three");
    assert_eq!(stream.take_data(1), ["three"]);
}

#[test]
fn a_password_is_used_and_shown_nowhere() {
    let redis = Redis::with_users(&[
        "fantail on >hush/hush resetchannels &in &fantail:probe:* -@all +subscribe +psubscribe +publish",
        "default on nopass allchannels +@all",
    ]);
    let url = format!("redis://fantail@{}", redis.address());
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "hush/hush\n").expect("written");
    let path = file.path().to_str().expect("text");
    let node = Node::start_with(&[
        "--redis-pubsub",
        &url,
        "--redis-pubsub-password-file",
        path,
        "--redis-channels",
        "in",
        "--log-level",
        "trace",
    ]);
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    redis.publish("in", "heard");
    assert_eq!(stream.take_data(1), ["heard"]);
    node.wait_for_log("redis://fantail@");
    assert!(!node.logged().contains("hush"), "{}", node.logged());
    // Another password.
    let wrong = format!("redis://fantail:hush@{}", redis.address());
    let mut command = Command::new(PROGRAM);
    command.env("FANTAIL_REDIS_PUBSUB", wrong);
    let node = Node::start_as(command, &["--redis-channels", "in"]);
    node.wait_for_log("WRONGPASS");
    assert!(!node.logged().contains("hush"), "{}", node.logged());
}

/// The refusal answers the first command, which may be refused; the line was `Broken pipe`.
#[test]
fn a_server_in_protected_mode_is_told_in_its_own_words() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.write_all(b"-DENIED Redis is running in protected mode\r\n");
            let _ = stream.shutdown(Shutdown::Write);
        }
    });
    let url = format!("redis://{address}");
    let node = Node::start_with(&["--redis-pubsub", &url, "--redis-channels", "in"]);
    node.wait_for_log("DENIED Redis is running in protected mode");
}

#[test]
fn a_user_without_a_right_to_a_channel_is_told_which() {
    let redis = Redis::with_users(&["default on nopass resetchannels &in &fantail:probe:* +@all"]);
    let node = Node::start_with(&["--redis-pubsub", &redis.url(), "--redis-channels", "in,out"]);
    node.wait_for_log("NOPERM");
    let node = Node::start_with(&["--redis-pubsub", &redis.url(), "--redis-channels", "in"]);
    wait_until("it is subscribed", || {
        node.logged().contains("subscribed to Redis channels")
    });
}

#[test]
fn an_upgrade_is_a_gap_of_streams_that_stay_open() {
    let redis = Redis::empty();
    let node = Node::start_with(&["--redis-pubsub", &redis.url(), "--redis-channels", "in"]);
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    redis.publish("in", "before");
    assert_eq!(stream.take_data(1), ["before"]);
    node.signal(Signal::USR2);
    let gap = stream.next().expect("a gap");
    assert!(is_upstream(&gap), "{gap:?}");
    redis.publish("in", "after");
    assert_eq!(stream.take_data(1), ["after"]);
}
