//! Schedules written by hand, mostly regressions, in as few steps as possible.

mod farewells;
mod many_patterns;
mod parking;
mod several;
mod turns;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::core::delivery::{
    Attach, Core, Message, Next, SetLimits, ShardConfig, Shared, TurnBudget,
};
use crate::core::desk::{Arrival, Batch, Desk, DeskConfig, Publication, Stamps, Untraced};
use crate::core::event::{Event, EventId};
use crate::core::history::{
    HistoryLimits, HoldLimits, SelectorIds, ShardSet, SlowConsumerPolicies, SlowConsumerPolicy,
    Work,
};
use crate::core::limits::EventLimits;
use crate::core::places::{Places, Share};
use crate::core::presence::Presence;
use crate::core::selector::{Selector, Syntax};
use crate::core::sse::{Draft, Encoding};
use crate::metrics::ShardMetrics;

use super::client::{Block, HEAD, Reader};
use super::inbox::{self, Inbox};
use super::network::{HUNG_UP, Network, Transport};
use super::oracle::MARK;

const BIRTH_MS: u64 = 1_000_000;
const HEARTBEAT_MS: u64 = 1_000;

/// A core and its streams. `Stage::read` reads the first of them.
struct Stage {
    shared: Shared,
    core: Core<Network>,
    network: Network,
    counters: Arc<ShardMetrics>,
    reader: Reader,
    inbox: Inbox,
    next: Next,
    /// Transport of the streams that are opened next.
    transport: Transport,
    now_ms: u64,
}

impl Stage {
    fn new(history_events: usize) -> Self {
        Self::with_budget(history_events, TurnBudget::default())
    }

    fn with_budget(history_events: usize, budget: TurnBudget) -> Self {
        let limits = HistoryLimits {
            events: history_events,
            ..HistoryLimits::default()
        };
        let config = DeskConfig {
            history: limits,
            hold: HoldLimits::SMALL,
            slow_consumer: SlowConsumerPolicies {
                default: SlowConsumerPolicy::Skip,
                rules: Vec::new(),
            },
            mark: MARK,
        };
        let places = Places::new(1_000, Share::default());
        let presence = Presence::new(&limits, Share::default(), || {});
        let shared = Shared::new(Desk::new(config, places, presence, BIRTH_MS));
        let config = ShardConfig {
            index: 0,
            heartbeat_ms: HEARTBEAT_MS,
            write_timeout_ms: 1_000_000,
            retry_ms: None,
            mailbox_batches: 0,
            mailbox_bytes: 0,
            budget: TurnBudget {
                sets: SetLimits::SMALL,
                ..budget
            },
        };
        let counters = Arc::new(ShardMetrics::default());
        Self {
            core: Core::new(config, shared.clone(), Arc::clone(&counters), 1),
            counters,
            shared,
            network: Network::default(),
            reader: Reader::new(Encoding::BARE),
            inbox: Inbox::default(),
            next: Next::default(),
            transport: Transport::Plain,
            now_ms: 0,
        }
    }

    fn publish(&mut self, topic: &str, private: bool) -> EventId {
        self.publish_to(&[topic], private)
    }

    fn publish_to(&mut self, topics: &[&str], private: bool) -> EventId {
        if let Some(batch) = self.stamp(topics, private) {
            self.post(Message::Deliver(Arc::new(batch)));
        }
        self.shared.desk.lock().head()
    }

    fn post(&mut self, message: Message<usize>) {
        self.inbox.messages.push_back(message);
    }

    /// Publishes an event without posting it to the shard; `None` if no stream of the shard
    /// subscribes to it.
    fn stamp(&mut self, topics: &[&str], private: bool) -> Option<Batch> {
        let event = Event {
            topics: topics.iter().map(|topic| (*topic).into()).collect(),
            private,
            ..Event::new("", "data")
        };
        let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
        let publication = Publication {
            drafts: std::slice::from_mut(&mut draft),
            stamps: Stamps::Local(BIRTH_MS + self.now_ms),
            watched: &[],
            pinned: &mut SelectorIds::new(),
            full: ShardSet::default(),
            stamped_at: Instant::now(),
        };
        let published = self.shared.desk.lock().publish(publication, &mut Untraced);
        published.expect("one topic, few patterns").batch
    }

