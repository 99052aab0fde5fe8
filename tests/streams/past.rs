use fantail::core::history::SlowConsumerPolicy;

use crate::node::{Node, with_private_events};
use crate::publisher::{Draft, Publisher};
use crate::support::http::Connection;
use crate::support::http2::Http2;
use crate::support::sse::SseStream;

/// Publishes an event whose data is `data` to some topics; its id.
fn publish(publisher: &mut Publisher, topics: &[&str], data: &str) -> String {
    publisher.send(&Draft {
        topics,
        data,
        ..Draft::default()
    });
    publisher.id()
}

/// Milliseconds of an id.
fn ms(id: &str) -> u64 {
    let (ms, _) = id.split_once('-').expect("an id");
    ms.parse().expect("a number")
}

/// The reason and the end of the gap that comes next.
#[track_caller]
fn gap(stream: &mut SseStream) -> (String, String) {
    let event = stream.next().expect("a gap");
    assert_eq!(event.event, "gap", "{event:?}");
    let told: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
    let word = |name: &str| told[name].as_str().expect("a word").to_owned();
    (word("reason"), word("to"))
}

#[test]
fn a_new_stream_begins_with_the_last_events_of_all_its_topics_in_order_and_once() {
    let node = Node::with(with_private_events);
    let mut publisher = node.publisher();
    publish(&mut publisher, &["a"], "1");
    publish(&mut publisher, &["b"], "2");
    publish(&mut publisher, &["other"], "-");
    publish(&mut publisher, &["a", "b", "c/1"], "3");
    publish(&mut publisher, &["c/2"], "4");
    publisher.send(&Draft {
        topics: &["a"],
        data: "private",
        private: true,
        ..Draft::default()
    });
    publisher.id();
    publish(&mut publisher, &["b"], "5");
    let expected = [
        ("/events/a?last=1", &["3"][..]),
        ("/events/a?last=2", &["1", "3"]),
        ("/events/a?last=1000", &["1", "3"]),
        ("/events?topic=a&topic=b&last=3", &["2", "3", "5"]),
        ("/events?topic=c/*&last=1", &["4"]),
        ("/events?topic=c/*&topic=a&topic=b&last=3", &["3", "4", "5"]),
        ("/events?topic=c/{id}&topic=a&last=9", &["1", "3", "4"]),
        ("/events?last=2&topic=*", &["4", "5"]),
        // Nothing is kept, and nothing is missed from now on.
        ("/events?topic=none&topic=c/none&last=5", &[]),
    ];
    let mut streams = expected.map(|(target, expected)| {
        let mut stream = node.subscribe(target);
        assert_eq!(stream.head.field("last-event-id"), None, "{target}");
        assert_eq!(stream.take_data(expected.len()), expected, "{target}");
        stream
    });
    publish(&mut publisher, &["a", "c/none"], "live");
    for (stream, (target, _)) in streams.iter_mut().zip(expected) {
        assert_eq!(stream.take_data(1), ["live"], "{target}");
    }
}

