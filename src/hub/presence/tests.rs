//! What is entered, told and listed.

use std::time::Instant;

use super::allowance::Allowance;
use super::announce::Step;
use super::*;
use crate::config::Settings;
use crate::event::Event;
use crate::hub::Hub;
use crate::limits::EventLimits;
use crate::metrics::Source;
use crate::sse::Draft;

fn begin(presence: &Presence, topics: &[&str]) -> Guard {
    let selectors: Vec<_> = topics.iter().map(|topic| Selector::exact(topic)).collect();
    presence.pending(&selectors, None).expect("room").begin()
}

fn told(presence: &Presence) -> Vec<(u128, bool)> {
    let (changes, _) = presence.take();
    let of = |change: &Change| (change.subscriber.id.as_u128(), change.active);
    changes.iter().map(of).collect()
}

fn topics(page: &Page) -> Vec<&str> {
    page.subscriptions.iter().map(Subscription::topic).collect()
}

#[test]
fn a_start_comes_before_its_end_and_each_once() {
    let presence = Presence::default();
    let (first, second) = (begin(&presence, &["a"]), begin(&presence, &["b"]));
    let mut told = self::told(&presence);
    drop(second);
    drop(first);
    told.extend(self::told(&presence));
    let active: Vec<bool> = told.iter().map(|(_, active)| *active).collect();
    assert_eq!(active, [true, true, false, false]);
    assert_eq!((told[0].0, told[1].0), (told[3].0, told[2].0));
    assert!(presence.take().0.is_empty());
    assert!(presence.0.state.lock().numbers.is_empty());
}

#[test]
fn who_is_gone_before_its_start_was_told_is_never_told_of() {
    let presence = Presence::default();
    let (kept, gone) = (begin(&presence, &["a"]), begin(&presence, &["b"]));
    drop(gone);
    let told = self::told(&presence);
    assert_eq!(told.len(), 1);
    drop(kept);
    assert_eq!(self::told(&presence), [(told[0].0, false)]);
}

#[test]
fn the_end_of_a_stream_that_was_shown_is_told_even_if_its_start_waits() {
    let presence = Presence::default();
    let guard = begin(&presence, &["a"]);
    let urn = presence.list(None, None, 9).subscriptions[0].urn();
    drop(guard);
    let told = self::told(&presence);
    assert_eq!(told.len(), 2);
    assert!(told[0].1 && !told[1].1);

    let guard = begin(&presence, &["a"]);
    let id = presence
        .0
        .state
        .lock()
        .streams
        .values()
        .next()
        .map(|one| one.id);
    let urn_of_second = format!("{URN_PREFIX}{}", id.expect("one"));
    assert!(presence.get("a", &urn).is_none());
    assert!(presence.get("a", &urn_of_second).is_some());
    drop(guard);
    assert_eq!(self::told(&presence).len(), 2);
}

#[test]
fn clients_that_come_and_go_do_not_push_out_what_others_published() {
    let mut settings = Settings::on_free_ports();
    settings.shards = 1;
    settings.history_budget_bytes = 4 << 20;
    let age = settings.history_age;
    let budget = settings.history_budget_bytes;
    let hub = Hub::start(Arc::new(settings), 1).expect("a hub");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let event = Event::new("news", "x".repeat(1_000));
        let mut drafts = vec![Draft::new(event, &EventLimits::default()).expect("an event")];
        hub.publish(Source::Http, &mut drafts).await.expect("open");

        let presence = hub.presence();
        let names: Vec<String> = (0..SUBSCRIPTIONS_PER_STREAM_MAX)
            .map(|n| format!("https://example.com/a/rather/long/topic/{n}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut now = Instant::now();
        let mut allowance = Allowance::new(hub.settings(), now);
        let guards: Vec<_> = (0..100).map(|_| begin(presence, &names)).collect();
        for round in 1..=2 {
            while presence.step(&hub, &mut allowance, now).await == Step::Told {}
            let bytes = hub.history_size().bytes;
            // One batch beyond the share.
            assert!(bytes <= round * budget / 8 + (256 << 10), "{bytes}");
            now += age;
        }
        assert!(
            presence.0.state.lock().queue.len() > 10,
            "there was too little to tell"
        );
        assert_eq!(hub.history_len("news"), 1);
        drop(guards);
    });
    hub.stop();
}