    fn open(&mut self, selector: &str, cursor: Option<EventId>) {
        self.open_until(selector, cursor, None);
    }

    /// Opens a stream. With `end_ms`, it has a token that expires then, in milliseconds since the
    /// stage's start, and that grants the stream's selector.
    fn open_until(&mut self, selector: &str, cursor: Option<EventId>, end_ms: Option<u64>) {
        self.open_all(&[selector], cursor, end_ms);
    }

    /// Opens a stream that is granted other selectors than its own.
    fn open_granted(&mut self, selectors: &[&str], grant: &[&str]) {
        self.open_with(selectors, grant, None, None);
    }

    fn open_all(&mut self, selectors: &[&str], cursor: Option<EventId>, end_ms: Option<u64>) {
        let grant = if end_ms.is_some() { selectors } else { &[] };
        self.open_with(selectors, grant, cursor, end_ms);
    }

    fn open_with(
        &mut self,
        selectors: &[&str],
        grant: &[&str],
        cursor: Option<EventId>,
        end_ms: Option<u64>,
    ) {
        let parse = |text: &&str| Selector::parse(text, Syntax::Native, 100).expect("a selector");
        let selectors: &[Selector] = &selectors.iter().map(parse).collect::<Vec<_>>();
        let grant: &[Selector] = &grant.iter().map(parse).collect::<Vec<_>>();
        let cursor = cursor.map(|cursor| cursor.marked(MARK).to_string());
        let place = self.shared.places.reserve([127, 0, 0, 1].into());
        let mut desk = self.shared.desk.lock();
        let start = desk.resolve(selectors, &[], cursor.as_deref());
        let seat = desk.attach(Arrival {
            shard: 0,
            permit: place.expect("room"),
            selectors,
            grant,
            start,
            pinned: None,
            announce: None,
        });
        drop(desk);
        let wire = self.network.wires.len() + 1;
        let attach = Attach {
            head: Bytes::from_static(HEAD),
            ends_unix_ms: end_ms.map(|end| BIRTH_MS + end),
            ..Attach::new(seat, wire, Encoding::BARE)
        };
        self.network.open(wire, 0, self.transport, usize::MAX);
        self.post(Message::Attach(Box::new(attach)));
    }

    /// Lets time pass, and makes turns until no work is left.
    fn turn(&mut self, ms: u64) {
        self.now_ms += ms;
        while self.turn_at(BIRTH_MS + self.now_ms).has_work {}
    }

    /// Makes one turn at a time of the wall clock.
    fn turn_at(&mut self, unix_ms: u64) -> Next {
        let now = inbox::clock(self.now_ms, unix_ms, 0);
        self.next = self.core.turn(&mut self.inbox, now, &mut self.network);
        self.next
    }

    fn set_room(&mut self, room: usize) {
        for (wire, signal) in self.network.set_room(1, room) {
            let key = self.network.wires[&wire].key.expect("it is open");
            self.inbox.signals.push_back((key, signal));
        }
    }

    /// The blocks that have arrived at the first stream since the last read.
    fn read(&mut self) -> Vec<Block> {
        let wire = self.network.wires.get_mut(&1).expect("a wire");
        self.reader.read(&std::mem::take(&mut wire.arrived))
    }
}

fn id_of(block: &Block) -> EventId {
    let id = block.id.as_deref().expect("an id");
    MARK.place_of(id).expect("one of the node's")
}

