//! A hub with real sockets that is frozen and thawed again and again.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::core::event::Event;
use crate::core::limits::EventLimits;
use crate::core::selector::{Selector, Syntax};
use crate::core::sse::{Draft, Encoding};
use crate::hub::log::memory::MemoryLog;
use crate::hub::{Hub, HubConfig, Interest, NotFrozen, Subscribe};
use crate::metrics::{CloseReason, Source};
use crate::shard::wire::{BodyQueue, Incoming};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const ROUNDS: usize = 100;

/// Longest wait for a condition.
const DEADLINE: Duration = Duration::from_secs(20);

/// Events that are published for each freeze. The hub freezes in the midst of the last few.
const EVENTS_PER_ROUND: usize = 32;
const LAST_FEW: usize = 8;

/// Events after which a slow reader reads a piece. They are longer than a piece.
const EVENTS_PER_PIECE: usize = 16;

fn hub(shards: usize) -> Hub {
    let mut config = HubConfig {
        shards: NonZero::new(shards).expect("some"),
        ..HubConfig::default()
    };
    // A heartbeat comes at a time of its own.
    config.shard.heartbeat_ms = 3_600_000;
    config.history.events = 1_000_000;
    config.history.bytes = 64 << 20;
    Hub::start(config, 1_000).expect("a hub")
}

/// The two ends of a connection. The node's has a small send buffer, so that slow readers are
/// behind.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("a client");
    let (server, _) = listener.accept().expect("a connection");
    server.set_nonblocking(true).expect("non-blocking");
    rustix::net::sockopt::set_socket_send_buffer_size(&server, 4_096).expect("a small buffer");
    (server, client)
}

async fn open(hub: &Hub, wire: Incoming, selector: &str) {
    let selector = Selector::parse(selector, Syntax::Native, 100).expect("a selector");
    let subscribe = Subscribe {
        wire,
        encoding: Encoding::BARE,
        head: Bytes::new(),
        interest: Interest {
            selectors: vec![selector],
            ..Interest::default()
        },
        start: crate::hub::Start::default(),
    };
    let place = hub.reserve(HERE).expect("room");
    hub.subscribe(place, subscribe).await.expect("open");
}

async fn publish(hub: &Hub, topic: &str, data: &str) {
    let event = Event::new(topic, data);
    let mut drafts = [Draft::new(event, &EventLimits::default()).expect("an event")];
    let published = hub.publish(Source::Http, &mut drafts).await;
    assert_eq!(published.expect("open").len(), 1);
}

/// The data of the last event.
const LAST: &str = "data: last\n\n";

/// Reads up to the last event, in another thread. A slow reader reads a piece for each turn that it
/// gets, and all the rest once there are no more.
fn reader(mut client: TcpStream, turns: Option<mpsc::Receiver<()>>) -> JoinHandle<String> {
    client.set_read_timeout(Some(DEADLINE)).expect("a socket");
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut piece = [0; 2_048];
        loop {
            if let Some(turns) = &turns {
                let turn = turns.recv_timeout(DEADLINE);
                assert_ne!(turn, Err(RecvTimeoutError::Timeout), "nothing is published");
            }
            let read = client.read(&mut piece).expect("no reset");
            assert_ne!(read, 0, "the stream ended");
            text.extend_from_slice(&piece[..read]);
            if text.ends_with(LAST.as_bytes()) {
                return String::from_utf8(text).expect("text");
            }
        }
    })
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::task::yield_now().await;
    }
}

fn is_any_behind(hub: &Hub) -> bool {
    hub.shard_metrics().iter().any(|it| it.behind.get() > 0)
}

