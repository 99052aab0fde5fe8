//! The protocol of a turn: the order of its parts, the work that a budget leaves over, and the
//! core's request for the next turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::inbox;
use super::super::network::HUNG_UP;
use super::*;
use crate::core::delivery::query::{StreamQuery, Task};
use crate::core::delivery::{Key, StreamKey};

impl Stage {
    fn key(&self, wire: usize) -> Key {
        self.network.wires[&wire].key.expect("it is attached")
    }

    /// Makes one turn without letting time pass.
    fn one_turn(&mut self) -> Next {
        self.turn_at(BIRTH_MS + self.now_ms)
    }

    fn events(&mut self) -> usize {
        let blocks = self.read();
        blocks.iter().filter(|block| block.data.is_some()).count()
    }
}

#[test]
fn a_client_that_is_gone_is_written_nothing_more() {
    let mut stage = Stage::new(10);
    stage.open("t", None);
    stage.turn(1);
    stage.read();
    stage.publish("t", false);
    let key = stage.key(1);
    stage.inbox.signals.push_back((key, HUNG_UP));
    stage.turn(1);
    assert!(stage.network.wires[&1].closed);
    assert_eq!(stage.read(), []);
}

#[test]
fn what_a_budget_leaves_over_is_done_in_the_next_turn() {
    let budgets = [
        TurnBudget {
            messages: 1,
            ..TurnBudget::default()
        },
        TurnBudget {
            event_bytes: 1,
            ..TurnBudget::default()
        },
    ];
    for budget in budgets {
        let mut stage = Stage::with_budget(10, budget);
        stage.open("t", None);
        stage.turn(1);
        stage.read();
        for _ in 0..3 {
            stage.publish("t", false);
        }
        for left in [2, 1, 0] {
            assert_eq!(stage.one_turn().has_work, left > 0);
            assert_eq!(stage.events(), 1);
        }
    }
}

#[test]
fn signals_beyond_the_budget_wait_for_the_next_turn() {
    let budget = TurnBudget {
        signals: 1,
        ..TurnBudget::default()
    };
    let mut stage = Stage::with_budget(10, budget);
    stage.open("t", None);
    stage.open("t", None);
    stage.turn(1);
    for wire in [1, 2] {
        let key = stage.key(wire);
        stage.inbox.signals.push_back((key, HUNG_UP));
    }
    assert!(stage.one_turn().has_work);
    assert_eq!(stage.core.len(), 1);
    assert!(!stage.one_turn().has_work);
    assert_eq!(stage.core.len(), 0);
}

#[test]
fn streams_that_read_on_share_the_turns() {
    let budget = TurnBudget {
        replay_streams: 1,
        ..TurnBudget::default()
    };
    let mut stage = Stage::with_budget(10, budget);
    let before = stage.publish("t", false);
    stage.publish("t", false);
    stage.open("t", Some(before));
    stage.open("t", Some(before));
    let arrived = |stage: &Stage, wire| !stage.network.wires[&wire].arrived.is_empty();
    assert!(stage.one_turn().has_work, "the second has not read");
    assert!(arrived(&stage, 1) && !arrived(&stage, 2));
    assert!(!stage.one_turn().has_work);
    assert!(arrived(&stage, 2));
}

#[test]
fn what_was_published_before_a_stream_is_ended_goes_out_before_its_end() {
    let mut stage = Stage::new(10);
    stage.open("t", None);
    stage.turn(1);
    stage.read();
    stage.publish("t", false);
    let ended = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&ended);
    let stream = StreamKey {
        shard: 0,
        key: stage.key(1),
    };
    let answer = Box::new(move |found| answer.store(found, Ordering::Relaxed));
    stage.post(Message::Close(stream, answer));
    stage.publish("t", false);
    stage.turn(1);
    let blocks = stage.read();
    assert!(ended.load(Ordering::Relaxed));
    assert!(blocks[0].data.is_some() && blocks[1].id.is_none());
    assert_eq!(blocks.len(), 2, "{blocks:?}");
}

#[test]
fn what_was_published_before_a_query_ends_streams_goes_out_before_their_end() {
    let mut stage = Stage::new(10);
    stage.open("t", None);
    stage.turn(1);
    stage.read();
    stage.publish("t", false);
    let query = Arc::new(StreamQuery::default());
    stage.post(Message::Find(query, 0, Task::End, Box::new(|_| ())));
    stage.turn(1);
    let blocks = stage.read();
    assert!(stage.network.wires[&1].closed);
    assert!(blocks[0].data.is_some() && blocks[1].id.is_none());
    assert_eq!(blocks.len(), 2, "{blocks:?}");
}

/// Writing to many streams takes time. A token that expires meanwhile ends its stream in the same
/// turn.
#[test]
fn the_clock_is_read_again_after_live_delivery() {
    let mut stage = Stage::new(10);
    stage.open_until("t", None, Some(1_000));
    stage.turn(1);
    stage.read();
    stage.publish("t", false);
    let now = inbox::clock(999, BIRTH_MS + 999, 1);
    stage.core.turn(&mut stage.inbox, now, &mut stage.network);
    assert_eq!(stage.events(), 1);
    assert!(stage.network.wires[&1].closed);
}

#[test]
fn a_shard_that_is_stopped_takes_no_further_message() {
    let mut stage = Stage::new(10);
    stage.post(Message::Stop);
    stage.open("t", None);
    let next = stage.one_turn();
    assert!(next.stop && next.has_work);
    assert_eq!(stage.core.len(), 0);
}

#[test]
fn a_shard_sleeps_until_its_streams_need_it() {
    let mut stage = Stage::new(10);
    assert_eq!(stage.one_turn(), Next::default(), "nobody is there");
    stage.open("t", None);
    let next = stage.one_turn();
    assert!(!next.has_work);
    assert_eq!(next.wake_ms, Some(HEARTBEAT_MS / 2), "the sweep");
    stage.open_until("t", None, Some(300));
    assert_eq!(stage.one_turn().wake_ms, Some(300), "the end of a token");
}
