//! Idempotency keys at the desk: room, batches, ids from outside, and histories that come in.

use super::*;
use crate::core::idempotency::{Name, Owner, Place, Remembered, Scope};

fn keyed(key: &str, data: &str) -> Draft<'static> {
    let event = Event::new("a", data.to_owned());
    let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
    draft.set_key(Name::new(Owner::new(Scope::Program), key, Place::ONLY));
    draft
}

fn local(desk: &mut Desk, drafts: &mut [Draft<'_>], full: ShardSet) -> Result<Published, Refusal> {
    publish(desk, drafts, Stamps::Local(NOW), full)
}

#[test]
fn a_repeat_needs_no_room() {
    let mut desk = desk();
    let _seat = attach(&mut desk, 0, "a", false);
    let full = Err(Refusal::Full(shard(0)));
    let first = local(&mut desk, &mut [keyed("k", "1")], ShardSet::default()).expect("room");
    let again = local(&mut desk, &mut [keyed("k", "1")], shard(0)).expect("it needs none");
    assert!(again.batch.is_none() && again.receipts[0].is_repeat);
    assert_eq!(again.receipts[0].id, first.receipts[0].id);
    let mut mixed = [keyed("k", "1"), keyed("l", "2")];
    let refused = local(&mut desk, &mut mixed, shard(0)).map(drop);
    assert_eq!(refused, full);
    let published = local(&mut desk, &mut mixed, shard(1)).expect("room");
    assert_eq!(published.batch.expect("a new one").events.len(), 1);
}

#[test]
fn a_batch_with_a_used_key_is_refused_as_a_whole() {
    let mut desk = desk();
    local(&mut desk, &mut [keyed("k", "1")], ShardSet::default()).expect("room");
    let head = desk.head();
    for (batch, number) in [
        ([keyed("new", "1"), keyed("k", "2")], 1),
        ([keyed("k", "2"), keyed("new", "1")], 0),
        ([keyed("new", "1"), keyed("new", "2")], 1),
    ] {
        let mut batch = batch;
        let refused = local(&mut desk, &mut batch, ShardSet::default()).map(drop);
        assert_eq!(refused, Err(Refusal::Reused(number)));
        assert_eq!((desk.head(), desk.keys_mut().len()), (head, 1));
    }
}

/// In a log, two nodes may have appended the same event. Each of them passes over the second one.
#[test]
fn of_two_entries_with_one_key_and_ids_from_outside_the_first_counts() {
    let mut desk = desk();
    let ids = [1, 2, 3].map(|n| EventId::new(desk.head().get() + n));
    let mut drafts = [keyed("k", "1"), keyed("k", "1"), keyed("l", "2")];
    let stamps = Stamps::Given(&ids);
    let published = publish(&mut desk, &mut drafts, stamps, ShardSet::default());
    let receipts = published.expect("ids rise").receipts;
    let told: Vec<_> = receipts.iter().map(|it| (it.id, it.is_repeat)).collect();
    assert_eq!(told, [(ids[0], false), (ids[0], true), (ids[2], false)]);
    assert_eq!(desk.store().len_of("a"), 2);
}

/// A node that started read the log of an hour in a second, and took an event for a repeat, or for a
/// misuse, whose key was an hour old: its history lacked what all others had.
#[test]
fn a_node_that_read_the_log_later_found_repeats_that_were_none() {
    let at = |ms| EventId::from_parts(NOW + ms, 0).expect("fits");
    let window = KeyLimits::default().window_ms;
    let ids = [1, window, window + 2, window + 3].map(at);
    let drafts = || {
        [
            keyed("k", "1"),
            keyed("k", "1"),
            keyed("k", "2"),
            keyed("k", "2"),
        ]
    };
    let fates = |desk: &mut Desk, drafts: &mut [Draft<'_>], ids: &[EventId]| {
        let published = publish(desk, drafts, Stamps::Given(ids), ShardSet::default());
        let receipts = published.expect("published").receipts;
        let told = receipts.iter().map(|it| (it.id, it.is_repeat));
        told.collect::<Vec<_>>()
    };
    let expected = [
        (ids[0], false),
        (ids[0], true),
        (ids[2], false),
        (ids[2], true),
    ];
    let mut at_once = desk();
    assert_eq!(fates(&mut at_once, &mut drafts(), &ids), expected);
    let mut live = desk();
    for (number, draft) in drafts().into_iter().enumerate() {
        let told = fates(&mut live, &mut [draft], &ids[number..=number]);
        assert_eq!(told, [expected[number]]);
        // By the clock of a node that is far behind the log, all keys are old.
        live.expire_with_log(NOW + 100 * window, 1_000);
    }
    let keys = |desk: &mut Desk| desk.keys_mut().newest();
    assert_eq!(keys(&mut live), keys(&mut at_once));
    at_once.expire_with_log(NOW, 1_000);
    assert_eq!((at_once.keys_mut().len(), live.keys_mut().len()), (1, 1));
}

/// Nodes read the log in portions of different sizes.
#[test]
fn a_key_that_had_to_go_for_newer_ones_was_known_where_they_came_in_one_portion() {
    let order = ["k", "l", "k", "m", "k", "k"];
    let expected = [false, false, true, false, false, true];
    for portion in 1..=order.len() {
        let mut desk = desk();
        desk.keys.count = 2;
        let limits = desk.keys;
        desk.keys_mut().set_limits(limits);
        let first = desk.head().get();
        let ids: Vec<_> = (1..=6).map(|n| EventId::new(first + n)).collect();
        let mut told = Vec::new();
        for (keys, ids) in order.chunks(portion).zip(ids.chunks(portion)) {
            let mut drafts: Vec<_> = keys.iter().map(|key| keyed(key, "1")).collect();
            let stamps = Stamps::Given(ids);
            let published = publish(&mut desk, &mut drafts, stamps, ShardSet::default());
            let receipts = published.expect("published").receipts;
            told.extend(receipts.iter().map(|it| it.is_repeat));
        }
        assert_eq!(told, expected, "{portion} at once");
    }
}

/// Whether two entries of one millisecond were a repeat hung on how they were read.
#[test]
fn where_keys_are_off_no_entry_is_a_repeat() {
    let mut desk = desk();
    desk.keys.window_ms = 0;
    let limits = desk.keys;
    desk.keys_mut().set_limits(limits);
    let ids = [1, 2].map(|n| EventId::new(desk.head().get() + n));
    let mut drafts = [keyed("k", "1"), keyed("k", "2")];
    let stamps = Stamps::Given(&ids);
    let published = publish(&mut desk, &mut drafts, stamps, ShardSet::default());
    assert_eq!(published.expect("published").repeats, 0);
    assert_eq!(desk.store().len_of("a"), 2);
}

#[test]
fn a_history_that_comes_in_is_cut_to_the_current_bounds() {
    let mut before = desk();
    let mut drafts = [keyed("k", "1"), keyed("l", "2"), keyed("m", "3")];
    local(&mut before, &mut drafts, ShardSet::default()).expect("room");
    let config = DeskConfig {
        keys: KeyLimits {
            count: 2,
            ..KeyLimits::default()
        },
        ..DeskConfig::default()
    };
    let presence = Presence::new(&config.history, Share::default(), || {});
    let places = Places::new(1_000, Share::default());
    let after = Desk::new(config, places, presence, NOW);
    let mut after = after.with_store(before.store);
    assert_eq!(after.keys_mut().len(), 2);
    let again = local(&mut after, &mut [keyed("m", "3")], ShardSet::default());
    assert!(again.expect("room").receipts[0].is_repeat);
}

#[test]
fn keys_above_the_head_and_keys_that_fall_are_not_restored() {
    let mut desk = desk();
    let mut drafts = [keyed("k", "1"), keyed("l", "2")];
    local(&mut desk, &mut drafts, ShardSet::default()).expect("room");
    let restored = |change: &dyn Fn(&mut Vec<Remembered>)| {
        let (mut records, mut cursor) = (Vec::new(), DeskCursor::default());
        while !cursor.is_end() {
            cursor = desk.snapshot(cursor, 1, &mut records);
        }
        for record in &mut records {
            if let DeskRecord::Keys(keys) = record {
                assert_eq!(keys.len(), 2);
                change(keys);
            }
        }
        let places = Places::new(1_000, Share::default());
        Desk::restore(DeskConfig::default(), places, || {}, records).map(drop)
    };
    assert_eq!(restored(&|_| {}), Ok(()));
    let beyond = |keys: &mut Vec<Remembered>| keys[1].id = keys[1].id.after();
    assert_eq!(restored(&beyond), Err(RestoreError::Ids));
    let fallen = |keys: &mut Vec<Remembered>| keys.swap(0, 1);
    assert_eq!(restored(&fallen), Err(RestoreError::Ids));
}
