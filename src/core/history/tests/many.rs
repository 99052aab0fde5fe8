//! Topics that many patterns match: the cost of an event, and the correctness of the counts.

use super::*;
use crate::core::selector::Syntax;

/// Different patterns that all match `t`.
fn patterns(count: usize) -> Vec<Selector> {
    let texts = (0..count).map(|n| format!("{{v{n}}}"));
    texts
        .map(|text| Selector::parse(&text, Syntax::Native, 100).expect("a pattern"))
        .collect()
}

fn subscribe_all(store: &mut Store, count: usize) -> Vec<SelectorId> {
    let selectors = patterns(count);
    let ids = selectors.iter().enumerate();
    ids.map(|(n, selector)| store.subscribe(selector, n % 3, n % 2 == 0))
        .collect()
}

fn append_to(store: &mut Store, topics: &[&str], private: bool) -> Appended {
    let event = Event {
        topics: topics.iter().map(|name| (*name).into()).collect(),
        private,
        ..Event::new("", "data")
    };
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    append(store, &mut draft, NOW).1
}

/// Regression: each event listed every pattern that matched it.
#[test]
fn an_event_is_posted_in_a_form_that_does_not_grow_with_the_patterns_that_match() {
    let posted = |count: usize| {
        let mut store = store(HistoryLimits::default());
        subscribe_all(&mut store, count);
        let first = append_to(&mut store, &["t"], false);
        let second = append_to(&mut store, &["t"], false);
        assert!(std::sync::Arc::ptr_eq(&first.sets[0], &second.sets[0]));
        assert_eq!(first.subscribers, count as u64);
        let private = append_to(&mut store, &["t"], true);
        assert_eq!(private.subscribers, count.div_ceil(2) as u64);
        let audience = private.audience.expect("private").len();
        (first.listened.len() + first.sets.len(), audience)
    };
    assert_eq!(posted(10), (1, 2));
    assert_eq!(posted(3_000), posted(10));
}

/// Regression: each event visited every pattern that matched it to count the streams.
#[test]
fn the_streams_of_many_patterns_are_added_up_once_and_not_for_each_event() {
    let mut store = store(HistoryLimits::default());
    let ids = subscribe_all(&mut store, 3_000);
    append_to(&mut store, &["t"], false);
    let steps = |store: &mut Store| {
        let before = Work::unbounded();
        let mut work = before;
        let mut held = SelectorIds::new();
        assert!(store.prepare(["t"].into_iter(), &mut held, &mut work));
        store.unpin_all(&mut held);
        work.steps_since(before)
    };
    assert_eq!(steps(&mut store), 0);
    store.subscribe_id(ids[7], 5, false);
    store.unsubscribe(ids[8], true);
    assert_eq!(steps(&mut store), 2, "the changes since");
    assert_eq!(steps(&mut store), 0);
    for id in &ids[100..120] {
        store.subscribe_id(*id, 5, false);
    }
    let anew = steps(&mut store);
    assert!((2_999..=3_000).contains(&anew), "{anew} by counted steps");
    // If a portion has no work left, the next one counts.
    for id in &ids[100..120] {
        store.unsubscribe(*id, false);
    }
    let mut held = SelectorIds::new();
    let mut spent = Work::default();
    spent.spend(usize::MAX);
    assert!(!store.prepare(["t"].into_iter(), &mut held, &mut spent));
    assert!(store.prepare(["t"].into_iter(), &mut held, &mut Work::default()));
    store.unpin_all(&mut held);
}

