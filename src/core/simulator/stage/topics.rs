//! Streams that are told the topics of their events.

use super::*;

type Texts = &'static [&'static str];

impl Stage {
    /// The bytes that have arrived at a wire since the last call.
    fn arrived(&mut self, wire: usize) -> String {
        let wire = self.network.wires.get_mut(&wire).expect("a wire");
        String::from_utf8(std::mem::take(&mut wire.arrived)).expect("UTF-8")
    }

    /// The topics that a stream was told of each event since the last call, joined by spaces, and
    /// `-` for an event without one.
    fn told(&mut self, wire: usize) -> Vec<String> {
        let text = self.arrived(wire);
        let blocks = text
            .split("\n\n")
            .filter(|block| block.contains("data: data"));
        let topics = |block: &str| {
            let lines = block.lines().map_while(|line| line.strip_prefix("topic: "));
            match lines.collect::<Vec<_>>().join(" ") {
                none if none.is_empty() => "-".to_owned(),
                topics => topics,
            }
        };
        blocks.map(topics).collect()
    }

    /// Opens a stream that is told topics.
    fn open_told(&mut self, selectors: &[&str], grant: &[&str], cursor: Option<EventId>) {
        let before = std::mem::replace(&mut self.encoding, Encoding::BARE.with_topics());
        self.open_with(selectors, grant, cursor, None);
        self.encoding = before;
    }
}

/// Over each part that a wire may accept of the topics and events.
#[test]
fn a_cut_anywhere_in_a_topic_line_or_its_event_loses_and_doubles_no_byte() {
    for encoding in [Encoding::BARE, Encoding::CHUNKED] {
        for events in 1..4 {
            let whole = cut_at(encoding, events, usize::MAX, false);
            let lines = whole.matches("topic: a\n").count();
            assert_eq!(lines, events, "{whole}");
            for room in 0..=whole.len() {
                for parks in [false, true] {
                    let bytes = cut_at(encoding, events, room, parks);
                    // A stream that was parked may be sent a heartbeat at once.
                    let rest = bytes.strip_prefix(&*whole);
                    let is_whole = rest.is_some_and(|rest| !rest.contains("data: "));
                    assert!(is_whole, "{room} {parks}: {bytes:?}");
                }
            }
        }
    }
}

/// The bytes of events at a stream whose wire accepts so many bytes of them at first. The stream
/// may be parked in between.
fn cut_at(encoding: Encoding, events: usize, room: usize, parks: bool) -> String {
    let mut stage = Stage::new(10);
    stage.encoding = encoding.with_topics();
    stage.open_all(&["a", "b"], None, None);
    stage.turn(0);
    stage.arrived(1);
    stage.set_room(room);
    for _ in 0..events {
        stage.publish("a", false);
    }
    stage.turn(0);
    // Once a byte of a line is accepted, its event follows, whatever happens to the history.
    stage.set_room(1);
    stage.turn(0);
    if parks {
        let parked = stage.park();
        stage.unpark(parked);
    }
    stage.set_room(usize::MAX);
    stage.turn(0);
    stage.arrived(1)
}

/// A line was sent, and its event was evicted: the line would have named the topic of the gap.
#[test]
fn an_event_follows_its_topic_line_though_it_was_evicted_meanwhile() {
    let mut stage = Stage::new(1);
    stage.open_told(&["a"], &[], None);
    stage.turn(0);
    stage.arrived(1);
    stage.set_room(4);
    stage.publish("a", false);
    stage.turn(0);
    for _ in 0..3 {
        stage.publish("a", false);
    }
    stage.set_room(usize::MAX);
    stage.turn(0);
    let text = stage.arrived(1);
    let blocks: Vec<_> = text.split_terminator("\n\n").collect();
    assert!(blocks[0].starts_with("topic: a\nid: ") && blocks[0].contains("data: data"));
    assert!(blocks[1].contains("event: gap") && !blocks[1].contains("topic: "));
    assert!(blocks[2].starts_with("topic: a\nid: "));
    assert_eq!(blocks.len(), 3, "{text}");
}

#[test]
fn streams_with_and_without_topics_share_a_run_and_not_its_bytes() {
    let mut stage = Stage::new(1_000);
    for number in 0..100 {
        if number % 2 == 0 {
            stage.open_told(&["a"], &[], None);
        } else {
            stage.open("a", None);
        }
    }
    stage.turn(1);
    for wire in 1..=100 {
        stage.arrived(wire);
    }
    let before = stage.core.runs_made();
    for burst in 1..3 {
        for _ in 0..burst {
            stage.publish("a", false);
        }
        stage.turn(1);
        for wire in 1..=100 {
            let topic = if wire % 2 == 1 { "a" } else { "-" };
            assert_eq!(stage.told(wire), vec![topic; burst], "wire {wire}");
        }
    }
    assert_eq!(stage.core.runs_made() - before, 2);
}

