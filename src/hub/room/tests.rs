//! Publishers at a blocked shard.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::noop_waker;

use super::*;
use crate::core::event::{Event, EventId};
use crate::core::limits::EventLimits;
use crate::core::selector::Selector;
use crate::core::sse::{Draft, Encoding};
use crate::hub::{Hub, HubConfig, Interest, Start, Subscribe};
use crate::metrics::Source;
use crate::shard::mailbox::Message;
use crate::shard::wire::{BodyQueue, Incoming};

const MAILBOX: usize = 2;

/// Longest wait in a test, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(30);

/// A hub whose shards are blocked until the gates are dropped.
struct Stuck {
    hub: Hub,
    gates: Vec<mpsc::Sender<()>>,
    /// Keeps the streams open.
    bodies: Vec<Arc<BodyQueue>>,
    runtime: tokio::runtime::Runtime,
}

impl Stuck {
    /// Shard `n` has one stream, on topic `n`.
    fn new(shards: usize) -> Self {
        let mut config = HubConfig {
            shards: NonZero::new(shards).expect("shards"),
            ..HubConfig::default()
        };
        config.shard.mailbox_batches = MAILBOX;
        let hub = Hub::start(config, 100).expect("a hub");
        let runtime = tokio::runtime::Builder::new_current_thread();
        let mut stuck = Self {
            hub,
            gates: Vec::new(),
            bodies: Vec::new(),
            runtime: { runtime }.enable_all().build().expect("a runtime"),
        };
        for shard in 0..shards {
            stuck.open(shard);
        }
        for shard in 0..shards {
            stuck.hold_up(shard);
        }
        stuck
    }

    /// Streams are assigned to the shards in turn.
    fn open(&mut self, topic: usize) {
        let body = BodyQueue::new();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let permit = self.hub.reserve(here).expect("room").without_socket();
        let subscribe = Subscribe {
            wire: Incoming::Body(Arc::clone(&body), None),
            encoding: Encoding::BARE,
            head: bytes::Bytes::new(),
            interest: Interest {
                selectors: vec![Selector::exact(&topic.to_string())],
                ..Interest::default()
            },
            start: Start::default(),
        };
        let opened = self.runtime.block_on(self.hub.subscribe(permit, subscribe));
        opened.expect("open");
        self.bodies.push(body);
    }

    /// Blocks a shard in the middle of a turn.
    fn hold_up(&mut self, shard: usize) {
        let (gate, held) = mpsc::channel::<()>();
        let (reached, is_reached) = mpsc::channel();
        let answer = Box::new(move |_| {
            reached.send(()).expect("the test waits");
            // Until the gate is dropped.
            let _ = held.recv();
        });
        let message = Message::Slowest(1, answer);
        let posted = self.runtime.block_on(self.hub.post(shard, message));
        posted.expect("room");
        is_reached.recv_timeout(PATIENCE).expect("it is reached");
        self.gates.push(gate);
    }

    /// A publisher of one event, in the background as far as it is polled.
    fn publisher(&self, topics: &[usize]) -> Publisher {
        let hub = self.hub.clone();
        let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
        Box::pin(async move {
            let draft = |topic: &String| {
                let event = Event::new(topic.clone(), "x");
                Draft::new(event, &EventLimits::default()).expect("valid")
            };
            let mut drafts: Vec<_> = topics.iter().map(draft).collect();
            let published = hub.publish(Source::Http, &mut drafts).await;
            published.expect("open")[0].id
        })
    }

    /// Fills the mailbox of a shard.
    fn fill(&self, topic: usize) {
        for _ in 0..MAILBOX {
            let id = poll(&mut self.publisher(&[topic]));
            assert!(id.is_some(), "there is room");
        }
    }

    fn finish(&self, publisher: Publisher) -> EventId {
        let finished = async { tokio::time::timeout(PATIENCE, publisher).await };
        let finished = self.runtime.block_on(finished);
        finished.expect("a publisher waits for ever")
    }

    fn attempts(&self) -> usize {
        self.hub.0.attempts.load(Ordering::Relaxed)
    }
}

type Publisher = Pin<Box<dyn Future<Output = EventId>>>;

