use std::time::Duration;

use fantail::core::event::EventId;

use crate::node::Node;
use crate::publisher::{Draft, Publisher};
use crate::support::http::request;
use crate::support::resp::Client;
use crate::support::sse::{SseEvent, SseStream};
use crate::support::wait_until;

/// An id of the year 2508.
const FUTURE: &str = "17000000000000-0";

/// Publishes the numbers of a range, padded to `bytes`; their ids.
fn publish(
    publisher: &mut Publisher,
    topic: &str,
    numbers: std::ops::Range<usize>,
    bytes: usize,
) -> Vec<String> {
    publisher.publish_all(topic, numbers.map(|number| format!("{number:0bytes$}")))
}

/// The numbers of the next `count` events.
fn numbers(stream: &mut SseStream, count: usize) -> Vec<usize> {
    let data = stream.take_data(count);
    data.iter()
        .map(|data| data.parse().unwrap_or_else(|_| panic!("no number: {data}")))
        .collect()
}

/// The gap that a stream begins with, as (from, to, reason).
fn gap(stream: &mut SseStream) -> (String, String, String) {
    let event = stream.next().expect("a gap");
    assert_eq!(event.event, "gap", "{event:?}");
    let told: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
    let word = |name: &str| told[name].as_str().expect("a word").to_owned();
    (word("from"), word("to"), word("reason"))
}

fn evicted(from: &str, to: &str) -> (String, String, String) {
    (from.to_owned(), to.to_owned(), "evicted".to_owned())
}

/// Publishes an event to `topic` and checks that the stream hears nothing before it.
fn check_live(node: &Node, topic: &str, stream: &mut SseStream) {
    node.publisher().publish(topic, "live");
    assert_eq!(stream.take_data(1), ["live"]);
}

#[test]
fn a_topic_keeps_its_newest_events_by_count() {
    let node = Node::with(|settings| settings.history_events = 5);
    let ids = publish(&mut node.publisher(), "t", 0..8, 1);
    assert_eq!(node.hub.history_len("t"), 5);

    // A client that asks for the earliest event gets no gap for older ones.
    let mut earliest = node.resume("/events/t", "earliest");
    assert_eq!(earliest.head.field("last-event-id"), Some("earliest"));
    assert_eq!(numbers(&mut earliest, 5), [3, 4, 5, 6, 7]);

    // The newest evicted event was seen: nothing is missing.
    let mut whole = node.resume("/events/t", &ids[2]);
    assert_eq!(whole.head.field("last-event-id"), Some(ids[2].as_str()));
    assert_eq!(numbers(&mut whole, 5), [3, 4, 5, 6, 7]);

    // One earlier, and one event is missing.
    let mut holed = node.resume("/events/t", &ids[1]);
    assert_eq!(holed.head.field("last-event-id"), Some(ids[2].as_str()));
    assert_eq!(gap(&mut holed), evicted(&ids[1], &ids[2]));
    assert_eq!(numbers(&mut holed, 5), [3, 4, 5, 6, 7]);

    let mut up_to_date = node.resume("/events/t", &ids[7]);
    node.wait_for_streams(4);
    node.publisher().publish("t", "live");
    for stream in [&mut earliest, &mut whole, &mut holed, &mut up_to_date] {
        assert_eq!(stream.take_data(1), ["live"]);
    }
}

#[test]
fn a_topic_keeps_its_newest_events_by_bytes() {
    let node = Node::with(|settings| settings.history_bytes = 1_500);
    let ids = publish(&mut node.publisher(), "t", 0..10, 400);
    let kept = node.hub.history_len("t");
    assert_eq!(kept, 3, "a frame is some bytes more than its data");
    let mut stream = node.resume("/events/t", &ids[0]);
    assert_eq!(gap(&mut stream), evicted(&ids[0], &ids[9 - kept]));
    assert_eq!(numbers(&mut stream, kept), [7, 8, 9]);

    check_live(&node, "t", &mut stream);
}

