//! The ends of streams in a drain, also of those whose wires are full.

use super::*;
use crate::core::delivery::StreamKey;

const PERIOD_MS: u64 = 1_000;

/// Fewer bytes than a farewell, which is a chunk with `retry:`, and the last chunk.
const PART: usize = 5;

impl Stage {
    /// A shard with one stream, whose wire has no room for its next event.
    fn stalled(transport: Transport) -> Self {
        let mut stage = Self::new(10);
        stage.transport = transport;
        stage.open("t", None);
        stage.turn(1);
        stage.set_room(0);
        stage.publish("t", false);
        stage.turn(1);
        assert_eq!(stage.read().len(), 1, "the prime");
        stage
    }

    fn drain(&mut self) {
        self.post(Message::Drain(PERIOD_MS));
        self.turn(1);
    }

    /// Lets `ms` pass, and makes the turns that the shard asks for.
    fn turn_for(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while let Some(next_ms) = self.next.wake_ms.filter(|next| *next <= end_ms) {
            self.turn(next_ms.saturating_sub(self.now_ms));
        }
        self.now_ms = end_ms;
    }

    /// Whether the first stream is closed, whether it has its proper end, and the number of streams
    /// counted as cut.
    fn outcome(&self) -> (bool, bool, u64) {
        let wire = &self.network.wires[&1];
        (wire.closed, wire.ended, self.counters.cut.get())
    }
}

#[test]
fn a_drain_did_not_count_the_streams_that_it_never_told() {
    let mut stage = Stage::stalled(Transport::Plain);
    stage.drain();
    stage.turn_for(PERIOD_MS / 2);
    assert_eq!(stage.outcome(), (false, false, 0), "it has time");
    stage.turn_for(PERIOD_MS);
    assert_eq!(stage.outcome(), (true, false, 1));
    assert_eq!(stage.core.len(), 0);
    assert_eq!(stage.read(), []);
}

#[test]
fn a_stream_whose_wire_was_full_for_a_moment_was_cut_at_once() {
    let transports = [Transport::Plain, Transport::Sealed(3)];
    for transport in transports {
        let mut stage = Stage::stalled(transport);
        stage.drain();
        stage.turn_for(PERIOD_MS / 2);
        stage.publish("t", false);
        // Room for less than a frame or a farewell at a time.
        for _ in 0..1_000 {
            stage.set_room(PART);
            stage.turn(0);
        }
        assert_eq!(stage.outcome(), (true, true, 0), "{transport:?}");
        let text = String::from_utf8(stage.network.wires[&1].arrived.clone()).expect("text");
        assert_eq!(text.matches("retry: ").count(), 1, "{text}");
        assert_eq!(stage.core.len(), 0);
    }
}

/// A stream whose wire had accepted a part of the farewell was cut, but not counted.
#[test]
fn a_stream_that_accepted_a_part_of_its_end_is_cut_and_counted() {
    let mut stage = Stage::new(10);
    stage.open("t", None);
    stage.turn(1);
    stage.read();
    stage.set_room(PART);
    stage.drain();
    assert_eq!(stage.outcome(), (false, false, 0));
    stage.turn_for(PERIOD_MS);
    assert_eq!(stage.outcome(), (true, false, 1));
    assert_eq!(stage.network.wires[&1].arrived.len(), PART);
}

#[test]
fn a_stream_that_is_due_at_the_end_of_the_period_is_counted_too() {
    for period_ms in [0, PERIOD_MS] {
        let mut stage = Stage::stalled(Transport::Plain);
        for _ in 0..3 {
            stage.open("other", None);
        }
        stage.turn(0);
        stage.post(Message::Drain(period_ms));
        stage.turn(0);
        stage.turn(period_ms);
        assert_eq!(stage.outcome(), (true, false, 1));
        let others = stage.network.wires.range(2..);
        assert!(others.into_iter().all(|(_, wire)| wire.ended));
    }
}

#[test]
fn leaving_streams_do_not_keep_the_others_from_their_steps() {
    const STREAMS: usize = 10;
    let mut stage = Stage::stalled(Transport::Plain);
    for _ in 1..STREAMS {
        stage.open("other", None);
    }
    stage.turn(0);
    stage.drain();
    for tenth in 1..STREAMS {
        stage.turn_for(PERIOD_MS / 10);
        let open = stage.core.len();
        assert_eq!(open, STREAMS - tenth + 1, "after {tenth} tenths");
    }
    stage.turn_for(PERIOD_MS / 10);
    assert_eq!((stage.core.len(), stage.counters.cut.get()), (0, 1));
}

