use std::thread;
use std::time::Duration;

use crate::node::{Cluster, JSON};
use crate::support::sse::SseStream;
use crate::support::{http, wait_until};

/// The number of requests that wait at a node for it to catch up.
fn waiting(cluster: &Cluster) -> u64 {
    cluster.log.newest_asked()
}

#[test]
fn all_nodes_give_an_event_the_same_id_and_the_same_bytes() {
    let cluster = Cluster::of(3);
    let publishers = cluster.nodes.iter().enumerate().map(|(number, node)| {
        let (http, ingest) = (node.http, node.ingest);
        thread::spawn(move || {
            for n in 0..20 {
                let target = format!("/publish/a?event=e&retry={n}");
                let data = format!("line {n}\r\nof {number}");
                let answer = http::request(http, "POST", &target, &[], data.as_bytes());
                assert_eq!(answer.status, 200, "{answer:?}");
                crate::support::resp::publish(ingest, "a", "\n x: y\r");
                let array =
                    r#"[{"topics":["a","b"],"data":" 1"},{"topic":"b","data":{"n":2},"id":"own"}]"#;
                let fields = [("Content-Type", JSON)];
                let answer = http::request(http, "POST", "/publish", &fields, array.as_bytes());
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    for publisher in publishers {
        publisher.join().expect("published");
    }
    cluster.settle();
    for topic in ["a", "b"] {
        let kept = cluster.nodes[0].kept(topic);
        assert_eq!(kept.len(), if topic == "a" { 180 } else { 120 });
        for node in &cluster.nodes[1..] {
            assert_eq!(node.kept(topic), kept);
        }
    }
    // Each node has counted what it published.
    for node in &cluster.nodes {
        let metrics = node.hub.node_metrics();
        let events_in: u64 = metrics.events_in.iter().map(|count| count.get()).sum();
        assert_eq!((events_in, metrics.log_events.get()), (80, 240));
    }
}

#[test]
fn a_receipt_is_that_of_the_node_that_was_asked() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    let mut streams = [first.subscribe("/events/a"), second.subscribe("/events/a")];
    let _more = second.subscribe("/events/a");
    let receipt = |node: &crate::node::Node| node.post("/publish/a", &[], "x").json();
    let one = receipt(first);
    let two = receipt(second);
    assert_eq!(
        (&one["subscribers"], &two["subscribers"]),
        (&1.into(), &2.into())
    );
    for stream in &mut streams {
        let events = stream.take(2);
        assert_eq!(events[0].id, one["id"].as_str().expect("an id"));
        assert_eq!(events[1].id, two["id"].as_str().expect("an id"));
    }
}

/// A client that hops between nodes, of which one is behind, was told a gap or lost events.
#[test]
fn a_client_that_hops_to_a_node_that_is_behind_gets_everything_once_and_no_gap() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    let mut stream = first.subscribe("/events/a");
    first.publish("a", "1");
    cluster.settle();
    second.log.hold_back(true);
    first.publish("a", "2");
    assert_eq!(stream.take_data(2), ["1", "2"]);
    let cursor = stream.cursor.clone();
    first.publish("a", "3");
    let (to, asked) = (second.http, waiting(&cluster));
    let hopping = thread::spawn(move || {
        let mut stream = SseStream::resume(to, "/events/a", &cursor);
        (
            stream.head.field("last-event-id").map(str::to_owned),
            stream.take(2),
        )
    });
    wait_until("the node asks how far the log is", || {
        waiting(&cluster) > asked
    });
    second.log.hold_back(false);
    first.publish("a", "4");
    let (last_event_id, events) = hopping.join().expect("no gap");
    assert_eq!(last_event_id.as_deref(), Some(&*stream.cursor));
    let told: Vec<_> = events
        .iter()
        .map(|event| (&*event.event, &*event.data))
        .collect();
    assert_eq!(told, [("message", "3"), ("message", "4")]);
}

/// Where much is published, there is always more than a node has read.
#[test]
fn a_client_whose_cursor_the_node_has_reached_was_shed_since_the_log_had_more() {
    let cluster = Cluster::of(2);
    let (_, second, cursor) = cluster.one_behind();
    let (to, asked) = (second.http, waiting(&cluster));
    let hopping = thread::spawn(move || SseStream::resume(to, "/events/a", &cursor));
    wait_until("the node asks how far the log is", || {
        waiting(&cluster) > asked
    });
    second.log.step(1);
    let mut stream = hopping.join().expect("it is served");
    second.log.hold_back(false);
    assert_eq!(stream.take_data(1), ["2"]);
}

#[test]
fn a_node_that_was_told_an_old_newest_id_takes_no_cursor_for_unknown() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    second.log.hold_back(true);
    second.log.set_stale(true);
    let cursor = first.publish("a", "1");
    first.publish("a", "2");
    let (to, asked) = (second.http, waiting(&cluster));
    let hopping = thread::spawn(move || SseStream::resume(to, "/events/a", &cursor).take(1));
    wait_until("the node asks how far the log is", || {
        waiting(&cluster) > asked
    });
    second.log.hold_back(false);
    assert_eq!(hopping.join().expect("no gap")[0].data, "2");
}

#[test]
fn a_cursor_that_is_a_publishers_own_id_waits_as_well() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    second.log.hold_back(true);
    first.post("/publish/a?id=own", &[], "1");
    first.publish("a", "2");
    let (to, asked) = (second.http, waiting(&cluster));
    let hopping = thread::spawn(move || SseStream::resume(to, "/events/a", "own").take(1));
    wait_until("the node asks how far the log is", || {
        waiting(&cluster) > asked
    });
    second.log.hold_back(false);
    assert_eq!(hopping.join().expect("no gap")[0].data, "2");
}

#[test]
fn a_cursor_above_the_newest_id_of_the_log_is_told_as_unknown() {
    let cluster = Cluster::waiting(1, Duration::from_millis(10));
    let node = &cluster.nodes[0];
    let id = node.publish("a", "1");
    let (_, mark) = id.split_once('.').expect("a mark");
    let beyond = format!("9999999999999-0.{mark}");
    let gap = node.resume("/events/a", &beyond).take(1).remove(0);
    assert_eq!(gap.event, "gap");
    assert!(gap.data.contains(r#""reason":"unknown""#), "{gap:?}");
    let page = http::request(
        node.http,
        "GET",
        &format!("/topics/a/events?after={beyond}"),
        &[],
        b"",
    );
    assert_eq!(page.json()["gap"]["reason"], "unknown", "{page:?}");
}

#[test]
fn a_page_of_history_and_a_head_wait_for_the_node_as_well() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    second.log.hold_back(true);
    for method in ["GET", "HEAD"] {
        let cursor = first.publish("a", "1");
        let (to, asked) = (second.http, waiting(&cluster));
        let target = match method {
            "GET" => format!("/topics/a/events?after={cursor}"),
            _ => format!("/events/a?last_event_id={cursor}"),
        };
        let asking = thread::spawn(move || http::request(to, method, &target, &[], b""));
        wait_until("the node asks how far the log is", || {
            waiting(&cluster) > asked
        });
        second.log.step(1);
        let answer = asking.join().expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        if method == "GET" {
            assert!(answer.json().get("gap").is_none(), "{answer:?}");
        } else {
            assert_eq!(answer.head.field("last-event-id"), Some(&*cursor));
        }
    }
}

#[test]
fn many_who_wait_for_the_node_are_all_served() {
    let cluster = Cluster::of(2);
    let (_, second, cursor) = cluster.one_behind();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let (to, cursor) = (second.http, cursor.clone());
            thread::spawn(move || SseStream::resume(to, "/events/a", &cursor).take(1))
        })
        .collect();
    wait_until("all have come", || second.hub.streams() == clients.len());
    second.log.hold_back(false);
    for client in clients {
        assert_eq!(client.join().expect("no gap")[0].data, "2");
    }
}

