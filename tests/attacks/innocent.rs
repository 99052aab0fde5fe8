use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::http;
use crate::support::node::Node;
use crate::support::resp;
use crate::support::sse::SseStream;

/// The topic of the innocent.
const TOPIC: &str = "innocent";

/// Time between two events of the innocent beside an attack.
const PAUSE: Duration = Duration::from_millis(5);

/// A subscriber, a publisher on the ingest port and an orchestrator that asks for health, none of
/// whom does anything wrong.
pub(crate) struct Innocent {
    stream: SseStream,
    publisher: resp::Client,
    admin: SocketAddr,
    published: u64,
    /// Longest time that one event took from its publisher to its subscriber.
    pub(crate) slowest_event: Duration,
    /// Longest time that the health check took.
    pub(crate) slowest_health: Duration,
}

impl Innocent {
    /// Joins an open node.
    pub(crate) fn join(node: &Node) -> Self {
        Self::join_as(node, None)
    }

    /// Joins a node whose default user of the ingest port has this password.
    pub(crate) fn join_as(node: &Node, password: Option<&str>) -> Self {
        let mut publisher = resp::Client::open(node.ingest);
        if let Some(password) = password {
            publisher.send(&["AUTH", password]);
            assert_eq!(publisher.line(), "+OK");
        }
        Self {
            stream: SseStream::open(node.http, &format!("/events/{TOPIC}")),
            publisher,
            admin: node.admin,
            published: 0,
            slowest_event: Duration::ZERO,
            slowest_health: Duration::ZERO,
        }
    }

    /// Publishes `count` events, one after the other: each is answered, arrives, and is the next
    /// one; and the node is healthy.
    pub(crate) fn check(&mut self, count: usize) {
        for _ in 0..count {
            let data = self.published.to_string();
            let begun = Instant::now();
            assert_eq!(self.publisher.publish(TOPIC, &data), 1, "one subscriber");
            let event = self.stream.next().expect("the stream goes on");
            self.slowest_event = self.slowest_event.max(begun.elapsed());
            assert_eq!(event.data, data, "every event once and in order");
            self.published += 1;

            let begun = Instant::now();
            let health = http::request(self.admin, "GET", "/healthz", &[], b"");
            self.slowest_health = self.slowest_health.max(begun.elapsed());
            assert_eq!(health.status, 200, "{health:?}");
        }
    }

    /// Runs `attack` while the innocent go on, and returns them with the events that they saw.
    pub(crate) fn beside(self, attack: impl FnOnce()) -> Self {
        let over = AtomicBool::new(false);
        let (ready, begun) = mpsc::channel();
        thread::scope(|scope| {
            let innocent = scope.spawn(|| {
                let mut innocent = self;
                innocent.check(1);
                let _ = ready.send(());
                while !over.load(Ordering::Relaxed) {
                    innocent.check(1);
                    thread::park_timeout(PAUSE);
                }
                innocent.check(1);
                innocent
            });
            // Also when the attack panics: its thread must not wait for this one for ever.
            let _end = AtEnd(&over);
            begun
                .recv()
                .expect("the innocent are served before the attack");
            attack();
            over.store(true, Ordering::Relaxed);
            innocent
                .join()
                .expect("the innocent are served all the time")
        })
    }
}

struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
