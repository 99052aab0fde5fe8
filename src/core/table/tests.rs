//! The bounds of the tables, counted.

use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use proptest::prelude::*;

use super::*;

/// The size at which a table that doubles stopped the node for half a second.
const TOPICS: u32 = 2_000_000;

/// Slots of a chunk that an arena fills in, and headers of a page.
const ARENA_STEP: usize = 64;

fn spread(value: u32) -> u64 {
    u64::from(value)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(29)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// The topic tables doubled at 458,752, 917,504 and 1,835,008 topics, and the node stood still for
/// half a second.
#[test]
fn no_insertion_moves_more_than_its_bound() {
    let hasher = |value: &u32| spread(*value);
    let mut table = PartTable::default();
    let mut arena = Arena::default();
    let mut chunked = Chunked::default();
    let mut most = 0;
    for value in 0..TOPICS {
        let before = table.moved.0;
        table.insert_unique(spread(value), value, hasher);
        most = most.max(table.moved.0 - before);
        let capacity = arena.pages_capacity();
        arena.insert(value);
        if arena.pages_capacity() != capacity {
            most = most.max(capacity + ARENA_STEP);
        }
        let capacity = chunked.directory_capacity();
        chunked.push(value);
        if chunked.directory_capacity() != capacity {
            most = most.max(capacity);
        }
    }
    assert!(most <= MOVED_MAX, "{most}");
    // Emptying moves no more either.
    let mut most = 0;
    for value in 0..TOPICS {
        let before = table.moved.0;
        assert_eq!(
            table.remove(spread(value), |it| *it == value, hasher),
            Some(value)
        );
        most = most.max(table.moved.0 - before);
        assert_eq!(arena.remove(value), Some(value));
        assert!(chunked.pop().is_some());
        let left = table.len();
        if left.is_power_of_two() {
            let bytes = table.allocated_bytes();
            assert!(
                bytes <= 40 * left + 2_048,
                "memory goes with the entries: {bytes} at {left}"
            );
        }
    }
    assert!(most <= MOVED_MAX, "{most}");
    let bytes = (
        table.allocated_bytes(),
        arena.allocated_bytes(),
        chunked.allocated_bytes(),
    );
    assert_eq!(bytes, (0, 0, 0), "as small as new ones");
}

#[test]
fn a_table_costs_little_more_than_its_entries() {
    let hasher = |value: &u32| spread(*value);
    let mut table = PartTable::default();
    let mut arena = Arena::<[u64; 9]>::default();
    for value in 0..200_000_u32 {
        table.insert_unique(spread(value), value, hasher);
        arena.insert([0; 9]);
        let count = value as usize + 1;
        if count.is_power_of_two() || count.is_multiple_of(10_000) {
            let bytes = table.allocated_bytes();
            assert!(bytes <= 12 * count + 256, "{bytes} at {count}");
            let bytes = arena.allocated_bytes();
            let values = size_of::<Option<[u64; 9]>>() * count;
            assert!(bytes <= values + values / 8 + 6_500, "{bytes} at {count}");
        }
    }
}

#[test]
fn a_chunk_without_values_is_freed_wherever_it_stands() {
    let mut arena = Arena::default();
    let all: Vec<u32> = (0..20_000).map(|value| arena.insert(value)).collect();
    let full = arena.allocated_bytes();
    for slot in all.iter().filter(|slot| **slot != 9_999) {
        arena.remove(*slot);
    }
    assert!(arena.allocated_bytes() * 20 < full);
    assert_eq!(arena.end(), 10_000);
    assert_eq!(arena.next_from(0), Some((9_999, &9_999)));
    assert_eq!(arena.next_from(10_000), None);
    assert_eq!(arena.insert(1), 0, "the lowest free slot comes first");
    assert_eq!(arena.iter().count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_deque_is_a_queue_with_two_exits(steps in prop::collection::vec((0..4_u8, 0..700_usize), 1..30)) {
        let mut deque = Deque::default();
        let mut model = VecDeque::new();
        let mut next = 0;
        for (step, count) in steps {
            for _ in 0..count {
                if step < 2 {
                    next += 1;
                    deque.push_back(next);
                    model.push_back(next);
                } else if step == 2 {
                    prop_assert_eq!(deque.pop_back(), model.pop_back());
                } else {
                    prop_assert_eq!(deque.pop_front(), model.pop_front());
                }
            }
            prop_assert_eq!(deque.len(), model.len());
            prop_assert_eq!((deque.front(), deque.back()), (model.front(), model.back()));
            for at in (0..model.len() + 2).step_by(41) {
                prop_assert_eq!(deque.get(at), model.get(at));
                let bound = model.get(at).copied().unwrap_or(next);
                let point = model.partition_point(|value| *value <= bound);
                prop_assert_eq!(deque.partition_point(|value| *value <= bound), point);
            }
            let slack = 4 * model.len() + 1_500;
            prop_assert!(deque.allocated_bytes() <= slack * size_of::<i32>() + 2_048);
        }
    }

    #[test]
    fn an_arena_is_a_map_that_fills_from_below(steps in prop::collection::vec((0..5_u8, any::<u32>()), 1..400)) {
        let mut arena = Arena::default();
        let mut taken = std::collections::BTreeMap::new();
        let mut free: BTreeSet<u32> = (0..10_000).collect();
        for (kind, value) in steps {
            // In runs, so that chunks and pages fill and empty.
            for step in 0..97 {
                if kind < 3 {
                    let expected = free.pop_first().expect("a free slot");
                    prop_assert_eq!(arena.next_slot(), expected);
                    prop_assert_eq!(arena.insert(value), expected);
                    taken.insert(expected, value);
                    if taken.len() > 9_000 { break; }
                } else {
                    let slot = value.wrapping_mul(31).wrapping_add(step * 7) % 10_000;
                    prop_assert_eq!(arena.remove(slot), taken.remove(&slot));
                    free.insert(slot);
                }
            }
            prop_assert_eq!(arena.len(), taken.len());
            prop_assert_eq!(arena.end(), taken.keys().next_back().map_or(0, |slot| slot + 1));
            let next = taken.range(value % 10_000..).next().map(|(slot, value)| (*slot, value));
            prop_assert_eq!(arena.next_from(value % 10_000), next);
            prop_assert!(arena.iter().map(|(slot, value)| (slot, *value)).eq(taken.iter().map(|(slot, value)| (*slot, *value))));
        }
    }

    #[test]
    fn a_part_table_is_a_set(steps in prop::collection::vec((any::<bool>(), 0..40_000_u32), 1..60)) {
        let build = DefaultHashBuilder::default();
        let hasher = |value: &u32| build.hash_one(value);
        let mut table = PartTable::default();
        let mut set = BTreeSet::new();
        for (grow, start) in steps {
            for value in start..start + 700 {
                let hash = hasher(&value);
                if grow && set.insert(value) {
                    table.insert_unique(hash, value, hasher);
                } else if !grow {
                    let removed = table.remove(hash, |it| *it == value, hasher);
                    prop_assert_eq!(removed.is_some(), set.remove(&value));
                }
            }
            prop_assert_eq!(table.len(), set.len());
            for value in (start..start + 1_400).step_by(13) {
                let found = table.find(hasher(&value), |it| *it == value).is_some();
                prop_assert_eq!(found, set.contains(&value));
            }
        }
        if set.is_empty() {
            prop_assert_eq!(table.allocated_bytes(), 0);
        }
    }

    #[test]
    fn a_heap_gives_the_smallest_first(steps in prop::collection::vec((0..4_u8, any::<u16>()), 1..3_000)) {
        let mut heap = Heap::default();
        let mut model = BinaryHeap::new();
        for (kind, value) in steps {
            match kind {
                0 => prop_assert_eq!(heap.pop(), model.pop().map(|std::cmp::Reverse(value)| value)),
                1 if heap.first().is_some() => {
                    model.pop();
                    model.push(std::cmp::Reverse(value));
                    heap.replace_first(value);
                }
                _ => {
                    heap.push(value);
                    model.push(std::cmp::Reverse(value));
                }
            }
            prop_assert_eq!(heap.first(), model.peek().map(|std::cmp::Reverse(value)| *value));
        }
    }
}
