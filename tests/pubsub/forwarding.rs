//! Nodes that share a log: one of them writes the messages of channels to it.

use rustix::process::Signal;

use crate::redis_server::Redis;
use crate::server::Sentinels;
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::support::{wait_for, wait_until};

fn start(redis: &Redis) -> Node {
    let url = redis.url();
    Node::start_with(&[
        "--log",
        &url,
        "--redis-pubsub",
        &url,
        "--redis-channels",
        "in",
    ])
}

fn is(node: &Node, state: &str) -> bool {
    let page = node.admin_get("/metrics").body;
    page.contains(&format!("fantail_pubsub_state{{state=\"{state}\"}} 1"))
}

/// Waits until one of two nodes forwards and the other waits; returns the number of the first.
fn forwarder(nodes: &[Node; 2]) -> usize {
    wait_for("one node forwards and the other waits", || {
        (0..2).find(|&number| is(&nodes[number], "subscribed") && is(&nodes[1 - number], "standby"))
    })
}

#[test]
fn of_several_nodes_one_forwards_and_a_hand_over_is_one_gap() {
    let redis = Redis::empty();
    let nodes = [start(&redis), start(&redis)];
    let first = forwarder(&nodes);
    let mut streams = [0, 1].map(|n| SseStream::open(nodes[n].http, "/events?topic=in"));
    for n in 0..3 {
        redis.publish("in", format!("before {n}"));
    }
    let before = streams.each_mut().map(|stream| stream.take(3));
    assert_eq!(
        before[0], before[1],
        "one event for each message, with the same id everywhere"
    );
    // The forwarder is killed.
    let [a, b] = nodes;
    let (killed, other) = if first == 0 { (a, b) } else { (b, a) };
    let [stream_a, stream_b] = streams;
    let mut stream = if first == 0 { stream_b } else { stream_a };
    drop(killed);
    redis.publish("in", "nobody hears it");
    wait_until("the other node forwards", || is(&other, "subscribed"));
    redis.publish("in", "after");
    let events = stream.take(2);
    assert_eq!(events[0].event, "gap");
    assert!(
        events[0].data.contains("\"reason\":\"upstream\""),
        "{events:?}"
    );
    assert_eq!(events[1].data, "after");
    // A node that starts later tells it to whoever resumes from before.
    let late = start(&redis);
    let mut resumed = SseStream::resume(late.http, "/events?topic=in", &before[0][2].id);
    let again = resumed.take(2);
    assert_eq!(again[0].event, "gap");
    assert_eq!(again[1], events[1]);
    // A node that ends leaves the lease at once.
    let mut other = other;
    wait_until("the late node waits", || is(&late, "standby"));
    assert!(other.stop().success());
    wait_until("the late node forwards", || is(&late, "subscribed"));
    redis.publish("in", "the last");
    let events = resumed.take(2);
    assert_eq!(
        (events[0].event.as_str(), events[1].data.as_str()),
        ("gap", "the last")
    );
}

#[test]
fn a_forwarder_that_was_stopped_for_a_while_writes_nothing_twice() {
    let redis = Redis::empty();
    let nodes = [start(&redis), start(&redis)];
    let first = forwarder(&nodes);
    let (stopped, other) = (&nodes[first], &nodes[1 - first]);
    let mut streams = [stopped, other].map(|node| SseStream::open(node.http, "/events?topic=in"));
    stopped.signal(Signal::STOP);
    wait_until("the other node forwards", || is(other, "subscribed"));
    // Both subscriptions get it: that of the stopped process waits in its socket.
    redis.publish("in", "one");
    let gap = streams[1].next().expect("a gap");
    assert_eq!(gap.event, "gap");
    assert_eq!(streams[1].take_data(1), ["one"]);
    stopped.signal(Signal::CONT);
    wait_until("the node that was stopped waits for the lease", || {
        is(stopped, "standby")
    });
    redis.publish("in", "two");
    assert_eq!(streams[1].take_data(1), ["two"]);
    let events = streams[0].take(3);
    assert_eq!(events[0].event, "gap");
    assert_eq!([&events[1].data, &events[2].data], ["one", "two"]);
}

