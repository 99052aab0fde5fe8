use std::net::SocketAddr;
use std::thread;

use crate::node::Node;
use crate::publisher::{Draft, Publisher};
use crate::support::http::Connection;
use crate::support::sse::{SseEvent, SseStream};

/// Streams open from the start, and as many again that open while the mailbox is full.
const STREAMS: usize = 12;
/// Publishers on each port.
const PUBLISHERS: usize = 4;
/// Events of one publisher.
const EVENTS: usize = 200;
/// Commands that a publisher on the ingest port sends at once.
const PIPELINE: usize = 25;
const ALL: usize = 2 * PUBLISHERS * EVENTS;

fn data(publisher: usize, number: usize) -> String {
    format!("{publisher} {number} {}", "x".repeat(300))
}

/// Publishes in pipelines; the ids of all events.
fn over_resp(to: SocketAddr, publisher: usize) -> Vec<String> {
    let mut port = Publisher::open(to);
    let mut ids = Vec::new();
    while ids.len() < EVENTS {
        let batch = (ids.len()..ids.len() + PIPELINE).map(|number| data(publisher, number));
        ids.extend(port.publish_all("t", batch));
    }
    ids
}

/// Publishes one by one on one connection; the ids of all events.
fn over_http(to: SocketAddr, publisher: usize) -> Vec<String> {
    let mut port = Connection::open(to);
    let publish = |number| {
        let body = data(publisher, number);
        let length = body.len();
        let request = format!(
            "POST /publish/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        port.send(request.as_bytes());
        let answer = port.response("POST");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["id"].as_str().expect("an id").to_owned()
    };
    (0..EVENTS).map(publish).collect()
}

/// The publisher and number in an event.
fn origin(event: &SseEvent) -> (usize, usize) {
    let mut words = event
        .data
        .split(' ')
        .map(|word| word.parse().expect("a number"));
    (words.next().expect("one"), words.next().expect("two"))
}

#[test]
fn a_full_mailbox_holds_publishers_up_and_drops_nothing() {
    let node = Node::with(|settings| {
        settings.mailbox_batches = 1;
        settings.mailbox_bytes = 64 << 10;
        settings.history_events = 2 * ALL;
    });
    let start = node.hub.marked(node.hub.head()).to_string();
    let target = format!("/events/t?last_event_id={start}");
    let read = |mut stream: SseStream| thread::spawn(move || stream.take(ALL));
    let subscribe = || SseStream::request(node.at.http, &target, &[]);
    let mut readers: Vec<_> = (0..STREAMS).map(|_| read(subscribe())).collect();
    let publishers: Vec<_> = (0..2 * PUBLISHERS)
        .map(|publisher| {
            let at = node.at;
            thread::spawn(move || match publisher % 2 {
                0 => over_resp(at.ingest, publisher),
                _ => over_http(at.http, publisher),
            })
        })
        .collect();
    readers.extend((0..STREAMS).map(|_| read(subscribe())));

    let accepted: Vec<Vec<String>> = publishers
        .into_iter()
        .map(|publisher| publisher.join().expect("published"))
        .collect();
    assert!(
        node.hub.node_metrics().publish_waits.get() > 0,
        "nobody waited"
    );
    let mut first: Option<Vec<SseEvent>> = None;
    for reader in readers {
        let events = reader.join().expect("heard");
        check(&events, &accepted);
        let first = first.get_or_insert_with(|| events.clone());
        assert_eq!(*first, events, "one order for all");
    }
}

/// Every accepted event is there once, under its id, and each publisher's are in order.
fn check(events: &[SseEvent], accepted: &[Vec<String>]) {
    let mut next = vec![0; accepted.len()];
    for event in events {
        let (publisher, number) = origin(event);
        assert_eq!(number, next[publisher], "of publisher {publisher}");
        assert_eq!(event.id, accepted[publisher][number]);
        next[publisher] += 1;
    }
    assert_eq!(next, vec![EVENTS; accepted.len()]);
}

/// A single command with more bytes than the mailbox is accepted all the same: it would never fit
/// otherwise.
#[test]
fn an_event_larger_than_the_mailbox_goes_through() {
    let node = Node::with(|settings| {
        settings.event_limits.data_bytes_max = 500_000;
        settings.mailbox_bytes = 64 << 10;
        settings.history_bytes = 4 << 20;
    });
    let mut stream = node.subscribe("/events/t");
    let mut publisher = node.publisher();
    let large = "x".repeat(500_000);
    for _ in 0..4 {
        publisher.send(&Draft {
            topics: &["t"],
            data: &large,
            ..Draft::default()
        });
    }
    assert!(stream.take_data(4).iter().all(|data| *data == large));
    for _ in 0..4 {
        publisher.id();
    }
}
