//! Tests of the store's limits, order and evictions through its interface. (The simulator tests the
//! delivery to streams.)

mod breaks;
mod event_topics;
mod holds;
mod many;
mod patterns;
mod revive;
mod snapshot;

use super::*;
use crate::core::event::Event;
use crate::core::history::SlowConsumerPolicy;
use crate::core::limits::EventLimits;
use crate::core::selector::Selector;
use crate::core::sse::Draft;

const NOW: u64 = 1_000_000;

fn store(limits: HistoryLimits) -> Store {
    Store::new(limits, NOW).with_hold(HoldLimits::SMALL)
}

/// An id in the form in which a client of these stores sends it back.
fn cursor(id: EventId) -> String {
    id.marked(OrderMark::default()).to_string()
}

fn publish(
    store: &mut Store,
    topics: &[&str],
    data: &str,
    own_id: Option<&str>,
    now: u64,
) -> EventId {
    let event = Event {
        topics: topics
            .iter()
            .map(|name| (*name).to_owned().into())
            .collect(),
        id: own_id.map(|id| id.to_owned().into()),
        ..Event::new("", data.to_owned())
    };
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    append(store, &mut draft, now).0
}

fn append(store: &mut Store, draft: &mut Draft<'_>, now: u64) -> (EventId, Appended) {
    // Every publisher does this first.
    while !store.make_room() {}
    let appended = store.append(draft, Stamp::Local(now));
    appended.expect("a local id rises")
}

fn expire(store: &mut Store, now: u64, steps: usize) -> bool {
    store.expire(store.limits.cut_off(now), steps)
}

fn kept(store: &Store, topic: &str) -> Vec<EventId> {
    let all = (EventId::ZERO, EventId::new(u64::MAX));
    store
        .range(topic, all, usize::MAX, false)
        .into_iter()
        .map(|(id, _)| id)
        .collect()
}

fn read(
    store: &mut Store,
    topics: &[SelectorId],
    cursor: EventId,
    conflate: bool,
) -> (Vec<EventId>, ReadOutcome) {
    let wanted: Vec<_> = topics
        .iter()
        .map(|topic| Wanted {
            selector: *topic,
            policy: SlowConsumerPolicy::Latest,
        })
        .collect();
    let position = Position {
        cursor,
        told_through: EventId::ZERO,
        until: store.head(),
        conflate,
    };
    let mut out = Vec::new();
    let outcome = store.read(
        &wanted,
        None,
        position,
        ReadBudget {
            events: 100,
            bytes: 100_000,
        },
        |_| EventId::ZERO,
        &mut out,
    );
    (out.into_iter().map(|(id, _)| id).collect(), outcome)
}

#[test]
fn a_topic_keeps_so_many_events_and_the_oldest_goes_first() {
    let mut store = store(HistoryLimits {
        events: 3,
        ..HistoryLimits::default()
    });
    let ids: Vec<_> = (0..5)
        .map(|_| publish(&mut store, &["a"], "x", None, NOW))
        .collect();
    assert_eq!(kept(&store, "a"), ids[2..]);
}

#[test]
fn a_topic_keeps_so_many_bytes() {
    let mut store = store(HistoryLimits {
        bytes: 300,
        ..HistoryLimits::default()
    });
    let data = "x".repeat(100);
    let ids: Vec<_> = (0..5)
        .map(|_| publish(&mut store, &["a"], &data, None, NOW))
        .collect();
    assert_eq!(
        kept(&store, "a"),
        ids[3..],
        "two frames of some 130 bytes fit, three do not"
    );
    publish(&mut store, &["a"], &"x".repeat(500), None, NOW);
    assert_eq!(
        kept(&store, "a"),
        [],
        "an event that is too large for the history alone is not kept"
    );
}

#[test]
fn age_counts_for_quiet_topics_too() {
    let mut store = store(HistoryLimits {
        age_ms: 1_000,
        ..HistoryLimits::default()
    });
    publish(&mut store, &["quiet"], "x", None, NOW);
    let later = publish(&mut store, &["busy"], "x", None, NOW + 1_500);
    assert!(expire(&mut store, NOW + 1_500, 10));
    assert_eq!(kept(&store, "quiet"), []);
    assert_eq!(kept(&store, "busy"), [later]);
}