/// Nothing in the node's log said why no message arrived.
#[test]
fn messages_wait_while_the_log_refuses_them_and_the_node_says_so() {
    let redis = Redis::empty();
    let node = start(&redis);
    wait_until("it forwards", || is(&node, "subscribed"));
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    redis.publish("in", "one");
    node.wait_for_log("messages of Redis channels wait for the log");
    assert!(node.logged().contains("OOM"), "{}", node.logged());
    redis.publish("in", "two");
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(stream.take_data(2), ["one", "two"]);
}

#[test]
fn a_forwarder_whose_lease_another_one_has_writes_no_more() {
    let redis = Redis::empty();
    let node = start(&redis);
    wait_until("it forwards", || is(&node, "subscribed"));
    let lease = ["{fantail}:channels", "another", "PX", "3600000"];
    redis.ask::<()>(&[&["SET"], &lease[..]].concat());
    wait_until("it waits", || is(&node, "standby"));
    let page = node.admin_get("/metrics").body;
    let line = "fantail_pubsub_lost_total{reason=\"lease\"} 1";
    assert!(page.contains(line), "{page}");
    let holder: String = redis.ask(&["GET", lease[0]]);
    assert_eq!(holder, lease[1]);
}

/// The node's log named neither the key nor the log.
#[test]
fn a_lease_that_cannot_be_taken_names_its_key() {
    let list = "the log has refused a command for its key `{fantail}:channels`: WRONGTYPE";
    let text = "the key `{fantail}:channels` has a value that no node has written";
    for (command, line) in [("LPUSH", list), ("SET", text)] {
        let redis = Redis::empty();
        redis.ask::<()>(&[command, "{fantail}:channels", "x"]);
        let node = start(&redis);
        node.wait_for_log(line);
        redis.ask::<()>(&["DEL", "{fantail}:channels"]);
        wait_until("it forwards", || is(&node, "subscribed"));
    }
}

/// The subscription was given up at once, though no other node could have taken the lease.
#[test]
fn a_lease_that_is_not_prolonged_in_time_is_kept_until_its_end() {
    let redis = Redis::empty();
    let node = start(&redis);
    wait_until("it forwards", || is(&node, "subscribed"));
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    let set = |replicas| {
        redis.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", replicas]);
    };
    set("1");
    wait_until("it could not be prolonged", || {
        let info: String = redis.ask(&["INFO", "errorstats"]);
        info.contains("errorstat_NOREPLICAS")
    });
    set("0");
    redis.publish("in", "after");
    assert_eq!(stream.next().expect("an event").data, "after");
    assert!(is(&node, "subscribed"));
}

/// The former master prolonged the lease, while the new one would have given it to another node.
#[test]
fn a_forwarder_takes_its_lease_at_the_master_that_sentinels_name() {
    let (channels, old, new) = (Redis::empty(), Redis::empty(), Redis::empty());
    let sentinels = Sentinels::watch(&old, 0);
    let hosts: Vec<String> = sentinels
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let log = format!("redis+sentinel://{}/{}", hosts.join(","), Sentinels::NAME);
    let channels = channels.url();
    let flags = ["--redis-pubsub", &channels, "--redis-channels", "in"];
    let node = Node::start_with(&[&["--log", &log], &flags[..]].concat());
    wait_until("it forwards", || is(&node, "subscribed"));
    new.follow(&old);
    new.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    let holder = || new.ask::<Option<String>>(&["GET", "{fantail}:channels"]);
    let copied = holder();
    // The old master lives, and takes writes.
    sentinels.name(&new);
    wait_until("it has taken the lease again", || {
        let held = holder();
        held.is_some() && held != copied
    });
    wait_until("it forwards again", || is(&node, "subscribed"));
    let page = node.admin_get("/metrics").body;
    let line = "fantail_pubsub_lost_total{reason=\"orphaned\"} 1";
    assert!(page.contains(line), "{page}");
}

/// The new program waited until the lease of the former one had run out.
#[test]
fn a_forwarder_that_is_upgraded_keeps_its_lease() {
    let redis = Redis::empty();
    let node = start(&redis);
    wait_until("it forwards", || is(&node, "subscribed"));
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    redis.publish("in", "before");
    assert_eq!(stream.take_data(1), ["before"]);
    node.signal(Signal::USR2);
    let gap = stream.next().expect("a gap");
    assert_eq!(gap.event, "gap");
    redis.publish("in", "after");
    assert_eq!(stream.take_data(1), ["after"]);
    let waits = "another node writes the messages";
    assert!(!node.logged().contains(waits), "{}", node.logged());
}
