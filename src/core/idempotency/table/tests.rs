//! The table against a list, under seeded schedules; its memory; its portions.

use fastrand::Rng;

use super::*;
use crate::core::idempotency::{Name, Owner, Place, Scope};

fn key(name: u64, content: u64) -> Key {
    let name = Name::new(
        Owner::new(Scope::User("u")),
        &format!("k{name}"),
        Place::ONLY,
    );
    Key::new(name, [content.to_le_bytes().as_slice()])
}

fn at(ms: u64, counter: u64) -> EventId {
    EventId::from_parts(ms, counter).expect("fits")
}

fn keys(window_ms: u64, count: usize) -> Keys {
    let mut keys = Keys::default();
    keys.set_limits(KeyLimits { window_ms, count });
    keys
}

fn entry(name: u64, id: EventId) -> Remembered {
    Remembered {
        key: key(name, 0),
        id,
        subscribers: name,
    }
}

#[test]
fn a_repeat_gets_the_first_receipt_and_another_event_with_its_key_is_told() {
    let mut keys = keys(1_000, 10);
    assert_eq!(keys.recall(&key(1, 1)), Recalled::New);
    let first = Remembered {
        key: key(1, 1),
        id: at(5, 0),
        subscribers: 3,
    };
    keys.remember(first);
    assert_eq!(keys.recall(&key(1, 1)), Recalled::Repeat(first));
    assert_eq!(keys.recall(&key(1, 2)), Recalled::Reused);
    assert_eq!(keys.recall(&key(2, 1)), Recalled::New);
}

/// The publisher's repeat of an event that the log had lost was taken for a repeat: nothing was
/// published, and nothing told.
#[test]
fn the_key_of_a_lost_event_outlived_it() {
    let mut keys = keys(1_000, 10);
    for number in 0..5 {
        keys.remember(entry(number, at(5, number)));
    }
    keys.forget_above(at(5, 1));
    assert_eq!((keys.len(), keys.newest()), (2, Some(at(5, 1))));
    for number in 2..5 {
        assert_eq!(keys.recall(&key(number, 0)), Recalled::New);
        keys.remember(entry(number, at(6, number)));
        let again = keys.recall(&key(number, 0));
        assert_eq!(again, Recalled::Repeat(entry(number, at(6, number))));
    }
    keys.forget_above(EventId::ZERO);
    assert!(keys.is_empty());
    keys.forget_above(EventId::ZERO);
    // Their numbers are not used again: a walk that stands at one goes on behind them all.
    assert_eq!(keys.portion(0, 10, at(9, 0)), (Vec::new(), 5));
    keys.remember(entry(7, at(7, 0)));
    assert_eq!(keys.portion(5, 10, at(9, 0)).0, [entry(7, at(7, 0))]);
    assert_eq!(
        keys.recall(&key(7, 0)),
        Recalled::Repeat(entry(7, at(7, 0)))
    );
    assert_eq!(keys.recall(&key(2, 0)), Recalled::New);
}

#[test]
fn a_key_that_is_used_again_behind_its_window_leaves_the_older_event() {
    let mut keys = keys(100, 3);
    let [old, new] = [at(1_000, 0), at(1_200, 0)].map(|id| entry(1, id));
    keys.remember(old);
    let cut_off = keys.limits.cut_off(1_200);
    assert_eq!(keys.recall_from(&key(1, 0), cut_off, 0), Recalled::New);
    assert_eq!(keys.recall(&key(1, 0)), Recalled::Repeat(old));
    keys.remember(new);
    let again = keys.recall_from(&key(1, 0), cut_off, 2);
    assert_eq!(again, Recalled::Repeat(new));
    let mut restored = self::keys(100, 3);
    let (portion, _) = keys.portion(0, 10, at(9_000, 0));
    assert!(portion.into_iter().all(|entry| restored.restore(entry)));
    for mut keys in [keys, restored] {
        assert!(keys.expire(cut_off, 10));
        assert_eq!((keys.len(), keys.newest()), (1, Some(new.id)));
        assert_eq!(keys.recall(&key(1, 0)), Recalled::Repeat(new));
        keys.forget_above(at(1_100, 0));
        assert_eq!(keys.recall(&key(1, 0)), Recalled::New);
    }
}

