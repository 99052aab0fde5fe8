//! Publishers that remember what they were answered.

use std::collections::BTreeMap;
use std::io::Result;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::id::Id;
use crate::judge::Fate;
use crate::wire::Connection;

/// Longest wait for an answer; a node's own bounds are below.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest time for which one that insists goes on after the end.
const INSISTS: Duration = Duration::from_secs(60);

/// Bits of an event's number that count the events of its publisher.
const COUNT_BITS: u32 = 40;

/// How to publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// Publishers; each has a connection, to one node as long as that answers.
    pub(crate) publishers: usize,
    /// Events a second, of all together.
    pub(crate) rate: u64,
    /// Events a call.
    pub(crate) batch: usize,
    /// Topics: events go to `t0`, `t1` and so on in turn.
    pub(crate) topics: u32,
    /// Whether an event has an idempotency key, and is sent again until it is answered with 200.
    pub(crate) insists: bool,
}

/// Publishers on a runtime of their own.
pub(crate) struct Publishers {
    runtime: Runtime,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    running: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    fates: Mutex<BTreeMap<u64, Fate>>,
    answers: Mutex<Answers>,
}

/// Answers of all publishers together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// Calls by their answer: the status, or 0 without any.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// A refusal without `Retry-After`, or one that says less than it should.
    pub(crate) faulty: Vec<String>,
    /// Longest wait for an answer, whatever it was.
    pub(crate) slowest: Duration,
    /// When the last call was answered with 200.
    pub(crate) last: Option<Instant>,
    /// Longest time between two such answers.
    pub(crate) pause: Duration,
}

struct Publisher {
    nodes: Arc<[SocketAddr]>,
    at: usize,
    connection: Option<Connection>,
    recipe: Recipe,
    number: u64,
    topic: u32,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
}

impl Publishers {
    /// Starts them.
    pub(crate) fn start(nodes: &Arc<[SocketAddr]>, recipe: Recipe) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let shared = Arc::<Shared>::default();
        let stop = watch::Sender::new(false);
        let start = |index: usize| {
            let publisher = Publisher {
                nodes: Arc::clone(nodes),
                at: index % nodes.len(),
                connection: None,
                recipe,
                number: (index as u64 + 1) << COUNT_BITS,
                topic: index as u32 % recipe.topics,
                shared: Arc::clone(&shared),
                stop: stop.subscribe(),
            };
            runtime.spawn(publisher.run())
        };
        let running = (0..recipe.publishers).map(start).collect();
        Self {
            runtime,
            shared,
            stop,
            running,
        }
    }

    /// Events that were answered with 200 so far.
    pub(crate) fn published(&self) -> usize {
        let fates = self.shared.fates.lock().expect("no panic");
        let is_published = |fate: &&Fate| matches!(fate, Fate::Published(_));
        fates.values().filter(is_published).count()
    }

    /// Ends them, each behind the answer that it waits for, or behind its 200 if it insists; the fates
    /// of all events.
    pub(crate) fn end(self) -> (BTreeMap<u64, Fate>, Answers) {
        self.stop.send_replace(true);
        for publisher in self.running {
            self.runtime.block_on(publisher).expect("no panic");
        }
        let answers = self.shared.answers.lock().expect("no panic").clone();
        let fates = std::mem::take(&mut *self.shared.fates.lock().expect("no panic"));
        (fates, answers)
    }
}

/// What a call was answered.
enum Answer {
    Published(Vec<Id>),
    Refused,
    Unknown,
}

impl Publisher {
    async fn run(mut self) {
        let each = self.recipe.rate as f64 / self.recipe.publishers as f64;
        let pause = Duration::from_secs_f64(self.recipe.batch as f64 / each);
        let mut due = tokio::time::Instant::now();
        while !*self.stop.borrow() {
            self.publish().await;
            due += pause;
            // One that was held up goes on at its rate, and makes up for nothing.
            due = due.max(tokio::time::Instant::now());
            tokio::time::sleep_until(due).await;
        }
    }

