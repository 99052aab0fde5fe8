//! Streams that are told by which topics they hear each event (`with=topic`).

use crate::node::Node;
use crate::publisher::Draft;
use crate::raw::{Raw, Version};
use crate::support::http::{Connection, narrow_socket};
use crate::support::sse::SseStream;

/// Publishes events with these topics; their data are the numbers from 0.
fn publish(node: &Node, events: &[&[&str]]) {
    let mut publisher = node.publisher();
    for (number, topics) in events.iter().enumerate() {
        publisher.send(&Draft {
            topics,
            data: &number.to_string(),
            ..Draft::default()
        });
        publisher.id();
    }
}

/// Several events at once, so that the live ones are joined.
const EVENTS: [&[&str]; 6] = [
    &["a"],
    &["news/1"],
    &["news/2", "a"],
    &["secret", "b/7"],
    &["other"],
    &["b/8", "news/3"],
];

/// Targets, and the topics that a stream is told of the events that it hears, by their numbers.
const TARGETS: [(&str, &[(usize, &str)]); 6] = [
    ("/events/a?with=topic", &[(0, "a"), (2, "a")]),
    (
        "/events?topic=a&topic=news/*&with=topic",
        &[(0, "a"), (1, "news/1"), (2, "a, news/2"), (5, "news/3")],
    ),
    (
        "/events?with=topic&topic=news/*&topic=a",
        &[(0, "a"), (1, "news/1"), (2, "a, news/2"), (5, "news/3")],
    ),
    ("/events/b/%7Bid%7D?with=topic", &[(3, "b/7"), (5, "b/8")]),
    (
        "/.well-known/mercure?topic=b/%7Bid%7D&topic=news/1&with=topic",
        &[(1, "news/1"), (3, "b/7"), (5, "b/8")],
    ),
    (
        "/events/*?with=topic",
        &[
            (0, "a"),
            (1, "news/1"),
            (2, "a, news/2"),
            (3, "b/7, secret"),
            (4, "other"),
            (5, "b/8, news/3"),
        ],
    ),
];

#[test]
fn each_event_has_the_topics_by_which_the_stream_hears_it_live_and_replayed() {
    let node = Node::start();
    let streams = TARGETS.map(|(target, told)| (node.subscribe(target), target, told));
    let mut plain = node.subscribe("/events/*");
    let start = plain.cursor.clone();
    publish(&node, &EVENTS);
    let replayed = TARGETS.map(|(target, told)| (node.resume(target, &start), target, told));
    for (mut stream, target, told) in streams.into_iter().chain(replayed) {
        let expected: Vec<_> = told
            .iter()
            .map(|(number, topic)| (topic.to_string(), number.to_string()))
            .collect();
        assert_eq!(stream.take_told(told.len()), expected, "{target}");
    }
    for number in 0..EVENTS.len() {
        assert_eq!(plain.take_told(1), [(String::new(), number.to_string())]);
    }
}

/// What a stream is sent beside the topics is the same, and so it is over each version of HTTP.
#[test]
fn a_topic_is_a_line_before_the_event_and_changes_nothing_else() {
    let node = Node::start();
    let start = node.subscribe("/events/a").cursor;
    publish(&node, &EVENTS);
    node.publisher().publish("a", "last");
    let text = |version, form: &str| {
        let target = format!("/events/*?last_event_id={start}{form}");
        let mut raw = Raw::open(node.at.http, version, &target, "");
        raw.read_to("last");
        let text = String::from_utf8(raw.bytes).expect("UTF-8");
        let (_, body) = text.split_once("\r\n\r\n").expect("a head");
        // A size of a chunk, and the end of one, are lines of their own.
        let lines = body.split_inclusive('\n');
        let lines = lines.filter(|line| !line.ends_with("\r\n"));
        lines.collect::<String>()
    };
    let plain = text(Version::Http11, "");
    for version in [Version::Http11, Version::Http10] {
        let told = text(version, "&with=topic");
        let blocks = told.split_inclusive("\n\n").skip(1);
        assert!(
            blocks.clone().count() == 7 && blocks.clone().all(|block| block.starts_with("topic: "))
        );
        let lines = told.split_inclusive('\n');
        let without: String = lines.filter(|line| !line.starts_with("topic: ")).collect();
        assert_eq!(without, plain, "{version:?}");
    }
}

/// A topic may be any text. As it is, it could end its line, and forge an event.
#[test]
fn no_topic_breaks_out_of_its_line() {
    const NAMES: [&str; 6] = [
        "a\nid: 7\n\ndata: forged\n\n",
        "a\r\rdata: forged",
        "a\u{85}b\u{2028}\0",
        "\"quoted\" \\",
        " with: spaces ",
        "ünï\u{feff}",
    ];
    let node = Node::start();
    let mut live = node.subscribe("/events/*?with=topic");
    let start = live.cursor.clone();
    publish(&node, &NAMES.each_ref().map(std::slice::from_ref));
    let replayed = node.resume("/events/*?with=topic", &start);
    for stream in [&mut live, &mut { replayed }] {
        for (number, name) in NAMES.iter().enumerate() {
            let (topic, data) = stream.take_told(1).remove(0);
            assert_eq!(data, number.to_string());
            let is_plain = number > 3;
            let read = if is_plain {
                topic
            } else {
                serde_json::from_str(&topic).expect("a string of JSON")
            };
            assert_eq!(read, *name);
        }
    }
}

/// A gap and a heartbeat concern all topics of a stream.
#[test]
fn gaps_have_no_topic() {
    let node = Node::with(|settings| settings.history_events = 2);
    let start = node.subscribe("/events/a").cursor;
    publish(&node, &[&["a"], &["a"], &["a"], &["a"]]);
    let mut stream = node.resume("/events?topic=a&topic=b&with=topic", &start);
    let gap = stream.next().expect("a gap");
    assert_eq!((&*gap.event, &*stream.topics), ("gap", &[][..]));
    let told = [2, 3].map(|number| ("a".to_owned(), number.to_string()));
    assert_eq!(stream.take_told(2), told);
}

/// A client that reads nothing for a while, with events that no socket accepts as a whole.
#[test]
fn a_slow_stream_has_each_topic_once() {
    const EVENTS: usize = 60;
    let node = Node::with(|settings| settings.send_buffer_bytes = 4_608);
    let mut connection = Connection::over(narrow_socket(node.at.http));
    let request = format!(
        "GET /events?topic=t/*&with=topic HTTP/1.1\r\nHost: {}\r\n\r\n",
        node.at.http
    );
    connection.send(request.as_bytes());
    node.wait_for_streams(1);
    let mut publisher = node.publisher();
    let data = |number: usize| format!("{number} {}", "x".repeat(number * 200));
    for number in 0..EVENTS {
        publisher.publish(&format!("t/{}", number % 7), &data(number));
    }
    let mut stream = SseStream::read(connection);
    let told = stream.take_told(EVENTS);
    for (number, told) in told.into_iter().enumerate() {
        assert_eq!(told, (format!("t/{}", number % 7), data(number)));
    }
}
