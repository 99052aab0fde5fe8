use std::net::IpAddr;
use std::time::Duration;

use fantail::metrics::Source;
use serde_json::{Value, json};
use socket2::SockRef;

use crate::node::{HUB, Node, subscriber, token};
use crate::support::sse::SseStream;
use crate::support::wait_until;

fn node() -> Node {
    Node::with(|settings| {
        settings.anonymous = true;
        settings.mercure_subscriptions = true;
    })
}

/// A stream of all starts and ends, of the native API so that it is not announced itself.
fn watch(node: &Node) -> SseStream {
    let target = format!("/events?topic={HUB}/subscriptions/%7Btopic%7D/%7Bsubscriber%7D");
    let all = "/.well-known/mercure/subscriptions/{topic}/{subscriber}";
    node.subscribe(&target, &subscriber(&[all]))
}

fn told(stream: &mut SseStream) -> Value {
    let event = stream.take(1).remove(0);
    assert!(event.id.starts_with("urn:uuid:"), "{event:?}");
    serde_json::from_str(&event.data).expect("JSON")
}

#[test]
fn starts_and_ends_are_told_once_and_in_order() {
    let node = node();
    let mut watcher = watch(&node);
    let claims = json!({ "mercure": { "payload": { "user": 1 } } });
    let stream = node.subscribe(&format!("{HUB}?topic=a/%7Bid%7D&topic=b"), &token(&claims));
    let starts = [told(&mut watcher), told(&mut watcher)];
    drop(stream);
    let ends = [told(&mut watcher), told(&mut watcher)];
    for (start, end, topic) in [
        (&starts[0], &ends[0], "a/{id}"),
        (&starts[1], &ends[1], "b"),
    ] {
        let urn = start["subscriber"].as_str().expect("a subscriber");
        let id = format!(
            "{HUB}/subscriptions/{}/{}",
            topic
                .replace('/', "%2F")
                .replace('{', "%7B")
                .replace('}', "%7D"),
            urn.replace(':', "%3A")
        );
        let document = |active: bool| {
            json!({
                "@context": "https://mercure.rocks/",
                "id": id,
                "type": "Subscription",
                "topic": topic,
                "subscriber": urn,
                "active": active,
                "payload": { "user": 1 },
            })
        };
        assert_eq!(*start, document(true));
        assert_eq!(*end, document(false));
        // The topic of the event is the address of the subscription.
        assert_eq!(node.hub.history_len(&id), 2);
    }
    // No more events about it.
    let _next = node.subscribe_anonymously(&format!("{HUB}?topic=c"));
    assert_eq!(told(&mut watcher)["topic"], "c");
}

#[test]
fn ends_are_told_however_a_stream_ends() {
    let node = node();
    let mut watcher = watch(&node);
    let target = format!("{HUB}?topic=a");
    for end in 0..3 {
        let stream = node.subscribe_anonymously(&target);
        let start = told(&mut watcher);
        assert_eq!(start["active"], true);
        let socket = SockRef::from(stream.connection().socket());
        match end {
            // The client crashes.
            0 => socket.set_linger(Some(Duration::ZERO)).expect("a socket"),
            1 => socket.shutdown(std::net::Shutdown::Write).expect("open"),
            _ => {}
        }
        drop(stream);
        let stop = told(&mut watcher);
        assert_eq!(
            (&stop["id"], &stop["active"]),
            (&start["id"], &json!(false))
        );
    }
}

#[test]
fn they_are_private() {
    let node = node();
    let everything = format!("{HUB}?topic=*");
    let mut curious = node.subscribe_anonymously(&everything);
    let mut granted = node.subscribe("/events?topic=*", &subscriber(&["*"]));
    let _stream = node.subscribe_anonymously(&format!("{HUB}?topic=a"));
    // The start of the first stream may be announced after the second one has arrived.
    while told(&mut granted)["topic"] != "a" {}
    node.publish("topic=a&data=public");
    assert_eq!(curious.take_data(1), ["public"]);
}

#[test]
fn what_the_node_tells_does_not_count_as_published_over_http() {
    let node = node();
    let mut watcher = watch(&node);
    let _stream = node.subscribe_anonymously(&format!("{HUB}?topic=a"));
    let start = told(&mut watcher);
    let of = |source: Source| node.hub.node_metrics().events_in[source as usize].get();
    wait_until("the start is counted", || of(Source::Presence) == 1);
    assert_eq!((of(Source::Http), of(Source::Ingest)), (0, 0));
    // It is an event all the same, so lists go on from there.
    let id = start["id"].as_str().expect("an id");
    let one = node.get(id, &subscriber(&["*"])).json();
    let last_event_id = one["lastEventID"].as_str().expect("an id");
    assert!(last_event_id.starts_with("urn:uuid:"), "{last_event_id}");
}

