//! Schedules written by hand, mostly regressions, in as few steps as possible.

mod expiry;
mod farewells;
mod gaps;
mod heartbeats;
mod many_patterns;
mod parking;
mod releases;
mod several;
mod topics;
mod turns;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::core::delivery::{
    Attach, Core, Message, Next, SetLimits, ShardConfig, Shared, TurnBudget,
};
use crate::core::desk::{Arrival, Batch, Desk, DeskConfig, Publication, Refusal, Stamps, Untraced};
use crate::core::event::{Event, EventId};
use crate::core::history::{
    HistoryLimits, HoldLimits, SelectorIds, ShardSet, SlowConsumerPolicies, SlowConsumerPolicy,
};
use crate::core::idempotency::KeyLimits;
use crate::core::limits::EventLimits;
use crate::core::places::{Places, Share};
use crate::core::presence::Presence;
use crate::core::selector::{Selector, Syntax};
use crate::core::sse::{Draft, Encoding};
use crate::metrics::ShardMetrics;

use super::client::{Block, HEAD, Reader};
use super::inbox::{self, Inbox};
use super::network::{Network, Transport};
use super::oracle::MARK;

const BIRTH_MS: u64 = 1_000_000;
const HEARTBEAT_MS: u64 = 1_000;

/// A core and its streams. `Stage::read` reads the first of them.
struct Stage {
    shared: Shared,
    core: Core<Network>,
    config: ShardConfig,
    network: Network,
    counters: Arc<ShardMetrics>,
    reader: Reader,
    inbox: Inbox,
    next: Next,
    /// Transport of the streams that are opened next.
    transport: Transport,
    /// Their encoding.
    encoding: Encoding,
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
            keys: KeyLimits::default(),
        };
        let places = Places::new(1_000, Share::default());
        let presence = Presence::new(&limits, Share::default(), || {});
        let shared = Shared::new(Desk::new(config, places, presence, BIRTH_MS));
        let config = ShardConfig {
            index: 0,
            heartbeat_ms: HEARTBEAT_MS,
            write_timeout_ms: 1_000_000,
            gap_spread_ms: 0,
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
            core: Core::new(config.clone(), shared.clone(), Arc::clone(&counters), 1),
            config,
            counters,
            shared,
            network: Network::default(),
            reader: Reader::new(Encoding::BARE),
            inbox: Inbox::default(),
            next: Next::default(),
            transport: Transport::Plain,
            encoding: Encoding::BARE,
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
        let mut pinned = SelectorIds::new();
        loop {
            let publication = Publication {
                drafts: std::slice::from_mut(&mut draft),
                stamps: Stamps::Local(BIRTH_MS + self.now_ms),
                watched: &[],
                pinned: &mut pinned,
                full: ShardSet::default(),
                stamped_at: Instant::now(),
            };
            let published = self.shared.desk.lock().publish(publication, &mut Untraced);
            match published {
                Err(Refusal::Unprepared) => {}
                published => return published.expect("nothing is full").batch,
            }
        }
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
            ..Attach::new(seat, wire, self.encoding)
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

#[track_caller]
fn assert_no_gap(blocks: &[Block]) {
    assert!(
        blocks.iter().all(|block| block.event != "gap"),
        "{blocks:?}"
    );
}