/// Line breaks become seven times as long in a frame. An event that alone was more than a topic
/// keeps evicted all others, and then was evicted itself.
#[test]
fn an_event_larger_than_the_history_is_refused_and_evicts_nothing() {
    let node = Node::with(|settings| {
        settings.history_bytes = 1_500;
        settings.history_budget_bytes = 8_000;
    });
    let ids = publish(&mut node.publisher(), "t", 0..3, 400);
    let lines = "\n".repeat(300);
    let many: Vec<String> = (0..10).map(|number| format!("t{number}")).collect();
    for (topics, data, setting) in [
        (Vec::from(["t".to_owned()]), lines, "history_bytes"),
        (many, "x".repeat(1_000), "history_budget_bytes"),
    ] {
        let mut client = Client::open(node.at.ingest);
        let mut words = vec!["XADD", &topics[0], "*", "data", &data];
        for topic in &topics[1..] {
            words.extend(["topic", topic]);
        }
        client.send(&words);
        let refusal = client.line();
        assert!(
            refusal.starts_with("-ERR the event ") && refusal.contains(setting),
            "{refusal}"
        );
        let event = serde_json::json!({ "topics": topics, "data": data });
        for (kind, body) in [
            ("application/json", event.to_string()),
            (
                "application/json",
                serde_json::json!([{ "topic": "t", "data": "x" }, event]).to_string(),
            ),
            ("application/x-ndjson", format!("{event}\n")),
        ] {
            let fields = [("Content-Type", kind)];
            let answer = request(node.at.http, "POST", "/publish", &fields, body.as_bytes());
            assert_eq!(answer.status, 413, "{answer:?}");
            assert!(answer.body.contains(setting), "{answer:?}");
        }
        if topics.len() == 1 {
            let answer = request(node.at.http, "POST", "/publish/t", &[], data.as_bytes());
            assert_eq!(answer.status, 413, "{answer:?}");
        }
        assert_eq!(node.hub.history_len("t"), 3, "{setting}");
    }
    let mut stream = node.resume("/events/t", &ids[0]);
    assert_eq!(numbers(&mut stream, 2), [1, 2]);
    // If nothing is kept, nothing is evicted.
    let node = Node::with(|settings| settings.history_bytes = 0);
    let mut stream = node.subscribe("/events/t");
    node.publisher().publish("t", "x");
    assert_eq!(stream.take_data(1), ["x"]);
}

#[test]
fn events_are_forgotten_by_age_where_nothing_is_published_any_more() {
    let node = Node::with(|settings| settings.history_age = Duration::from_secs(1));
    let ids = publish(&mut node.publisher(), "t", 0..4, 1);
    let mut listening = node.subscribe("/events/listened");
    publish(&mut node.publisher(), "listened", 0..2, 1);
    assert_eq!(numbers(&mut listening, 2), [0, 1]);
    wait_until("everything is forgotten", || {
        node.hub.history_size().events == 0
    });
    let size = node.hub.history_size();
    assert_eq!(
        (size.topics, size.bytes),
        (1, 0),
        "the topic that is listened to stays"
    );

    let mut stream = node.resume("/events/t", &ids[1]);
    let (from, to, reason) = gap(&mut stream);
    assert_eq!(
        (from.as_str(), reason.as_str()),
        (ids[1].as_str(), "evicted")
    );
    // The topic itself is gone, so that the gap is known to the node's last forgotten event only.
    assert!(to >= ids[3], "{to}");
    check_live(&node, "t", &mut stream);
    // An open stream hears no gap.
    check_live(&node, "listened", &mut listening);
}

#[test]
fn the_node_forgets_its_oldest_events_first_when_its_budget_is_spent() {
    const BUDGET_BYTES: usize = 64 << 10;
    let node = Node::with(|settings| settings.history_budget_bytes = BUDGET_BYTES);
    let mut publisher = node.publisher();
    let first = publish(&mut publisher, "a", 0..20, 1_000);
    assert_eq!(node.hub.history_len("a"), 20);
    for number in 20..100 {
        let topic = if number % 2 == 0 { "b" } else { "c" };
        publish(&mut publisher, topic, number..number + 1, 1_000);
        assert!(node.hub.history_size().bytes <= BUDGET_BYTES);
    }
    assert_eq!(node.hub.history_len("a"), 0);
    let kept = node.hub.history_size().events;
    assert!(kept > BUDGET_BYTES / 1_500, "{kept}");
    let mut stream = node.resume("/events?topic=a&topic=b&topic=c", "earliest");
    let expected: Vec<usize> = (100 - kept..100).collect();
    assert_eq!(
        numbers(&mut stream, kept),
        expected,
        "the newest of all topics"
    );
    let mut stream = node.resume("/events/a", &first[0]);
    assert_eq!(gap(&mut stream).2, "evicted");
}

