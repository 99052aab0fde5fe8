//! Tests of patterns, private events and grants through the store's interface.

use super::*;
use crate::core::event::EventError;
use crate::core::selector::Syntax;

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
    append(store, &mut draft, NOW)
}

fn info(store: &mut Store, name: &str) -> TopicInfo {
    let mut count = PatternCount::default();
    loop {
        if let Some(info) = store.info(name, &mut count, false, &mut Work::new(HoldLimits::SMALL)) {
            return info;
        }
    }
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
        let outcome = store.read(
            &wanted,
            grant,
            position,
            budget,
            |_| EventId::ZERO,
            &mut out,
        );
        let Some(through) = outcome.examined_through else {
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
    let all = store.subscribe(&pattern("*"), 3, true);
    let (_, appended) = secret(&mut store, &["new"]);
    assert_eq!(appended.listened[..], [all]);
    assert_eq!(appended.subscribers, 1);
    assert!(appended.shards.contains(3));
    assert_eq!(read_as(&mut store, &[all], None), [old]);
    assert_eq!(info(&mut store, "old").streams_by_pattern, 1);
    store.unsubscribe(all, true);
    assert_eq!(info(&mut store, "old").streams_by_pattern, 0);
}

#[test]
fn a_slot_that_is_used_again_brings_no_matches_along() {
    let mut store = store(HistoryLimits::default());
    let all = store.subscribe(&pattern("*"), 0, false);
    publish(&mut store, &["a"], "x", None, NOW);
    store.unsubscribe(all, false);
    let other = store.subscribe(&exact("b"), 0, false);
    store.unsubscribe(other, false);
    let again = store.subscribe(&pattern("*"), 0, false);
    assert_eq!(again, all, "the slot is used again");
    assert_eq!(info(&mut store, "a").streams_by_pattern, 1);
    assert_eq!(read_as(&mut store, &[again], None).len(), 1);
}

#[test]
fn when_serial_numbers_run_out_all_are_given_anew() {
    let mut store = store(HistoryLimits::default());
    let held = store.share(&[pattern("*")]).expect("a grant");
    let a = store.subscribe(&exact("a"), 0, true);
    let (first, _) = secret(&mut store, &["a"]);
    store.patterns.run_out_of_serials();
    store.unshare(&held);
    let held = store.share(&[pattern("*")]).expect("a grant");
    let (second, appended) = secret(&mut store, &["a"]);
    assert!(appended.audience.expect("private").admits(&held));
    assert_eq!(read_as(&mut store, &[a], Some(&held)), [first, second]);
}

#[test]
fn a_private_event_is_for_those_who_were_granted_one_of_its_topics() {
    let mut store = store(HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    });
    let wall = store.subscribe(&exact("wall"), 0, true);
    let anonymous = store.subscribe(&exact("wall"), 0, false);
    let (id, appended) = secret(&mut store, &["wall", "user/1"]);
    assert_eq!(
        appended.subscribers, 1,
        "of those who were granted anything"
    );
    let audience = appended.audience.expect("private and listened to");
    let grants: Vec<_> = ["user/1", "user/2", "wall"]
        .map(|topic| store.share(&[exact(topic)]).expect("a grant"))
        .into();
    assert!(audience.admits(&grants[2]));
    assert_eq!(read_as(&mut store, &[wall], Some(&grants[0])), [id]);
    assert_eq!(read_as(&mut store, &[wall], Some(&grants[1])), []);
    assert_eq!(read_as(&mut store, &[wall], Some(&grants[2])), [id]);
    assert_eq!(read_as(&mut store, &[wall], None), []);
    // The topic that the grant names evicts the event. The subscribed topic keeps it, with its
    // audience.
    publish(&mut store, &["user/1"], "newer", None, NOW);
    assert_eq!(read_as(&mut store, &[wall], Some(&grants[0])), [id]);
    let by_pattern = store.share(&[pattern("*")]).expect("a grant");
    assert_eq!(read_as(&mut store, &[wall], Some(&by_pattern)), [id]);
    for grant in grants.iter().chain([&by_pattern]) {
        store.unshare(grant);
    }
    store.unsubscribe(wall, true);
    store.unsubscribe(anonymous, false);
    expire(&mut store, NOW + 100_000_000, usize::MAX);
    assert_eq!(store.size(), HistorySize::default());
    assert!(store.is_bare());
}

