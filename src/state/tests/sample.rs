//! A small state with every kind of record and field, of a real desk.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::core::delivery::{GuardRecord, Identity, LaggingRecord, PatternsRecord, StreamRecord};
use crate::core::desk::{
    Arrival, Desk, DeskConfig, DeskCursor, DeskRecord, Publication, Refusal, Seat, Stamps, Untraced,
};
use crate::core::event::{Event, EventId, IdForm, OrderMark};
use crate::core::history::{
    HistoryLimits, HistoryRecord, Hole, HoleCause, Record, SelectorId, SelectorIds, ShardSet,
    SlowConsumerPolicy, Start, Wanted,
};
use crate::core::idempotency::{Name, Owner, Place, Scope};
use crate::core::limits::EventLimits;
use crate::core::places::{Places, Share};
use crate::core::presence::{Presence, PresenceRecord};
use crate::core::selector::{Selector, Syntax};
use crate::core::sse::{Draft, Encoding};
use crate::state::{
    CounterRecord, HttpRecord, KeySetRecord, ListenerRecord, MutedReplies, NodeRecord, Port,
    RespRecord, RespUserRecord, StateRecord, Writer,
};

const NOW: u64 = 1_700_000_000_000;
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

pub(super) fn config() -> DeskConfig {
    DeskConfig {
        history: HistoryLimits {
            events: 2,
            ..HistoryLimits::default()
        },
        mark: OrderMark::new(0x15_0000_1234_5678),
        ..DeskConfig::default()
    }
}

pub(super) fn places() -> std::sync::Arc<Places> {
    let share = Share {
        streams: 10,
        ..Share::default()
    };
    Places::new(1_000, share)
}

fn parse(texts: &[&str]) -> Vec<Selector> {
    let parse = |text: &&str| Selector::parse(text, Syntax::Native, 100).expect("a selector");
    texts.iter().map(parse).collect()
}