/// Streams come and go at random. The sums must equal those of the open streams.
#[test]
fn the_sums_of_many_patterns_are_those_of_their_streams() {
    let mut dice = fastrand::Rng::with_seed(11);
    let mut store = store(HistoryLimits::default());
    let selectors = patterns(12);
    let more = ["a*", "{x}b", "a{x}"].map(|text| {
        let text = text.replace('*', "{+z}");
        Selector::parse(&text, Syntax::Native, 100).expect("a pattern")
    });
    let selectors: Vec<_> = selectors.into_iter().chain(more).collect();
    // Open streams: number of the selector, shard, grant, id.
    let mut streams: Vec<(usize, usize, bool, SelectorId)> = Vec::new();
    for _ in 0..3_000 {
        if dice.usize(..60) >= streams.len() {
            let (number, shard, granted) = (dice.usize(..15), dice.usize(..4), dice.bool());
            let id = store.subscribe(&selectors[number], shard, granted);
            streams.push((number, shard, granted, id));
        } else {
            let (_, _, granted, id) = streams.swap_remove(dice.usize(..streams.len()));
            store.unsubscribe(id, granted);
        }
        if dice.u8(..3) > 0 {
            continue;
        }
        let topics: &[&str] = match dice.u8(..4) {
            0 => &["ab"],
            1 => &["b"],
            2 => &["ab", "c"],
            _ => &["b", "a", "b"],
        };
        let private = dice.bool();
        let appended = append_to(&mut store, topics, private);
        let heard = streams.iter().filter(|(number, _, granted, _)| {
            let matches = |topic: &&str| selectors[*number].matches(topic);
            topics.iter().any(matches) && (granted | !private)
        });
        let mut shards = ShardSet::default();
        let mut count = 0;
        for (_, shard, _, _) in heard {
            shards.insert(*shard);
            count += 1;
        }
        assert_eq!(appended.subscribers, count);
        assert!(shards.without(appended.shards).is_empty());
        assert_eq!(appended.is_heard(), count > 0);
        assert_eq!(appended.shards.is_empty(), count == 0);
    }
    for (_, _, granted, id) in streams {
        store.unsubscribe(id, granted);
    }
    expire(&mut store, NOW + 100_000_000, usize::MAX);
    while !expire(&mut store, NOW + 100_000_000, usize::MAX) {}
    assert_eq!(store.size(), HistorySize::default());
    assert_eq!(store.allocated_bytes(), 0);
}

/// Regression: each event of a full topic notified all matching patterns of the event that it
/// evicted.
#[test]
fn many_patterns_are_not_told_of_each_eviction_and_miss_none() {
    let mut store = store(HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    });
    let ids = subscribe_all(&mut store, 100);
    let slot = ids[40].pattern_slot().expect("a pattern");
    let told = |store: &Store| {
        let pattern = store.patterns.get(slot).expect("a pattern");
        pattern.evicted().for_reader(true)
    };
    let birth = told(&store);
    let mut lost = birth;
    let mut work = Work::unbounded();
    for _ in 0..10 {
        lost = publish(&mut store, &["t"], "x", None, NOW);
    }
    publish(&mut store, &["t"], "x", None, NOW);
    assert_eq!(told(&store), birth, "it has not been told");
    let evicted = store.evicted_from(ids[40], true, EventId::ZERO, &mut work);
    assert_eq!(evicted, lost);
    assert_eq!(store.newest(&ids[40..41])[0].for_reader(true), store.head());
    // A pattern that is created later is not in that set, but accounts for earlier evictions.
    let newcomer = Selector::parse("{+n}", Syntax::Native, 100).expect("a pattern");
    let newcomer = store.subscribe(&newcomer, 0, false);
    publish(&mut store, &["u"], "x", None, NOW);
    let more = publish(&mut store, &["t"], "x", None, NOW);
    publish(&mut store, &["t"], "x", None, NOW);
    for id in [ids[40], newcomer] {
        assert_eq!(store.evicted_from(id, true, lost, &mut work), more);
    }
    assert!(
        told(&store) >= lost,
        "told, as the list of patterns changed"
    );
    // Topics take turns: only a few at a time have unreported evictions.
    for topic in ["a", "b", "c", "d", "e"] {
        for _ in 0..3 {
            lost = store.head();
            publish(&mut store, &[topic], "x", None, NOW);
        }
        assert!(store.untold.len() <= HoldLimits::SMALL.untold_topics);
        assert_eq!(store.evicted_from(ids[40], true, more, &mut work), lost);
    }
    // When a topic loses its last event, everything has been reported.
    while !expire(&mut store, NOW + 100_000_000, usize::MAX) {}
    assert!(told(&store) > lost);
    assert!(store.untold.is_empty());
}