#[test]
fn the_last_events_come_over_every_version_of_http() {
    let node = Node::start();
    let mut publisher = node.publisher();
    for data in ["1", "2", "3"] {
        publish(&mut publisher, &["a"], data);
    }
    let mut old = Connection::open(node.at.http);
    old.send(b"GET /events/a?last=2 HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut old = SseStream::read(old);
    assert_eq!(old.take_data(2), ["2", "3"]);
    let mut http2 = Http2::open(node.at.http);
    let mut body = http2.send("GET", "/events/a?last=2", &[], "").into_body();
    let text = http2.read(&mut body, Some("data: 3\n\n"));
    let (two, one) = (text.contains("data: 2\n"), text.contains("data: 1\n"));
    assert!(two && !one, "{text}");
}

#[test]
fn what_the_history_no_longer_has_is_no_gap_for_the_last_events() {
    let node = Node::with(|settings| settings.history_events = 2);
    let mut publisher = node.publisher();
    publish(&mut publisher, &["quiet"], "0");
    for data in ["1", "2", "3", "4", "5"] {
        publish(&mut publisher, &["a"], data);
    }
    for (target, expected) in [
        ("/events/a?last=10", &["4", "5"][..]),
        // What another topic has lost in between was not asked for either.
        ("/events?topic=a&topic=quiet&last=10", &["0", "4", "5"]),
        ("/events?topic=*&last=10", &["0", "4", "5"]),
        ("/events?topic=*&last=3", &["0", "4", "5"]),
        ("/events?topic=*&last=2", &["4", "5"]),
    ] {
        let mut stream = node.subscribe(target);
        assert_eq!(stream.take_data(expected.len()), expected, "{target}");
    }
    let none = Node::with(|settings| settings.history_events = 0);
    let mut stream = none.subscribe("/events/a?last=10");
    publish(&mut none.publisher(), &["a"], "live");
    assert_eq!(stream.take_data(1), ["live"]);
}

#[test]
fn a_client_that_was_cut_before_its_first_event_is_sent_the_last_events_again() {
    let node = Node::start();
    let mut publisher = node.publisher();
    for data in ["1", "2", "3"] {
        publish(&mut publisher, &["a"], data);
    }
    // It has seen the prime alone.
    let cursor = node.subscribe("/events/a?last=2").cursor;
    publish(&mut publisher, &["a"], "4");
    let mut back = node.resume("/events/a?last=2", &cursor);
    assert_eq!(back.take_data(3), ["2", "3", "4"]);
}

/// An `EventSource` repeats its address when it comes back.
#[test]
fn a_cursor_wins_over_what_a_new_stream_would_begin_with() {
    let node = Node::start();
    let mut publisher = node.publisher();
    let first = publish(&mut publisher, &["a"], "1");
    publish(&mut publisher, &["a"], "2");
    publish(&mut publisher, &["a"], "3");
    for target in [
        "/events/a?last=1",
        "/events/a?since=0s",
        "/events/a?since=1h",
    ] {
        let mut back = node.resume(target, &first);
        assert_eq!(back.head.field("last-event-id"), Some(&*first), "{target}");
        assert_eq!(back.take_data(2), ["2", "3"], "{target}");
        let mut back = node.subscribe(&format!("{target}&last_event_id={first}"));
        assert_eq!(back.take_data(2), ["2", "3"], "{target}");
        // An empty one is none.
        let back = node.subscribe(&format!("{target}&last_event_id="));
        assert_eq!(back.head.field("last-event-id"), None, "{target}");
    }
}

#[test]
fn a_new_stream_begins_with_the_events_since_a_time() {
    let node = Node::start();
    let mut publisher = node.publisher();
    let mut ids = vec![publish(&mut publisher, &["a"], "0")];
    // Events of two milliseconds at least, none of them that of the start.
    while ms(&ids[ids.len() - 1]) < ms(&ids[0]) + 2 {
        let data = ids.len().to_string();
        ids.push(publish(&mut publisher, &["a", "b"], &data));
    }
    let since = ms(&ids[0]) + 1;
    let seconds = std::time::UNIX_EPOCH + std::time::Duration::from_millis(since);
    let time = humantime::format_rfc3339_millis(seconds).to_string();
    let numbers = 0..ids.len();
    let expected: Vec<String> = numbers
        .filter(|number| ms(&ids[*number]) >= since)
        .map(|number| number.to_string())
        .collect();
    for target in ["/events/a?", "/events?topic=a&topic=b&", "/events?topic=*&"] {
        for time in [time.clone(), time.replace('Z', "%2B00:00").to_lowercase()] {
            let target = format!("{target}since={time}");
            let mut stream = node.subscribe(&target);
            assert_eq!(stream.head.field("last-event-id"), None, "{target}");
            assert_eq!(stream.take_data(expected.len()), expected, "{target}");
        }
    }
    // A time to come is now.
    let mut later = node.subscribe("/events/a?since=2999-01-01T00:00:00Z");
    publish(&mut publisher, &["a"], "live");
    assert_eq!(later.take_data(1), ["live"]);
}

#[test]
fn what_is_no_longer_kept_of_a_time_is_a_gap() {
    let node = Node::with(|settings| settings.history_events = 2);
    let mut publisher = node.publisher();
    let ids = ["1", "2", "3", "4", "5"].map(|data| publish(&mut publisher, &["a"], data));
    let mut stream = node.subscribe("/events/a?since=10m");
    assert_eq!(gap(&mut stream), ("evicted".to_owned(), ids[2].clone()));
    assert_eq!(stream.take_data(2), ["4", "5"]);
    // Nothing is known of the time before the start: its events may be missing.
    let mut stream = node.subscribe("/events/quiet?since=10m");
    let cursor = stream.cursor.clone();
    let (reason, to) = gap(&mut stream);
    assert_eq!(reason, "evicted");
    assert!(ms(&to) <= ms(&ids[0]), "{to} is the start");
    // The cursor of such a stream is one that the node knows.
    let mut back = node.resume("/events/quiet?since=10m", &cursor);
    assert_eq!(gap(&mut back), ("evicted".to_owned(), to));
}

/// A stream asked for these events: values that replace each other, too.
#[test]
fn no_policy_for_slow_streams_takes_from_what_a_new_stream_begins_with() {
    for policy in [
        SlowConsumerPolicy::Disconnect,
        SlowConsumerPolicy::Skip,
        SlowConsumerPolicy::Latest,
    ] {
        let node = Node::with(|settings| settings.slow_consumer = policy);
        let mut publisher = node.publisher();
        for data in ["1", "2", "3"] {
            publish(&mut publisher, &["a"], data);
        }
        let mut stream = node.subscribe("/events/a?last=2");
        assert_eq!(stream.take_data(2), ["2", "3"], "{policy:?}");
    }
}