/// A stream was sent a heartbeat beyond a private event that was not for it. When the event was
/// evicted while the stream was blocked, the stream was sent a gap that ended before the heartbeat:
/// its cursor went back, although no event that it may hear was missing.
#[test]
fn a_private_event_under_a_heartbeat_is_no_gap() {
    for room in [0, 3] {
        let mut stage = Stage::new(1);
        stage.open("t", None);
        stage.publish("t", false);
        stage.turn(1);
        stage.publish("t", true);
        stage.turn(HEARTBEAT_MS);
        stage.turn(HEARTBEAT_MS);
        stage.set_room(room);
        stage.publish("t", true);
        let last = stage.publish("t", false);
        stage.turn(HEARTBEAT_MS);
        stage.set_room(usize::MAX);
        stage.turn(1);
        let blocks = stage.read();
        assert!(
            blocks.iter().all(|block| block.event != "gap"),
            "{blocks:?}"
        );
        assert!(blocks.is_sorted_by_key(id_of), "{blocks:?}");
        assert_eq!(blocks.last().map(id_of), Some(last));
    }
}

/// The same schedule with a heartbeat that was itself cut.
#[test]
fn a_private_event_under_a_cut_heartbeat_is_no_gap() {
    let mut stage = Stage::new(1);
    stage.open("t", None);
    stage.publish("t", false);
    stage.turn(1);
    stage.publish("t", true);
    stage.turn(HEARTBEAT_MS);
    stage.set_room(3);
    stage.turn(HEARTBEAT_MS);
    stage.publish("t", true);
    stage.set_room(usize::MAX);
    stage.turn(1);
    let blocks = stage.read();
    assert!(
        blocks.iter().all(|block| block.event != "gap"),
        "{blocks:?}"
    );
    assert!(
        blocks.len() >= 3,
        "the prime, the event, a heartbeat: {blocks:?}"
    );
    assert!(blocks.is_sorted_by_key(id_of), "{blocks:?}");
}

/// A stream that read on from history has passed over events that were not for it. If they are
/// evicted after it has fallen behind again, it has missed no event.
#[test]
fn what_a_stream_passed_over_while_it_read_on_is_no_gap_later() {
    let mut stage = Stage::new(1);
    let seen = stage.publish("t", false);
    stage.publish("t", true);
    stage.open_with(&["t"], &["elsewhere"], Some(seen), None);
    stage.turn(1);
    stage.set_room(0);
    let last = stage.publish("t", false);
    stage.turn(1);
    stage.set_room(usize::MAX);
    stage.turn(1);
    let blocks = stage.read();
    assert!(
        blocks.iter().all(|block| block.event != "gap"),
        "{blocks:?}"
    );
    assert_eq!(blocks.last().map(id_of), Some(last));
}

/// A read for a stream on a pattern examined so many events of other topics that it ended before
/// the stream's own events. The gap for an evicted event beyond them moved the cursor past events
/// that were still in the history.
#[test]
fn a_gap_does_not_reach_past_what_was_not_looked_at() {
    let mut stage = Stage::new(4);
    let seen = stage.publish("elsewhere/0", false);
    for _ in 0..4 {
        stage.publish("elsewhere/1", false);
    }
    let kept = stage.publish("mine/a", false);
    let later: Vec<_> = (0..5).map(|_| stage.publish("mine/b", false)).collect();
    stage.open("mine/{x}", Some(seen));
    stage.turn(1);
    let blocks = stage.read();
    let events = blocks
        .iter()
        .filter(|block| block.data.as_deref() == Some("data"));
    let events: Vec<_> = events.map(id_of).collect();
    assert_eq!(events, [&[kept], &later[1..]].concat());
    let gap = blocks.iter().find(|block| block.event == "gap");
    assert!(id_of(gap.expect("one was evicted")) < kept);
}