#[test]
fn nothing_is_remembered_where_keys_are_off() {
    for (window_ms, count) in [(0, 10), (10, 0)] {
        let mut keys = keys(window_ms, count);
        keys.remember(entry(1, at(1, 0)));
        assert!(keys.is_empty());
    }
    let mut keys = keys(10, 10);
    keys.remember(entry(1, at(1, 0)));
    keys.set_limits(KeyLimits {
        window_ms: 0,
        count: 10,
    });
    assert!(keys.is_empty());
}

#[test]
fn a_window_ends_with_its_last_millisecond() {
    let mut keys = keys(100, 10);
    keys.remember(entry(1, at(1_000, 7)));
    let limits = keys.limits;
    assert!(keys.expire(limits.cut_off(1_100), 10));
    assert_eq!(keys.len(), 1);
    assert!(keys.expire(limits.cut_off(1_101), 10));
    assert_eq!((keys.len(), keys.take_dropped()), (0, 0));
}

#[test]
fn the_oldest_key_goes_first_at_the_bound_and_only_what_went_early_is_counted() {
    let mut keys = keys(100, 3);
    for n in 0..5 {
        keys.remember(entry(n, at(n, 0)));
    }
    let known = |keys: &Keys, n| keys.recall(&key(n, 0)) != Recalled::New;
    assert!(!known(&keys, 1) && known(&keys, 2) && known(&keys, 4));
    assert_eq!((keys.take_dropped(), keys.take_dropped()), (2, 0));
    // These were too old anyway.
    for n in 5..8 {
        keys.remember(entry(n, at(1_000 + n, 0)));
    }
    assert_eq!((keys.len(), keys.take_dropped()), (3, 0));
}

#[test]
fn while_memory_is_short_the_number_of_keys_falls_and_new_ones_are_remembered() {
    let mut keys = keys(1_000, 100);
    for n in 0..10 {
        keys.remember(entry(n, at(n, 0)));
    }
    keys.set_short(true);
    for n in 10..30 {
        keys.remember(entry(n, at(n, 0)));
        assert!(matches!(keys.recall(&key(n, 0)), Recalled::Repeat(_)));
    }
    assert_eq!(keys.len(), 1);
    assert_eq!(keys.take_dropped(), 29);
    keys.set_short(false);
    keys.remember(entry(30, at(30, 0)));
    assert_eq!(keys.len(), 2);
}

#[test]
fn expiry_is_taken_in_portions() {
    let mut keys = keys(1, 1_000);
    for n in 0..10 {
        keys.remember(entry(n, at(n, 0)));
    }
    let cut_off = at(9, 0);
    assert!(!keys.expire(cut_off, 4));
    assert_eq!(keys.len(), 6);
    assert!(!keys.expire(cut_off, 5));
    assert!(keys.expire(cut_off, 5));
    assert_eq!(keys.len(), 1);
}

/// A chunk of the queue at each end.
const IN_RESERVE_BYTES: usize = 2 * 256 * size_of::<Remembered>();

#[test]
fn the_charge_covers_the_memory_of_any_number_of_keys() {
    let mut keys = keys(u64::MAX, usize::MAX >> 1);
    for n in 0..200_000 {
        keys.remember(entry(n, at(n, 0)));
        if n.is_multiple_of(997) || n < 600 {
            assert!(
                keys.allocated_bytes() <= keys.bytes() + IN_RESERVE_BYTES,
                "{} keys take {} bytes",
                keys.len(),
                keys.allocated_bytes()
            );
        }
    }
    assert!(keys.expire(EventId::new(u64::MAX), usize::MAX));
    // An emptied queue has a little room.
    assert!(keys.allocated_bytes() <= 64 * size_of::<Remembered>());
}