#[test]
fn over_budget_the_oldest_event_of_the_node_goes_wherever_it_is() {
    let mut store = store(HistoryLimits {
        budget_bytes: 8_000,
        ..HistoryLimits::default()
    });
    let mut ids = Vec::new();
    for number in 0..40 {
        let topic = ["a", "b", "c"][number % 3];
        ids.push(publish(&mut store, &[topic], &"x".repeat(100), None, NOW));
        assert!(store.size().bytes <= 8_000);
    }
    let mut left: Vec<_> = ["a", "b", "c"]
        .iter()
        .flat_map(|topic| kept(&store, topic))
        .collect();
    left.sort_unstable();
    assert_eq!(
        left,
        ids[40 - left.len()..],
        "what is left is the newest, over all topics"
    );
    assert!(left.len() > 10);
}

#[test]
fn a_million_short_lived_topics_leave_nothing_behind() {
    let mut store = store(HistoryLimits {
        age_ms: 100,
        ..HistoryLimits::default()
    });
    for round in 0..100_u64 {
        for topic in 0..1_000 {
            publish(
                &mut store,
                &[&format!("{round}/{topic}")],
                "x",
                None,
                NOW + round * 1_000,
            );
        }
        assert!(
            store.size().topics <= 2_000,
            "the round before has expired by now"
        );
        expire(&mut store, NOW + round * 1_000, usize::MAX);
    }
    expire(&mut store, NOW + 1_000_000, usize::MAX);
    assert_eq!(store.size(), HistorySize::default());
    assert_eq!(
        store.allocated_bytes(),
        0,
        "the tables are as small as new ones"
    );
}

#[test]
fn an_event_with_several_topics_is_read_once_and_in_order() {
    let mut store = store(HistoryLimits::default());
    let (a, b) = (
        store.subscribe(&Selector::exact("a"), 0, false),
        store.subscribe(&Selector::exact("b"), 0, false),
    );
    let ids = [
        publish(&mut store, &["a"], "1", None, NOW),
        publish(&mut store, &["b", "a", "b"], "2", None, NOW),
        publish(&mut store, &["b"], "3", None, NOW),
    ];
    assert_eq!(
        read(&mut store, &[a, b], EventId::ZERO.next(NOW), false).0,
        ids
    );
    assert_eq!(
        store.len_of("b"),
        2,
        "a topic that is named twice keeps the event once"
    );
}

#[test]
fn private_events_are_kept_but_not_read() {
    let mut store = store(HistoryLimits::default());
    let a = store.subscribe(&Selector::exact("a"), 0, false);
    let event = Event {
        private: true,
        ..Event::new("a", "secret")
    };
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    append(&mut store, &mut draft, NOW);
    assert_eq!(store.len_of("a"), 1);
    let before = store.head().before();
    assert_eq!(read(&mut store, &[a], before, false).0, []);
}

#[test]
fn conflation_reads_the_newest_and_tells_the_last_that_it_skipped() {
    let mut store = store(HistoryLimits::default());
    let a = store.subscribe(&Selector::exact("a"), 0, false);
    let birth = store.head();
    let ids: Vec<_> = (0..4)
        .map(|_| publish(&mut store, &["a"], "x", None, NOW))
        .collect();
    let (events, outcome) = read(&mut store, &[a], birth, true);
    assert_eq!((events, outcome.lost_through), (vec![ids[3]], Some(ids[2])));
    let (events, outcome) = read(&mut store, &[a], ids[2], true);
    assert_eq!(
        (events, outcome.lost_through),
        (vec![ids[3]], None),
        "one event behind is not a gap"
    );
}

#[test]
fn conflation_passes_over_private_events() {
    let mut store = store(HistoryLimits::default());
    let a = store.subscribe(&Selector::exact("a"), 0, false);
    let birth = store.head();
    let secret = |store: &mut Store| {
        let event = Event {
            private: true,
            ..Event::new("a", "secret")
        };
        let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
        append(store, &mut draft, NOW);
    };
    let first = publish(&mut store, &["a"], "x", None, NOW);
    secret(&mut store);
    let (events, outcome) = read(&mut store, &[a], birth, true);
    assert_eq!((events, outcome.lost_through), (vec![first], None));
    let second = publish(&mut store, &["a"], "x", None, NOW);
    secret(&mut store);
    let (events, outcome) = read(&mut store, &[a], birth, true);
    assert_eq!(
        (events, outcome.lost_through),
        (vec![second], Some(first)),
        "the newest that may be seen, and the last before it"
    );
}

