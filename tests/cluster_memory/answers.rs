use std::time::Duration;

use fantail::core::event::Event;
use fantail::core::sse::Draft;
use fantail::metrics::Source;

use crate::node::{Cluster, JSON, Node, bearer};
use crate::support::http::{Response, request};
use crate::support::resp::Client;
use crate::support::wait_until;

const LINES: [(&str, &str); 1] = [("Content-Type", "application/x-ndjson")];
const EVENT: &str = r#"{"topic":"a","data":"x"}"#;

/// All ways to publish over HTTP.
fn publish_all(node: &Node) -> Vec<Response> {
    let json = [("Content-Type", JSON)];
    vec![
        node.post("/publish/a", &[], "x"),
        node.post("/publish", &json, EVENT),
        node.post("/publish", &json, &format!("[{EVENT},{EVENT}]")),
        node.post("/publish", &LINES, &format!("{EVENT}\n{EVENT}\n")),
    ]
}

#[test]
fn while_the_log_is_away_publishers_are_told_to_come_again_and_nothing_is_published() {
    let cluster = Cluster::of(1);
    let node = &cluster.nodes[0];
    let mut stream = node.subscribe("/events/a");
    cluster.log.set_away(true);
    for answer in publish_all(node) {
        assert_eq!(answer.status, 503, "{answer:?}");
        let seconds = answer.head.field("retry-after").expect("a field");
        assert!((1..=2).contains(&seconds.parse().expect("seconds")));
        let problem = answer.json();
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(
            detail.contains("not published: the log is away"),
            "{detail}"
        );
        assert!(problem.get("published").is_none(), "{problem}");
        if problem.get("line").is_some() {
            assert_eq!(
                (&problem["line"], &problem["accepted"]),
                (&1.into(), &0.into())
            );
        }
    }
    let erased = request(node.admin, "DELETE", "/topics/a", &[], b"");
    assert_eq!(erased.status, 503, "{erased:?}");
    assert!(erased.head.field("retry-after").is_some());
    for command in [
        &["PUBLISH", "a", "x"][..],
        &["XADD", "a", "*", "data", "x"],
        &["EVAL", "return redis.call('publish', 'a', 'x')", "0"],
    ] {
        let refused = node.command(command);
        assert_eq!(refused, "-TRYAGAIN not published: the log is away");
    }
    assert_eq!(exec(node), "-TRYAGAIN not published: the log is away");
    cluster.log.set_away(false);
    node.publish("a", "later");
    assert_eq!(stream.take_data(1), ["later"]);
    assert_eq!(cluster.log.len(), 1);
}

/// A transaction of two events; its answer.
fn exec(node: &Node) -> String {
    let mut client = Client::open(node.ingest);
    for command in [
        &["MULTI"][..],
        &["PUBLISH", "a", "1"],
        &["PUBLISH", "a", "2"],
        &["EXEC"],
    ] {
        client.send(command);
    }
    for line in ["+OK", "+QUEUED", "+QUEUED"] {
        assert_eq!(client.line(), line);
    }
    client.line()
}

#[test]
fn an_unknown_outcome_says_so_and_is_resolved_by_asking_again_with_the_key() {
    let cluster = Cluster::of(2);
    let node = &cluster.nodes[0];
    cluster.log.lose_answers(true);
    for answer in publish_all(node) {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.field("retry-after").is_some());
        let problem = answer.json();
        assert_eq!(problem["published"], "unknown", "{problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("same `Idempotency-Key`"), "{detail}");
    }
    let unknown = node.command(&["XADD", "a", "*", "data", "x"]);
    assert!(unknown.starts_with("-ERR outcome unknown"), "{unknown}");
    assert!(exec(node).starts_with("-ERR outcome unknown"));
    let erased = request(node.admin, "DELETE", "/topics/none", &[], b"");
    assert_eq!(erased.json()["published"], "unknown", "{erased:?}");
    assert_eq!(node.post_keyed("/publish", "k", EVENT).status, 503);
    cluster.log.lose_answers(false);
    cluster.settle();
    let before = node.kept("a").len();
    for node in &cluster.nodes {
        let answer = node.post_keyed("/publish", "k", EVENT);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.head.field("idempotency-replayed"), Some("true"));
        assert_eq!(node.kept("a").len(), before);
    }
}

