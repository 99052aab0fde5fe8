//! What a shared log does to a history.

use super::*;

fn id(ms: u64) -> EventId {
    EventId::from_parts(ms, 0).expect("fits")
}

fn given(store: &mut Store, topic: &str, id: EventId) {
    while !store.make_room() {}
    let event = Event::new(topic.to_owned(), "x");
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    let appended = store.append(&mut draft, Stamp::Given(id));
    appended.expect("ids of a log rise");
}

fn of_log(floor: EventId) -> Store {
    let mut store = store(HistoryLimits {
        events: 10_000,
        ..HistoryLimits::default()
    });
    store.rebase(floor);
    store
}

fn selector(topic: &str) -> [Selector; 1] {
    [Selector::exact(topic)]
}

#[test]
fn a_cursor_from_below_the_floor_is_evicted_and_not_unknown() {
    let mut store = of_log(id(50));
    given(&mut store, "a", id(60));
    for old in [EventId::ZERO.after(), id(10), id(50).before()] {
        let start = store.resolve(&selector("a"), &[], &cursor(old));
        assert_eq!((start.cursor, start.unknown), (Some(old), None), "{old}");
        let topic = store.pin(&selector("a")[0]);
        let (events, outcome) = read(&mut store, &[topic], old, false);
        assert_eq!(events, [id(60)]);
        assert_eq!(outcome.lost_through, Some(id(50)), "{old}");
        store.unpin(topic);
    }
    assert_eq!(store.ahead(&cursor(id(60))), None);
    assert_eq!(
        store.ahead(&cursor(id(61))),
        Some(id(61)),
        "of another node"
    );
    assert_eq!(store.ahead("60-1"), None, "without the mark of the order");
}

#[test]
fn what_the_log_lost_is_removed_in_portions_and_read_by_nobody() {
    let mut store = of_log(id(1));
    for ms in 2..6_000 {
        given(&mut store, if ms % 2 == 0 { "a" } else { "b" }, id(ms));
    }
    let a = store.pin(&selector("a")[0]);
    store.break_off(Hole {
        after: id(10),
        through: id(9_000),
        cause: HoleCause::Forked,
    });
    let (events, outcome) = read(&mut store, &[a], id(5), false);
    assert_eq!(events, [6, 8, 10].map(id), "it ends before the hole");
    assert_eq!(outcome.lost_through, None);
    for cursor in [id(10), id(5_000), id(9_000).before()] {
        let (events, outcome) = read(&mut store, &[a], cursor, false);
        assert_eq!((events, outcome.lost_through), (vec![], Some(id(9_000))));
        let hole = outcome.hole.expect("it tells of the hole");
        assert_eq!(hole.told_from(cursor), id(10), "from where the logs part");
    }
    let mut portions = 1;
    while !store.make_room() {
        portions += 1;
    }
    assert!(portions > 3, "{portions}");
    assert_eq!(kept(&store, "a"), [2, 4, 6, 8, 10].map(id));
    assert_eq!(store.size().events, 9);
    given(&mut store, "a", id(9_001));
    let (events, _) = read(&mut store, &[a], id(9_000), false);
    assert_eq!(events, [id(9_001)]);
    store.unpin(a);
    while !store.forget_through(id(9_001), 100) {}
    assert_eq!(store.size(), HistorySize::default());
    assert!(store.is_bare());
}

#[test]
fn a_fork_before_other_losses_covers_them() {
    let mut store = of_log(id(1));
    given(&mut store, "a", id(2));
    let hole = |after, through, cause| Hole {
        after: id(after),
        through: id(through),
        cause,
    };
    store.break_off(hole(2, 10, HoleCause::Trimmed));
    store.break_off(hole(10, 20, HoleCause::Upstream));
    let both = [
        hole(2, 10, HoleCause::Trimmed),
        hole(10, 20, HoleCause::Upstream),
    ];
    assert_eq!(store.holes.as_slice(), both);
    store.break_off(hole(5, 30, HoleCause::Forked));
    assert_eq!(store.holes.as_slice(), [hole(2, 30, HoleCause::Forked)]);
}

