//! Patterns, private events and grants, seen from the store's interface.

use super::*;
use crate::selector::Syntax;

fn pattern(text: &str) -> Selector {
    let selector = Selector::parse(text, Syntax::Native, 100).expect("a pattern");
    assert!(!selector.is_exact());
    selector
}

fn exact(topic: &str) -> Selector {
    Selector::exact(topic)
}

fn secret(store: &mut Store, topics: &[&str]) -> (EventId, Appended) {
    let event = Event {
        topics: topics
            .iter()
            .map(|name| (*name).to_owned().into())
            .collect(),
        private: true,
        ..Event::new("", "secret")
    };
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    store.append(&mut draft, NOW)
}

fn read_as(store: &mut Store, ids: &[SelectorId], grant: Option<&Grant>) -> Vec<EventId> {
    let wanted: Vec<_> = ids
        .iter()
        .map(|id| Wanted {
            selector: *id,
            policy: SlowConsumerPolicy::Skip,
        })
        .collect();
    let mut position = Position {
        cursor: EventId::ZERO,
        told_through: store.head(),
        until: store.head(),
        conflate: false,
    };
    let budget = ReadBudget {
        events: 100,
        bytes: 100_000,
    };
    let mut out = Vec::new();
    loop {
        let grant = grant.map(|grant| &**grant);
        let outcome = store.read(&wanted, grant, position, budget, &mut out);
        let Some(through) = outcome.looked_through else {
            return out.into_iter().map(|(id, _)| id).collect();
        };
        assert!(through >= position.cursor, "a look goes on");
        position.cursor = through.max(out.last().map_or(through, |(id, _)| *id));
    }
}

#[test]
fn a_pattern_hears_topics_older_and_younger_than_itself() {
    let mut store = store(HistoryLimits::default());
    let old = publish(&mut store, &["old"], "x", None, NOW);
    let all = store.retain(&pattern("*"), 3, true);
    let (_, appended) = secret(&mut store, &["new"]);
    assert_eq!(appended.listened[..], [all]);
    assert_eq!(appended.subscribers, 1);
    assert!(appended.shards.contains(3));
    assert_eq!(read_as(&mut store, &[all], None), [old]);
    assert_eq!(store.info("old").streams_by_pattern, 1);
    assert_eq!(store.info("never").streams_by_pattern, 1);
    store.release(all, true);
    assert_eq!(store.info("old").streams_by_pattern, 0);
}

#[test]
fn a_slot_that_is_used_again_brings_no_matches_along() {
    let mut store = store(HistoryLimits::default());
    let all = store.retain(&pattern("*"), 0, false);
    publish(&mut store, &["a"], "x", None, NOW);
    store.release(all, false);
    let other = store.retain(&exact("b"), 0, false);
    store.release(other, false);
    let again = store.retain(&pattern("*"), 0, false);
    assert_eq!(again, all, "the slot is used again");
    assert_eq!(store.info("a").streams_by_pattern, 1);
    assert_eq!(read_as(&mut store, &[again], None).len(), 1);
}

#[test]
fn when_serial_numbers_run_out_all_are_given_anew() {
    let mut store = store(HistoryLimits::default());
    let held = store.grant(&[pattern("*")]).expect("a grant");
    let a = store.retain(&exact("a"), 0, true);
    let (first, _) = secret(&mut store, &["a"]);
    store.patterns.run_out_of_serials();
    store.give_back(&held);
    let held = store.grant(&[pattern("*")]).expect("a grant");
    let (second, appended) = secret(&mut store, &["a"]);
    assert!(meet(&held, appended.audience.as_deref().expect("private")));
    assert_eq!(read_as(&mut store, &[a], Some(&held)), [first, second]);
}

#[test]
fn a_private_event_is_for_those_who_were_granted_one_of_its_topics() {
    let mut store = store(HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    });
    let wall = store.retain(&exact("wall"), 0, true);
    let anonymous = store.retain(&exact("wall"), 0, false);
    let (id, appended) = secret(&mut store, &["wall", "user/1"]);
    assert_eq!(
        appended.subscribers, 1,
        "of those who were granted anything"
    );
    let audience = appended.audience.expect("private and listened to");
    let grants: Vec<_> = ["user/1", "user/2", "wall"]
        .map(|topic| store.grant(&[exact(topic)]).expect("a grant"))
        .into();
    assert!(meet(&grants[2], &audience));
    assert_eq!(read_as(&mut store, &[wall], Some(&grants[0])), [id]);
    assert_eq!(read_as(&mut store, &[wall], Some(&grants[1])), []);
    assert_eq!(read_as(&mut store, &[wall], Some(&grants[2])), [id]);
    assert_eq!(read_as(&mut store, &[wall], None), []);
    // The topic that the grant names forgets the event; the one that is subscribed to keeps it, and its audience.
    publish(&mut store, &["user/1"], "newer", None, NOW);
    assert_eq!(read_as(&mut store, &[wall], Some(&grants[0])), [id]);
    let by_pattern = store.grant(&[pattern("*")]).expect("a grant");
    assert_eq!(read_as(&mut store, &[wall], Some(&by_pattern)), [id]);
    for grant in grants.iter().chain([&by_pattern]) {
        store.give_back(grant);
    }
    store.release(wall, true);
    store.release(anonymous, false);
    store.expire(NOW + 100_000_000, usize::MAX);
    assert_eq!(store.size(), HistorySize::default());
    assert!(store.is_bare());
}