#[test]
fn equal_grants_share_one_record_and_go_with_the_last() {
    let mut store = store(HistoryLimits::default());
    let first = store.share(&[exact("a"), pattern("*")]).expect("a grant");
    let second = store.share(&[pattern("*"), exact("a")]).expect("a grant");
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert_eq!(store.grants.len(), 1);
    assert_eq!(store.share(&[]), None);
    store.unshare(&first);
    assert_eq!(store.size().topics, 1, "held by the grant");
    store.unshare(&second);
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
    let start = store.resolve(&[pattern("*")], &[], &cursor(seen));
    assert_eq!(start.cursor, Some(seen));
    assert_eq!(start.last_event_id, Some(LastEventId::Id(lost)));
    let all = store.subscribe(&pattern("*"), 0, false);
    assert!(!store.nothing_after(&start, &[all], false));
    let start = store.resolve(&[pattern("*")], &[], &cursor(lost));
    assert_eq!(start.last_event_id, Some(LastEventId::Asked(cursor(lost))));
    let start = store.resolve(&[pattern("*")], &[], &cursor(kept));
    assert!(store.nothing_after(&start, &[all], false));
}

/// Regression: a pattern was created after a topic had evicted an event, and its earlier evictions
/// were computed only after the topic had been deleted.
#[test]
fn a_topic_that_goes_after_a_patterns_birth_takes_no_loss_along() {
    let mut store = store(HistoryLimits {
        events: 0,
        ..HistoryLimits::default()
    });
    let a = store.subscribe(&exact("a"), 0, false);
    let seen = store.head();
    let lost = publish(&mut store, &["a"], "1", None, NOW);
    let all = store.subscribe(&pattern("*"), 0, false);
    store.unsubscribe(a, false);
    assert_eq!(store.size().topics, 0);
    assert_eq!(
        store.evicted_from(all, true, seen, &mut Work::unbounded()),
        lost
    );
    let none = store.subscribe(&pattern("b/*"), 0, false);
    let later = publish(&mut store, &["a"], "2", None, NOW);
    assert_eq!(
        store.evicted_from(all, true, lost, &mut Work::unbounded()),
        later
    );
    assert_eq!(
        store.evicted_from(none, true, lost, &mut Work::unbounded()),
        lost,
        "what was gone at its birth"
    );
}

#[test]
fn a_publishers_id_is_found_by_name_and_by_pattern() {
    let mut store = store(HistoryLimits::default());
    let first = publish(&mut store, &["a", "b"], "1", Some("urn:x:1"), NOW);
    publish(&mut store, &["a"], "2", Some("urn:x:2"), NOW);
    for selector in [pattern("*"), exact("b")] {
        let start = store.resolve(&[selector], &[], "urn:x:1");
        assert_eq!((start.cursor, start.unknown), (Some(first), None));
    }
    for selector in [pattern("c/*"), exact("elsewhere")] {
        let start = store.resolve(&[selector], &[], "urn:x:1");
        assert_eq!(start.unknown.as_deref(), Some("urn:x:1"));
    }
    let newer = publish(&mut store, &["c/d"], "3", Some("urn:x:1"), NOW);
    // The earliest of several events with this id counts; events that the selectors do not match do
    // not.
    for (selector, id) in [
        (pattern("*"), first),
        (exact("b"), first),
        (pattern("c/*"), newer),
    ] {
        let found = store.resolve(&[selector], &[], "urn:x:1");
        assert_eq!((found.cursor, found.unknown), (Some(id), None));
    }
    while !expire(&mut store, NOW + 2 * HistoryLimits::default().age_ms, 100) {}
    let found = store.resolve(&[pattern("*")], &[], "urn:x:1");
    assert!(found.unknown.is_some());
}

#[test]
fn a_private_meaning_of_an_id_is_passed_over_by_those_who_may_not_hear_it() {
    let mut store = store(HistoryLimits::default());
    let event = Event {
        id: Some("x".into()),
        private: true,
        ..Event::new("a", "hidden")
    };
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    let hidden = append(&mut store, &mut draft, NOW).0;
    let open = publish(&mut store, &["a"], "open", Some("x"), NOW);
    for selector in [exact("a"), pattern("*")] {
        let anonymous = store.resolve(std::slice::from_ref(&selector), &[], "x");
        assert_eq!(anonymous.cursor, Some(open), "{selector:?}");
        let granted = store.resolve(&[selector], &[exact("a")], "x");
        assert_eq!(granted.cursor, Some(hidden));
    }
}

