use std::collections::BTreeMap;

use crate::node::{Node, with_private_events};
use crate::publisher::Draft;
use crate::support::resp::Client;

#[test]
fn each_stream_on_a_topic_of_its_own_hears_that_topic_only() {
    const STREAMS: usize = 400;
    let node = Node::start();
    let mut streams: Vec<_> = (0..STREAMS)
        .map(|number| node.subscribe(&format!("/events/user/{number}")))
        .collect();
    let mut ingest = Client::open(node.at.ingest);
    for round in 0..2 {
        for number in 0..STREAMS {
            let topic = format!("user/{number}");
            ingest.send(&["PUBLISH", &topic, &format!("{round} for {number}")]);
        }
        for _ in 0..STREAMS {
            assert_eq!(ingest.line(), ":1", "each event is for one stream");
        }
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let expected = [0, 1].map(|round| format!("{round} for {number}"));
        assert_eq!(stream.take_data(2), expected);
    }
    let deliveries = node.count(|shard| &shard.deliveries);
    assert_eq!(deliveries, 2 * STREAMS as u64);
    drop(streams);
    node.wait_for_streams(0);
    assert_eq!(ingest.publish("user/1", "x"), 0);
}

#[test]
fn streams_on_ten_topics_each_hear_exactly_theirs() {
    const STREAMS: usize = 150;
    const TOPICS: usize = 50;
    const EVENTS: usize = 400;
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let node = Node::start();
    let mut streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let topics = random.choose_multiple(0..TOPICS, 10);
            let query: Vec<String> = topics
                .iter()
                .map(|topic| format!("topic=t{topic}"))
                .collect();
            (
                node.subscribe(&format!("/events?{}", query.join("&"))),
                topics,
            )
        })
        .collect();

    let mut publisher = node.publisher();
    let mut published: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for number in 0..EVENTS {
        let count = random.usize(1..=3);
        let topics = random.choose_multiple(0..TOPICS, count);
        let names: Vec<String> = topics.iter().map(|topic| format!("t{topic}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        publisher.send(&Draft {
            topics: &names,
            data: &number.to_string(),
            ..Draft::default()
        });
        published.insert(number, topics);
    }
    for _ in 0..EVENTS {
        publisher.id();
    }
    for (stream, wanted) in &mut streams {
        let is_wanted = |topics: &[usize]| topics.iter().any(|topic| wanted.contains(topic));
        let expected: Vec<String> = published
            .iter()
            .filter(|(_, topics)| is_wanted(topics))
            .map(|(number, _)| number.to_string())
            .collect();
        assert_eq!(stream.take_data(expected.len()), expected, "of {wanted:?}");
    }
}

#[test]
fn private_events_reach_nobody() {
    let node = Node::with(with_private_events);
    let mut stream = node.subscribe("/events?topic=a&topic=b");
    let mut publisher = node.publisher();
    publisher.send(&Draft {
        topics: &["a", "b"],
        data: "secret",
        private: true,
        ..Draft::default()
    });
    let secret = publisher.id();
    publisher.send(&Draft {
        topics: &["a"],
        data: "secret",
        private: true,
        ..Draft::default()
    });
    publisher.id();
    publisher.publish("a", "public");
    assert_eq!(stream.take_data(1), ["public"]);
    // Nor do they appear when a client resumes, from before or from right behind one.
    for cursor in ["earliest", secret.as_str()] {
        for target in ["/events/a", "/events?topic=a&topic=b"] {
            assert_eq!(node.resume(target, cursor).take_data(1), ["public"]);
        }
    }
    assert_eq!(node.hub.history_len("a"), 3, "operators see them");
}