#[test]
fn a_topic_is_erased_on_all_nodes() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    for n in 0..3 {
        first.publish("a", &n.to_string());
    }
    first.publish("b", "x");
    let answer = http::request(second.admin, "DELETE", "/topics/a", &[], b"");
    assert_eq!((answer.status, &answer.json()["erased"]), (200, &3.into()));
    cluster.settle();
    first.publish("a", "after");
    cluster.settle();
    for node in &cluster.nodes {
        assert_eq!((node.kept("a").len(), node.kept("b").len()), (1, 1));
    }
}

#[test]
fn a_node_that_starts_reads_the_log_from_its_beginning_and_knows_its_cursors() {
    let mut cluster = Cluster::of(1);
    let ids: Vec<_> = (0..5)
        .map(|n| cluster.nodes[0].publish("a", &n.to_string()))
        .collect();
    cluster.add();
    cluster.settle();
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    assert_eq!(first.kept("a"), second.kept("a"));
    let mut stream = second.resume("/events/a", &ids[2]);
    assert_eq!(stream.take_data(2), ["3", "4"]);
    // An id of the order from before what is kept is known, and what followed it is gone.
    let through = ids[3].split_once('.').expect("a mark").0;
    cluster.log.trim(through.parse().expect("an id"));
    cluster.add();
    cluster.settle();
    let third = &cluster.nodes[2];
    let events = third.resume("/events/a", &ids[0]).take(2);
    assert!(
        events[0].data.contains(r#""reason":"evicted""#),
        "{events:?}"
    );
    assert_eq!(events[1].data, "4");
}

/// It was told that its cursor is unknown, and sent all that is kept: the more, the further the node was
/// behind.
#[test]
fn a_client_that_is_ahead_was_sent_everything_again_by_a_node_that_is_slow() {
    let cluster = Cluster::waiting(2, Duration::from_millis(50));
    let (_, second, cursor) = cluster.one_behind();
    assert_eq!(second.status_of("/events/a", &cursor), 503);
    second.log.hold_back(false);
    cluster.settle();
    assert_eq!(second.resume("/events/a", &cursor).take_data(1), ["2"]);
}