/// Regression: if it took too much work to decide whether the stream may hear a private event with
/// the id, the stream continued from a later event with it, and lost the events between without a
/// gap.
#[test]
fn a_meaning_that_could_not_be_decided_loses_nothing() {
    let mut store = store(HistoryLimits::default());
    let topic = "a".repeat(50);
    let event = Event {
        id: Some("x".into()),
        private: true,
        ..Event::new(topic.as_str(), "for this client")
    };
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    append(&mut store, &mut draft, NOW);
    publish(&mut store, &[&topic], "open", Some("x"), NOW);
    let mut grant: Vec<_> = (0..20)
        .map(|n| pattern(&format!("{{v{n}}}z{{w}}")))
        .collect();
    grant.push(pattern("{y}"));
    let start = store.resolve(&[exact(&topic)], &grant, "x");
    assert_eq!(start.unknown.as_deref(), Some("x"), "{start:?}");
    assert_eq!(start.cursor, Some(EventId::ZERO));
}

/// Regression: the `Last-Event-ID` of the response revealed private events. It named the event
/// before a private one that the stream is never sent.
#[test]
fn the_first_event_that_a_stream_gets_is_one_that_it_may_hear() {
    let mut store = store(HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    });
    let seen = publish(&mut store, &["a"], "1", None, NOW);
    secret(&mut store, &["b"]);
    let lost = publish(&mut store, &["a"], "2", None, NOW);
    publish(&mut store, &["a"], "3", None, NOW);
    for selectors in [&[exact("a"), exact("b")][..], &[pattern("*")]] {
        let mut header = |grant: &[Selector]| {
            let start = store.resolve(selectors, grant, &cursor(seen));
            assert_eq!((start.cursor, start.unknown), (Some(seen), None));
            start.last_event_id
        };
        assert_eq!(header(&[]), Some(LastEventId::Id(lost)), "{selectors:?}");
        assert_eq!(header(&[exact("c")]), Some(LastEventId::Id(lost)));
        assert_ne!(header(&[exact("b")]), Some(LastEventId::Id(lost)));
    }
}

#[test]
fn an_id_with_more_meanings_than_may_be_looked_at_is_unknown() {
    let mut store = store(HistoryLimits::default());
    for n in 0..20 {
        publish(&mut store, &[&format!("user/{n}")], "x", Some("1"), NOW);
    }
    // A stream that names the topic exactly is not affected.
    let named = store.resolve(&[exact("user/19")], &[], "1");
    assert_eq!(named.unknown, None);
    let start = store.resolve(&[pattern("user/19{n}")], &[], "1");
    assert_eq!(start.unknown.as_deref(), Some("1"));
}

/// Regression: a publisher gave its event an id that looked like a cursor, and streams of other
/// topics continued from that event.
#[test]
fn a_publishers_id_moves_no_cursor_of_other_topics() {
    let mut store = store(HistoryLimits::default());
    let seen = publish(&mut store, &["victim"], "1", None, NOW);
    let missed = publish(&mut store, &["victim"], "2", None, NOW);
    let cursors = [cursor(seen), seen.marked(store.mark()).urn()];
    let other = seen.marked(OrderMark::new(u64::MAX));
    for forged in [seen.to_string(), other.to_string(), other.urn()] {
        let id = publish(&mut store, &["attacker"], "x", Some(&forged), NOW);
        let all = [&[exact("victim"), exact("attacker")][..], &[pattern("*")]];
        for selectors in all {
            let start = store.resolve(selectors, &[], &forged);
            assert_eq!(start.cursor, Some(id), "it is the publisher's id");
        }
        let start = store.resolve(&[exact("victim")], &[], &forged);
        assert_eq!(start.unknown.as_deref(), Some(&*forged));
        for selectors in [&[exact("victim")][..], all[0], all[1]] {
            for cursor in &cursors {
                let start = store.resolve(selectors, &[], cursor);
                assert_eq!((start.cursor, start.unknown), (Some(seen), None));
            }
        }
    }
    for forged in cursors {
        let event = Event {
            id: Some(forged.clone().into()),
            ..Event::new("attacker", "x")
        };
        let refused = Draft::new(event, &EventLimits::default()).map(drop);
        assert_eq!(refused, Err(EventError::NodesId(forged)));
    }
    let victim = store.subscribe(&exact("victim"), 0, false);
    let start = store.resolve(&[exact("victim")], &[], &cursor(seen));
    assert!(
        !store.nothing_after(&start, &[victim], false),
        "{missed} is next"
    );
}