#[test]
fn of_many_losses_the_oldest_are_told_together() {
    let mut store = of_log(id(1));
    let losses = 2 * hole::HOLES_MAX as u64;
    for loss in 1..=losses {
        given(&mut store, "a", id(10 * loss));
        store.break_off(Hole {
            after: id(10 * loss),
            through: id(10 * loss + 5),
            cause: HoleCause::Trimmed,
        });
    }
    assert_eq!(store.holes.as_slice().len(), hole::HOLES_MAX);
    let a = store.pin(&selector("a")[0]);
    let mut cursor = id(9);
    let (mut events, mut told) = (Vec::new(), Vec::new());
    while cursor < store.head() {
        let (read, outcome) = read(&mut store, &[a], cursor, false);
        told.extend(outcome.lost_through.map(|lost| (cursor, lost)));
        let newest = read.last().copied().into_iter();
        let next = newest
            .chain(outcome.lost_through)
            .chain(outcome.examined_through);
        cursor = next.max().expect("it gets on");
        events.extend(read);
    }
    for event in (1..=losses).map(|loss| id(10 * loss)) {
        let is_told = told.iter().any(|(from, to)| *from < event && event <= *to);
        assert!(events.contains(&event) != is_told, "{event}: once, or told");
    }
    store.unpin(a);
}

#[test]
fn a_place_that_only_a_log_that_ended_had_is_unknown() {
    let mut store = of_log(id(1));
    given(&mut store, "a", id(20));
    store.pass(id(30));
    store.doubt(id(20), id(30));
    given(&mut store, "a", id(40));
    let mut is_known = |place| {
        let start = store.resolve(&selector("a"), &[], &cursor(place));
        start.unknown.is_none()
    };
    for place in [id(19), id(20), id(30), id(35), id(40)] {
        assert!(is_known(place), "{place}");
    }
    for place in [id(20).after(), id(25), id(30).before()] {
        assert!(!is_known(place), "{place}");
    }
}

/// The next program after that one refused the history: it had the range twice.
#[test]
fn a_doubt_that_a_program_told_again_after_an_upgrade_was_refused_by_the_next_upgrade() {
    let mut store = of_log(id(1));
    given(&mut store, "a", id(10));
    for (after, before) in [(10, 20), (10, 20), (10, 15), (30, 40)] {
        store.doubt(id(after), id(before));
    }
    let (mut records, mut cursor) = (Vec::new(), SnapshotCursor::default());
    while cursor != SnapshotCursor::End {
        cursor = store.snapshot(cursor, 100, &mut records);
    }
    let limits = HistoryLimits::default();
    let mut restored = Store::restore(limits, HoldLimits::DEFAULT, records).expect("whole");
    restored.pass(id(50));
    for (place, is_known) in [(10, true), (17, false), (20, true), (35, false), (40, true)] {
        let start = restored.resolve(&selector("a"), &[], &super::cursor(id(place)));
        assert_eq!(start.unknown.is_none(), is_known, "{place}");
    }
}

#[test]
fn a_snapshot_takes_along_what_a_log_has_done() {
    let mut store = of_log(id(1));
    for ms in 2..5_000 {
        given(&mut store, "a", id(ms));
    }
    store.pass(id(6_000));
    store.doubt(id(5_000), id(6_000));
    store.break_off(Hole {
        after: id(10),
        through: id(9_000),
        cause: HoleCause::Forked,
    });
    assert!(!store.make_room(), "more than one portion is left");
    let (mut records, mut cursor) = (Vec::new(), SnapshotCursor::default());
    while cursor != SnapshotCursor::End {
        cursor = store.snapshot(cursor, 100, &mut records);
    }
    let limits = HistoryLimits {
        events: 10_000,
        ..HistoryLimits::default()
    };
    let mut restored = Store::restore(limits, HoldLimits::DEFAULT, records.clone()).expect("whole");
    while !restored.make_room() {}
    assert_eq!(
        kept(&restored, "a").len(),
        9,
        "what the log lost is removed"
    );
    for (place, is_known) in [(EventId::ZERO.after(), true), (id(5_500), false)] {
        let start = restored.resolve(&selector("a"), &[], &super::cursor(place));
        assert_eq!(start.unknown.is_none(), is_known, "{place}");
    }
    let Some(Record::Head { order, .. }) = records.first_mut() else {
        panic!("the head comes first");
    };
    order.doubts.push((id(5_500), id(7_000)));
    let refused = Store::restore(limits, HoldLimits::DEFAULT, records).err();
    assert_eq!(refused, Some(RestoreError::Ids), "ranges that do not rise");
}
