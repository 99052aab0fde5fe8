//! A long proof: many upgrades under everything that a node does. `cargo xtask upgrades` runs it.

use std::fs;
use std::thread::{self, JoinHandle};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use crate::leaks::{NOISE, Usage, children};
use crate::node::{Publisher, Upgraded, numbers};
use crate::support::http::{self, Connection};
use crate::support::node::Node;
use crate::support::sse::{SseEvent, SseStream};
use crate::support::wait_until;

/// The variable with the number of upgrades, and the number without it.
const ROUNDS: (&str, usize) = ("UPGRADES", 200);

const SECRET: &str = "a secret of at least thirty-two bytes";

/// The last event of a publisher.
const END: &str = "end";

/// Events that a slow reader is behind. One is larger than the buffers between the two.
const BEHIND: usize = 10;
const LARGE: usize = 20_000;

fn bearer(claims: &serde_json::Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::default(), claims, &key).expect("a token");
    format!("Bearer {token}")
}

/// Publishes one event as JSON.
fn publish(node: &Node, bearer: &str, topic: &str, data: &str, is_private: bool) {
    let event = json!({ "topic": topic, "data": data, "private": is_private });
    let fields = [
        ("Authorization", bearer),
        ("Content-Type", "application/json"),
    ];
    let body = event.to_string();
    let answer = http::request(node.http, "POST", "/publish", &fields, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Checks that ids rise, and that nothing is missing.
#[derive(Default)]
struct Order {
    last: (u64, u64),
}

impl Order {
    fn check(&mut self, event: SseEvent) -> String {
        assert_ne!(event.event, "gap", "{event:?}");
        let id = event.id.split('.').next().expect("an id");
        let (ms, counter) = id.split_once('-').expect("an id");
        let id = (ms.parse().expect("ms"), counter.parse().expect("a counter"));
        assert!(id > self.last, "{event:?} after {:?}", self.last);
        self.last = id;
        event.data
    }
}

/// Reads a stream until so many publishers have ended; returns the data of the other events.
fn reader(mut stream: SseStream, publishers: usize) -> JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let (mut order, mut data, mut ends) = (Order::default(), Vec::new(), 0);
        while ends < publishers {
            let event = stream.next().expect("the stream stays open");
            match order.check(event) {
                text if text == END => ends += 1,
                text => data.push(text),
            }
        }
        data
    })
}

/// A client that reconnects after every few events, with its cursor.
fn visitor(node: &Node, topic: &str) -> JoinHandle<Vec<String>> {
    let (address, target) = (node.http, format!("/events/{topic}"));
    let mut stream = SseStream::open(address, &target);
    thread::spawn(move || {
        let (mut order, mut data) = (Order::default(), Vec::new());
        loop {
            for _ in 0..3 {
                let event = stream.next().expect("the stream stays open");
                match order.check(event) {
                    text if text == END => return data,
                    text => data.push(text),
                }
            }
            let cursor = std::mem::take(&mut stream.cursor);
            stream = SseStream::resume(address, &target, &cursor);
        }
    })
}

/// A stream whose client reads little, [`BEHIND`] events late.
struct Slow(SseStream);

impl Slow {
    fn open(node: &Node) -> Self {
        let mut connection = Connection::over(http::narrow_socket(node.http));
        let request = format!("GET /events/slow HTTP/1.1\r\nHost: {}\r\n\r\n", node.http);
        connection.send(request.as_bytes());
        Self(SseStream::read(connection))
    }

    fn data(round: usize) -> String {
        format!("{round} {}", "x".repeat(LARGE))
    }

    fn read(&mut self, round: usize) {
        assert!(self.0.take_data(1) == [Self::data(round)], "{round}");
    }
}

/// A stream that hears private events, and one that does not.
struct Private {
    granted: SseStream,
    other: SseStream,
}

impl Private {
    fn open(node: &Node) -> Self {
        let bearer = bearer(&json!({ "mercure": { "subscribe": ["*"] } }));
        let fields = [("Authorization", &*bearer)];
        let mut granted = SseStream::request(node.http, "/events/private", &fields);
        while granted.cursor.is_empty() {
            assert_eq!(granted.step(), Some(None));
        }
        Self {
            granted,
            other: SseStream::open(node.http, "/events/private"),
        }
    }

    fn check(&mut self, round: usize) {
        let [secret, public] = Self::data(round);
        assert_eq!(self.granted.take_data(2), [secret, public.clone()]);
        assert_eq!(self.other.take_data(1), [public]);
    }

    /// A private event, and one for all.
    fn data(round: usize) -> [String; 2] {
        [format!("secret {round}"), format!("public {round}")]
    }
}

/// The streams and clients of the topics `a` and `b`, which have a publisher each.
struct Audience {
    readers: Vec<(usize, JoinHandle<Vec<String>>)>,
    visitors: Vec<(usize, JoinHandle<Vec<String>>)>,
}

impl Audience {
    const TARGETS: [(&str, usize); 3] = [
        ("/events/a", 1),
        ("/events/b", 1),
        ("/events?topic=a&topic=b", 2),
    ];

