//! Outages of the server and of connections. Each is told to all streams, once, before anything
//! that comes after it.

use fantail::metrics::{PubSubLoss, PubSubState};

use crate::proxy::Proxy;
use crate::redis_server::Redis;
use crate::source::{Source, Stream};
use crate::support::wait_until;

/// Reads to this message; returns the number of gaps `upstream` before it.
fn gaps_before(stream: &mut Stream, message: &str) -> usize {
    let text = stream.read_until("\n\n", &format!("data: {message}\n"));
    assert_eq!(
        text.matches("event: gap").count(),
        text.matches("\"reason\":\"upstream\"").count(),
        "{text}"
    );
    text.matches("event: gap").count()
}

fn lost(source: &Source, reason: PubSubLoss) -> u64 {
    source.metrics().lost[reason as usize].get()
}

#[test]
fn a_stream_that_was_open_before_the_first_subscription_is_told_a_gap() {
    let redis = Redis::empty();
    let mut source = Source::hub_only();
    let mut early = source.subscribe("in");
    redis.publish("in", "nobody hears it");
    source.run(&redis.url(), &["in"], &[]);
    source.wait_for(PubSubState::Subscribed);
    let mut late = source.subscribe("in");
    redis.publish("in", "first");
    assert_eq!(gaps_before(&mut early, "first"), 1);
    assert_eq!(gaps_before(&mut late, "first"), 0);
}

#[test]
fn a_server_that_is_gone_for_a_while_is_one_gap() {
    let mut redis = Redis::empty();
    let source = Source::start(&redis.url(), &["in"], &[]);
    let mut stream = source.subscribe("in");
    redis.publish("in", "before");
    assert_eq!(gaps_before(&mut stream, "before"), 0);
    for round in 1..=3 {
        redis.kill();
        source.wait_for(PubSubState::Away);
        let failures = source.metrics().failures.get();
        wait_until("it has tried more than once", || {
            source.metrics().failures.get() > failures + 2
        });
        redis.restart();
        source.wait_for_subscription_after(round);
        let message = format!("after {round}");
        redis.publish("in", &message);
        assert_eq!(gaps_before(&mut stream, &message), 1);
    }
    assert_eq!(source.lost(), 3);
    assert_eq!(lost(&source, PubSubLoss::Closed), 3);
}

#[test]
fn a_connection_that_the_server_cuts_is_a_gap() {
    let redis = Redis::empty();
    let source = Source::start(&redis.url(), &["in"], &[]);
    let mut stream = source.subscribe("in");
    let mut kill = redis::cmd("CLIENT");
    kill.arg(&["KILL", "TYPE", "pubsub"]);
    assert_eq!(
        kill.query::<i64>(&mut redis.connection()).expect("killed"),
        1
    );
    source.wait_for_subscription_after(1);
    redis.publish("in", "after");
    assert_eq!(gaps_before(&mut stream, "after"), 1);
}

#[test]
fn a_half_open_subscription_is_found_though_probes_are_answered() {
    let redis = Redis::empty();
    let proxy = Proxy::to(redis.address());
    let source = Source::start(&proxy.url(), &["in"], &[]);
    assert_eq!(proxy.accepted(), 2);
    let mut stream = source.subscribe("in");
    // The subscription is the first connection. That of the probes lives.
    proxy.hold_first(1);
    redis.publish("in", "nobody hears it");
    source.wait_for_subscription_after(1);
    assert_eq!(lost(&source, PubSubLoss::Silent), 1);
    redis.publish("in", "after");
    assert_eq!(gaps_before(&mut stream, "after"), 1);
}

