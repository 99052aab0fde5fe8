//! Single histories.

use super::*;

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
        let limits = HistoryLimits::default();
        let revival = revival(limits, records).expect("a history");
        let (store, _) = revival
            .finish(Ending::Lost(newest), life.now)
            .expect("it fits");
        life.store = store;
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
