use crate::node::Node;
use crate::publisher::{Draft, Publisher};
use crate::support::http::Connection;
use crate::support::sse::SseEvent;

/// Topic of every client.
const ALL: usize = 0;
/// Topics that clients have a few of each; some hundred clients share one.
const GROUPS: usize = 100;
/// Groups of one client, at most.
const GROUPS_PER_CLIENT: usize = 6;

/// Most events published at once.
const BATCH: usize = 6;

/// Publishes over both ports in turn, and remembers how much there was of each topic.
pub(super) struct News {
    ingest: Publisher,
    http: Connection,
    /// Cursor before the first event.
    pub(super) start: String,
    /// Events so far.
    count: u64,
    by_topic: Vec<u64>,
}

/// The events that one client has heard.
pub(super) struct Reader {
    /// Its topics, and how many events it has of each.
    heard: Vec<(usize, u64)>,
    /// Number of its newest event, counted from 1.
    last: u64,
}

fn name(topic: usize) -> String {
    if topic == ALL {
        "all".to_owned()
    } else {
        format!("group/{topic}")
    }
}

impl News {
    pub(super) fn new(node: &Node) -> Self {
        Self {
            ingest: node.publisher(),
            http: Connection::open(node.at.http),
            start: node.hub.marked(node.hub.head()).to_string(),
            count: 0,
            by_topic: vec![0; 1 + GROUPS],
        }
    }

    pub(super) fn topics_published(&self) -> usize {
        self.by_topic.iter().filter(|count| **count > 0).count()
    }

    /// Publishes some events to one topic or two each, and waits until they are accepted.
    pub(super) fn publish(&mut self, random: &mut fastrand::Rng) {
        let events: Vec<(Vec<String>, String)> = (0..random.usize(1..=BATCH))
            .map(|_| self.next(random))
            .collect();
        if random.bool() {
            for (topics, data) in &events {
                let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
                self.ingest.send(&Draft {
                    topics: &topics,
                    data,
                    ..Draft::default()
                });
            }
            for _ in &events {
                self.ingest.id();
            }
            return;
        }
        let events = events
            .into_iter()
            .map(|(topics, data)| serde_json::json!({ "topics": topics, "data": data }));
        let body = serde_json::Value::from_iter(events).to_string();
        let head = "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ";
        let request = format!("{head}{}\r\n\r\n{body}", body.len());
        self.http.send(request.as_bytes());
        assert_eq!(self.http.response("POST").status, 200);
    }

    /// An event: its topics, and data with its number, over all and in each topic.
    fn next(&mut self, random: &mut fastrand::Rng) -> (Vec<String>, String) {
        let mut topics = vec![match random.u8(..12) {
            0 => ALL,
            _ => 1 + random.usize(..GROUPS),
        }];
        if random.u8(..4) == 0 {
            topics.push(1 + random.usize(..GROUPS));
            topics.dedup();
        }
        self.count += 1;
        let mut data = self.count.to_string();
        for topic in &topics {
            self.by_topic[*topic] += 1;
            data.push_str(&format!(" {topic}={}", self.by_topic[*topic]));
        }
        (topics.into_iter().map(name).collect(), data)
    }
}

impl Reader {
    pub(super) fn new(random: &mut fastrand::Rng) -> Self {
        let groups = random.usize(..=GROUPS_PER_CLIENT);
        let groups = random.choose_multiple(1..=GROUPS, groups);
        let topics = std::iter::once(ALL).chain(groups);
        Self {
            heard: topics.map(|topic| (topic, 0)).collect(),
            last: 0,
        }
    }

    /// The query that names its topics.
    pub(super) fn query(&self) -> String {
        let topics: Vec<String> = self
            .heard
            .iter()
            .map(|(topic, _)| format!("topic={}", name(*topic)))
            .collect();
        topics.join("&")
    }

    /// Records an event; panics if it is not the next one of each topic that it and the client
    /// have.
    pub(super) fn hear(&mut self, event: &SseEvent) {
        assert_eq!(event.event, "message", "{event:?}");
        let mut words = event.data.split(' ');
        let number: u64 = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a number");
        assert!(number > self.last, "{event:?} after number {}", self.last);
        self.last = number;
        let mut wanted = false;
        for word in words {
            let (topic, of_topic) = word.split_once('=').expect("a topic");
            let (topic, of_topic): (usize, u64) = (
                topic.parse().expect("a topic"),
                of_topic.parse().expect("a number"),
            );
            if let Some((_, heard)) = self.heard.iter_mut().find(|(own, _)| *own == topic) {
                *heard += 1;
                assert_eq!(*heard, of_topic, "of {topic}, in {event:?}");
                wanted = true;
            }
        }
        assert!(wanted, "{event:?} is for none of {:?}", self.heard);
    }

    /// Events that it has not heard yet.
    pub(super) fn missing(&self, news: &News) -> u64 {
        let missing = |(topic, heard): &(usize, u64)| news.by_topic[*topic] - heard;
        self.heard.iter().map(missing).sum()
    }
}
