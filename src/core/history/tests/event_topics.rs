//! The topics that readers are told.

use super::*;
use crate::core::selector::Syntax;

fn wanted(store: &mut Store, text: &str) -> Wanted {
    let selector = Selector::parse(text, Syntax::Native, 100).expect("a selector");
    Wanted {
        selector: store.subscribe(&selector, 0, false),
        policy: SlowConsumerPolicy::Skip,
    }
}

/// Reads all kept events and their topics; returns the topics, and the events of each portion.
fn told(store: &mut Store, wanted: &[Wanted]) -> (Vec<String>, Vec<usize>) {
    let (mut told, mut portions) = (Vec::new(), Vec::new());
    let mut cursor = EventId::ZERO;
    while cursor < store.head() {
        let position = Position {
            cursor,
            told_through: store.head(),
            until: store.head(),
            conflate: false,
        };
        let budget = ReadBudget {
            events: 60,
            bytes: usize::MAX,
        };
        let (mut events, mut lines) = (Vec::new(), Vec::new());
        let newest = |_| EventId::ZERO;
        let outcome = store.read(wanted, None, position, budget, newest, &mut events);
        if let (true, Some(through)) = (events.is_empty(), outcome.examined_through) {
            cursor = through;
            continue;
        }
        assert!(
            !events.is_empty(),
            "nothing is left, before the newest event"
        );
        store.topic_lines(wanted, None, &mut events, &mut lines);
        assert_eq!(events.len(), lines.len());
        portions.push(events.len());
        cursor = events.last().map_or(cursor, |(id, _)| *id);
        let text = |line: Option<Frame>| line.expect("a topic").text();
        let lines = lines.into_iter().map(text);
        told.extend(lines.map(|line| String::from_utf8(line.to_vec()).expect("UTF-8")));
    }
    (told, portions)
}

/// Sixty events of a hundred topics each would have been matched under one hold of the lock.
#[test]
fn the_topics_of_read_events_are_found_in_portions() {
    let names: Vec<String> = (0..100).map(|number| format!("t/{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut store = Store::new(HistoryLimits::default(), NOW);
    for number in 0..60 {
        publish(&mut store, &names, &number.to_string(), None, NOW);
    }
    let by_name = [wanted(&mut store, "t/99"), wanted(&mut store, "t/98")];
    let (lines, portions) = told(&mut store, &by_name);
    assert_eq!(lines, vec!["topic: t/98\ntopic: t/99\n"; 60]);
    assert_eq!(portions, [20, 20, 20], "2,048 topics in one hold");
    let single = [wanted(&mut store, "t/05")];
    let (lines, portions) = told(&mut store, &single);
    assert_eq!(
        (lines, portions),
        (vec!["topic: t/05\n".to_owned(); 60], vec![60])
    );
}

/// No topic has been matched with the pattern when its first reader comes.
#[test]
fn a_pattern_that_is_younger_than_the_events_is_matched_in_portions() {
    let names: Vec<String> = (0..100).map(|number| format!("t/{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut store = store(HistoryLimits::default());
    publish(&mut store, &names, "1", None, NOW);
    let patterns: Vec<_> = ["t/{a}{b}", "{+c}", "t/5{d}", "*"]
        .map(|text| wanted(&mut store, text))
        .into();
    let (lines, portions) = told(&mut store, &patterns);
    let all = names.iter().map(|name| format!("topic: {name}\n"));
    assert_eq!(lines, [all.collect::<String>()]);
    let (last, before) = portions.split_last().expect("a portion");
    assert!(*last == 1 && before.len() > 10, "{portions:?}");
    assert!(before.iter().all(|events| *events == 0));
}

/// What an event has beside that is gone.
#[test]
fn a_topic_that_does_not_keep_the_event_any_more_is_not_told() {
    let mut store = store(HistoryLimits {
        events: 2,
        ..HistoryLimits::default()
    });
    // The oldest event of all stays, and behind it the note of an event that goes.
    publish(&mut store, &["c"], "0", None, NOW);
    publish(&mut store, &["a", "b"], "1", None, NOW);
    publish(&mut store, &["a", "b"], "2", None, NOW);
    publish(&mut store, &["a"], "3", None, NOW);
    let both = [wanted(&mut store, "a"), wanted(&mut store, "b")];
    let (lines, _) = told(&mut store, &both);
    assert_eq!(lines, ["topic: b\n", "topic: a\ntopic: b\n", "topic: a\n"]);
}