    fn open(node: &Node) -> Self {
        let reads = |number: usize| {
            let (target, publishers) = Self::TARGETS[number % 3];
            let stream = SseStream::open(node.http, target);
            (number % 3, reader(stream, publishers))
        };
        let visits = |number: usize| (number % 2, visitor(node, ["a", "b"][number % 2]));
        Self {
            readers: (0..12).map(reads).collect(),
            visitors: (0..4).map(visits).collect(),
        }
    }

    /// Checks that each was sent all events once, in their order.
    fn check(self, published: [usize; 2]) {
        for (kind, client) in self.readers.into_iter().chain(self.visitors) {
            let mut data = client.join().expect("in order and without a gap");
            let mut expected = match published.get(kind) {
                Some(count) => numbers(*count),
                None => published.map(numbers).concat(),
            };
            if kind == 2 {
                // Its two publishers know nothing of each other.
                expected.sort_unstable();
                data.sort_unstable();
            }
            assert!(data == expected, "an event is missing or came twice");
        }
    }
}

/// Processes that were started for an upgrade and live on, as their command lines.
fn left_over(upgraded: &Upgraded) -> Vec<String> {
    let folder = upgraded.folder.path().to_str().expect("text");
    let own = upgraded.node.pid().to_string();
    let processes = fs::read_dir("/proc").expect("a list").flatten();
    let others = processes.filter(|process| *process.file_name() != *own);
    let lines = others.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

/// The most memory in the second quarter of the rounds, and in the last one.
fn early_and_late(memory: &[u64]) -> [u64; 2] {
    let quarter = memory.len() / 4;
    let quarters = [quarter..2 * quarter, memory.len() - quarter..memory.len()];
    quarters.map(|part| memory[part].iter().copied().max().expect("rounds"))
}

#[test]
#[ignore = "long: `cargo xtask upgrades` runs it"]
fn many_upgrades_under_load_lose_double_and_leak_nothing() {
    let (variable, usual) = ROUNDS;
    let rounds = std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"));
    assert!(rounds >= 4, "too few to compare memory");
    let state = tempfile::tempdir().expect("a folder");
    let upgraded = Upgraded::start(&[
        "--anonymous",
        "--jwt-secret",
        SECRET,
        "--send-buffer-bytes",
        "4608",
        // The kernel takes a client whose window stays smaller than a segment for dead after this
        // time, although it reads.
        "--write-timeout",
        "1h",
        "--state-dir",
        state.path().to_str().expect("text"),
        "--history-snapshot-interval",
        "1s",
    ]);
    let node = &upgraded.node;
    let publishes = bearer(&json!({ "mercure": { "publish": ["*"] } }));
    let mut slow: Vec<_> = (0..5).map(|_| Slow::open(node)).collect();
    let mut private: Vec<_> = (0..3).map(|_| Private::open(node)).collect();
    node.wait_for_streams(slow.len() + 2 * private.len());
    upgraded.upgrade();
    let quiet = Usage::when_quiet(node.pid());

    let audience = Audience::open(node);
    let publishers = [
        Publisher::resp(node, "a"),
        Publisher::http_with(node, "b", &format!("Authorization: {publishes}\r\n")),
    ];
    let mut memory = Vec::new();
    for round in 0..rounds {
        let before = publishers.each_ref().map(Publisher::published);
        publish(node, &publishes, "slow", &Slow::data(round), false);
        upgraded.upgrade();
        for (data, is_private) in Private::data(round).into_iter().zip([true, false]) {
            publish(node, &publishes, "private", &data, is_private);
        }
        private.iter_mut().for_each(|streams| streams.check(round));
        if let Some(late) = round.checked_sub(BEHIND) {
            slow.iter_mut().for_each(|stream| stream.read(late));
        }
        wait_until("publishers go on", || {
            let now = publishers.each_ref().map(Publisher::published);
            now.iter().zip(before).all(|(now, before)| *now > before)
        });
        memory.push(Usage::of(node.pid()).memory);
    }
    for round in rounds.saturating_sub(BEHIND)..rounds {
        slow.iter_mut().for_each(|stream| stream.read(round));
    }

    let [(of_a, wait_of_a), (of_b, wait_of_b)] = publishers.map(Publisher::end);
    for topic in ["a", "b"] {
        publish(node, &publishes, topic, END, false);
    }
    audience.check([of_a, of_b]);
    wait_until("no descriptor and no thread is left", || {
        Usage::of(node.pid()).has_no_more_than(quiet)
    });
    assert_eq!(children(node.pid()), "");
    assert_eq!(left_over(&upgraded), <[String; 0]>::default());
    let [early, late] = early_and_late(&memory);
    println!(
        "{rounds} upgrades, {} events; longest wait of a publisher: {:?}; memory: {} MiB, later {} MiB",
        of_a + of_b,
        wait_of_a.max(wait_of_b),
        early >> 20,
        late >> 20,
    );
    assert!(late < early + NOISE, "{memory:?}");
    let logged = node.logged();
    let is_bad = |line: &&str| line.contains("ERROR") || line.contains("not upgraded");
    assert_eq!(logged.lines().find(is_bad), None);
}
