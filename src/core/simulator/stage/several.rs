//! Streams of several topics, of which more than one has events in a turn.

use super::*;

/// The ids of the events that have arrived at a wire since the last call.
pub(super) fn events(stage: &mut Stage, wire: usize) -> Vec<EventId> {
    let wire = stage.network.wires.get_mut(&wire).expect("a wire");
    let text = String::from_utf8(std::mem::take(&mut wire.arrived)).expect("UTF-8");
    let blocks = text.split("\n\n").filter(|block| block.contains("data: "));
    let id = |block: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix("id: "));
        let id = line.expect("an id");
        MARK.place_of(id).expect("the node's id")
    };
    blocks.map(id).collect()
}

/// The merged run was made anew for every stream.
#[test]
fn streams_that_want_the_same_events_share_one_run() {
    const CHOICES: [&[&str]; 4] = [&["a", "b"], &["b", "c"], &["a", "c"], &["a", "b", "c"]];
    let mut stage = Stage::new(1_000);
    for number in 0..400 {
        let own = format!("own/{number}");
        let choice = CHOICES[number % CHOICES.len()];
        stage.open_all(&[choice, &[&own]].concat(), None, None);
    }
    stage.turn(1);
    for wire in 1..=400 {
        events(&mut stage, wire);
    }
    let before = stage.core.runs_made();
    let mut published = Vec::new();
    for _ in 0..5 {
        for topic in ["a", "b", "c"] {
            published.push((topic, stage.publish(topic, false)));
        }
    }
    stage.turn(1);
    assert_eq!(stage.core.runs_made() - before, CHOICES.len());
    for wire in 1..=400 {
        let choice = CHOICES[(wire - 1) % CHOICES.len()];
        let wanted = published.iter().filter(|(topic, _)| choice.contains(topic));
        let wanted: Vec<_> = wanted.map(|(_, id)| *id).collect();
        assert_eq!(events(&mut stage, wire), wanted);
    }
}

/// The streams have different topics, but the same events.
#[test]
fn one_event_of_many_topics_is_one_run() {
    let mut stage = Stage::new(1_000);
    let own: Vec<String> = (0..20).map(|number| format!("own/{number}")).collect();
    for own in &own {
        stage.open_all(&["all", own], None, None);
    }
    stage.turn(1);
    let before = stage.core.runs_made();
    let mut topics: Vec<&str> = own.iter().map(String::as_str).collect();
    topics.push("all");
    let id = stage.publish_to(&topics, false);
    stage.turn(1);
    assert_eq!(stage.core.runs_made() - before, 1);
    for wire in 1..=20 {
        assert_eq!(events(&mut stage, wire).last(), Some(&id));
    }
}

/// Streams with and without a grant, on the same topics.
#[test]
fn streams_with_the_same_rights_share_a_run_of_private_events() {
    let mut stage = Stage::new(1_000);
    for number in 0..100 {
        let end_ms = (number % 2 == 0).then_some(1_000_000);
        stage.open_all(&["a", "b"], None, end_ms);
    }
    stage.turn(1);
    for wire in 1..=100 {
        events(&mut stage, wire);
    }
    let before = stage.core.runs_made();
    let public = stage.publish("a", false);
    let private = stage.publish("b", true);
    stage.turn(1);
    assert_eq!(stage.core.runs_made() - before, 2);
    for wire in 1..=100 {
        let expected: &[EventId] = if wire % 2 == 1 {
            &[public, private]
        } else {
            &[public]
        };
        assert_eq!(events(&mut stage, wire), expected);
    }
}

/// The client of a stream with a grant was gone when the events were written. The next stream had
/// no grant, but was mistaken for one with the same rights, and was sent the private event.
#[test]
fn a_stream_next_to_one_that_is_gone_hears_no_private_event() {
    // The order of the two streams is drawn anew each time.
    for _ in 0..32 {
        let mut stage = Stage::new(1_000);
        stage.open_all(&["a", "b"], None, Some(1_000_000));
        stage.open_all(&["a", "b"], None, None);
        stage.turn(1);
        events(&mut stage, 2);
        let public = stage.publish("a", false);
        stage.publish("b", true);
        stage.network.break_off(1);
        stage.turn(1);
        assert!(stage.network.wires[&1].closed);
        assert_eq!(events(&mut stage, 2), [public]);
    }
}
