//! A desk made of a snapshot goes on as the one it was taken of.

use super::*;
use crate::core::history::{HoldLimits, LastEventId, SlowConsumerPolicy, SlowConsumerRule};
use crate::core::presence::Announced;

const MARK: OrderMark = OrderMark::new(0x15_0000_1234_5678);

/// Two events a topic, and a slow stream of a topic under `b` is ended.
fn config() -> DeskConfig {
    DeskConfig {
        history: HistoryLimits {
            events: 2,
            ..HistoryLimits::default()
        },
        hold: HoldLimits {
            // What was evicted before a pattern was born is never looked for: all evictions count.
            birth_topics: 0,
            ..HoldLimits::default()
        },
        slow_consumer: SlowConsumerPolicies {
            default: SlowConsumerPolicy::Skip,
            rules: vec![SlowConsumerRule {
                prefix: "b".to_owned(),
                policy: SlowConsumerPolicy::Disconnect,
            }],
        },
        mark: MARK,
        ..DeskConfig::default()
    }
}

fn places() -> Arc<Places> {
    Places::new(1_000, Share::default())
}

/// A desk with streams by name, by pattern and of several topics, and with events that were kept,
/// evicted and forgotten.
struct Used {
    desk: Desk,
    /// The seat of each stream, and whether it has a grant.
    seats: Vec<Seat>,
    /// The ids of all events, by topic.
    events: Vec<(&'static str, EventId)>,
}

const STREAMS: [(usize, &[&str], &[&str]); 4] = [
    (0, &["a"], &[]),
    (1, &["b/{x}"], &["b/{x}"]),
    (2, &["c", "a"], &["c", "elsewhere"]),
    (3, &["never/published"], &[]),
];

fn parse(texts: &[&str]) -> Vec<Selector> {
    let parse = |text: &&str| Selector::parse(text, Syntax::Native, 100).expect("a selector");
    texts.iter().map(parse).collect()
}

fn enter(desk: &mut Desk, (shard, selectors, grant): (usize, &[&str], &[&str])) -> Seat {
    let address = [127, 0, 0, 1].into();
    let (selectors, grant) = (parse(selectors), parse(grant));
    let announce = desk.presence().pending(address, &selectors, None);
    let permit = desk.places().reserve(address);
    desk.attach(Arrival {
        shard,
        permit: permit.expect("room"),
        selectors: &selectors,
        grant: &grant,
        start: Start::default(),
        pinned: None,
        announce: Some(announce),
    })
}

fn used() -> Used {
    let config = config();
    let presence = Presence::new(&config.history, Share::default(), || {});
    let mut desk = Desk::new(config, places(), presence, NOW);
    let seats = STREAMS.map(|stream| enter(&mut desk, stream)).into();
    let mut events = Vec::new();
    let published = [
        ("a", false),
        ("b/1", true),
        ("gone", false),
        ("a", false),
        ("a", true),
        ("b/1", true),
        ("c", false),
        ("b/1", false),
        ("a", false),
        ("b/2", true),
    ];
    for (number, (topic, private)) in published.into_iter().enumerate() {
        let now = NOW + number as u64;
        let mut drafts = [draft(topic, private)];
        let stamps = Stamps::Local(now);
        let published = publish(&mut desk, &mut drafts, stamps, ShardSet::default());
        events.push((topic, published.expect("room").receipts[0].id));
    }
    desk.store.erase("gone", desk.head(), 10);
    // One start was published, the others wait.
    assert_eq!(desk.presence().take(1).0.len(), 1);
    Used {
        desk,
        seats,
        events,
    }
}

/// Takes a snapshot in portions of `portion` records.
fn records(desk: &Desk, portion: usize) -> Vec<DeskRecord> {
    let (mut records, mut cursor) = (Vec::new(), DeskCursor::default());
    while !cursor.is_end() {
        let before = records.len();
        cursor = desk.snapshot(cursor, portion, &mut records);
        assert!(records.len() - before <= portion, "more than was asked for");
    }
    records
}

fn restore(records: Vec<DeskRecord>) -> Desk {
    Desk::restore(config(), places(), || {}, records).expect("whole")
}

fn resolved(desk: &mut Desk, selectors: &[&str], grant: &[&str], cursor: &str) -> Start {
    desk.resolve(&parse(selectors), &parse(grant), Some(cursor))
}

/// All that cursors of the old desk mean, to streams that were there and to new ones.
fn starts(desk: &mut Desk, events: &[(&'static str, EventId)]) -> Vec<Start> {
    let new: [(usize, &[&str], &[&str]); 3] = [
        (0, &["z/{x}"], &[]),
        (0, &["{+all}"], &["a"]),
        (0, &["gone"], &[]),
    ];
    let cursors = events.iter().map(|(_, id)| id.marked(MARK).to_string());
    let cursors = cursors.chain(["earliest", "none"].map(str::to_owned));
    let mut starts = Vec::new();
    for cursor in cursors {
        for (_, selectors, grant) in STREAMS.iter().chain(&new) {
            let start = resolved(desk, selectors, grant, &cursor);
            let ids: SelectorIds = parse(selectors)
                .iter()
                .map(|selector| desk.store.intern(selector))
                .collect();
            starts.push(desk.store.settle_start(start, &ids, !grant.is_empty()));
        }
    }
    starts
}

/// The streams that a registry lists, and the changes that it has yet to publish.
fn listed(desk: &Desk) -> (u64, usize, Vec<String>) {
    let page = desk.presence().list(None, None, 100);
    let paths = page.subscriptions.iter().map(|one| one.path());
    (
        desk.presence().version(),
        desk.presence().figures().waiting,
        paths.collect(),
    )
}

fn told(desk: &Desk) -> Vec<(bool, Vec<String>)> {
    let changes = desk.presence().take(usize::MAX).0;
    let told = changes.iter().map(|change| {
        let paths = change.subscriptions().map(|one| one.path());
        (change.is_start(), paths.collect())
    });
    told.collect()
}

#[test]
fn a_restored_desk_resolves_old_cursors_as_the_original() {
    for portion in [1, 3, 1_000] {
        let Used {
            mut desk, events, ..
        } = used();
        let mut restored = restore(records(&desk, portion));
        assert_eq!(restored.head(), desk.head());
        assert_eq!(restored.store().mark(), MARK);
        assert_eq!(restored.store().size(), desk.store().size());
        assert_eq!(starts(&mut restored, &events), starts(&mut desk, &events));
    }
    // The comparison covers starts of every kind.
    let Used { desk, events, .. } = used();
    let mut desk = restore(records(&desk, 7));
    let [first, .., last] = &events[..] else {
        panic!("events")
    };
    let text = |id: EventId| id.marked(MARK).to_string();
    let start = resolved(&mut desk, &["a"], &[], &text(first.1));
    let a_gap = matches!(start.last_event_id, Some(LastEventId::Id(_)));
    assert!(a_gap, "events of `a` are gone: {start:?}");
    let start = resolved(&mut desk, &["a"], &[], &text(last.1));
    assert_eq!(start.last_event_id, Some(LastEventId::Asked(text(last.1))));
    // A topic that was deleted, and a pattern that did not exist.
    for selector in ["gone", "z/{x}"] {
        let mut start = resolved(&mut desk, &[selector], &[], &text(first.1));
        let ids = SelectorIds::from_elem(desk.store.intern(&parse(&[selector])[0]), 1);
        start = desk.store.settle_start(start, &ids, false);
        assert!(!start.is_live(), "{selector} may have lost events");
    }
    // The ids of another node have no meaning here.
    let foreign = first.1.marked(OrderMark::default()).to_string();
    assert!(resolved(&mut desk, &["a"], &[], &foreign).unknown.is_some());
}

#[test]
fn a_restored_desk_publishes_to_the_streams_that_were_attached() {
    let Used {
        mut desk, seats, ..
    } = used();
    let mut restored = restore(records(&desk, 2));
    let head = desk.head();
    for (topics, private) in [
        ("a", false),
        ("a", true),
        ("b/3", true),
        ("c", true),
        ("x", false),
    ] {
        // A clock that was set back.
        let [original, again] = [&mut desk, &mut restored].map(|desk| {
            let stamps = Stamps::Local(NOW - 1);
            let mut drafts = [draft(topics, private)];
            publish(desk, &mut drafts, stamps, ShardSet::default()).expect("room")
        });
        let what = format!("{topics} {private}");
        assert!(again.receipts[0].id > head, "{what}");
        assert_eq!(again.receipts, original.receipts, "{what}");
        assert_eq!(again.shards, original.shards, "{what}");
        let [original, again] = [original, again].map(|published| {
            let events = published.batch.into_iter().flat_map(|batch| batch.events);
            let parts = events.map(|event| (event.id, event.selectors, event.audience));
            format!("{:?}", parts.collect::<Vec<_>>())
        });
        assert_eq!(again, original, "{what}");
    }
    // Streams that were attached before continue on other shards, and new ones have the same ids.
    for (number, seat) in seats.iter().enumerate() {
        let reseats = [&mut desk, &mut restored].map(|desk| {
            let reseat = desk.reseat(7 + number, &seat.wanted);
            format!("{reseat:?}")
        });
        assert_eq!(reseats[0], reseats[1]);
        let entered = [&mut desk, &mut restored].map(|desk| enter(desk, STREAMS[number]));
        let [original, again] = &entered;
        assert_eq!(original.wanted, seat.wanted);
        assert_eq!(again.wanted, seat.wanted, "with their policies");
        assert_eq!(again.grant, original.grant);
        assert_eq!(again.live_from, original.live_from);
        let topic = ["a", "b/3", "c", "never/published"][number];
        let to = publish(
            &mut restored,
            &mut [draft(topic, false)],
            Stamps::Local(NOW),
            shard(7 + number),
        );
        let moved =
            matches!(to, Err(Refusal::Full(shards)) if !shards.and(shard(7 + number)).is_empty());
        assert!(moved, "its events go to its new shard: {to:?}");
    }
}

#[test]
fn a_restored_desk_lists_and_announces_the_streams_that_were_announced() {
    let Used { desk, seats, .. } = used();
    let restored = restore(records(&desk, 3));
    let numbers = seats.iter().filter_map(|seat| seat.announced.as_ref());
    let numbers: Vec<_> = numbers.map(Announced::number).collect();
    assert_eq!(numbers.len(), STREAMS.len());
    assert_eq!(listed(&restored), listed(&desk));
    let subscriptions = STREAMS.map(|(_, selectors, _)| selectors.len());
    assert_eq!(listed(&desk).2.len(), subscriptions.iter().sum::<usize>());
    let again = numbers
        .iter()
        .map(|number| restored.presence().announced(*number));
    let again: Vec<_> = again
        .map(|announced| announced.expect("it is open"))
        .collect();
    drop((seats, again));
    let changes = told(&restored);
    assert_eq!(changes, told(&desk));
    // One start was published before the snapshot.
    assert_eq!(changes.len(), 2 * STREAMS.len() - 1);
    assert_eq!(listed(&restored).2, Vec::<String>::new());
}

/// References of a snapshot's streams can be released, and nothing remains.
#[test]
fn a_restored_desk_counts_what_its_streams_have() {
    let Used { desk, seats, .. } = used();
    let mut restored = restore(records(&desk, 5));
    let mut released = Released::default();
    for seat in &seats {
        let grant = seat.grant.as_ref();
        let grant = grant.map(|grant| restored.store().grant_of(grant).expect("it is held"));
        released.add_stream(&seat.wanted, grant);
    }
    let mut work = restored.store().work();
    assert!(restored.release(&mut released, &mut work));
    assert!(restored.expire(NOW + 1_000_000_000, 1_000));
    assert!(restored.store().is_bare());
    assert_eq!(restored.store().size().topics, 0);
}

#[test]
fn a_desk_is_made_of_one_whole_snapshot() {
    let Used { desk, .. } = used();
    let records = records(&desk, 100);
    let without_head = records[1..].to_vec();
    let made = Desk::restore(config(), places(), || {}, without_head).map(drop);
    assert_eq!(made, Err(RestoreError::Order));
}