fn attach(desk: &mut Desk, selectors: &[&str], grant: &[&str], is_announced: bool) -> Seat {
    let (selectors, grant) = (parse(selectors), parse(grant));
    let payload = Some(r#"{"name":"Ada"}"#.into());
    let announce = is_announced.then(|| desk.presence().pending(CLIENT, &selectors, payload));
    let permit = desk.places().reserve(CLIENT);
    desk.attach(Arrival {
        shard: 1,
        permit: permit.expect("room"),
        selectors: &selectors,
        grant: &grant,
        start: Start::default(),
        pinned: None,
        announce,
    })
}

fn publish(desk: &mut Desk, event: Event<'_>) {
    let name = event.key.clone().map(|key| {
        let owner = Owner::new(Scope::Subject("shop"));
        Name::new(owner, &key, Place::ONLY)
    });
    let mut drafts = [Draft::new(event, &EventLimits::default()).expect("valid")];
    if let Some(name) = name {
        drafts[0].set_key(name);
    }
    let mut pinned = SelectorIds::new();
    loop {
        let publication = Publication {
            drafts: &mut drafts,
            stamps: Stamps::Local(NOW + 5),
            watched: &[],
            pinned: &mut pinned,
            full: ShardSet::default(),
            stamped_at: Instant::now(),
        };
        match desk.publish(publication, &mut Untraced) {
            Err(Refusal::Unprepared) => {}
            published => return assert!(published.is_ok(), "nothing is full"),
        }
    }
}

fn event(topics: &[&'static str], data: &'static str) -> Event<'static> {
    Event {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        ..Event::new("", data)
    }
}

/// A desk with events that were kept, evicted and forgotten, and the seats of its streams.
fn desk() -> (Desk, Vec<Seat>) {
    let config = config();
    let presence = Presence::new(&config.history, Share::default(), || {});
    let mut desk = Desk::new(config, places(), presence, NOW);
    let seats = vec![
        attach(&mut desk, &["news"], &[], false),
        attach(
            &mut desk,
            &["a/*", "b/{x}", "news"],
            &["b/{x}", "mine"],
            true,
        ),
        attach(&mut desk, &["*"], &["mine"], true),
    ];
    for data in ["one", "two", "three\nlines\n", "four"] {
        publish(&mut desk, event(&["news"], data));
    }
    publish(&mut desk, event(&["news", "a/b"], "several"));
    let private = event(&["mine", "b/1"], "private");
    publish(
        &mut desk,
        Event {
            private: true,
            ..private
        },
    );
    let own = event(&["a/b"], "");
    publish(
        &mut desk,
        Event {
            id: Some("own-1".into()),
            retry: Some(7),
            key: Some("own-1".into()),
            ..own
        },
    );
    let urn = event(&["c"], "grüße");
    publish(
        &mut desk,
        Event {
            id_form: IdForm::Urn,
            key: Some("greeting-1".into()),
            event: Some("greeting".into()),
            ..urn
        },
    );
    (desk, seats)
}

/// The records of the desk. Grants are sorted, and what is drawn has a fixed value.
fn desk_records(desk: &Desk) -> Vec<DeskRecord> {
    let (mut records, mut cursor) = (Vec::new(), DeskCursor::default());
    while !cursor.is_end() {
        cursor = desk.snapshot(cursor, 3, &mut records);
    }
    records.sort_by_key(|record| match record {
        DeskRecord::Store(Record::Grant { ids, .. }) => (1, ids.to_vec()),
        DeskRecord::Store(_) => (0, Vec::new()),
        DeskRecord::Presence(_) => (2, Vec::new()),
        DeskRecord::Keys(_) => (3, Vec::new()),
    });
    for record in &mut records {
        match record {
            DeskRecord::Store(Record::Head { birth, holes, .. }) => holes.push(Hole {
                after: *birth,
                through: EventId::new(birth.get() + 1),
                cause: HoleCause::Crash,
            }),
            DeskRecord::Store(_) | DeskRecord::Keys(_) => {}
            DeskRecord::Presence(PresenceRecord::Head { version, .. }) => *version = u64::MAX,
            DeskRecord::Presence(
                PresenceRecord::Stream(number, subscriber)
                | PresenceRecord::Change(number, _, subscriber),
            ) => {
                let length = subscriber.selectors[0].text().len() as u128;
                subscriber.id = 0x0123_4567_89ab_4cde_8f01_2345_6789_abcd + length;
                subscriber.is_known = number.is_multiple_of(2);
            }
        }
    }
    records
}

fn stream(descriptor: u32, seat: &Seat) -> StreamRecord {
    StreamRecord {
        descriptor,
        client: Some(CLIENT),
        encoding: Encoding::CHUNKED,
        identity: Identity::default(),
        guard: GuardRecord {
            announced: seat.announced.as_ref().map(|announced| announced.number()),
            ..GuardRecord::default()
        },
        wanted: seat.wanted.clone(),
        grant: seat.grant.as_ref().map(|ids| ids.iter().copied().collect()),
        ends_unix_ms: None,
        cursor: seat.live_from,
        bytes: 0,
        age_s: 0,
        lagging: None,
        stuck_ms: 0,
    }
}

/// A stream that was cut in a frame.
pub(super) fn cut_stream(frame: &Bytes, from: usize) -> StreamRecord {
    let wanted = Wanted {
        selector: SelectorId(0),
        policy: SlowConsumerPolicy::Skip,
    };
    StreamRecord {
        descriptor: from as u32,
        client: None,
        encoding: Encoding::CHUNKED,
        identity: Identity::default(),
        guard: GuardRecord::default(),
        wanted: [wanted].into(),
        grant: None,
        ends_unix_ms: None,
        cursor: EventId::ZERO,
        bytes: 0,
        age_s: 0,
        lagging: Some(LaggingRecord {
            remainder: frame.slice(from..),
            frame_bytes: frame.len(),
            ..LaggingRecord::default()
        }),
        stuck_ms: 0,
    }
}

/// Publishes to topics that may exist or not.
pub(super) fn publish_some(desk: &mut Desk) {
    for topics in [&["news"][..], &["new"], &["mine", "a/b"], &["news"]] {
        publish(desk, event(topics, "more"));
    }
}

/// Streams that are caught up, cut in a frame that they share, and leaving.
fn streams(seats: &[Seat]) -> Vec<StreamRecord> {
    let frame = Bytes::from_static(b"11\r\nid: 9\ndata: cut\n\n\r\n");
    let cut = |from: usize| LaggingRecord {
        remainder: frame.slice(from..),
        frame_bytes: frame.len(),
        conflate: true,
        ..LaggingRecord::default()
    };
    let mut streams: Vec<_> = std::iter::zip(20.., seats)
        .map(|(descriptor, seat)| stream(descriptor, seat))
        .collect();
    streams[0].encoding = Encoding::CHUNKED.with_topics();
    streams[1] = StreamRecord {
        client: None,
        identity: Identity {
            subject: Some("ada".into()),
            forwarded: Some("2001:db8::7".parse().expect("an address")),
        },
        guard: GuardRecord {
            patterns: Some(PatternsRecord {
                client: CLIENT,
                patterns: parse(&["a/*", "b/{x}"]).into(),
            }),
            memory_bytes: 4_096,
            ..streams[1].guard.clone()
        },
        ends_unix_ms: Some(NOW + 60_000),
        bytes: 1 << 40,
        age_s: 86_400,
        lagging: Some(cut(10)),
        stuck_ms: 1_234,
        ..streams[1].clone()
    };
    streams[2] = StreamRecord {
        encoding: Encoding::BARE.with_heartbeat_events(),
        lagging: Some(LaggingRecord {
            farewell: Some(Bytes::from_static(b"retry: 5000\n\n")),
            told_through: EventId::from_parts(NOW, 3).expect("an id"),
            unknown: Some("never \"heard\" of".into()),
            resuming: true,
            ..cut(4)
        }),
        ..streams[2].clone()
    };
    streams
}

fn node() -> StateRecord {
    StateRecord::Node(NodeRecord {
        program: "fantail 0.1.0".into(),
        written_unix_ms: NOW + 1_000,
        started_unix_ms: NOW,
        resp_accepted: 7,
        resp_proof_key: [9; 32].into(),
        generation: 2,
        state_lock: Some(9),
        roster: Some(u64::MAX - 1),
        log_print: Some(1 << 63),
    })
}

/// The records of a history file.
pub(super) fn history() -> Vec<StateRecord> {
    let (desk, _) = desk();
    let name = "gone".into();
    let mut records = vec![HistoryRecord::Topic { name }, HistoryRecord::TopicGone];
    let mut walk = desk.store().begin_walk();
    while !walk.is_done() {
        desk.store().walk(&mut walk, 3, &mut records);
    }
    if let Some(HistoryRecord::Head(head)) = records.last_mut() {
        head.holes.push(Hole {
            after: head.birth,
            through: EventId::new(head.birth.get() + 1),
            cause: HoleCause::Crash,
        });
    }
    let records = records.into_iter().map(StateRecord::History);
    std::iter::once(node()).chain(records).collect()
}

/// All records of a hand-over, in the order in which they are written.
pub(super) fn records() -> Vec<StateRecord> {
    let (desk, seats) = desk();
    let mut records = vec![node()];
    records.extend(desk_records(&desk).into_iter().map(StateRecord::Desk));
    records.extend(streams(&seats).into_iter().map(StateRecord::Stream));
    let counters = [("deliveries", 12_345), ("events_in.http", u64::MAX)];
    records.extend(counters.map(|(name, value)| {
        let name = name.into();
        StateRecord::Counter(CounterRecord { name, value })
    }));
    records.push(StateRecord::KeySet(KeySetRecord {
        url: "https://id.example/keys".into(),
        text: br#"{"keys":[]}"#.as_slice().into(),
    }));
    let listeners = [
        (Port::Public, 3, "127.0.0.1:8080"),
        (Port::Admin, 4, "[::1]:8081"),
        (Port::Ingest, 5, "[fe80::1%2]:6379"),
    ];
    records.extend(listeners.map(|(port, descriptor, address)| {
        StateRecord::Listener(ListenerRecord {
            port,
            descriptor,
            address: address.parse().expect("an address"),
        })
    }));
    records.push(StateRecord::Http(HttpRecord {
        port: Port::Public,
        descriptor: 30,
        read_ahead: (*b"GET /events HTTP/1.1\r\nHos").into(),
        asked: true,
        waited_ms: 1_500,
    }));
    records.push(StateRecord::Resp(RespRecord {
        descriptor: 31,
        id: 6,
        user: Some(RespUserRecord {
            name: "default".into(),
            proof: [7; 32].into(),
        }),
        resp3: true,
        muted: MutedReplies::Next,
        name: "worker".into(),
        library: "redis-py".into(),
        library_version: "5.0".into(),
        read_ahead: (*b"*1\r\n$4\r\nPI").into(),
        age_ms: 100_000,
        idle_ms: 3_000,
        stranger_ms: Some(4),
        unfinished_ms: Some(5),
    }));
    let bare = RespRecord {
        descriptor: 32,
        ..RespRecord::default()
    };
    records.push(StateRecord::Resp(bare));
    records
}

/// The records as a state.
pub(super) fn written(records: &[StateRecord]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).expect("memory");
    let streams: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            StateRecord::Stream(record) => Some(record.clone()),
            _ => None,
        })
        .collect();
    let mut streams = Some(streams);
    for record in records {
        match record {
            StateRecord::Node(record) => writer.node(record),
            StateRecord::Desk(record) => writer.desk(record),
            StateRecord::Stream(_) => writer.streams(&streams.take().unwrap_or_default()),
            StateRecord::Counter(record) => writer.counter(&record.name, record.value),
            StateRecord::KeySet(record) => writer.key_set(&record.url, &record.text),
            StateRecord::Listener(record) => writer.listener(record),
            StateRecord::Http(record) => writer.http(record),
            StateRecord::Resp(record) => writer.resp(record),
            StateRecord::History(record) => writer.history(record),
        }
        .expect("memory");
    }
    writer.finish().expect("memory")
}
