//! Portions of ranges and counts, and what others do in between.

use std::sync::atomic::Ordering;

use super::*;
use crate::core::event::Event;
use crate::core::history::HoldLimits;
use crate::core::limits::EventLimits;
use crate::core::selector::{Selector, Syntax};
use crate::core::sse::Draft;
use crate::hub::HubConfig;
use crate::hub::turns::run;
use crate::metrics::Source;

const ALL: (EventId, EventId) = (EventId::ZERO, EventId::new(u64::MAX));

async fn publish(hub: &Hub, count: usize) -> Vec<EventId> {
    let events = (0..count).map(|_| Event::new("t", "x"));
    let mut drafts: Vec<_> = events
        .map(|event| Draft::new(event, &EventLimits::default()).expect("an event"))
        .collect();
    let receipts = hub.publish(Source::Http, &mut drafts).await.expect("open");
    receipts.iter().map(|receipt| receipt.id).collect()
}

fn ids(portion: &[Stored]) -> Vec<EventId> {
    portion.iter().map(|stored| stored.id).collect()
}

/// The lock was taken again and again in one turn of a thread, up to a thousand times.
#[test]
fn others_have_their_turn_while_a_topic_of_many_patterns_is_looked_at() {
    const PATTERNS: usize = 20_000;
    let config = HubConfig {
        hold: HoldLimits::SMALL,
        ..HubConfig::default()
    };
    let hub = Hub::start(config, 1).expect("a hub");
    hub.hold(|store| store.subscribe(&Selector::exact("t"), 0, false));
    for number in 0..PATTERNS {
        let pattern = Selector::parse(&format!("{{v{number}}}"), Syntax::Native, 100);
        let pattern = pattern.expect("a pattern");
        hub.hold(|store| store.subscribe(&pattern, 0, false));
        if number == 500 {
            let (info, turns) = run(hub.topic("t"));
            assert_eq!((info.streams, info.streams_by_pattern), (1, 501));
            assert!(turns > 10, "{turns} turns");
        }
    }
    // So many that not all are matched; the known ones count.
    let (info, turns) = run(hub.topic("t"));
    let by_pattern = info.streams_by_pattern as usize;
    assert!(by_pattern > 1_000 && by_pattern < PATTERNS, "{by_pattern}");
    let counting = by_pattern / 2_048;
    assert!(turns >= MATCH_PORTIONS_MAX + counting, "{turns} turns");
    hub.stop();
}

/// An array of many events, or of events of many topics, was appended under one hold of the
/// lock.
#[test]
fn others_have_their_turn_while_a_batch_of_many_topics_is_published() {
    let hub = Hub::start(HubConfig::default(), 1).expect("a hub");
    let limits = EventLimits {
        topics_per_event_max: 2_000,
        ..EventLimits::default()
    };
    for (events, topics, portions) in [(2_000, 1, 2), (100, 60, 6), (3, 2_000, 3), (1_024, 1, 1)] {
        let event = |number| {
            let names = (0..topics).map(|topic| format!("{number}/{topic}").into());
            Event {
                topics: names.collect(),
                ..Event::new("", "x")
            }
        };
        let drafts = || -> Vec<Draft<'_>> {
            let draft = |number| Draft::new(event(number), &limits).expect("an event");
            (0..events).map(draft).collect()
        };
        let (receipts, turns) = run(hub.publish(Source::Http, &mut drafts()));
        let receipts = receipts.expect("open");
        assert_eq!((receipts.len(), turns + 1), (events, portions));
        assert!(receipts.is_sorted_by_key(|receipt| receipt.id));
        let (receipts, turns) = run(hub.publish_together(Source::Http, &mut drafts()));
        assert_eq!((receipts.expect("open").len(), turns), (events, 0));
    }
    hub.stop();
}

/// A range was as much work under the lock as the history has events.
#[test]
fn a_range_is_read_in_portions_while_events_come_and_go() {
    let mut config = HubConfig::default();
    config.history.events = 1_000;
    let hub = Hub::start(config, 1).expect("a hub");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let old = publish(&hub, 1_000).await;
        let mut up = hub.history_range("t", ALL, usize::MAX, false);
        let mut down = hub.history_range("t", ALL, usize::MAX, true);
        assert_eq!(ids(&hub.history_portion(&mut up)), old[..RANGE_EVENTS]);
        let newest: Vec<EventId> = old.iter().rev().copied().take(RANGE_EVENTS).collect();
        assert_eq!(ids(&hub.history_portion(&mut down)), newest);
        // As many events are evicted as published: the oldest 600.
        publish(&hub, 600).await;
        let rest = |range: &mut HistoryRange<'_>| {
            let mut rest = Vec::new();
            loop {
                let portion = hub.history_portion(range);
                assert!(portion.len() <= RANGE_EVENTS);
                if portion.is_empty() {
                    return ids(&rest);
                }
                rest.extend(portion);
            }
        };
        assert_eq!(rest(&mut up), old[600..], "nothing new, nothing twice");
        let mut older = rest(&mut down);
        older.reverse();
        assert_eq!(older, old[600..1_000 - RANGE_EVENTS]);
        assert!(rest(&mut hub.history_range("none", ALL, 5, false)).is_empty());
    });
    hub.stop();
}

/// A publisher that had begun before a stop published after it: its event was acknowledged, and
/// missing in the history file.
#[test]
fn a_publisher_that_waits_for_the_lock_publishes_nothing_after_a_stop() {
    let hub = Hub::start(HubConfig::default(), 1).expect("a hub");
    let head = hub.head();
    let desk = hub.0.shared.desk.lock();
    let other = hub.clone();
    let publisher = std::thread::spawn(move || {
        let event = Event::new("t", "late");
        let draft = Draft::new(event, &EventLimits::default()).expect("an event");
        run(other.publish(Source::Http, &mut [draft])).0
    });
    while hub.0.attempts.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    hub.0.gate.stop();
    drop(desk);
    assert!(publisher.join().expect("no panic").is_err());
    assert_eq!(hub.head(), head);
    hub.stop();
}