fn poll(publisher: &mut Publisher) -> Option<EventId> {
    let waker = noop_waker();
    match publisher.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(id) => Some(id),
        Poll::Pending => None,
    }
}

/// Room in a mailbox woke all waiters, and all but a few went back to wait: a thousand cost half a
/// million attempts.
#[test]
fn a_thousand_publishers_at_a_full_mailbox_tried_each_time_that_one_got_room() {
    const PUBLISHERS: usize = 1_000;
    let mut stuck = Stuck::new(1);
    stuck.fill(0);
    let before = stuck.attempts();
    let mut publishers: Vec<_> = (0..PUBLISHERS).map(|_| stuck.publisher(&[0])).collect();
    for publisher in &mut publishers {
        assert_eq!(poll(publisher), None, "the mailbox is full");
    }
    stuck.gates.clear();
    let tasks = publishers.into_iter();
    let ids = async { futures_util::future::join_all(tasks).await };
    let ids = async { tokio::time::timeout(PATIENCE, ids).await };
    let ids = stuck
        .runtime
        .block_on(ids)
        .expect("somebody waits for ever");
    assert!(ids.is_sorted(), "first come, first served");
    let attempts = stuck.attempts() - before;
    assert!(attempts <= 4 * PUBLISHERS, "{attempts} attempts");
    assert!(stuck.hub.0.waiting.line.lock().is_empty());
    stuck.hub.stop();
}

/// A publisher waited while any mailbox was full, also for an event that went elsewhere.
#[test]
fn an_event_waited_for_a_shard_that_it_did_not_go_to() {
    let mut stuck = Stuck::new(2);
    stuck.fill(0);
    let mut waiting = stuck.publisher(&[0]);
    assert_eq!(poll(&mut waiting), None);
    assert!(poll(&mut stuck.publisher(&[1])).is_some());
    assert!(poll(&mut stuck.publisher(&[7])).is_some(), "nobody listens");
    stuck.gates.clear();
    stuck.finish(waiting);
    stuck.hub.stop();
}

#[test]
fn a_batch_for_two_shards_is_not_overtaken_by_events_for_one() {
    let mut stuck = Stuck::new(2);
    stuck.fill(0);
    let mut both = stuck.publisher(&[0, 1]);
    assert_eq!(poll(&mut both), None);
    // The other shard has room, but it is kept for the batch.
    let mut one = stuck.publisher(&[1]);
    assert_eq!(poll(&mut one), None);
    stuck.gates.clear();
    let batch = stuck.finish(both);
    assert!(stuck.finish(one) > batch);
    stuck.hub.stop();
}

/// A publisher that goes away just when it is its turn takes the turn with it.
#[test]
fn whoever_waits_behind_a_publisher_that_goes_away_is_woken() {
    let mut stuck = Stuck::new(1);
    stuck.fill(0);
    let mut first = stuck.publisher(&[0]);
    let mut second = stuck.publisher(&[0]);
    assert_eq!(poll(&mut first), None);
    assert_eq!(poll(&mut second), None);
    stuck.gates.clear();
    // The shard has made room and has woken the first.
    let deadline = std::time::Instant::now() + PATIENCE;
    while stuck.hub.mailbox_depths()[0] > 0 {
        assert!(std::time::Instant::now() < deadline, "the shard is stuck");
        std::thread::yield_now();
    }
    drop(first);
    stuck.finish(second);
    stuck.hub.stop();
}

#[test]
fn whoever_waits_is_told_that_the_hub_stops() {
    let mut stuck = Stuck::new(1);
    stuck.fill(0);
    let hub = stuck.hub.clone();
    let event = Event::new("0", "x");
    let mut drafts = [Draft::new(event, &EventLimits::default()).expect("valid")];
    let mut waiting = Box::pin(hub.publish(Source::Http, &mut drafts));
    let waker = noop_waker();
    let mut context = Context::from_waker(&waker);
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let stopping = stuck.hub.clone();
    let stopping = std::thread::spawn(move || stopping.stop());
    let ended = async { tokio::time::timeout(PATIENCE, waiting).await };
    let ended = stuck.runtime.block_on(ended);
    assert_eq!(
        ended.expect("it waits for ever"),
        Err(crate::hub::Closed.into())
    );
    stuck.gates.clear();
    stopping.join().expect("no panic");
}