/// History had evicted events that were still in the mailbox. The gap ended at such an event, and
/// its id passed over events of other topics that were still in the history.
#[test]
fn a_gap_does_not_reach_into_the_mailbox() {
    let mut stage = Stage::new(1);
    stage.open("*/x", None);
    let first = stage.publish("a/x", false);
    stage.turn(1);
    stage.set_room(0);
    let missed = stage.publish("a/x", false);
    stage.turn(1);
    let posts = ["a/x", "b/x", "a/x", "a/x"]
        .map(|topic| stage.stamp(&[topic], false).expect("the stream listens"));
    stage.set_room(usize::MAX);
    stage.turn(1);
    let blocks = stage.read();
    let gap = blocks.last().expect("a gap");
    assert_eq!((gap.event.as_str(), id_of(gap)), ("gap", missed));
    let told: serde_json::Value =
        serde_json::from_str(gap.data.as_deref().expect("data")).expect("JSON");
    let range = [&told["from"], &told["to"]].map(|id| id.as_str().map(str::to_owned));
    assert_eq!(
        range,
        [first, missed].map(|id| Some(id.marked(MARK).to_string()))
    );
    let ids = posts.each_ref().map(|batch| batch.head);
    for batch in posts {
        stage.post(Message::Deliver(Arc::new(batch)));
    }
    stage.turn(1);
    let events: Vec<_> = stage.read().iter().map(id_of).collect();
    assert_eq!(events, ids);
}

/// A shard that had slept without streams had a sweep due. It made two sweeps at once, and sent its
/// first stream a heartbeat right after the prime.
#[test]
fn the_first_stream_after_a_long_silence_is_primed_once() {
    for silence in [10, HEARTBEAT_MS / 2, HEARTBEAT_MS, 60_000] {
        let mut stage = Stage::new(1);
        stage.turn(1);
        stage.now_ms += silence;
        stage.open("t", None);
        stage.turn(0);
        stage.turn(1);
        assert_eq!(stage.read().len(), 1, "after {silence} ms");
        // Silence lasts no longer than one interval.
        for _ in 0..100 {
            stage.turn(HEARTBEAT_MS / 100);
        }
        assert_eq!(stage.read().len(), 1, "after {silence} ms");
    }
}

/// The same for streams of a shard that was delayed for longer than a sweep.
#[test]
fn a_stream_that_was_just_written_to_gets_no_heartbeat_after_a_stall() {
    let mut stage = Stage::new(1);
    stage.open("t", None);
    stage.turn(1);
    stage.read();
    stage.publish("t", false);
    stage.turn(HEARTBEAT_MS * 60);
    let blocks = stage.read();
    assert_eq!(blocks.len(), 1, "the event alone: {blocks:?}");
}

/// Events of the turn in which a token expired were written before the stream was ended. If many
/// tokens expired at once, this went on for seconds.
#[test]
fn a_stream_gets_nothing_after_its_token_has_expired() {
    for private in [true, false] {
        for blocked in [true, false] {
            let mut stage = Stage::new(10);
            stage.open_until("t", None, Some(1_000));
            stage.turn(1);
            if blocked {
                stage.set_room(0);
                stage.publish("t", private);
                stage.turn(1);
                stage.set_room(usize::MAX);
            }
            let seen = stage.read();
            stage.publish("t", private);
            stage.turn(1_000);
            let blocks = stage.read();
            assert_eq!(seen.len(), 1, "the prime");
            assert!(
                blocks.iter().all(|block| block.id.is_none()),
                "neither an event nor a heartbeat: {blocks:?}"
            );
            assert!(stage.network.wires[&1].closed);
        }
    }
}