/// It came back with the id of its first block, and was told that everything before was evicted.
#[test]
fn a_client_that_asked_for_everything_and_was_cut_before_an_event_is_told_no_gap() {
    let node = Node::with(|settings| settings.history_events = 2);
    let mut publisher = node.publisher();
    let mut without = Vec::new();
    publish(&mut publisher, "other", 0..2, 1);
    // Two of these are gone.
    publish(&mut publisher, "t", 2..6, 1);
    for (target, kept) in [
        ("/events/t", vec![4, 5]),
        ("/events/other", vec![0, 1]),
        ("/events?topic=t&topic=nothing", vec![4, 5]),
        ("/events?topic=rooms/*", vec![]),
        ("/events?topic=rooms/1&topic=rooms/*", vec![]),
    ] {
        let mut stream = node.resume(target, "earliest");
        assert_eq!(stream.step(), Some(None), "{target}: the prime");
        let prime = stream.cursor;
        let mut again = node.resume(target, &prime);
        assert_eq!(numbers(&mut again, kept.len()), kept, "{target}");
        if kept.is_empty() {
            assert_eq!(again.step(), Some(None), "{target}: the prime");
            without.push(again);
        }
    }
    node.settle();
    publisher.publish("rooms/1", "6");
    for stream in &mut without {
        assert_eq!(numbers(stream, 1), [6], "without a gap");
    }
}

#[test]
fn a_node_without_history_tells_every_returning_client() {
    let node = Node::with(|settings| settings.history_events = 0);
    let mut live = node.subscribe("/events/t");
    let ids = publish(&mut node.publisher(), "t", 0..3, 1);
    assert_eq!(numbers(&mut live, 3), [0, 1, 2]);
    let mut again = node.resume("/events/t", &ids[0]);
    assert_eq!(gap(&mut again), evicted(&ids[0], &ids[2]));
    let mut whole = node.resume("/events/t", &ids[2]);
    node.wait_for_streams(3);
    node.settle();
    node.publisher().publish("t", "3");
    for stream in [&mut live, &mut again, &mut whole] {
        assert_eq!(numbers(stream, 1), [3]);
    }
}

#[test]
fn a_cursor_that_the_node_never_gave_is_unknown_and_everything_kept_is_sent() {
    let node = Node::start();
    publish(&mut node.publisher(), "t", 0..3, 1);
    for cursor in ["nonsense", "1-2-3", "01-1", "\"}\tü", FUTURE] {
        let mut stream = node.resume("/events/t", cursor);
        assert_eq!(stream.head.field("last-event-id"), Some("earliest"));
        let (from, _, reason) = gap(&mut stream);
        assert_eq!((from.as_str(), reason.as_str()), (cursor, "unknown"));
        assert_eq!(numbers(&mut stream, 3), [0, 1, 2]);
    }
    // In the query, as a browser's first request has it.
    let mut stream = SseStream::request(node.at.http, "/events/t?lastEventId=a%0Ab", &[]);
    assert_eq!(gap(&mut stream).0, "a\nb");
    assert_eq!(numbers(&mut stream, 3), [0, 1, 2]);
    check_live(&node, "t", &mut stream);
}

#[test]
fn a_publishers_own_id_is_a_cursor_while_its_event_is_kept() {
    let node = Node::with(|settings| settings.history_events = 3);
    let mut publisher = node.publisher();
    for number in 0..5 {
        let own = format!("order/{number}");
        let data = number.to_string();
        publisher.send(&Draft {
            topics: &["t", "u"],
            data: &data,
            id: Some(&own),
            ..Draft::default()
        });
        publisher.id();
    }
    let mut stream = node.resume("/events/t", "order/3");
    assert_eq!(stream.head.field("last-event-id"), Some("order/3"));
    let event = stream.next().expect("one event");
    assert_eq!((event.id.as_str(), event.data.as_str()), ("order/4", "4"));
    let mut stream = node.resume("/events?topic=u&topic=other", "order/1");
    let (from, _, reason) = gap(&mut stream);
    assert_eq!((from.as_str(), reason.as_str()), ("order/1", "unknown"));
    assert_eq!(numbers(&mut stream, 3), [2, 3, 4]);
}

/// Publishes to one node and presents its cursors to another.
fn check_foreign_cursors(before: &Node, after: &Node) {
    let ids = publish(&mut before.publisher(), "t", 0..3, 1);
    publish(&mut after.publisher(), "t", 0..3, 1);
    for cursor in [&ids[0], &ids[2]] {
        let place = before.hub.mark().place_of(cursor).expect("its own");
        let urn = before.hub.marked(place).urn();
        for cursor in [cursor, &urn, &place.to_string()] {
            let mut stream = after.resume("/events/t", cursor);
            assert_eq!(stream.head.field("last-event-id"), Some("earliest"));
            let (from, _, reason) = gap(&mut stream);
            assert_eq!((from.as_str(), reason.as_str()), (&**cursor, "unknown"));
            assert_eq!(numbers(&mut stream, 3), [0, 1, 2]);
        }
    }
}