/// Streams that are behind get no heartbeats, and a shard sweeps its streams when they come back.
fn without_heartbeats(text: &str) -> String {
    let blocks = text.split_inclusive("\n\n");
    blocks.filter(|block| block.contains("data:")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_frozen_and_thawed_loses_and_repeats_no_byte() {
    let hub = hub(3);
    let mut readers = Vec::new();
    let mut slow = Vec::new();
    for number in 0..30 {
        let (server, client) = connection();
        // Streams of topics and of patterns hear the same.
        let selector = ["t", "*"][number % 2];
        open(&hub, Incoming::Socket(server.into()), selector).await;
        let turns = (number % 5 == 0).then(|| {
            let (turn, turns) = mpsc::channel();
            slow.push(turn);
            turns
        });
        readers.push(reader(client, turns));
    }
    let due = Arc::new(Semaphore::new(EVENTS_PER_ROUND));
    let (count, mut published) = watch::channel(0);
    let publisher = {
        let (hub, due) = (hub.clone(), Arc::clone(&due));
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok(event) = due.acquire().await {
                event.forget();
                publish(&hub, "t", &format!("{number} {}", "x".repeat(200))).await;
                number += 1;
                count.send_replace(number);
                if number % EVENTS_PER_PIECE == 0 {
                    for turn in &slow {
                        turn.send(()).expect("it reads to the end");
                    }
                }
            }
            number
        })
    };
    let mut behind = 0;
    for round in 1..=ROUNDS {
        let enough = round * EVENTS_PER_ROUND - LAST_FEW;
        let goes_on = timeout(DEADLINE, published.wait_for(|count| *count >= enough)).await;
        goes_on.expect("in time").expect("it publishes");
        behind += usize::from(is_any_behind(&hub));
        let frozen = hub.freeze().await.expect("open");
        assert_eq!(frozen.streams(), 30);
        let head = hub.head();
        due.add_permits(EVENTS_PER_ROUND);
        wait_until("the publisher waits", || hub.0.gate.waiting() == 1).await;
        assert_eq!(hub.head(), head, "something was published");
        frozen.thaw().await;
    }
    assert!(behind > 0, "no stream was behind at a freeze");
    due.close();
    let published = publisher.await.expect("no panic");
    publish(&hub, "t", "last").await;
    let texts: Vec<String> = tokio::task::spawn_blocking(move || {
        let texts = readers
            .into_iter()
            .map(|reader| reader.join().expect("no panic"));
        texts.collect()
    })
    .await
    .expect("no panic");
    let texts: Vec<String> = texts.iter().map(|text| without_heartbeats(text)).collect();
    let first = &texts[0];
    for (number, text) in texts.iter().enumerate() {
        let mut both = text.bytes().zip(first.bytes());
        let same = both.position(|(one, other)| one != other);
        let from = same.unwrap_or(0);
        assert!(
            text == first,
            "{number}: from {from}: {:.300}",
            &text[from..]
        );
    }
    assert!(!first.contains("gap"));
    let numbers = texts[0]
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let numbers = numbers.map(|data| data.split(' ').next().expect("a number"));
    let numbers: Vec<usize> = numbers.flat_map(str::parse).collect();
    assert_eq!(numbers, (0..published).collect::<Vec<_>>());
    assert!(published > ROUNDS, "hardly anything was published");
    hub.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_frozen_hub_wait_and_go_on() {
    let hub = hub(2);
    let frozen = hub.freeze().await.expect("open");
    let publishing = tokio::spawn({
        let hub = hub.clone();
        async move { publish(&hub, "without/streams", "late").await }
    });
    let (server, client) = connection();
    let opening = tokio::spawn({
        let hub = hub.clone();
        async move { open(&hub, Incoming::Socket(server.into()), "t").await }
    });
    let asking = tokio::spawn({
        let hub = hub.clone();
        async move { hub.slowest(10).await.len() }
    });
    let erasing = tokio::spawn({
        let hub = hub.clone();
        async move { hub.erase_topic("without/streams").await.expect("no log") }
    });
    wait_until("all wait", || hub.0.gate.waiting() == 4).await;
    let waits = !publishing.is_finished() && !opening.is_finished();
    assert!(waits && !asking.is_finished() && !erasing.is_finished());
    assert_eq!(hub.history_len("without/streams"), 0);
    frozen.thaw().await;
    publishing.await.expect("published");
    opening.await.expect("opened");
    asking.await.expect("answered");
    erasing.await.expect("erased");
    assert_eq!(hub.slowest(10).await.len(), 1);
    client.shutdown(Shutdown::Both).expect("closed");
    hub.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_ends_while_it_is_frozen_lets_nobody_wait() {
    let hub = hub(1);
    let frozen = hub.freeze().await.expect("open");
    let publishing = tokio::spawn({
        let hub = hub.clone();
        async move {
            let mut drafts =
                [Draft::new(Event::new("t", "x"), &EventLimits::default()).expect("an event")];
            hub.publish(Source::Http, &mut drafts).await.is_err()
        }
    });
    wait_until("the publisher waits", || hub.0.gate.waiting() == 1).await;
    hub.end();
    let ended = timeout(DEADLINE, publishing).await.expect("in time");
    assert!(ended.expect("no panic"), "it was refused");
    frozen.thaw().await;
    assert!(hub.freeze().await.is_err());
}

/// A body stands for an HTTP/2 stream, which cannot move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_cannot_move_are_told_to_come_back_and_counted() {
    let hub = hub(2);
    let queues = [BodyQueue::new(), BodyQueue::new(), BodyQueue::new()];
    for queue in &queues {
        open(&hub, Incoming::Body(Arc::clone(queue), None), "t").await;
    }
    let drain = |queue: &BodyQueue| {
        let mut text = String::new();
        let waker = std::task::Waker::noop();
        loop {
            match queue.poll_next(waker) {
                crate::shard::wire::Next::Chunk(bytes) => {
                    text.push_str(std::str::from_utf8(&bytes).expect("text"));
                }
                end => return (text, end),
            }
        }
    };
    // The last one is not read, and becomes full. The others have read all.
    while !is_any_behind(&hub) {
        publish(&hub, "t", &"x".repeat(1_000)).await;
        let mut read = [0; 2];
        while read != [1; 2] {
            for (queue, read) in queues.iter().zip(&mut read) {
                *read += drain(queue).0.matches("data:").count();
            }
            tokio::task::yield_now().await;
        }
    }
    // Opened only now: it must not be the one that is behind.
    let (server, client) = connection();
    open(&hub, Incoming::Socket(server.into()), "t").await;
    let count = hub.dismiss_bodies(Duration::from_millis(500)).await;
    assert_eq!(count.expect("open"), 3);
    let frozen = hub.freeze().await.expect("open");
    assert_eq!(frozen.streams(), 1);
    assert_eq!(hub.streams(), 1);
    for queue in &queues[..2] {
        let (text, end) = drain(queue);
        assert!(text.contains("retry:"), "{text}");
        assert_eq!(end, crate::shard::wire::Next::End);
    }
    assert_eq!(drain(&queues[2]).1, crate::shard::wire::Next::Cut);
    let upgraded = hub.shard_metrics().iter();
    let upgraded: u64 = upgraded
        .map(|it| it.closed[CloseReason::Upgrade as usize].get())
        .sum();
    assert_eq!(upgraded, 3);
    frozen.thaw().await;
    drop(client);
    hub.stop();
}

/// An upgrade waited for a log that was away, with all listeners frozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_log_is_not_left_behind_by_an_upgrade() {
    let log = MemoryLog::default();
    let hub = Hub::start(log.config(HubConfig::default()), 1_000).expect("a hub");
    let _tail = log.join(&hub, &tokio::runtime::Handle::current());
    log.set_away(true);
    let pending = hub.presence().pending(HERE, &[Selector::exact("a")], None);
    let announced = pending.begin();
    let telling = hub.clone();
    let telling = tokio::spawn(async move { telling.announce().await });
    let is_taken = || hub.presence().figures().waiting == 0;
    wait_until("the start is in hand", is_taken).await;
    let refused = hub.freeze().await.err();
    assert_eq!(refused, Some(NotFrozen::Untold));
    log.set_away(false);
    wait_until("the start is told", || log.len() == 1).await;
    let frozen = hub.freeze().await.expect("nothing waits");
    frozen.thaw().await;
    drop(announced);
    wait_until("the end is told", || log.len() == 2).await;
    hub.stop();
    telling.await.expect("it ends with the hub");
}