/// Regression: events copied from a Redis stream with their ids were sent again if its clock was
/// behind, or lost without a gap if it was ahead.
#[test]
fn an_own_id_that_looks_like_the_nodes_means_its_event_and_no_place() {
    for clock in [NOW - 1_000, NOW, NOW + 1_000] {
        let mut store = store(HistoryLimits {
            events: 3,
            ..HistoryLimits::default()
        });
        let copied = |n: u64| format!("{clock}-{n}");
        let mut ids = Vec::new();
        for n in 0..5 {
            ids.push(publish(&mut store, &["a"], "x", Some(&copied(n)), NOW));
        }
        for selector in [exact("a"), pattern("*")] {
            for (n, id) in ids.iter().enumerate() {
                let cursor = copied(n as u64);
                let start = store.resolve(std::slice::from_ref(&selector), &[], &cursor);
                if n < 2 {
                    assert_eq!(start.unknown.as_deref(), Some(&*cursor), "evicted");
                    assert_eq!(start.cursor, Some(EventId::ZERO));
                } else {
                    assert_eq!((start.cursor, start.unknown), (Some(*id), None));
                }
            }
        }
    }
}

/// Regression: a cursor of another node, or of this node before a restart, was read as a position
/// in this node's history, and the events before it were hidden.
#[test]
fn a_cursor_of_another_order_is_unknown() {
    for clock in [NOW - 1_000, NOW + 1_000] {
        let mut before = Store::new(HistoryLimits::default(), clock)
            .with_mark(OrderMark::new(1 << 24))
            .with_hold(HoldLimits::SMALL);
        let seen = publish(&mut before, &["a"], "1", None, clock);
        let mut after = store(HistoryLimits::default());
        publish(&mut after, &["a"], "2", None, NOW);
        let seen = seen.marked(before.mark());
        for cursor in [seen.to_string(), seen.urn(), seen.id.to_string()] {
            for selector in [exact("a"), pattern("*"), exact("b")] {
                let start = after.resolve(&[selector], &[], &cursor);
                assert_eq!(start.unknown.as_deref(), Some(&*cursor));
                assert_eq!(start.cursor, Some(EventId::ZERO));
            }
        }
    }
}

#[test]
fn many_patterns_and_many_topics_are_matched_in_portions() {
    let mut store = store(HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    });
    for topic in 0..100 {
        publish(&mut store, &[&format!("{topic}")], "1", None, NOW);
        publish(&mut store, &[&format!("{topic}")], "2", None, NOW);
    }
    let patterns: Vec<_> = (0..100)
        .map(|number| pattern(&format!("{{+a{number}}}")))
        .collect();
    let held = store.share(&patterns).expect("a grant");
    let mut ready = SelectorIds::new();
    let mut portions = 1;
    while !store.prepare(
        ["new"].into_iter(),
        &mut ready,
        &mut Work::new(HoldLimits::SMALL),
    ) {
        portions += 1;
        assert_eq!(ready.len(), 1, "held once, so that what was found stays");
    }
    assert!(portions > 10, "{portions}");
    assert!(store.prepare(
        ["new"].into_iter(),
        &mut SelectorIds::new(),
        &mut Work::new(HoldLimits::SMALL)
    ));
    store.unpin_all(&mut ready);
    assert_eq!(info(&mut store, "new").events, 0);
    // The scan of topics for evictions before the patterns' creation is limited, too. If it stops
    // early, a gap is reported that may not concern the stream.
    let start = store.resolve(&patterns, &[], &cursor(EventId::ZERO.next(NOW)));
    assert!(start.last_event_id.is_some());
    // The expiry of old events is done in portions, too.
    let mut portions = 1;
    while !expire(&mut store, NOW + 100_000_000, usize::MAX) {
        portions += 1;
    }
    assert!(portions > 10, "{portions}");
    assert_eq!(store.size().events, 0);
    store.unshare(&held);
    assert!(store.is_bare());
}

