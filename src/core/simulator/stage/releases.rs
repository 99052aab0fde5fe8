//! The references and places that streams release when they end, or when they never begin.

use super::super::network::HUNG_UP;
use super::*;
use crate::core::history::Work;

/// Streams that were reset together released their topics under one hold of the store's lock, and
/// no event was delivered meanwhile.
#[test]
fn events_go_on_while_many_streams_that_ended_give_their_topics_back() {
    let mut stage = Stage::with_budget(10, release(7));
    stage.open("t", None);
    for number in 0..100 {
        stage.open(&format!("own/{number}"), None);
    }
    stage.turn(1);
    stage.read();
    let open = |stage: &Stage| stage.shared.store().size().topics;
    for wire in 2..102 {
        let key = stage.network.wires[&wire].key.expect("it is open");
        stage.inbox.signals.push_back((key, HUNG_UP));
    }
    let mut turns = 0;
    while turns == 0 || stage.next.has_work {
        let before = open(&stage);
        let id = stage.publish("t", false);
        stage.turn_at(BIRTH_MS + stage.now_ms);
        assert_eq!(
            stage.shared.places.open(),
            1,
            "their places are free at once"
        );
        assert_eq!(stage.read().last().map(id_of), Some(id));
        assert!(before - open(&stage) <= 7, "in one hold");
        turns += 1;
    }
    assert_eq!(turns, 100 / 7 + 1);
    assert_eq!(open(&stage), 1, "topics of no stream do not exist");
}

/// The references of streams that come and go faster than one portion a turn would pile up.
#[test]
fn a_turn_that_ends_with_too_many_references_gives_back_several_portions() {
    let most = |released_max| TurnBudget {
        released_max,
        ..release(2)
    };
    for (released_max, left) in [(1 << 20, 18), (19, 18), (17, 16), (4, 4), (0, 0)] {
        let mut stage = Stage::with_budget(0, most(released_max));
        for number in 0..20 {
            stage.open(&format!("own/{number}"), None);
        }
        stage.turn(1);
        for wire in 1..=20 {
            let key = stage.network.wires[&wire].key.expect("it is open");
            stage.inbox.signals.push_back((key, HUNG_UP));
        }
        let next = stage.turn_at(BIRTH_MS + stage.now_ms);
        assert_eq!(stage.shared.store().size().topics, left, "{released_max}");
        assert_eq!(next.has_work, left > 0);
    }
}

/// A budget under which a portion releases this many references.
fn release(references: usize) -> TurnBudget {
    TurnBudget {
        release: Work::default().with_references(references),
        ..TurnBudget::default()
    }
}

/// A shard that stopped with unreleased references would have left topics without streams.
#[test]
fn a_shard_that_stops_gives_back_all_that_is_left() {
    let mut stage = Stage::with_budget(0, release(1));
    for number in 0..10 {
        stage.open_until(&format!("own/{number}"), None, Some(1_000));
    }
    stage.turn(1);
    let ended = BIRTH_MS + 1_000;
    assert!(stage.turn_at(ended).has_work);
    assert!(stage.network.wires.values().all(|wire| wire.closed));
    stage.post(Message::Stop);
    assert!(!stage.turn_at(ended).has_work);
    let store = stage.shared.store();
    assert!(store.is_bare() && store.size().topics == 0);
}

/// The client's socket was closed without a byte, and no counter showed it.
#[test]
fn a_stream_that_the_system_does_not_watch_had_no_answer() {
    let mut stage = Stage::new(1);
    stage.network.watches_nothing = true;
    stage.open_until("t", None, Some(50));
    stage.turn(1);
    let wire = &stage.network.wires[&1];
    let arrived = String::from_utf8(wire.arrived.clone()).expect("text");
    let head = std::str::from_utf8(HEAD).expect("text");
    let rest = arrived.strip_prefix(head).expect("the head");
    assert!(rest.starts_with("retry: "), "{rest}");
    assert!(wire.ended && wire.closed);
    assert_eq!(stage.counters.turned_away.get(), 1);
    // It uses no place, and leaves no topic behind.
    assert_eq!((stage.core.len(), stage.shared.places.open()), (0, 0));
    stage.turn(1);
    assert_eq!(stage.shared.store().size().topics, 0);
    // The next stream is watched.
    stage.network.watches_nothing = false;
    stage.open("t", None);
    stage.turn(1);
    assert_eq!(stage.core.len(), 1);
}
