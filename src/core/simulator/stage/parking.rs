//! Streams that are parked, and wires that keep bytes which they accepted.

use parking_lot::Mutex;

use super::*;
use crate::core::delivery::{Parked, StreamKey};

/// More than half of the stage's write timeout: two of them exceed it.
const MOST_OF_THE_TIMEOUT_MS: u64 = 600_000;

impl Stage {
    /// A stream that has an event to send, and whose client has accepted no byte for most of the
    /// timeout.
    fn stuck(transport: Transport) -> Self {
        let mut stage = Self::new(10);
        stage.transport = transport;
        stage.open("t", None);
        stage.turn(1);
        stage.set_room(0);
        stage.publish("t", false);
        stage.turn(1);
        stage.turn(MOST_OF_THE_TIMEOUT_MS);
        stage
    }

    /// Parks the first stream.
    pub(super) fn park(&mut self) -> Parked<usize> {
        let parked = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&parked);
        let stream = StreamKey {
            shard: 0,
            key: self.network.wires[&1].key.expect("it is open"),
        };
        let answer = Box::new(move |stream| *answer.lock() = stream);
        self.post(Message::Park(stream, answer));
        self.turn(0);
        let stream = parked.lock().take();
        stream.expect("it was open")
    }

    pub(super) fn unpark(&mut self, parked: Parked<usize>) {
        let reseat = self.shared.desk.lock().reseat(0, parked.wanted());
        self.post(Message::Unpark(Box::new(parked), reseat));
        self.turn(0);
    }
}

/// A stream whose client accepts no byte would never be ended if it was parked often enough.
#[test]
fn a_stream_that_is_parked_keeps_the_time_for_which_its_client_took_nothing() {
    let mut stage = Stage::stuck(Transport::Plain);
    assert!(!stage.network.wires[&1].closed);
    let parked = stage.park();
    stage.unpark(parked);
    stage.turn(MOST_OF_THE_TIMEOUT_MS);
    assert!(stage.network.wires[&1].closed);
}

/// A wire that is full and sends kept bytes is not stuck.
#[test]
fn a_wire_that_sends_what_it_kept_has_its_whole_timeout_again() {
    let mut stage = Stage::stuck(Transport::Sealed(1_000));
    // One byte, and the wire stays full.
    stage.set_room(1);
    stage.turn(1);
    stage.turn(MOST_OF_THE_TIMEOUT_MS);
    assert!(!stage.network.wires[&1].closed);
    stage.turn(MOST_OF_THE_TIMEOUT_MS);
    assert!(stage.network.wires[&1].closed);
}

/// A stream that was caught up has passed over events that were not for it. If they are evicted
/// while it is parked, it has missed no event.
#[test]
fn what_a_caught_up_stream_passed_over_is_no_gap_after_it_was_parked() {
    let mut stage = Stage::new(1);
    stage.open_granted(&["t"], &["elsewhere"]);
    stage.publish("t", false);
    stage.turn(1);
    stage.publish("t", true);
    stage.turn(1);
    let parked = stage.park();
    let last = stage.publish("t", false);
    stage.unpark(parked);
    let blocks = stage.read();
    assert_no_gap(&blocks);
    assert_eq!(blocks.last().map(id_of), Some(last));
}

/// A wire that had accepted the end of the stream was closed as if it had not.
#[test]
fn an_end_that_a_wire_accepted_and_kept_is_a_proper_end() {
    let mut stage = Stage::new(10);
    stage.transport = Transport::Sealed(1_000);
    stage.open_until("t", None, Some(1_000));
    stage.turn(1);
    let before = stage.read().len();
    // The connection has no room, so the wire keeps all of the end.
    stage.set_room(0);
    stage.turn(1_000);
    let wire = &stage.network.wires[&1];
    assert!(wire.closed && wire.ended);
    assert!(before == 1 && !stage.read().is_empty(), "it arrives");
}

/// After an upgrade, a client that accepts nothing would have its whole timeout again, and every
/// stream would be shown as new.
#[test]
fn a_stream_that_is_older_than_its_shard_keeps_its_age_and_its_timeout() {
    let mut stage = Stage::stuck(Transport::Plain);
    let parked = stage.park();
    let (config, shared) = (stage.config.clone(), stage.shared.clone());
    stage.core = Core::new(config, shared, Arc::clone(&stage.counters), 2);
    stage.now_ms = 0;
    stage.unpark(parked);
    let parked = stage.park();
    assert_eq!(parked.age_s, MOST_OF_THE_TIMEOUT_MS / 1_000);
    assert_eq!(parked.stuck_ms, MOST_OF_THE_TIMEOUT_MS);
    stage.unpark(parked);
    stage.turn(MOST_OF_THE_TIMEOUT_MS);
    assert!(stage.network.wires[&1].closed);
}