/// A cursor of one node was used as a place in the history of another: earlier events of that one
/// were hidden, without a gap.
#[test]
fn a_cursor_of_another_node_hides_nothing() {
    let (older, younger) = (Node::start(), Node::start());
    check_foreign_cursors(&older, &younger);
    check_foreign_cursors(&younger, &older);
}

/// The same with a cursor from before a restart, if the clock had been ahead or was set back since.
#[test]
fn after_a_restart_a_cursor_from_before_is_unknown() {
    let mut before = Node::start();
    let ids = publish(&mut before.publisher(), "t", 0..3, 1);
    let mark = before.hub.mark();
    before.drain();
    drop(before);
    let node = Node::start();
    assert_ne!(node.hub.mark(), mark);
    let place = mark.place_of(&ids[2]).expect("an id");
    let ahead = EventId::new(place.get() + (60_000 << 20));
    publish(&mut node.publisher(), "t", 0..3, 1);
    for cursor in [ids[2].clone(), ahead.marked(mark).to_string()] {
        let mut stream = node.resume("/events/t", &cursor);
        let (from, _, reason) = gap(&mut stream);
        assert_eq!((from, reason.as_str()), (cursor, "unknown"));
        assert_eq!(numbers(&mut stream, 3), [0, 1, 2]);
        check_live(&node, "u", &mut node.subscribe("/events/u"));
    }
}

/// Events that were copied from a Redis stream with their ids: a cursor among them was a place in
/// the node's history if its clock was ahead or behind.
#[test]
fn events_copied_from_a_redis_stream_are_resumed_by_their_own_ids() {
    let node = Node::with(|settings| settings.history_events = 3);
    let now = node.hub.head().unix_ms();
    for (topic, clock) in [
        ("past", now - 3_600_000),
        ("now", now),
        ("future", now + 3_600_000),
    ] {
        let own = |number: usize| format!("{clock}-{number}");
        let mut publisher = node.publisher();
        for number in 0..5 {
            publisher.send(&Draft {
                topics: &[topic],
                data: &number.to_string(),
                id: Some(&own(number)),
                ..Draft::default()
            });
            publisher.id();
        }
        let mut stream = node.resume(&format!("/events/{topic}"), &own(3));
        assert_eq!(stream.head.field("last-event-id"), Some(&*own(3)));
        let event = stream.next().expect("one event");
        assert_eq!((event.id, event.data.as_str()), (own(4), "4"));
        // Evicted: all that is kept is sent.
        let mut stream = node.resume(&format!("/events/{topic}"), &own(1));
        assert_eq!(gap(&mut stream).2, "unknown");
        assert_eq!(numbers(&mut stream, 3), [2, 3, 4]);
    }
}

/// Several topics are one stream in the order of ids, whichever events share topics, live and
/// replayed, over many reads.
#[test]
fn several_topics_merge_by_id_and_an_event_with_several_comes_once() {
    const EVENTS: usize = 400;
    let node = Node::start();
    let target = "/events?topic=a&topic=b&topic=c&topic=never";
    let mut live = node.subscribe(target);
    let mut publisher = node.publisher();
    let sets: [&[&str]; 6] = [
        &["a"],
        &["b", "a"],
        &["x"],
        &["c", "c", "a", "b"],
        &["c"],
        &["x", "b"],
    ];
    let mut ids = Vec::new();
    for number in 0..EVENTS {
        let data = number.to_string();
        publisher.send(&Draft {
            topics: sets[number % sets.len()],
            data: &data,
            ..Draft::default()
        });
        ids.push(publisher.id());
    }
    let wanted: Vec<usize> = (0..EVENTS)
        .filter(|number| number % sets.len() != 2)
        .collect();
    let check = |events: Vec<SseEvent>, wanted: &[usize]| {
        for (event, number) in events.iter().zip(wanted) {
            assert_eq!(
                (&event.data, &event.id),
                (&number.to_string(), &ids[*number])
            );
        }
    };
    check(live.take(wanted.len()), &wanted);
    for seen in [0, 1, 100, 399] {
        let mut stream = node.resume(target, &ids[seen]);
        let rest: Vec<usize> = wanted
            .iter()
            .copied()
            .filter(|number| *number > seen)
            .collect();
        check(stream.take(rest.len()), &rest);
        check_live(&node, "c", &mut stream);
        live.take(1);
    }
}