/// A heartbeat moves a client's cursor to the head, past the events that its stream is no longer
/// sent.
#[test]
fn streams_that_wait_for_their_end_get_no_heartbeat() {
    let mut stage = Stage::new(10);
    // More streams than end in one turn.
    for _ in 0..600 {
        stage.open_until("t", None, Some(1_000));
    }
    stage.turn(500);
    stage.turn(499);
    let arrived = |stage: &mut Stage| {
        let wires = stage.network.wires.values_mut();
        let bytes = wires.map(|wire| std::mem::take(&mut wire.arrived));
        bytes.collect::<Vec<_>>().concat()
    };
    arrived(&mut stage);
    for _ in 0..100 {
        stage.turn(10);
        let bytes = arrived(&mut stage);
        assert!(memchr::memmem::find(&bytes, b"id:").is_none());
    }
    assert!(stage.network.wires.values().all(|wire| wire.closed));
}

/// Streams that wait for their end have missed events, so they must not continue, even if the clock
/// is set back.
#[test]
fn a_clock_that_is_set_back_brings_no_stream_back_to_life() {
    let one_end = TurnBudget {
        ends: 1,
        ..TurnBudget::default()
    };
    let mut stage = Stage::with_budget(10, one_end);
    // The second stream is ended first, and the first one waits.
    for _ in 0..2 {
        stage.open_until("t", None, Some(1_000));
    }
    stage.turn(1);
    stage.read();
    stage.publish("t", true);
    stage.turn_at(BIRTH_MS + 2_000);
    assert!(stage.network.wires[&2].closed && !stage.network.wires[&1].closed);
    stage.publish("t", true);
    stage.turn_at(BIRTH_MS + 500);
    assert!(stage.read().iter().all(|block| block.id.is_none()));
    assert!(stage.network.wires[&1].closed);
    // Without a waiting stream, the clock is followed again.
    stage.network.wires.clear();
    stage.reader = Reader::new(Encoding::BARE);
    stage.open_until("t", None, Some(1_000));
    stage.publish("t", true);
    stage.turn_at(BIRTH_MS + 501);
    let blocks = stage.read();
    assert!(
        blocks.iter().any(|block| block.data.is_some()),
        "{blocks:?}"
    );
}

/// A turn ends a bounded number of streams, and the next turn came 10 ms later even if due streams
/// were left. A drain of very many streams took longer than its period, and the rest of them were
/// cut.
#[test]
fn a_drain_of_more_streams_than_its_steps_end_took_longer_than_its_period() {
    const STREAMS: usize = 900;
    const PERIOD_MS: u64 = 20;
    let mut stage = Stage::new(1);
    for _ in 0..STREAMS {
        stage.open("t", None);
    }
    stage.post(Message::Drain(PERIOD_MS));
    stage.turn(0);
    let mut turns = 0;
    while let Some(next_ms) = stage.next.wake_ms {
        stage.turn(next_ms.saturating_sub(stage.now_ms));
        turns += 1;
        assert!(turns < STREAMS, "a turn ends nothing");
    }
    assert!(stage.now_ms <= PERIOD_MS, "{} ms", stage.now_ms);
    assert_eq!(stage.core.len(), 0);
    let mut wires = stage.network.wires.values();
    assert!(wires.all(|wire| wire.ended), "a stream was cut");
}

/// The same for tokens that expire together.
#[test]
fn more_expired_streams_than_one_turn_ends_are_not_waited_for() {
    const STREAMS: usize = 900;
    let mut stage = Stage::new(1);
    for _ in 0..STREAMS {
        stage.open_until("t", None, Some(50));
    }
    stage.turn(0);
    let mut turns = 0;
    while stage.core.len() > 0 {
        let next_ms = stage.next.wake_ms.expect("more to do");
        stage.turn(next_ms.saturating_sub(stage.now_ms));
        turns += 1;
        assert!(turns < STREAMS, "a turn ends nothing");
    }
    assert!(stage.now_ms <= 50, "{} ms", stage.now_ms);
}