/// Live and from the history.
#[test]
fn a_stream_is_told_every_topic_by_which_it_hears_an_event() {
    const CASES: [(Texts, Texts, &str); 9] = [
        (&["b", "a"], &["a", "b"], "a b"),
        (&["b", "a"], &["a", "c"], "a"),
        (&["*"], &["z", "y"], "y z"),
        (&["x/*", "a"], &["a", "x/2", "x/1"], "a x/1 x/2"),
        (&["x/{n}"], &["a", "x/9"], "x/9"),
        (&["a", "*"], &["b", "c"], "b c"),
        (&["{+all}", "c"], &["c", "b"], "b c"),
        // Many patterns: a set.
        (&["*", "**", "{x}", "{+x}", "x/*"], &["x/1", "b"], "b x/1"),
        (
            &["x/*", "y/*", "z/*", "{x}", "x/{n}"],
            &["b", "x/1"],
            "b x/1",
        ),
    ];
    for (selectors, topics, told) in CASES {
        let mut stage = Stage::new(10);
        stage.open_told(selectors, &[], None);
        // Another dirty topic, and other streams of the same events.
        stage.open_told(&["other", topics[0]], &[], None);
        stage.turn(0);
        let start = stage.shared.desk.lock().head();
        stage.publish_to(topics, false);
        stage.publish("other", false);
        stage.turn(0);
        stage.open_told(selectors, &[], Some(start));
        stage.turn(0);
        let is_all = selectors
            .iter()
            .any(|one| ["*", "**", "{x}", "{+x}", "{+all}"].contains(one));
        let mut expected = vec![told];
        expected.extend(is_all.then_some("other"));
        assert_eq!(stage.told(1), expected, "{selectors:?} {topics:?}");
        assert_eq!(stage.told(3), expected, "{selectors:?} {topics:?}");
        let own = [topics[0], "other"];
        assert_eq!(stage.told(2), own);
    }
}

/// Live and from the history.
#[test]
fn a_topic_that_may_be_secret_is_not_told() {
    const CASES: [(Texts, Texts, Texts, &str); 7] = [
        // The stream asked for the name.
        (&["a"], &["mine"], &["a", "mine", "secret"], "a"),
        (&["a", "*"], &["mine"], &["a", "mine", "secret"], "a mine"),
        // The pattern matches more than the stream may know.
        (&["*"], &["mine"], &["a", "mine", "secret"], "mine"),
        (&["{x}"], &["m{x}"], &["a", "mine", "secret"], "mine"),
        // It matches nothing that the stream may know.
        (&["x/*"], &["mine"], &["mine", "x/secret"], "-"),
        (&["x/*", "mine"], &["mine"], &["mine", "x/secret"], "mine"),
        // Many patterns.
        (
            &["*", "**", "{x}", "{+x}"],
            &["mine", "{y}/1", "{y}/2"],
            &["a", "mine"],
            "mine",
        ),
    ];
    for (selectors, grant, topics, told) in CASES {
        let mut stage = Stage::new(10);
        stage.open_told(selectors, grant, None);
        stage.turn(0);
        let start = stage.shared.desk.lock().head();
        stage.publish_to(topics, true);
        stage.turn(0);
        stage.open_told(selectors, grant, Some(start));
        stage.turn(0);
        assert_eq!(stage.told(1), [told], "{selectors:?} {topics:?}");
        assert_eq!(stage.told(2), [told], "{selectors:?} {topics:?}");
    }
}

/// Names cost work and memory for each event.
#[test]
fn events_have_names_only_while_a_stream_is_told_them() {
    let mut stage = Stage::new(10);
    stage.open("a", None);
    stage.turn(0);
    let has_names = |stage: &mut Stage| {
        let batch = stage.stamp(&["a"], false).expect("a stream listens");
        batch.events[0].topics.is_some()
    };
    assert!(!has_names(&mut stage));
    stage.open_told(&["a"], &[], None);
    assert!(has_names(&mut stage), "it is on its way to the shard");
    stage.turn(0);
    stage.open_told(&["b"], &[], None);
    stage.turn(0);
    for wire in [2, 3] {
        assert!(has_names(&mut stage));
        stage.network.break_off(wire);
        stage.publish(["a", "b"][wire - 2], false);
        stage.turn(0);
    }
    assert!(!has_names(&mut stage));
    // A stream that is parked goes on with names.
    stage.network.wires.clear();
    stage.open_told(&["a"], &[], None);
    stage.turn(0);
    let parked = stage.park();
    assert!(has_names(&mut stage));
    stage.unpark(parked);
    assert!(has_names(&mut stage));
}