#[test]
fn a_stream_that_is_announced_has_no_more_than_a_hundred_topics() {
    let topics = |count: usize| {
        let each: Vec<String> = (0..count).map(|n| format!("topic=t{n}")).collect();
        each.join("&")
    };
    let announced = node();
    let silent = Node::with(|settings| settings.anonymous = true);
    for (node, target, count, status) in [
        (&announced, HUB, 100, 200),
        (&announced, HUB, 101, 400),
        (&announced, "/events", 101, 200),
        (&silent, HUB, 101, 200),
    ] {
        let target = format!("{target}?{}", topics(count));
        let answer = node.call("HEAD", &target, &[]);
        assert_eq!(answer.status, status, "{target}");
    }
    let answer = announced.call("GET", &format!("{HUB}?{}", topics(101)), &[]);
    let answer = answer.json();
    assert_eq!(answer["field"], "topic");
    let detail = answer["detail"].as_str().expect("a text");
    assert!(detail.contains("more than the 100"), "{detail}");
}

#[test]
fn nothing_is_told_where_it_is_not_set() {
    let node = Node::with(|settings| settings.anonymous = true);
    let mut watcher = node.subscribe("/events?topic=*", &subscriber(&["*"]));
    drop(node.subscribe_anonymously(&format!("{HUB}?topic=a")));
    node.wait_for_streams(1);
    node.publish("topic=b&data=end");
    assert_eq!(watcher.take_data(1), ["end"]);
}

#[test]
fn the_end_of_an_expired_token_is_told() {
    let node = node();
    let mut watcher = watch(&node);
    let claims = json!({ "exp": crate::node::now_unix_s() + 3, "mercure": {} });
    let mut stream = node.subscribe(&format!("{HUB}?topic=a"), &token(&claims));
    assert_eq!(stream.next(), None);
    assert_eq!(told(&mut watcher)["active"], true);
    assert_eq!(told(&mut watcher)["active"], false);
}

/// One client's way to fill the queue of announcements: it opens a stream, lists, closes. Returns
/// how often it saw its stream.
fn open_list_and_close(node: &Node, from: IpAddr) -> usize {
    let granted = subscriber(&["*"]);
    let list = format!("{HUB}/subscriptions/noise");
    for count in 0..2_000 {
        let stream = node.subscribe_from(from, &format!("{HUB}?topic=noise"));
        let shown = node.get(&list, &granted).json()["subscriptions"] != json!([]);
        drop(stream);
        node.wait_for_streams(1);
        if !shown {
            return count;
        }
    }
    panic!("one client fills the queue without a bound");
}

#[test]
fn one_client_that_opens_lists_and_closes_keeps_nobody_out() {
    let node = Node::with(|settings| {
        settings.anonymous = true;
        settings.mercure_subscriptions = true;
        // One event may be announced at once, and another every second.
        settings.history_budget_bytes = 8 << 10;
        settings.history_age = Duration::from_secs(1);
    });
    let other = node.subscribe_anonymously(&format!("{HUB}?topic=before"));
    let count = open_list_and_close(&node, IpAddr::from([127, 0, 0, 2]));
    assert!(count > 10, "it is shown some of its streams: {count}");
    let figures = node.hub.presence().figures();
    assert!(figures.unlisted >= 1, "{figures:?}");
    assert!(figures.waiting > count / 2, "{figures:?}");
    // The others open streams, are listed at once, and are announced before most of those that the
    // one has caused.
    let mut watcher = watch(&node);
    let _stream = node.subscribe_anonymously(&format!("{HUB}?topic=after"));
    let list = format!("{HUB}/subscriptions/after");
    let list = node.get(&list, &subscriber(&["*"])).json();
    assert_eq!(list["subscriptions"][0]["topic"], "after");
    let before_it = (0..5).take_while(|_| told(&mut watcher)["topic"] != "after");
    assert!(
        before_it.count() < 5,
        "whoever comes and goes is told of first"
    );
    assert_eq!(node.hub.node_metrics().streams_shed.get(), 0);
    drop(other);
}