#[test]
fn a_cursor_is_found_by_the_nodes_id_or_the_publishers() {
    let mut store = store(HistoryLimits {
        events: 2,
        ..HistoryLimits::default()
    });
    let first = publish(&mut store, &["a"], "1", Some("order-1"), NOW);
    let start = store.resolve(&[Selector::exact("a")], &[], "order-1");
    assert_eq!((start.cursor, start.unknown), (Some(first), None));
    assert_eq!(
        start.last_event_id,
        Some(LastEventId::Asked("order-1".into()))
    );

    let second = publish(&mut store, &["a"], "2", Some("order-2"), NOW);
    publish(&mut store, &["a"], "3", Some("order-2"), NOW);
    let third = store.head();
    let found = |store: &mut Store| {
        let start = store.resolve(&[Selector::exact("a")], &[], "order-2");
        assert_eq!(start.unknown, None);
        start.cursor
    };
    let oldest = "the oldest that is kept of an id that was used twice";
    assert_eq!(found(&mut store), Some(second), "{oldest}");
    publish(&mut store, &["a"], "4", None, NOW);
    assert_eq!(found(&mut store), Some(third), "{oldest}");
    let gone = store.resolve(&[Selector::exact("a")], &[], "order-1");
    assert_eq!(
        gone.unknown.as_deref(),
        Some("order-1"),
        "evicted with its event"
    );
    assert_eq!(gone.last_event_id, Some(LastEventId::Earliest));
}

#[test]
fn a_cursor_ahead_of_the_head_is_unknown() {
    let mut store = store(HistoryLimits::default());
    let ahead = cursor(EventId::from_parts(9_999_999_999_999, 0).expect("fits"));
    let start = store.resolve(&[Selector::exact("a")], &[], &ahead);
    assert_eq!(start.unknown, Some(ahead.into()));
}

/// Regression: the client was told `evicted`, as if events after the cursor had once been kept.
#[test]
fn a_cursor_from_before_the_nodes_birth_was_taken_for_one_that_the_node_gave() {
    let mut store = store(HistoryLimits::default());
    let birth = store.head();
    publish(&mut store, &["a"], "1", None, NOW);
    let long_before = EventId::from_parts(5, 0).expect("fits");
    for before in [birth.before(), long_before] {
        let marked = before.marked(store.mark());
        for before in [marked.to_string(), marked.urn()] {
            let start = store.resolve(&[Selector::exact("a")], &[], &before);
            assert_eq!(start.unknown.as_deref(), Some(&*before));
            assert_eq!(start.last_event_id, Some(LastEventId::Earliest));
        }
    }
    // The start of a stream and heartbeats carry these ids.
    for given in [EventId::ZERO, birth] {
        let start = store.resolve(&[Selector::exact("a")], &[], &cursor(given));
        assert_eq!((start.cursor, start.unknown), (Some(given), None));
    }
}

#[test]
fn the_header_names_the_event_before_the_first_one_sent() {
    let mut store = store(HistoryLimits {
        events: 2,
        ..HistoryLimits::default()
    });
    let ids: Vec<_> = (0..4)
        .map(|_| publish(&mut store, &["a"], "x", None, NOW))
        .collect();
    let mut resumed = |id: EventId| {
        store
            .resolve(&[Selector::exact("a")], &[], &cursor(id))
            .last_event_id
            .map(|id| id.text(cursor))
    };
    assert_eq!(resumed(ids[2]), Some(cursor(ids[2])));
    assert_eq!(
        resumed(ids[0]),
        Some(cursor(ids[1])),
        "evicted: the one before the oldest kept"
    );
    assert_eq!(
        store
            .resolve(&[Selector::exact("a")], &[], "earliest")
            .last_event_id,
        Some(LastEventId::Earliest)
    );
}

#[test]
fn a_topic_that_was_forgotten_is_told_as_a_gap_not_hidden() {
    let mut store = store(HistoryLimits {
        age_ms: 100,
        ..HistoryLimits::default()
    });
    let seen = publish(&mut store, &["a"], "1", None, NOW);
    let missed = publish(&mut store, &["a"], "2", None, NOW);
    expire(&mut store, NOW + 1_000, 100);
    assert_eq!(store.size().topics, 0);
    let a = store.subscribe(&Selector::exact("a"), 0, false);
    let (_, outcome) = read(&mut store, &[a], seen, false);
    assert_eq!(outcome.lost_through, Some(missed));
}