    /// Publishes the next events, until they are answered with 200 if it insists.
    async fn publish(&mut self) {
        let numbers: Vec<u64> = (0..self.recipe.batch as u64)
            .map(|n| self.number + n)
            .collect();
        self.number += numbers.len() as u64;
        let body = self.body(&numbers);
        let mut ended = None;
        loop {
            let fate = match self.call(&body).await {
                Answer::Published(ids) => {
                    let mut fates = self.shared.fates.lock().expect("no panic");
                    for (number, id) in numbers.iter().zip(ids) {
                        fates.insert(*number, Fate::Published(id));
                    }
                    return;
                }
                Answer::Refused => Fate::Refused,
                Answer::Unknown => Fate::Unknown,
            };
            self.unanswered(&numbers, fate);
            if *self.stop.borrow() {
                ended.get_or_insert_with(Instant::now);
            }
            let is_late = ended.is_some_and(|ended: Instant| ended.elapsed() > INSISTS);
            if !self.recipe.insists || is_late {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Remembers that these were not answered with 200. Once unknown, a later refusal says nothing
    /// of the first attempt.
    fn unanswered(&self, numbers: &[u64], fate: Fate) {
        let mut fates = self.shared.fates.lock().expect("no panic");
        for number in numbers {
            let before = fates.entry(*number).or_insert(fate);
            if fate == Fate::Unknown {
                *before = fate;
            }
        }
    }

    fn body(&mut self, numbers: &[u64]) -> String {
        let mut events = Vec::with_capacity(numbers.len());
        for number in numbers {
            let mut event = json!({
                "topic": format!("t{}", self.topic),
                "data": format!("{number} {:080}", 0),
            });
            if self.recipe.insists {
                event["key"] = json!(format!("k{number}"));
            }
            events.push(event);
            self.topic = (self.topic + 1) % self.recipe.topics;
        }
        match &events[..] {
            [event] => event.to_string(),
            _ => Value::from(events).to_string(),
        }
    }

    /// One call, and what follows from its answer.
    async fn call(&mut self, body: &str) -> Answer {
        let began = Instant::now();
        let outcome = timeout(PATIENCE, self.exchange(body)).await;
        let waited = began.elapsed();
        let mut answers = self.shared.answers.lock().expect("no panic");
        answers.slowest = answers.slowest.max(waited);
        let Ok(Ok((status, has_retry_after, text))) = outcome else {
            *answers.statuses.entry(0).or_default() += 1;
            self.connection = None;
            self.at = (self.at + 1) % self.nodes.len();
            return Answer::Unknown;
        };
        *answers.statuses.entry(status).or_default() += 1;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        if status == 200 {
            let now = Instant::now();
            if let Some(last) = answers.last {
                answers.pause = answers.pause.max(now - last);
            }
            answers.last = Some(now);
            let receipts = json.as_array().cloned().unwrap_or_else(|| vec![json]);
            let ids = receipts.iter().map(|receipt| {
                let id = receipt["id"].as_str().and_then(Id::parse);
                id.unwrap_or_else(|| panic!("no receipt: {text}"))
            });
            return Answer::Published(ids.collect());
        }
        if status != 503 || !has_retry_after {
            answers.faulty.push(format!("{status} {text}"));
        }
        if json["published"] == "unknown" {
            Answer::Unknown
        } else {
            Answer::Refused
        }
    }

    async fn exchange(&mut self, body: &str) -> Result<(u16, bool, String)> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.nodes[self.at]).await?,
        };
        let request = format!(
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.send(request.as_bytes()).await?;
        let status = connection.head().await?;
        let has_retry_after = connection.has_retry_after;
        let body = connection.body().await?;
        if status == 200 {
            self.connection = Some(connection);
        }
        Ok((status, has_retry_after, body))
    }
}