/// Streams that were reset together released their topics under one hold of the store's lock, and
/// no event was delivered meanwhile.
#[test]
fn events_go_on_while_many_streams_that_ended_give_their_topics_back() {
    let mut stage = Stage::with_budget(10, release(7));
    stage.open("t", None);
    for number in 0..100 {
        stage.open(&format!("own/{number}"), None);
    }
    stage.turn(1);
    stage.read();
    let open = |stage: &Stage| stage.shared.store().size().topics;
    for wire in 2..102 {
        let key = stage.network.wires[&wire].key.expect("it is open");
        stage.inbox.signals.push_back((key, HUNG_UP));
    }
    let mut turns = 0;
    while turns == 0 || stage.next.has_work {
        let before = open(&stage);
        let id = stage.publish("t", false);
        stage.turn_at(BIRTH_MS + stage.now_ms);
        assert_eq!(
            stage.shared.places.open(),
            1,
            "their places are free at once"
        );
        assert_eq!(stage.read().last().map(id_of), Some(id));
        assert!(before - open(&stage) <= 7, "in one hold");
        turns += 1;
    }
    assert_eq!(turns, 100 / 7 + 1);
    assert_eq!(open(&stage), 1, "topics of no stream do not exist");
}

/// The references of streams that come and go faster than one portion a turn would pile up.
#[test]
fn a_turn_that_ends_with_too_many_references_gives_back_several_portions() {
    let most = |released_max| TurnBudget {
        released_max,
        ..release(2)
    };
    for (released_max, left) in [(1 << 20, 18), (19, 18), (17, 16), (4, 4), (0, 0)] {
        let mut stage = Stage::with_budget(0, most(released_max));
        for number in 0..20 {
            stage.open(&format!("own/{number}"), None);
        }
        stage.turn(1);
        for wire in 1..=20 {
            let key = stage.network.wires[&wire].key.expect("it is open");
            stage.inbox.signals.push_back((key, HUNG_UP));
        }
        let next = stage.turn_at(BIRTH_MS + stage.now_ms);
        assert_eq!(stage.shared.store().size().topics, left, "{released_max}");
        assert_eq!(next.has_work, left > 0);
    }
}

/// A budget under which a portion releases this many references.
fn release(references: usize) -> TurnBudget {
    TurnBudget {
        release: Work::default().with_references(references),
        ..TurnBudget::default()
    }
}

/// A shard that stopped with unreleased references would have left topics without streams.
#[test]
fn a_shard_that_stops_gives_back_all_that_is_left() {
    let mut stage = Stage::with_budget(0, release(1));
    for number in 0..10 {
        stage.open_until(&format!("own/{number}"), None, Some(1_000));
    }
    stage.turn(1);
    let ended = BIRTH_MS + 1_000;
    assert!(stage.turn_at(ended).has_work);
    assert!(stage.network.wires.values().all(|wire| wire.closed));
    stage.post(Message::Stop);
    assert!(!stage.turn_at(ended).has_work);
    let store = stage.shared.store();
    assert!(store.is_bare() && store.size().topics == 0);
}

/// The client's socket was closed without a byte, and no counter showed it.
#[test]
fn a_stream_that_the_system_does_not_watch_had_no_answer() {
    let mut stage = Stage::new(1);
    stage.network.watches_nothing = true;
    stage.open_until("t", None, Some(50));
    stage.turn(1);
    let wire = &stage.network.wires[&1];
    let arrived = String::from_utf8(wire.arrived.clone()).expect("text");
    let head = std::str::from_utf8(HEAD).expect("text");
    let rest = arrived.strip_prefix(head).expect("the head");
    assert!(rest.starts_with("retry: "), "{rest}");
    assert!(wire.ended && wire.closed);
    assert_eq!(stage.counters.turned_away.get(), 1);
    // It uses no place, and leaves no topic behind.
    assert_eq!((stage.core.len(), stage.shared.places.open()), (0, 0));
    stage.turn(1);
    assert_eq!(stage.shared.store().size().topics, 0);
    // The next stream is watched.
    stage.network.watches_nothing = false;
    stage.open("t", None);
    stage.turn(1);
    assert_eq!(stage.core.len(), 1);
}
