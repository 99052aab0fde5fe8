//! Searches and readers that need several portions.

use super::*;
use crate::core::event::Event;
use crate::core::history::HoldLimits;
use crate::core::limits::EventLimits;
use crate::core::selector::Syntax;
use crate::core::sse::Draft;
use crate::hub::HubConfig;
use crate::hub::turns::run;
use crate::metrics::Source;

fn hub() -> Hub {
    let config = HubConfig {
        hold: HoldLimits::SMALL,
        ..HubConfig::default()
    };
    Hub::start(config, 1).expect("a hub")
}

/// Publishes an event of these topics; its id.
fn publish(hub: &Hub, topics: &[&str], private: bool) -> EventId {
    let event = Event {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        private,
        ..Event::new("", "x")
    };
    let mut drafts = [Draft::new(event, &EventLimits::default()).expect("an event")];
    let (receipts, _) = run(hub.publish(Source::Http, &mut drafts));
    receipts.expect("open")[0].id
}

fn selector(text: &str) -> Selector {
    Selector::parse(text, Syntax::Native, 100).expect("a selector")
}

/// A search through a long history would hold everybody up.
#[test]
fn others_have_their_turn_while_the_last_events_are_searched() {
    let hub = hub();
    let wanted = publish(&hub, &["a/1"], false);
    for number in 0..30 {
        publish(&hub, &[&format!("other/{number}")], false);
        publish(&hub, &["a/1"], true);
    }
    for (text, turns_min) in [("a/1", 5), ("a/*", 15)] {
        let (start, turns) = run(hub.resolve_last(&[selector(text)], &[], 1));
        assert_eq!(start.cursor, Some(wanted.before()), "{text}");
        assert!(turns >= turns_min, "{text}: {turns} turns");
    }
    // None of so many topics of one event is wanted: the search gets past it.
    let names: Vec<String> = (0..20).map(|number| format!("many/{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    publish(&hub, &names, false);
    let (start, _) = run(hub.resolve_last(&[selector("a/*")], &[], 1));
    assert_eq!(start.cursor, Some(wanted.before()));
    // Nothing that the search needed is left behind.
    assert_eq!(hub.history_size().patterns, 0);
    hub.stop();
}

#[test]
fn others_have_their_turn_while_a_topic_is_read() {
    let hub = hub();
    for _ in 0..30 {
        publish(&hub, &["a"], true);
    }
    let last = publish(&hub, &["a"], false);
    let (found, portions) = run(async {
        let mut reader = hub.read_topic("a", &[], None).await.expect("room");
        let mut ids = Vec::new();
        let mut portions = 0;
        loop {
            match reader.next(10).await {
                Portion::Events(events) => ids.extend(events.iter().map(|stored| stored.id)),
                Portion::Passed => portions += 1,
                Portion::Gap(gap) => panic!("{gap:?}"),
                Portion::End(head) => break assert_eq!(head, last),
            }
        }
        (ids, portions)
    })
    .0;
    assert_eq!(found, [last]);
    assert!(portions >= 5, "{portions} portions");
    hub.stop();
}