/// Sums and unreported evictions survive a snapshot and a renumbering of the patterns.
#[test]
fn what_many_patterns_have_not_been_told_of_survives() {
    let limits = HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    };
    let mut store = store(limits);
    let ids = subscribe_all(&mut store, 20);
    let lost = publish(&mut store, &["t"], "x", None, NOW);
    publish(&mut store, &["t"], "x", None, NOW);
    assert!(!store.untold.is_empty());
    let mut records = Vec::new();
    let mut cursor = SnapshotCursor::default();
    while cursor != SnapshotCursor::End {
        cursor = store.snapshot(cursor, 7, &mut records);
    }
    let mut restored = Store::restore(limits, HoldLimits::SMALL, records).expect("a snapshot");
    store.patterns.run_out_of_serials();
    let last = Selector::parse("{+n}", Syntax::Native, 100).expect("a pattern");
    store.subscribe(&last, 0, false);
    for (store, count) in [(&mut restored, 20), (&mut store, 21)] {
        let mut work = Work::unbounded();
        for id in &ids {
            assert_eq!(
                store.evicted_from(*id, true, EventId::ZERO, &mut work),
                lost
            );
        }
        assert_eq!(append_to(store, &["t"], false).subscribers, count);
    }
}

/// Regression: a removed pattern stayed in a topic's list until a later pattern was created and the
/// topic was used. The lists of topics without events were not counted at all.
#[test]
fn patterns_that_left_are_given_back_by_topics_that_stay() {
    let node = HoldLimits::default();
    // Each of these limits allows a hundred topics of twenty patterns in one hold.
    let few_topics = HoldLimits {
        references: 100,
        ..node
    };
    let few_steps = HoldLimits {
        steps: 2_000,
        ..node
    };
    patterns_leave(few_topics);
    patterns_leave(few_steps);
}

fn patterns_leave(hold: HoldLimits) {
    let mut store = Store::new(HistoryLimits::default(), NOW).with_hold(hold);
    let publish_all = |store: &mut Store| {
        for n in 0..500 {
            publish(store, &[&format!("kept{n}")], "x", None, NOW);
        }
    };
    // Topics without events, which streams subscribe to.
    let bare: Vec<_> = (0..500).map(|n| format!("bare{n}")).collect();
    for name in &bare {
        store.subscribe(&Selector::exact(name), 0, false);
    }
    publish_all(&mut store);
    while !expire(&mut store, NOW, usize::MAX) {}
    let without = (store.size(), store.bare_topic_bytes());

    let ids = subscribe_all(&mut store, 20);
    let patterns_only = store.bare_topic_bytes();
    for name in &bare {
        let mut held = SelectorIds::new();
        assert!(store.prepare([&**name].into_iter(), &mut held, &mut Work::unbounded()));
        store.unpin_all(&mut held);
    }
    let references = 500 * 20 * size_of::<super::super::pattern_ref::PatternRef>();
    assert!(store.bare_topic_bytes() >= patterns_only + references);
    let topics = 0..store.topics.end();
    for index in topics.clone() {
        store.refresh_matches(index, &mut Work::unbounded());
    }
    assert!(store.size().bytes >= without.0.bytes + references);

    for (n, id) in ids.into_iter().enumerate() {
        store.unsubscribe(id, n % 2 == 0);
    }
    let stale = |store: &Store| {
        let topics = topics.clone();
        topics
            .filter(|index| !store.topics.get(*index).matches().is_empty())
            .count()
    };
    for left in (0..1_000).step_by(100).rev() {
        expire(&mut store, NOW, usize::MAX);
        assert_eq!(stale(&store), left, "a portion for each expiry");
    }
    assert_eq!((store.size(), store.bare_topic_bytes()), without);
    for _ in 0..10 {
        expire(&mut store, NOW, usize::MAX);
    }
    for _ in 0..2 {
        assert!(store.sweep.is_idle(), "no pass while no pattern is removed");
        expire(&mut store, NOW, usize::MAX);
    }
}

#[test]
fn what_topics_without_events_keep_is_counted_when_serial_numbers_run_out() {
    let mut store = store(HistoryLimits::default());
    store.subscribe(&Selector::exact("t"), 0, false);
    subscribe_all(&mut store, 20);
    let before = store.bare_topic_bytes();
    let index = store.topics.find("t").expect("it is held");
    assert!(store.refresh_matches(index, &mut Work::unbounded()));
    assert!(store.bare_topic_bytes() > before);
    store.patterns.run_out_of_serials();
    let last = Selector::parse("{+n}", Syntax::Native, 100).expect("a pattern");
    let last = store.subscribe(&last, 0, false);
    store.unsubscribe(last, false);
    assert_eq!(store.bare_topic_bytes(), before);
}
