//! Histories of random use.

use proptest::prelude::*;

use super::oracle::Sent;
use super::world::{TOPICS, leave};
use super::*;

/// Events are published, evicted and lost, and topics deleted and created again, while the history
/// is walked; then the process dies. Several times.
fn crashes(seed: u64) {
    let mut life = Life::new(seed);
    for _ in 0..life.dice.usize(1..6) {
        (0..life.dice.usize(..50)).for_each(|_| life.step());
        let end = life.store.head();
        let records = life.walk(true);
        let kept: Vec<_> = TOPICS.map(|topic| kept(&life.store, topic)).into();
        let limits = life.store.limits;
        (0..life.dice.usize(..10)).for_each(|_| life.step());
        let newest = life.store.head();
        life.restart(records, Ending::Lost(newest));
        if life.store.limits == limits && life.now <= end.unix_ms() + limits.age_ms {
            for (topic, kept) in std::iter::zip(TOPICS, kept) {
                let revived = super::kept(&life.store, topic);
                let mut kept = kept.iter().filter(|id| **id <= end);
                let budget = life.store.size().bytes * 2 < limits.budget_bytes;
                let too_old = |id: &EventId| *id < limits.cut_off(life.now);
                assert!(!budget || kept.all(|id| too_old(id) || revived.contains(id)));
            }
        }
        life.check_some();
        (0..life.dice.usize(..20)).for_each(|_| life.step());
        life.check_some();
    }
}

/// A hole began at the end of another one, and a topic had evicted events in between: streams were
/// told of both.
#[test]
fn a_bound_within_a_hole_told_it_twice() {
    crashes(8_312_432_924_169_426_063);
}

/// What a client notices. A stream that has nothing to read may be live at once, or find out by reading
/// that there is nothing: the places where it does so are not compared.
fn told(
    (from, expected, sent): (EventId, EventId, Vec<Sent>),
) -> (Option<(EventId, EventId)>, Vec<Sent>) {
    ((!sent.is_empty()).then_some((from, expected)), sent)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn readers_miss_nothing_in_silence_over_crashes(seed: u64) {
        crashes(seed);
    }

    /// After a clean stop, cursors are answered as if nothing had happened.
    #[test]
    fn after_a_clean_stop_readers_are_sent_the_same(seed: u64) {
        let mut life = Life::new(seed);
        // A reader by pattern is told a wider gap where an exact one is too much work. How much it
        // is depends on slots, which a history does not keep.
        life.store = Store::new(life.store.limits, NOW).with_mark(life.store.mark);
        (0..life.dice.usize(..100)).for_each(|_| life.step());
        for stream in std::mem::take(&mut life.streams) {
            leave(&mut life.store, stream);
        }
        let cursors = life.cursors();
        let questions: Vec<_> = (0..30).map(|_| {
            let rights = life.rights();
            (rights, cursors[life.dice.usize(..cursors.len())].clone())
        }).collect();
        let expected: Vec<_> = questions.iter().map(|(rights, cursor)| told(life.follow(rights, cursor))).collect();
        let (head, birth, mark) = (life.store.head, life.store.birth, life.store.mark);
        let (size, limits, now) = (life.store.size(), life.store.limits, life.now);
        let records = life.walk(false);
        // Nothing is expired: the walk took it all.
        let age_ms = u64::MAX;
        let limits = HistoryLimits { age_ms, ..limits };
        let revival = revival_within(limits, HoldLimits::default(), records);
        let revival = revival.expect("a history");
        let (store, revived) = revival.finish(Ending::Whole, now).expect("it fits");
        prop_assert_eq!((store.head, store.birth, store.mark), (head, birth, mark));
        prop_assert_eq!(store.size().events, size.events);
        prop_assert_eq!(revived.evicted, 0);
        life.store = store;
        for ((rights, cursor), expected) in std::iter::zip(&questions, expected) {
            prop_assert_eq!(told(life.follow(rights, cursor)), expected, "{:?} {}", rights, cursor);
        }
        // The order continues, and nothing stays referenced.
        life.now -= 10_000;
        life.publish();
        prop_assert!(life.store.head > head);
        life.store.limits.age_ms = 1;
        while !expire(&mut life.store, u64::MAX >> 20, 100) {}
        prop_assert!(life.store.is_bare());
        prop_assert_eq!(life.store.size(), HistorySize::default());
    }
}