#[test]
fn a_stream_that_never_begins_is_never_told() {
    let presence = Presence::default();
    drop(presence.pending(&[Selector::exact("a")], None));
    assert!(presence.take().0.is_empty());
}

#[test]
fn lists_go_on_where_they_ended() {
    let presence = Presence::default();
    let guards: Vec<_> = (0..3).map(|_| begin(&presence, &["a", "b"])).collect();
    let page = presence.list(None, None, 3);
    assert_eq!(topics(&page), ["a", "b", "a", "b"]);
    let rest = presence.list(None, page.next, 3);
    assert_eq!((topics(&rest), rest.next), (vec!["a", "b"], None));
    assert_eq!(topics(&presence.list(Some("b"), None, 9)), ["b"; 3]);
    assert!(presence.list(Some("c"), None, 9).subscriptions.is_empty());
    drop(guards);
    assert!(presence.list(None, None, 9).subscriptions.is_empty());
}

#[test]
fn a_look_is_bounded_by_subscriptions_however_many_a_stream_has() {
    let many = ["a"; SUBSCRIPTIONS_PER_STREAM_MAX];
    for topics in [&many[..1], &many[..]] {
        let presence = Presence::default();
        let in_one_look = LIST_SUBSCRIPTIONS.div_ceil(topics.len());
        let guards: Vec<_> = (0..in_one_look + 1)
            .map(|_| begin(&presence, topics))
            .collect();
        let page = presence.list(Some("none"), None, 9);
        assert!(page.subscriptions.is_empty());
        assert_eq!(page.next, Some(guards[in_one_look - 1].number));
        assert_eq!(presence.list(Some("none"), page.next, 9).next, None);
    }
}

#[test]
fn one_subscription_is_found_by_topic_and_subscriber() {
    let presence = Presence::default();
    let _guard = begin(&presence, &["a", "b"]);
    let urn = presence.list(None, None, 1).subscriptions[0].urn();
    assert!(presence.get("b", &urn).is_some());
    assert!(presence.get("c", &urn).is_none());
    assert!(presence.get("b", "urn:uuid:x").is_none());
    assert!(presence.get("b", &Uuid::new_v4().to_string()).is_none());
}

#[test]
fn documents_are_as_the_draft_has_them() {
    let presence = Presence::default();
    let selectors = [Selector::exact("https://a.example/{id}")];
    let payload = Some(Arc::from(r#"{"n": 1.50}"#));
    let _guard = presence.pending(&selectors, payload).expect("room").begin();
    let subscription = presence.list(None, None, 1).subscriptions.remove(0);
    let urn = subscription.urn();
    let id = format!(
        "{SUBSCRIPTIONS_PATH}/https%3A%2F%2Fa.example%2F%7Bid%7D/{}",
        urn.replace(':', "%3A")
    );
    let expected = format!(
        r#"{{"@context":"https://mercure.rocks/","id":"{id}","type":"Subscription","topic":"https://a.example/{{id}}","subscriber":"{urn}","active":false,"payload":{{"n": 1.50}}}}"#
    );
    assert_eq!(subscription.to_json(false), expected);
}

#[test]
fn the_queue_is_bounded() {
    let presence = Presence::default();
    let guards: Vec<_> = (0..BACKLOG_MAX).map(|_| begin(&presence, &["a"])).collect();
    let refused = presence.pending(&[Selector::exact("a")], None);
    assert_eq!(refused.err(), Some(Backlog));
    // Those that nobody was told of make room when they go.
    drop(guards);
    assert!(presence.pending(&[Selector::exact("a")], None).is_ok());
}

#[test]
fn nothing_of_a_subscription_is_in_a_debug() {
    let presence = Presence::default();
    let selectors = [Selector::exact("hush")];
    let pending = presence.pending(&selectors, Some(Arc::from("\"hush\"")));
    let pending = pending.expect("room");
    let mut shown = format!("{pending:?}");
    let _guard = pending.begin();
    shown += &format!("{:?}", presence.list(None, None, 1));
    assert!(
        shown.contains("selectors: 1") && !shown.contains("hush"),
        "{shown}"
    );
}
