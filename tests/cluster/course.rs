//! The course of a scenario with many streams and publishers, and its end: everything is compared
//! with the log.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::id::Id;
use crate::judge::{self, Fate, Log, Report};
use crate::nodes::Nodes;
use crate::publishers::{Answers, Publishers, Recipe};
use crate::scale::Scale;
use crate::server::{Server, ask};
use crate::streams::{Hops, Seen, Streams, number};

/// The stream of the log, by default.
pub(crate) const KEY: &str = "fantail";

/// Entries of the log that are read at once.
const PAGE: &str = "10000";

/// Number of the first of the events that end a run; no publisher has these.
const END: u64 = 1 << 39;

/// Streams and publishers over some nodes.
pub(crate) struct Course {
    name: &'static str,
    scale: Scale,
    topics: u32,
    nodes: Arc<[SocketAddr]>,
    /// The streams.
    pub(crate) streams: Streams,
    /// The publishers, until they end.
    publishers: Vec<Publishers>,
    /// The first topic of the next stream.
    next: usize,
    fates: BTreeMap<u64, Fate>,
}

/// What came of it.
pub(crate) struct Verdict {
    /// What each stream has seen.
    pub(crate) seen: Vec<Seen>,
    /// The log as it is now.
    pub(crate) log: Log,
    /// What publishers were answered.
    pub(crate) answers: Vec<Answers>,
    /// The fate of each event.
    pub(crate) fates: BTreeMap<u64, Fate>,
}

impl Course {
    /// Nothing runs yet.
    pub(crate) fn new(name: &'static str, scale: Scale, topics: u32, nodes: &Nodes) -> Self {
        println!("{name}: {scale:?}");
        Self {
            name,
            scale,
            topics,
            nodes: Arc::clone(nodes.addresses()),
            streams: Streams::new(),
            publishers: Vec::new(),
            next: 0,
            fates: BTreeMap::new(),
        }
    }

    /// Opens so many streams, of one topic or two, spread over the nodes, and waits for their
    /// cursors.
    pub(crate) fn open(&mut self, count: usize, hops: &Hops) {
        for _ in 0..count {
            let first = self.next as u32 % self.topics;
            let second = (first + 1 + self.next as u32 / self.topics) % self.topics;
            let mut topics = vec![first];
            // Every other stream hears two.
            if self.next.is_multiple_of(2) && second != first {
                topics.push(second);
            }
            let at = self.next % self.nodes.len();
            let seed = self.scale.seed.wrapping_add(self.next as u64);
            let nodes = Arc::clone(&self.nodes);
            self.streams.open(&nodes, at, topics, hops.clone(), seed);
            self.next += 1;
        }
        self.streams.wait_until_open();
    }

    /// Starts publishers at the rate of the scale. One lot at a time, since their numbers are alike.
    pub(crate) fn publish(&mut self, publishers: usize, batch: usize, insists: bool) {
        let recipe = Recipe {
            publishers,
            rate: self.scale.rate,
            batch,
            topics: self.topics,
            insists,
        };
        self.publishers.push(Publishers::start(&self.nodes, recipe));
    }

    /// The publishers that run.
    pub(crate) fn publishers(&self) -> &Publishers {
        self.publishers.last().expect("they were started")
    }