#[test]
fn a_client_that_leaves_before_its_farewell_is_not_counted() {
    let mut stage = Stage::stalled(Transport::Plain);
    stage.drain();
    let (wire, signal) = stage.network.hang_up(1);
    let key = stage.network.wires[&wire].key.expect("it is open");
    stage.inbox.signals.push_back((key, signal));
    stage.turn_for(PERIOD_MS);
    assert_eq!(stage.outcome(), (true, false, 0));
}

#[test]
fn a_stream_that_times_out_in_a_drain_is_counted() {
    let mut stage = Stage::stalled(Transport::Plain);
    stage.post(Message::Drain(u64::MAX / 4));
    stage.turn(2_000_000);
    assert_eq!(stage.outcome(), (true, false, 1));
}

/// The end of a stream is sent once, even if an operator closes the stream meanwhile.
#[test]
fn a_leaving_stream_that_an_operator_closes_has_one_end() {
    let mut stage = Stage::new(10);
    stage.transport = Transport::Sealed(PART);
    stage.open("t", None);
    stage.turn(1);
    stage.read();
    stage.set_room(PART);
    stage.drain();
    let key = stage.network.wires[&1].key.expect("it is open");
    stage.set_room(usize::MAX);
    let stream = StreamKey { shard: 0, key };
    stage.post(Message::Close(stream, Box::new(|ended| assert!(ended))));
    stage.turn(0);
    assert_eq!(stage.outcome(), (true, true, 0));
    let text = String::from_utf8(stage.network.wires[&1].arrived.clone()).expect("text");
    assert_eq!(text.matches("retry: ").count(), 1, "{text}");
}

#[test]
fn a_leaving_stream_that_is_parked_has_its_end_in_the_next_shard() {
    let mut stage = Stage::stalled(Transport::Plain);
    stage.drain();
    stage.turn_for(PERIOD_MS / 2);
    let parked = stage.park();
    stage.network.set_room(1, usize::MAX);
    stage.unpark(parked);
    assert_eq!(stage.outcome(), (true, true, 0));
    let text = String::from_utf8(stage.network.wires[&1].arrived.clone()).expect("text");
    assert_eq!(text.matches("retry: ").count(), 1, "{text}");
}

/// A stream that is attached during a drain has a slot beside the leaving streams.
#[test]
fn a_late_stream_does_not_wait_for_the_leaving_ones() {
    let mut stage = Stage::stalled(Transport::Plain);
    stage.open("other", None);
    stage.turn(0);
    stage.drain();
    stage.turn_for(PERIOD_MS * 3 / 4);
    stage.open("other", None);
    stage.turn(0);
    stage.turn_for(PERIOD_MS / 8);
    let late = &stage.network.wires[&3];
    assert!(late.closed && late.ended);
    assert_eq!(stage.outcome(), (false, false, 0));
    stage.turn_for(PERIOD_MS);
    assert_eq!(stage.outcome(), (true, false, 1));
}

/// A turn ends a bounded number of streams, and the next turn came 10 ms later even if due streams
/// were left. A drain of very many streams took longer than its period, and the rest of them were
/// cut.
#[test]
fn a_drain_of_more_streams_than_its_steps_end_took_longer_than_its_period() {
    const STREAMS: usize = 900;
    const PERIOD_MS: u64 = 20;
    let mut stage = Stage::new(1);
    for _ in 0..STREAMS {
        stage.open("t", None);
    }
    stage.post(Message::Drain(PERIOD_MS));
    stage.turn(0);
    let mut turns = 0;
    while let Some(next_ms) = stage.next.wake_ms {
        stage.turn(next_ms.saturating_sub(stage.now_ms));
        turns += 1;
        assert!(turns < STREAMS, "a turn ends nothing");
    }
    assert!(stage.now_ms <= PERIOD_MS, "{} ms", stage.now_ms);
    assert_eq!(stage.core.len(), 0);
    let mut wires = stage.network.wires.values();
    assert!(wires.all(|wire| wire.ended), "a stream was cut");
}
