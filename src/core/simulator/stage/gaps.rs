//! Gaps: the losses that they report, and the cursors at which they end.

use super::*;

/// A stream was sent a heartbeat beyond a private event that was not for it. When the event was
/// evicted while the stream was blocked, the stream was sent a gap that ended before the heartbeat:
/// its cursor went back, although no event that it may hear was missing.
#[test]
fn a_private_event_under_a_heartbeat_is_no_gap() {
    for room in [0, 3] {
        let mut stage = Stage::new(1);
        stage.open("t", None);
        stage.publish("t", false);
        stage.turn(1);
        stage.publish("t", true);
        stage.turn(HEARTBEAT_MS);
        stage.turn(HEARTBEAT_MS);
        stage.set_room(room);
        stage.publish("t", true);
        let last = stage.publish("t", false);
        stage.turn(HEARTBEAT_MS);
        stage.set_room(usize::MAX);
        stage.turn(1);
        let blocks = stage.read();
        assert_no_gap(&blocks);
        assert!(blocks.is_sorted_by_key(id_of), "{blocks:?}");
        assert_eq!(blocks.last().map(id_of), Some(last));
    }
}

/// The same schedule with a heartbeat that was itself cut.
#[test]
fn a_private_event_under_a_cut_heartbeat_is_no_gap() {
    let mut stage = Stage::new(1);
    stage.open("t", None);
    stage.publish("t", false);
    stage.turn(1);
    stage.publish("t", true);
    stage.turn(HEARTBEAT_MS);
    stage.set_room(3);
    stage.turn(HEARTBEAT_MS);
    stage.publish("t", true);
    stage.set_room(usize::MAX);
    stage.turn(1);
    let blocks = stage.read();
    assert_no_gap(&blocks);
    assert!(
        blocks.len() >= 3,
        "the prime, the event, a heartbeat: {blocks:?}"
    );
    assert!(blocks.is_sorted_by_key(id_of), "{blocks:?}");
}

/// A stream that read on from history has passed over events that were not for it. If they are
/// evicted after it has fallen behind again, it has missed no event.
#[test]
fn what_a_stream_passed_over_while_it_read_on_is_no_gap_later() {
    let mut stage = Stage::new(1);
    let seen = stage.publish("t", false);
    stage.publish("t", true);
    stage.open_with(&["t"], &["elsewhere"], Some(seen), None);
    stage.turn(1);
    stage.set_room(0);
    let last = stage.publish("t", false);
    stage.turn(1);
    stage.set_room(usize::MAX);
    stage.turn(1);
    let blocks = stage.read();
    assert_no_gap(&blocks);
    assert_eq!(blocks.last().map(id_of), Some(last));
}

/// A read for a stream on a pattern examined so many events of other topics that it ended before
/// the stream's own events. The gap for an evicted event beyond them moved the cursor past events
/// that were still in the history.
#[test]
fn a_gap_does_not_reach_past_what_was_not_looked_at() {
    let mut stage = Stage::new(4);
    let seen = stage.publish("elsewhere/0", false);
    for _ in 0..4 {
        stage.publish("elsewhere/1", false);
    }
    let kept = stage.publish("mine/a", false);
    let later: Vec<_> = (0..5).map(|_| stage.publish("mine/b", false)).collect();
    stage.open("mine/{x}", Some(seen));
    stage.turn(1);
    let blocks = stage.read();
    let events = blocks
        .iter()
        .filter(|block| block.data.as_deref() == Some("data"));
    let events: Vec<_> = events.map(id_of).collect();
    assert_eq!(events, [&[kept], &later[1..]].concat());
    let gap = blocks.iter().find(|block| block.event == "gap");
    assert!(id_of(gap.expect("one was evicted")) < kept);
}

/// History had evicted events that were still in the mailbox. The gap ended at such an event, and
/// its id passed over events of other topics that were still in the history.
#[test]
fn a_gap_does_not_reach_into_the_mailbox() {
    let mut stage = Stage::new(1);
    stage.open("*/x", None);
    let first = stage.publish("a/x", false);
    stage.turn(1);
    stage.set_room(0);
    let missed = stage.publish("a/x", false);
    stage.turn(1);
    let posts = ["a/x", "b/x", "a/x", "a/x"]
        .map(|topic| stage.stamp(&[topic], false).expect("the stream listens"));
    stage.set_room(usize::MAX);
    stage.turn(1);
    let blocks = stage.read();
    let gap = blocks.last().expect("a gap");
    assert_eq!((gap.event.as_str(), id_of(gap)), ("gap", missed));
    let told: serde_json::Value =
        serde_json::from_str(gap.data.as_deref().expect("data")).expect("JSON");
    let range = [&told["from"], &told["to"]].map(|id| id.as_str().map(str::to_owned));
    assert_eq!(
        range,
        [first, missed].map(|id| Some(id.marked(MARK).to_string()))
    );
    let ids = posts.each_ref().map(|batch| batch.head);
    for batch in posts {
        stage.post(Message::Deliver(Arc::new(batch)));
    }
    stage.turn(1);
    let events: Vec<_> = stage.read().iter().map(id_of).collect();
    assert_eq!(events, ids);
}