#[test]
fn a_half_open_connection_of_probes_is_found() {
    let redis = Redis::empty();
    let proxy = Proxy::to(redis.address());
    let source = Source::start(&proxy.url(), &["in"], &[]);
    let mut stream = source.subscribe("in");
    proxy.hold(false);
    source.wait_for_subscription_after(1);
    redis.publish("in", "after");
    assert_eq!(gaps_before(&mut stream, "after"), 1);
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_one_gap_when_it_is_back() {
    let redis = Redis::empty();
    let proxy = Proxy::to(redis.address());
    let source = Source::start(&proxy.url(), &["in"], &[]);
    let mut stream = source.subscribe("in");
    proxy.hold(true);
    wait_until("it has tried twice", || {
        source.metrics().failures.get() >= 2
    });
    proxy.release();
    source.wait_for_subscription_after(1);
    redis.publish("in", "after");
    assert_eq!(gaps_before(&mut stream, "after"), 1);
    assert_eq!(source.lost(), 1);
}

#[test]
fn a_replica_that_has_lost_its_master_is_not_trusted() {
    let mut master = Redis::empty();
    let port = master.address().port().to_string();
    let replica = Redis::empty_with(&["--replicaof", "127.0.0.1", &port]);
    wait_until("the replica has its master", || {
        let info: String = redis::cmd("INFO")
            .query(&mut replica.connection())
            .expect("told");
        info.contains("master_link_status:up")
    });
    let source = Source::start(&replica.url(), &["in"], &[]);
    let mut stream = source.subscribe("in");
    master.publish("in", "by the master");
    assert_eq!(gaps_before(&mut stream, "by the master"), 0);
    // The replica answers, and delivers its own probes.
    master.kill();
    wait_until("it is found", || lost(&source, PubSubLoss::Orphaned) > 0);
    master.restart();
    wait_until("the replica has its master again", || {
        master.publish("in", "after");
        source.metrics().state() == PubSubState::Subscribed
            && source.metrics().messages[1].get() > 1
    });
    assert!(gaps_before(&mut stream, "after") >= 1);
}

#[test]
fn messages_that_a_full_node_does_not_read_end_in_a_gap() {
    let redis = Redis::empty_with(&["--client-output-buffer-limit", "pubsub 1mb 1mb 1"]);
    let source = Source::start(&redis.url(), &["in", "filler"], &[]);
    let mut stream = source.subscribe("in");
    redis.publish("in", "before");
    assert_eq!(gaps_before(&mut stream, "before"), 0);
    let frozen = source
        .runtime
        .block_on(source.hub.freeze())
        .expect("frozen");
    let message = "x".repeat(100 << 10);
    wait_until("Redis has given up the node", || {
        redis.publish("filler", &message);
        let clients: String = redis::cmd("CLIENT")
            .arg(&["LIST", "TYPE", "pubsub"])
            .query(&mut redis.connection())
            .expect("told");
        clients.trim().is_empty()
    });
    source.runtime.block_on(frozen.thaw());
    source.wait_for_subscription_after(1);
    redis.publish("in", "after");
    assert_eq!(gaps_before(&mut stream, "after"), 1);
}

/// The number of messages that were published to a server.
fn published(redis: &Redis) -> u64 {
    let mut ask = redis::cmd("INFO");
    let info: String = ask
        .arg("commandstats")
        .query(&mut redis.connection())
        .expect("told");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_publish:calls="));
    let calls = line.and_then(|rest| rest.split(',').next()?.parse().ok());
    calls.unwrap_or_default()
}

#[test]
fn a_node_that_is_full_for_longer_than_a_probe_may_take_keeps_its_subscription() {
    let redis = Redis::empty();
    let source = Source::start(&redis.url(), &["in"], &[]);
    let mut stream = source.subscribe("in");
    let frozen = source
        .runtime
        .block_on(source.hub.freeze())
        .expect("frozen");
    redis.publish("in", "waits");
    // Another node's probes are the clock: so many take longer than one may.
    let other = Source::start(&redis.url(), &["in"], &[]);
    let before = published(&redis);
    wait_until("the other node has probed many times", || {
        published(&redis) >= before + 24
    });
    assert_eq!(other.lost(), 0);
    source.runtime.block_on(frozen.thaw());
    redis.publish("in", "after");
    assert_eq!(gaps_before(&mut stream, "after"), 0);
    assert_eq!(source.lost(), 0);
}