#[test]
fn keys_that_do_not_fit_together_are_not_restored() {
    let mut keys = Keys::default();
    assert!(keys.restore(entry(1, at(5, 0))));
    assert!(!keys.restore(entry(2, at(5, 0))), "the same id");
    assert!(!keys.restore(entry(2, at(4, 0))), "an older one");
    assert!(keys.restore(entry(2, at(6, 0))));
    assert_eq!(
        (keys.oldest(), keys.newest()),
        (Some(at(5, 0)), Some(at(6, 0)))
    );
}

/// The list that the table is compared with.
struct Model {
    entries: Vec<(u64, Remembered)>,
    next: u64,
}

#[test]
fn the_table_answers_as_a_list_does_under_any_schedule() {
    for seed in 0..300 {
        check_schedule(seed);
    }
}

fn check_schedule(seed: u64) {
    let mut dice = Rng::with_seed(seed);
    let (window_ms, count) = (dice.u64(1..400), dice.usize(1..600));
    let mut keys = keys(window_ms, count);
    let mut model = Model {
        entries: Vec::new(),
        next: 0,
    };
    let (mut clock, mut head) = (1_000_000, EventId::ZERO);
    let names = dice.u64(1..2_000);
    let (mut walked, mut walk) = (0, None);
    for _ in 0..1_500 {
        clock += dice.u64(..3);
        match dice.u8(..20) {
            0 => {
                let cut_off = keys.limits.cut_off(clock);
                let steps = dice.usize(0..200);
                let done = keys.expire(cut_off, steps);
                let due = |entry: &(u64, Remembered)| entry.1.id < cut_off;
                let due = model.entries.iter().take_while(|entry| due(entry)).count();
                assert_eq!(done, due < steps.max(1), "seed {seed}");
                model.entries.drain(..due.min(steps.max(1)));
            }
            1 => {
                // A walk sees, of the keys up to its head, all that are not forgotten.
                let (from, through) = *walk.get_or_insert((0, head));
                let (portion, next) = keys.portion(from, dice.usize(1..50), through);
                let mut expected = model.entries.iter();
                let expected = expected
                    .by_ref()
                    .filter(|(number, entry)| *number >= from && entry.id <= through);
                let expected: Vec<_> = expected.take(portion.len()).map(|it| it.1).collect();
                assert_eq!(portion, expected, "seed {seed}");
                walked += portion.len();
                walk = (!portion.is_empty()).then_some((next, through));
            }
            2 if dice.u8(..10) == 0 => {
                // The next process goes on with them.
                let mut after = Keys::default();
                let all = keys.portion(0, usize::MAX, EventId::new(u64::MAX)).0;
                assert!(all.iter().all(|entry| after.restore(*entry)));
                after.set_limits(keys.limits);
                let first = keys.len() as u64;
                for (number, entry) in std::iter::zip(0.., &mut model.entries) {
                    entry.0 = number;
                }
                (keys, walk) = (after, None);
                model.next = first;
            }
            _ => {
                let wanted = key(dice.u64(..names), dice.u64(..2));
                let same = |entry: &&(u64, Remembered)| entry.1.key.name == wanted.name;
                let known = model.entries.iter().find(same).map(|entry| entry.1);
                let expected = match known {
                    None => Recalled::New,
                    Some(entry) if entry.key == wanted => Recalled::Repeat(entry),
                    Some(_) => Recalled::Reused,
                };
                assert_eq!(keys.recall(&wanted), expected, "seed {seed}");
                if expected == Recalled::New {
                    head = head.next(clock);
                    let new = Remembered {
                        key: wanted,
                        id: head,
                        subscribers: dice.u64(..),
                    };
                    keys.remember(new);
                    model.entries.push((model.next, new));
                    model.next += 1;
                    let over = model.entries.len().saturating_sub(count);
                    model.entries.drain(..over);
                }
            }
        }
        assert_eq!(keys.len(), model.entries.len(), "seed {seed}");
    }
    assert!(walked > 0 || keys.is_empty() || seed > 0, "walks see keys");
}