#[test]
fn a_mercure_publisher_is_told_the_same() {
    let cluster = Cluster::guarded(1);
    let node = &cluster.nodes[0];
    let token = bearer();
    let fields = [
        ("Authorization", &*token),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let publish = || node.post("/.well-known/mercure", &fields, "topic=a&data=x");
    cluster.log.set_away(true);
    let away = publish();
    assert_eq!(away.status, 503, "{away:?}");
    assert!(away.head.field("retry-after").is_some());
    assert!(away.json().get("published").is_none());
    cluster.log.set_away(false);
    cluster.log.lose_answers(true);
    assert_eq!(publish().json()["published"], "unknown");
    cluster.log.lose_answers(false);
    assert_eq!(publish().status, 200);
}

#[test]
fn what_is_in_front_of_a_lost_portion_is_answered() {
    let cluster = Cluster::of(1);
    let node = &cluster.nodes[0];
    let mut drafts: Vec<Draft<'_>> = (0..2_000)
        .map(|n| {
            let event = Event::new("many", n.to_string());
            Draft::new(event, node.hub.event_limits()).expect("an event")
        })
        .collect();
    // The first portion comes to be in the log, and the second does not.
    node.log.hold_back(true);
    let hub = node.hub.clone();
    let publishing = cluster
        .runtime
        .spawn(async move { hub.publish(Source::Http, &mut drafts).await });
    wait_until("the first portion is appended", || {
        cluster.log.len() == 1_024
    });
    let log = cluster.log.clone();
    node.log.step(1_023);
    let applied = || node.hub.node_metrics().log_events.get();
    wait_until("nearly all is applied", || applied() == 1_023);
    log.refuse_next(1);
    node.log.hold_back(false);
    let error = cluster.runtime.block_on(publishing).expect("no panic");
    let error = error.expect_err("the second portion is refused");
    let fantail::hub::NotPublished::Away(unlogged) = error else {
        panic!("{error:?}");
    };
    assert_eq!(unlogged.receipts.len(), 1_024);
    assert_eq!(applied(), 1_024);
}

#[test]
fn what_compares_positions_of_this_node_is_refused() {
    let cluster = Cluster::of(1);
    let refused = cluster.nodes[0].command(&["WATCH", "a"]);
    assert!(
        refused.starts_with("-ERR WATCH is not supported with a log"),
        "{refused}"
    );
}

#[test]
fn a_transaction_and_a_script_are_published_as_one() {
    let cluster = Cluster::of(2);
    let node = &cluster.nodes[0];
    assert_eq!(exec(node), "*2");
    let script = "for i = 1, 3 do redis.call('publish', 'a', i) end return 'done'";
    assert_eq!(node.command(&["EVAL", script, "0"]), "$4");
    cluster.settle();
    assert_eq!(cluster.nodes[1].kept("a").len(), 5);
}

#[test]
fn a_client_that_is_ahead_is_sent_away_while_the_log_is() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    let old = first.publish("a", "0");
    cluster.settle();
    second.log.hold_back(true);
    let cursor = first.publish("a", "1");
    cluster.log.set_away(true);
    let fields = [("Last-Event-ID", &*cursor)];
    let answer = request(second.http, "GET", "/events/a", &fields, b"");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.field("retry-after").is_some());
    // An `EventSource` gives up for good on any status but 200.
    let fields = [("Last-Event-ID", &*cursor), ("Accept", "text/event-stream")];
    let answer = request(second.http, "GET", "/events/a", &fields, b"");
    assert!(answer.status == 200 && answer.body.starts_with("retry: "));
    let page = format!("/topics/a/events?after={cursor}");
    assert_eq!(request(second.http, "GET", &page, &[], b"").status, 503);
    assert_eq!(second.hub.streams(), 0);
    // What this node has read is served from memory.
    let _known = second.subscribe(&format!("/events/a?last_event_id={old}"));
    let gap = second.resume("/events/a", "strange").take(1).remove(0);
    assert!(gap.data.contains("unknown"), "{gap:?}");
}

/// The log stands still, and the node has not noticed yet.
#[test]
fn a_client_that_is_ahead_is_sent_away_while_the_log_gives_no_answer() {
    let cluster = Cluster::waiting(2, Duration::from_millis(50));
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    second.log.hold_back(true);
    second.log.set_silent(true);
    let cursor = first.publish("a", "1");
    first.publish("a", "2");
    assert_eq!(second.status_of("/events/a", &cursor), 503);
    // A publisher's own id may be none of the log.
    let gap = second.resume("/events/a", "strange").take(1).remove(0);
    assert!(gap.data.contains("unknown"), "{gap:?}");
    second.log.set_silent(false);
    second.log.hold_back(false);
    cluster.settle();
    assert_eq!(second.resume("/events/a", &cursor).take_data(1), ["2"]);
}