#[test]
fn counts_follow_retain_and_release() {
    let mut store = store(HistoryLimits::default());
    let a = store.subscribe(&Selector::exact("a"), 3, false);
    assert_eq!(store.subscribe(&Selector::exact("a"), 5, false), a);
    assert_eq!(store.subscribers("a"), 2);
    let event = Event::new("a", "x");
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    let (_, appended) = append(&mut store, &mut draft, NOW);
    assert!(
        appended.shards.contains(3) && appended.shards.contains(5) && !appended.shards.contains(4)
    );
    assert_eq!(store.channels(0, 100).0, [("a".into(), 2)]);
    store.unsubscribe(a, false);
    store.unsubscribe(a, false);
    assert_eq!(
        (store.subscribers("a"), store.channels(0, 100).0.len()),
        (0, 0)
    );
}

#[test]
fn long_names_of_topics_count_in_the_budget() {
    let budget_bytes = 256 << 10;
    let mut store = store(HistoryLimits {
        budget_bytes,
        ..HistoryLimits::default()
    });
    for n in 0..2_000 {
        let name = format!("{n:0>1000}");
        publish(&mut store, &[&name], "x", None, NOW);
    }
    let names = store.size().events * 1_000;
    assert!(
        store.size().bytes <= budget_bytes && names < budget_bytes,
        "{:?}",
        store.size()
    );
    while !expire(&mut store, NOW + 2 * HistoryLimits::default().age_ms, 1_000) {}
    assert_eq!(store.size().bytes, 0);
}

#[test]
fn what_is_published_while_a_history_is_erased_is_kept() {
    let mut store = store(HistoryLimits::default());
    publish(&mut store, &["a"], "old", None, NOW);
    let through = store.head();
    let new = publish(&mut store, &["a"], "new", None, NOW);
    assert_eq!(store.erase("a", through, 10), (1, true));
    assert_eq!(store.erase("a", through, 10), (0, true));
    assert_eq!(kept(&store, "a"), [new]);
}

/// Regression: a million topics that had each received a second event were reordered in one hold of
/// the lock.
#[test]
fn topics_whose_oldest_event_changed_are_put_in_order_in_portions() {
    const TOPICS: usize = 3 * evict::EVICTIONS_MAX;
    let mut store = store(HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    });
    for _ in 0..2 {
        for topic in 0..TOPICS {
            publish(&mut store, &[&format!("{topic}")], "x", None, NOW);
        }
    }
    let mut portions = 0;
    while !store.expire(store.head().next(NOW), TOPICS) {
        portions += 1;
    }
    // One call may evict all events, but the number of entries it may mend is limited.
    assert!(portions >= 2, "{portions}");
    assert_eq!(store.size(), HistorySize::default());
    assert_eq!(store.allocated_bytes(), 0);
}

/// Regression: two hundred thousand expired topics left two hundred portions to walk over, and 77
/// bytes for each topic.
#[test]
fn topics_that_are_gone_are_not_walked_over() {
    let mut store = store(HistoryLimits::default());
    for topic in 0..30_000 {
        publish(&mut store, &[&format!("{topic}")], "x", None, NOW);
    }
    let last = store.subscribe(&Selector::exact("last"), 0, false);
    while !store.expire(store.head().next(NOW), 1_000) {}
    let mut walk = TopicWalk::default();
    let infos = store.infos(&mut walk, 10, &mut Work::new(HoldLimits::SMALL));
    assert_eq!((infos.len(), walk.next()), (1, None), "one portion");
    assert_eq!(store.channels(0, 10).1, None);
    let bytes = store.allocated_bytes();
    assert!(bytes < 16_384, "one page, one chunk, one part: {bytes}");
    store.unsubscribe(last, false);
    assert_eq!(
        store.allocated_bytes(),
        0,
        "the tables are as small as new ones"
    );
}

/// Regression: the first topics of each batch used up its evictions, and its last ones grew beyond
/// `history_bytes`.
#[test]
fn a_topic_at_the_end_of_every_batch_keeps_within_its_bytes() {
    let mut store = store(HistoryLimits {
        bytes: 1_000,
        ..HistoryLimits::default()
    });
    for _ in 0..100 {
        let event = Event::new("last", "x".repeat(50));
        let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
        store.evictions_left = 0;
        let appended = store.append(&mut draft, Stamp::Local(NOW));
        appended.expect("a local id rises");
    }
    assert!(store.size().events <= 20, "{:?}", store.size());
}
