//! Single histories.

use super::oracle::Sent;
use super::world::Rights;
use super::*;

impl Life {
    /// The next process, after one that gave ids up to `newest`.
    fn restart_at(&mut self, records: Vec<HistoryRecord>, newest: EventId) {
        let revival = revival(HistoryLimits::default(), records).expect("a history");
        let revived = revival.finish(Ending::Lost(newest), self.now);
        self.store = revived.expect("it fits").0;
    }

    fn publish_to(&mut self, topic: &'static str) -> EventId {
        let draft = Draft::new(Event::new(topic, "x"), &EventLimits::default());
        append(&mut self.store, &mut draft.expect("valid"), self.now).0
    }

    /// Everything that a stream of this topic or pattern is sent which asks for the earliest event.
    fn earliest_of(&mut self, selector: &'static str) -> Vec<Sent> {
        let rights = Rights {
            selectors: vec![selector],
            grant: Vec::new(),
        };
        self.follow(&rights, "earliest").2
    }
}

/// A stream that asks for all events misses none before the first one that is kept.
#[test]
fn a_hole_before_the_first_event_is_no_gap_for_a_stream_that_asks_for_the_earliest() {
    let mut life = Life::new(1);
    life.store = Store::new(HistoryLimits::default(), NOW).with_mark(life.store.mark);
    let empty = life.walk(false);
    life.restart_at(empty, EventId::ZERO.next(life.now + 5));
    assert_eq!(life.earliest_of("d"), []);
    assert_eq!(life.earliest_of("{+all}"), []);

    let before = life.publish_to("a/1");
    let records = life.walk(false);
    life.restart_at(records, EventId::ZERO.next(life.now + 10));
    let through = life.store.head();
    let after = life.publish_to("a/1");
    let only = life.publish_to("d");
    let gap = Sent::Gap {
        from: before,
        to: through,
    };
    let around = [Sent::Event(before), gap, Sent::Event(after)];
    assert_eq!(life.earliest_of("a/1"), around);
    assert_eq!(life.earliest_of("a/*"), around);
    assert_eq!(life.earliest_of("d"), [Sent::Event(only)]);
}

#[test]
fn more_holes_than_a_store_may_have_evict_what_is_before_the_oldest() {
    let mut life = Life::new(7);
    life.store.limits = HistoryLimits::default();
    for _ in 0..40 {
        life.now += 10;
        life.publish();
        let records = life.walk(false);
        life.now += 10;
        life.publish();
        let newest = life.store.head();
        life.restart_at(records, newest);
        life.check_some();
    }
    let holes = life.store.holes.as_slice().len();
    assert_eq!(holes, super::super::hole::HOLES_MAX);
}

#[test]
fn a_process_that_published_nothing_leaves_one_hole_with_the_one_before() {
    let mut life = Life::new(1);
    life.store.limits = HistoryLimits::default();
    life.publish();
    let first = life.store.head();
    for _ in 0..5 {
        let records = life.walk(false);
        life.now += 1_000;
        let newest = EventId::ZERO.next(life.now);
        life.restart(records, Ending::Lost(newest));
    }
    let hole = Hole {
        after: first,
        through: life.store.head(),
        cause: HoleCause::Crash,
    };
    assert_eq!(life.store.holes.as_slice(), [hole]);
}

/// The clock was set back after a crash: ids that the dead process gave are not given again.
#[test]
fn ids_rise_over_a_crash_though_the_clock_steps_back() {
    let mut life = Life::new(1);
    life.publish();
    let records = life.walk(false);
    life.now += 60_000;
    life.publish();
    let newest = life.store.head();
    life.now -= 90_000;
    life.restart(records, Ending::Lost(newest));
    life.publish();
    assert!(life.store.head > newest);
}

#[test]
fn records_that_are_no_history_are_refused() {
    let mut life = Life::new(3);
    life.store.limits = HistoryLimits::default();
    (0..40).for_each(|_| life.publish());
    let records = life.walk(false);
    let limits = HistoryLimits::default();
    let finish = |records: Vec<HistoryRecord>| {
        let revival = revival(limits, records)?;
        revival.finish(Ending::Whole, NOW).map(drop)
    };
    assert_eq!(finish(records.clone()), Ok(()));
    assert_eq!(finish(Vec::new()), Err(RestoreError::Order));
    let headless = records[..records.len() - 1].to_vec();
    assert_eq!(finish(headless), Err(RestoreError::Order));
    let twice = [records.clone(), records.clone()].concat();
    assert_eq!(finish(twice), Err(RestoreError::Order));
    let topics_twice = [&records[..records.len() - 1], &records].concat();
    assert_eq!(finish(topics_twice), Err(RestoreError::Ids));
    assert_eq!(finish(records[1..].to_vec()), Err(RestoreError::Order));
    let mut swapped = records.clone();
    let second = swapped
        .iter()
        .position(|record| matches!(record, HistoryRecord::Event(_)));
    let second = second.expect("an event") + 1;
    assert!(matches!(swapped[second], HistoryRecord::Event(_)));
    swapped.swap(second - 1, second);
    assert_eq!(finish(swapped), Err(RestoreError::Ids));
    let mut beyond = records.clone();
    if let Some(HistoryRecord::Head(head)) = beyond.last_mut() {
        head.head = head.birth;
    }
    assert_eq!(finish(beyond), Err(RestoreError::Ids));
    let mut nameless = records;
    nameless[0] = HistoryRecord::Topic { name: "".into() };
    assert_eq!(finish(nameless), Err(RestoreError::Name));
}

