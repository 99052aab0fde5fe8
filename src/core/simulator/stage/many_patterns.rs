//! Streams of many patterns that match one topic.

use super::several::events;
use super::*;

const PATTERNS: [&str; 5] = ["*", "**", "{x}", "{+x}", "{x}{y}"];

/// Each event visited every pattern that matched it, and every stream of each pattern.
#[test]
fn streams_of_many_patterns_are_looked_up_once_for_all_events() {
    let mut stage = Stage::new(1_000);
    for first in 0..3 {
        stage.open_all(&PATTERNS[first..], None, None);
    }
    stage.open(PATTERNS[4], None);
    let mut published = Vec::new();
    for _ in 0..10 {
        for _ in 0..5 {
            published.push(stage.publish("a", false));
        }
        stage.turn(1);
    }
    assert_eq!(stage.core.sets_looked_up(), 1);
    for wire in 1..=4 {
        assert_eq!(events(&mut stage, wire), published, "wire {wire}");
    }
}

#[test]
fn a_stream_that_attaches_amid_the_events_of_many_patterns_gets_those_after_it() {
    let mut stage = Stage::new(1_000);
    stage.open_all(&PATTERNS, None, None);
    let before = stage.publish("a", false);
    stage.open(PATTERNS[2], None);
    let after = stage.publish("a", false);
    stage.turn(1);
    assert_eq!(events(&mut stage, 1), [before, after]);
    assert_eq!(events(&mut stage, 2), [after]);
    assert_eq!(stage.core.sets_looked_up(), 2);
}

/// An event of two topics refers to two sets, and some streams are in both.
#[test]
fn an_event_of_two_topics_with_many_patterns_comes_once() {
    let mut stage = Stage::new(1_000);
    stage.open_all(&PATTERNS, None, None);
    stage.open("{x}", None);
    stage.open("b", None);
    stage.open_all(&["a", "b/*"], None, None);
    let mut published = Vec::new();
    for topics in [&["a"][..], &["b"], &["a", "b"], &["b", "a"]] {
        published.push(stage.publish_to(topics, false));
    }
    stage.turn(1);
    assert_eq!(events(&mut stage, 1), published);
    assert_eq!(events(&mut stage, 2), published);
    assert_eq!(events(&mut stage, 3), published[1..]);
    assert_eq!(
        events(&mut stage, 4),
        [published[0], published[2], published[3]]
    );
}

#[test]
fn a_private_event_among_many_patterns_is_for_those_who_were_granted_one() {
    let mut stage = Stage::new(1_000);
    stage.open_all(&PATTERNS, None, None);
    stage.open_granted(&PATTERNS, &["{+x}"]);
    stage.open_granted(&["{x}"], &["other"]);
    let public = stage.publish("a", false);
    let private = stage.publish("a", true);
    stage.turn(1);
    assert_eq!(events(&mut stage, 1), [public]);
    assert_eq!(events(&mut stage, 2), [public, private]);
    assert_eq!(events(&mut stage, 3), [public]);
}