/// Regression: an evicted private event was reported as a loss to streams that could never have
/// heard it.
#[test]
fn what_nobody_may_hear_is_no_loss_to_him() {
    let mut store = store(HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    });
    let seen = publish(&mut store, &["wall"], "1", None, NOW);
    let (lost, _) = secret(&mut store, &["wall"]);
    secret(&mut store, &["wall"]);
    for selector in [exact("wall"), pattern("*")] {
        let id = store.subscribe(&selector, 0, false);
        let mut work = Work::unbounded();
        assert_eq!(
            store.evicted_from(id, false, EventId::ZERO, &mut work),
            seen
        );
        assert_eq!(store.evicted_from(id, true, EventId::ZERO, &mut work), lost);
        let asked = Some(LastEventId::Asked(cursor(seen)));
        let anonymous = store.resolve(std::slice::from_ref(&selector), &[], &cursor(seen));
        assert_eq!(anonymous.last_event_id, asked);
        let granted = store.resolve(&[selector], &[pattern("*")], &cursor(seen));
        assert_eq!(granted.last_event_id, Some(LastEventId::Id(lost)));
    }
}

#[test]
fn the_nodes_own_urn_is_a_cursor() {
    let mut store = store(HistoryLimits::default()).with_mark(OrderMark::new(77));
    let id = publish(&mut store, &["a"], "1", None, NOW);
    let urn = id.marked(store.mark()).urn();
    assert_eq!(store.resolve(&[exact("a")], &[], &urn).cursor, Some(id));
    let other = id.marked(OrderMark::new(78)).urn();
    assert_eq!(
        store.resolve(&[exact("a")], &[], &other).unknown.as_deref(),
        Some(&*other)
    );
}

#[test]
fn what_topics_remember_of_their_patterns_counts_in_the_budget_and_is_given_back() {
    let budget_bytes = 64 << 10;
    let mut store = store(HistoryLimits {
        budget_bytes,
        ..HistoryLimits::default()
    });
    let held: Vec<_> = (0..500)
        .map(|n| store.subscribe(&pattern(&format!("{{v{n}}}")), 0, false))
        .collect();
    for n in 0..100 {
        publish(&mut store, &[&format!("t{n}")], "x", None, NOW);
        let size = store.size();
        assert!(size.bytes <= budget_bytes, "{size:?}");
        // Each topic stores 500 patterns, at eight bytes or more.
        assert!(size.bytes >= size.events * 500 * 8, "{size:?}");
    }
    assert!(store.size().events >= 5, "{:?}", store.size());
    store.patterns.run_out_of_serials();
    let more = store.subscribe(&pattern("more/{x}"), 0, false);
    assert!(store.size().bytes < store.size().events * 500 * 8);
    for id in held {
        store.unsubscribe(id, false);
    }
    store.unsubscribe(more, false);
    let later = NOW + 2 * HistoryLimits::default().age_ms;
    while !expire(&mut store, later, 1_000) {}
    assert_eq!((store.size().events, store.size().bytes), (0, 0));
}

/// Regression: evicting a thousand events of a topic that two thousand patterns match took two
/// million steps in one hold of the lock.
#[test]
fn what_many_patterns_are_told_of_is_evicted_in_portions() {
    let patterns: Vec<_> = (0..20).map(|n| pattern(&format!("{{v{n}}}"))).collect();
    let filled = |topics: usize| {
        let mut store = store(HistoryLimits::default());
        for selector in &patterns {
            store.subscribe(selector, 0, false);
        }
        for number in 0..30 {
            // Topics take turns, so that each eviction notifies the patterns of another topic.
            let topic = format!("t{}", number % topics);
            publish(&mut store, &[&topic], "x", None, NOW);
        }
        store
    };
    let portions = |mut portion: Box<dyn FnMut() -> bool>| {
        let mut count = 1;
        while !portion() {
            count += 1;
            assert!(count < 100, "each portion gets on");
        }
        count
    };
    let mut store = filled(1);
    let head = store.head();
    let erasing = portions(Box::new(move || store.erase("t0", head, 1_000).1));
    assert!(erasing <= 3, "{erasing}: one topic tells them once");
    let later = NOW + 2 * HistoryLimits::default().age_ms;
    let mut store = filled(10);
    let expiring = portions(Box::new(move || expire(&mut store, later, 1_000)));
    assert!(expiring > 5, "{expiring}");
}