fn reader(topic: &'static str) -> Rights {
    Rights {
        selectors: vec![topic],
        grant: vec![topic],
    }
}

/// The event was erased, and would have come back.
#[test]
fn a_topic_that_is_erased_during_the_walk_stays_erased_though_another_has_its_slot() {
    let mut life = Life::new(1);
    life.store = Store::new(HistoryLimits::default(), NOW);
    let erased = life.publish_to("a/1");
    let mut walk = life.store.begin_walk();
    let mut records = Vec::new();
    life.store.walk(&mut walk, 1, &mut records);
    let through = life.store.head();
    while !life.store.erase("a/1", through, 10).1 {}
    life.publish_to("b/1");
    while !walk.is_done() {
        life.store.walk(&mut walk, 1, &mut records);
    }
    assert!(records.contains(&HistoryRecord::TopicGone), "{records:?}");
    let newest = life.store.head();
    life.restart_at(records, newest);
    assert_eq!(life.store.size().events, 0);
    let cursor = erased.before().marked(life.store.mark).to_string();
    let (_, _, sent) = life.follow(&reader("a/1"), &cursor);
    let gap = Sent::Gap {
        from: erased.before(),
        to: newest,
    };
    assert_eq!(sent, [gap]);
}

/// The next process deleted the topic and forgot what it had evicted.
#[test]
fn a_topic_that_only_a_private_event_refers_to_keeps_its_bound() {
    let mut life = Life::new(1);
    life.store = Store::new(HistoryLimits::default(), NOW);
    let event = Event {
        topics: ["a/1".into(), "c".into()].into_iter().collect(),
        private: true,
        ..Event::new("", "x")
    };
    let draft = Draft::new(event, &EventLimits::default());
    let (seen, _) = append(&mut life.store, &mut draft.expect("valid"), life.now);
    let lost = life.publish_to("a/1");
    while !life.store.erase("a/1", lost, 10).1 {}
    let records = life.walk(false);
    let revival = revival(HistoryLimits::default(), records).expect("a history");
    life.store = revival.finish(Ending::Whole, NOW).expect("it fits").0;
    // The pattern outlives the topic.
    let stream = reader("a/*").enter(&mut life.store);
    life.streams.push(stream);
    while !life.store.erase("c", lost, 10).1 {}
    let cursor = seen.marked(life.store.mark).to_string();
    for selector in ["a/1", "a/*"] {
        let (_, _, sent) = life.follow(&reader(selector), &cursor);
        let gap = Sent::Gap {
            from: seen,
            to: lost,
        };
        assert_eq!(sent, [gap], "{selector}");
    }
}

/// A topic that is deleted and created again during the walk comes twice.
#[test]
fn a_topic_that_comes_twice_keeps_what_came_first() {
    let mut life = Life::new(1);
    life.store = Store::new(HistoryLimits::default(), NOW);
    let ids = [0; 3].map(|_| life.publish_to("a/1"));
    let mut records = life.walk(false);
    let head = records.pop().expect("the head");
    let bound = HistoryRecord::TopicEnd {
        evicted: EvictedRecord {
            any: ids[0],
            public: ids[0],
        },
        has_evicted: true,
    };
    let end = records.pop().expect("the topic's end");
    let topic = records[0].clone();
    let gone = HistoryRecord::TopicGone;
    records.extend([bound, topic.clone(), end, topic, gone, head]);
    let revival = revival(HistoryLimits::default(), records).expect("a history");
    life.store = revival.finish(Ending::Whole, NOW).expect("it fits").0;
    assert_eq!(kept(&life.store, "a/1"), ids[1..]);
}

#[test]
fn the_limits_of_the_next_process_hold_for_what_it_revives() {
    let mut life = Life::new(1);
    life.store = Store::new(HistoryLimits::default(), NOW);
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(life.publish_to("a/1"));
        life.now += 1_000;
    }
    let records = life.walk(false);
    let defaults = HistoryLimits::default();
    let few = HistoryLimits {
        events: 3,
        ..defaults
    };
    let young = HistoryLimits {
        age_ms: 3_000,
        ..defaults
    };
    for limits in [few, young] {
        let revival = revival(limits, records.clone()).expect("a history");
        let (store, revived) = revival.finish(Ending::Whole, life.now).expect("it fits");
        assert_eq!(kept(&store, "a/1"), ids[7..], "{limits:?}");
        assert_eq!((revived.events, revived.evicted), (3, 7));
    }
}