#[test]
fn equal_grants_share_one_record_and_go_with_the_last() {
    let mut store = store(HistoryLimits::default());
    let first = store
        .grant(&[exact("a"), pattern("*"), exact("a")])
        .expect("a grant");
    let second = store.grant(&[pattern("*"), exact("a")]).expect("a grant");
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert_eq!(store.grants.len(), 1);
    assert_eq!(store.grant(&[]), None);
    store.give_back(&first);
    assert_eq!(store.size().topics, 1, "held by the grant");
    store.give_back(&second);
    assert_eq!(store.size().topics, 0);
    assert!(store.is_bare());
}

#[test]
fn what_was_evicted_from_a_patterns_topics_is_a_gap() {
    let mut store = store(HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    });
    let seen = publish(&mut store, &["a"], "1", None, NOW);
    let lost = publish(&mut store, &["a"], "2", None, NOW);
    let kept = publish(&mut store, &["a"], "3", None, NOW);
    let start = store.resolve(&[pattern("*")], &seen.to_string());
    assert_eq!(start.cursor, Some(seen));
    assert_eq!(start.last_event_id, Some(LastEventId::Id(lost)));
    let all = store.retain(&pattern("*"), 0, false);
    assert!(!store.nothing_after(&start, &[all]));
    let start = store.resolve(&[pattern("*")], &lost.to_string());
    assert_eq!(
        start.last_event_id,
        Some(LastEventId::Asked(lost.to_string()))
    );
    let start = store.resolve(&[pattern("*")], &kept.to_string());
    assert!(store.nothing_after(&start, &[all]));
}

/// A pattern was born when a topic had evicted an event, and asked what was evicted before its birth when the topic was gone.
#[test]
fn a_topic_that_goes_after_a_patterns_birth_takes_no_loss_along() {
    let mut store = store(HistoryLimits {
        events: 0,
        ..HistoryLimits::default()
    });
    let a = store.retain(&exact("a"), 0, false);
    let seen = store.head();
    let lost = publish(&mut store, &["a"], "1", None, NOW);
    let all = store.retain(&pattern("*"), 0, false);
    store.release(a, false);
    assert_eq!(store.size().topics, 0);
    assert_eq!(store.evicted_from(all, seen), lost);
    let none = store.retain(&pattern("b/*"), 0, false);
    let later = publish(&mut store, &["a"], "2", None, NOW);
    assert_eq!(store.evicted_from(all, lost), later);
    assert_eq!(
        store.evicted_from(none, lost),
        lost,
        "what was gone at its birth"
    );
}

#[test]
fn a_publishers_id_is_found_whatever_the_selector() {
    let mut store = store(HistoryLimits::default());
    let first = publish(&mut store, &["a", "b"], "1", Some("urn:x:1"), NOW);
    publish(&mut store, &["a"], "2", Some("urn:x:2"), NOW);
    for selector in [pattern("*"), exact("b"), exact("elsewhere")] {
        let start = store.resolve(&[selector], "urn:x:1");
        assert_eq!((start.cursor, start.unknown), (Some(first), None));
    }
    let newer = publish(&mut store, &["c"], "3", Some("urn:x:1"), NOW);
    assert_eq!(
        store.resolve(&[pattern("*")], "urn:x:1").cursor,
        Some(newer)
    );
    assert_eq!(store.resolve(&[exact("b")], "urn:x:1").cursor, Some(first));
}

#[test]
fn the_nodes_own_urn_is_a_cursor() {
    let mut store = store(HistoryLimits::default()).with_node(77);
    let id = publish(&mut store, &["a"], "1", None, NOW);
    let urn = store.urn(id);
    assert_eq!(store.resolve(&[exact("a")], &urn).cursor, Some(id));
    let other = id.urn(78);
    assert_eq!(
        store.resolve(&[exact("a")], &other).unknown.as_deref(),
        Some(&*other)
    );
}
