//! Streams whose token has expired.

use super::*;

/// Events of the turn in which a token expired were written before the stream was ended. If many
/// tokens expired at once, this went on for seconds.
#[test]
fn a_stream_gets_nothing_after_its_token_has_expired() {
    for private in [true, false] {
        for blocked in [true, false] {
            let mut stage = Stage::new(10);
            stage.open_until("t", None, Some(1_000));
            stage.turn(1);
            if blocked {
                stage.set_room(0);
                stage.publish("t", private);
                stage.turn(1);
                stage.set_room(usize::MAX);
            }
            let seen = stage.read();
            stage.publish("t", private);
            stage.turn(1_000);
            let blocks = stage.read();
            assert_eq!(seen.len(), 1, "the prime");
            assert!(
                blocks.iter().all(|block| block.id.is_none()),
                "neither an event nor a heartbeat: {blocks:?}"
            );
            assert!(stage.network.wires[&1].closed);
        }
    }
}

/// A heartbeat moves a client's cursor to the head, past the events that its stream is no longer
/// sent.
#[test]
fn streams_that_wait_for_their_end_get_no_heartbeat() {
    let mut stage = Stage::new(10);
    // More streams than end in one turn.
    for _ in 0..600 {
        stage.open_until("t", None, Some(1_000));
    }
    stage.turn(500);
    stage.turn(499);
    let arrived = |stage: &mut Stage| {
        let wires = stage.network.wires.values_mut();
        let bytes = wires.map(|wire| std::mem::take(&mut wire.arrived));
        bytes.collect::<Vec<_>>().concat()
    };
    arrived(&mut stage);
    for _ in 0..100 {
        stage.turn(10);
        let bytes = arrived(&mut stage);
        assert!(memchr::memmem::find(&bytes, b"id:").is_none());
    }
    assert!(stage.network.wires.values().all(|wire| wire.closed));
}

/// Streams that wait for their end have missed events, so they must not continue, even if the clock
/// is set back.
#[test]
fn a_clock_that_is_set_back_brings_no_stream_back_to_life() {
    let one_end = TurnBudget {
        ends: 1,
        ..TurnBudget::default()
    };
    let mut stage = Stage::with_budget(10, one_end);
    // The second stream is ended first, and the first one waits.
    for _ in 0..2 {
        stage.open_until("t", None, Some(1_000));
    }
    stage.turn(1);
    stage.read();
    stage.publish("t", true);
    stage.turn_at(BIRTH_MS + 2_000);
    assert!(stage.network.wires[&2].closed && !stage.network.wires[&1].closed);
    stage.publish("t", true);
    stage.turn_at(BIRTH_MS + 500);
    assert!(stage.read().iter().all(|block| block.id.is_none()));
    assert!(stage.network.wires[&1].closed);
    // Without a waiting stream, the clock is followed again.
    stage.network.wires.clear();
    stage.reader = Reader::new(Encoding::BARE);
    stage.open_until("t", None, Some(1_000));
    stage.publish("t", true);
    stage.turn_at(BIRTH_MS + 501);
    let blocks = stage.read();
    assert!(
        blocks.iter().any(|block| block.data.is_some()),
        "{blocks:?}"
    );
}

/// As in a drain: the next turn comes at once while due streams are left.
#[test]
fn more_expired_streams_than_one_turn_ends_are_not_waited_for() {
    const STREAMS: usize = 900;
    let mut stage = Stage::new(1);
    for _ in 0..STREAMS {
        stage.open_until("t", None, Some(50));
    }
    stage.turn(0);
    let mut turns = 0;
    while stage.core.len() > 0 {
        let next_ms = stage.next.wake_ms.expect("more to do");
        stage.turn(next_ms.saturating_sub(stage.now_ms));
        turns += 1;
        assert!(turns < STREAMS, "a turn ends nothing");
    }
    assert!(stage.now_ms <= 50, "{} ms", stage.now_ms);
}
