//! Heartbeats after a silence or a stall of the shard.

use super::*;

/// A shard that had slept without streams had a sweep due. It made two sweeps at once, and sent its
/// first stream a heartbeat right after the prime.
#[test]
fn the_first_stream_after_a_long_silence_is_primed_once() {
    for silence in [10, HEARTBEAT_MS / 2, HEARTBEAT_MS, 60_000] {
        let mut stage = Stage::new(1);
        stage.turn(1);
        stage.now_ms += silence;
        stage.open("t", None);
        stage.turn(0);
        stage.turn(1);
        assert_eq!(stage.read().len(), 1, "after {silence} ms");
        // Silence lasts no longer than one interval.
        for _ in 0..100 {
            stage.turn(HEARTBEAT_MS / 100);
        }
        assert_eq!(stage.read().len(), 1, "after {silence} ms");
    }
}

/// The same for streams of a shard that was delayed for longer than a sweep.
#[test]
fn a_stream_that_was_just_written_to_gets_no_heartbeat_after_a_stall() {
    let mut stage = Stage::new(1);
    stage.open("t", None);
    stage.turn(1);
    stage.read();
    stage.publish("t", false);
    stage.turn(HEARTBEAT_MS * 60);
    let blocks = stage.read();
    assert_eq!(blocks.len(), 1, "the event alone: {blocks:?}");
}