    /// Ends the run and compares. Each 200 for an event that the log does not have has to be
    /// `forgiven`.
    pub(crate) fn end(
        mut self,
        nodes: &Nodes,
        server: &Server,
        is_forgiven: impl Fn(Id) -> bool,
    ) -> Verdict {
        let mut answers = Vec::new();
        for publishers in std::mem::take(&mut self.publishers) {
            let (fates, these) = publishers.end();
            self.fates.extend(fates);
            answers.push(these);
        }
        let mut last = Id::default();
        for topic in 0..self.topics {
            let data = format!("{} the end of t{topic}", END + u64::from(topic));
            let id = nodes.publish(&format!("t{topic}"), &data);
            last = last.max(Id::parse(&id).expect("an id"));
        }
        self.streams.wait_for(last);
        let seen = self.streams.end();
        let log = read_log(server);
        let mut faults = judge::answers(&log, &self.fates, is_forgiven);
        let mut events = 0;
        for (number, one) in seen.iter().enumerate() {
            let these = judge::stream(&log, &one.account, last);
            if let Some(fault) = these.first() {
                println!(
                    "{}: stream {number}: {fault:?} of {}",
                    self.name,
                    these.len()
                );
            }
            faults.extend(these);
            events += one.account.items.len();
            assert_eq!(one.nonsense, None, "{}: stream {number}", self.name);
        }
        println!(
            "{}: {} entries in the log, {} streams opened {} times had {} events and {} gaps; answers {:?}",
            self.name,
            log.len(),
            seen.len(),
            seen.iter().map(|one| one.opened).sum::<usize>(),
            events,
            seen.iter()
                .map(|one| one.account.gaps().count())
                .sum::<usize>(),
            answers,
        );
        assert!(
            faults.is_empty(),
            "{} with seed {}: {} faults: {}",
            self.name,
            self.scale.seed,
            faults.len(),
            Report(&faults)
        );
        let faulty: Vec<&String> = answers.iter().flat_map(|these| &these.faulty).collect();
        assert!(faulty.is_empty(), "{}: {faulty:?}", self.name);
        let marks: BTreeSet<&String> = seen.iter().flat_map(|one| &one.marks).collect();
        assert_eq!(marks.len(), 1, "all nodes have one order: {marks:?}");
        Verdict {
            seen,
            log,
            answers,
            fates: self.fates,
        }
    }
}

impl Verdict {
    /// Gaps of all streams together.
    pub(crate) fn gaps(&self) -> usize {
        self.seen.iter().map(|one| one.account.gaps().count()).sum()
    }

    /// Every event was sent again, with its key, until it was published: and is in the log once.
    pub(crate) fn assert_all_published(&self) {
        let unknown = |fate: &&Fate| **fate == Fate::Unknown;
        assert_eq!(self.fates.values().filter(unknown).count(), 0);
        assert_eq!(self.published(), self.fates.len());
    }

    /// Events that were answered with 200.
    pub(crate) fn published(&self) -> usize {
        let is_published = |fate: &&Fate| matches!(fate, Fate::Published(_));
        self.fates.values().filter(is_published).count()
    }
}

/// The fields of an entry.
pub(crate) type Fields = Vec<(String, String)>;

/// The entries of the log above `after`, all of them.
pub(crate) fn entries(server: &Server, after: &str) -> Vec<(String, Fields)> {
    let mut connection = server.connection();
    let mut from = after.to_owned();
    let mut all = Vec::new();
    loop {
        let page: Vec<(String, Vec<String>)> =
            ask(&mut connection, &["XRANGE", KEY, &from, "+", "COUNT", PAGE]);
        let Some((newest, _)) = page.last() else {
            return all;
        };
        from = format!("({newest}");
        all.extend(page.into_iter().map(|(id, words)| {
            let pairs = words.chunks_exact(2);
            let pair = |pair: &[String]| (pair[0].clone(), pair[1].clone());
            (id, pairs.map(pair).collect())
        }));
    }
}

/// The value of a field.
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let mut values = fields.iter().filter(|(field, _)| field == name);
    values.next().map(|(_, value)| value.as_str())
}

/// The log, with the events of publishers in it. An entry with the idempotency key of one before it is
/// a repeat, which is in the log and no event.
pub(crate) fn read_log(server: &Server) -> Log {
    let mut log = Log::default();
    let mut keys = HashSet::new();
    for (id, fields) in entries(server, "-") {
        let key = field(&fields, "k").or_else(|| field(&fields, "key"));
        if key.is_some_and(|key| !keys.insert(key.to_owned())) {
            continue;
        }
        let topic = field(&fields, "topic").and_then(|topic| topic.strip_prefix('t'));
        let topic = topic.and_then(|topic| topic.parse().ok());
        let number = field(&fields, "data").and_then(number);
        // Everything else is a marker, or of somebody else.
        if let (Some(topic), Some(number), Some(id)) = (topic, number, Id::parse(&id)) {
            log.push(id, topic, number);
        }
    }
    log
}
