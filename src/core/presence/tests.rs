//! Entries, announcements and lists.

use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn registry(history: &HistoryLimits) -> Presence {
    Presence::new(history, Share::default(), || {})
}

fn begin(presence: &Presence, topics: &[&str]) -> Announced {
    begin_at(presence, HERE, topics)
}

fn begin_at(presence: &Presence, client: IpAddr, topics: &[&str]) -> Announced {
    let selectors: Vec<_> = topics.iter().map(|topic| Selector::exact(topic)).collect();
    presence.pending(client, &selectors, None).begin()
}

fn told(presence: &Presence) -> Vec<(u128, bool)> {
    let (changes, _) = presence.take(usize::MAX);
    let of = |change: &Change| (change.subscriber.id().as_u128(), change.active);
    changes.iter().map(of).collect()
}

fn topics(page: &Page) -> Vec<&str> {
    page.subscriptions.iter().map(Subscription::topic).collect()
}

#[test]
fn a_start_comes_before_its_end_and_each_once() {
    let presence = registry(&HistoryLimits::default());
    let (first, second) = (begin(&presence, &["a"]), begin(&presence, &["b"]));
    let mut told = self::told(&presence);
    drop(second);
    drop(first);
    told.extend(self::told(&presence));
    let active: Vec<bool> = told.iter().map(|(_, active)| *active).collect();
    assert_eq!(active, [true, true, false, false]);
    assert_eq!((told[0].0, told[1].0), (told[3].0, told[2].0));
    assert!(presence.take(usize::MAX).0.is_empty());
    assert!(presence.0.state.lock().numbers.is_empty());
}

#[test]
fn who_is_gone_before_its_start_was_told_is_never_told_of() {
    let presence = registry(&HistoryLimits::default());
    let (kept, gone) = (begin(&presence, &["a"]), begin(&presence, &["b"]));
    drop(gone);
    let told = self::told(&presence);
    assert_eq!(told.len(), 1);
    drop(kept);
    assert_eq!(self::told(&presence), [(told[0].0, false)]);
}

#[test]
fn the_end_of_a_stream_that_was_shown_is_told_even_if_its_start_waits() {
    let presence = registry(&HistoryLimits::default());
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
        .map(|one| one.id());
    let urn_of_second = format!("{URN_PREFIX}{}", id.expect("one"));
    assert!(presence.get("a", &urn).is_none());
    assert!(presence.get("a", &urn_of_second).is_some());
    drop(guard);
    assert_eq!(self::told(&presence).len(), 2);
}

#[test]
fn a_stream_that_never_begins_is_never_told() {
    let presence = registry(&HistoryLimits::default());
    drop(presence.pending(HERE, &[Selector::exact("a")], None));
    assert!(presence.take(usize::MAX).0.is_empty());
}

#[test]
fn lists_go_on_where_they_ended() {
    let presence = registry(&HistoryLimits::default());
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
        let presence = registry(&HistoryLimits::default());
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
    let presence = registry(&HistoryLimits::default());
    let _guard = begin(&presence, &["a", "b"]);
    let urn = presence.list(None, None, 1).subscriptions[0].urn();
    assert!(presence.get("b", &urn).is_some());
    assert!(presence.get("c", &urn).is_none());
    assert!(presence.get("b", "urn:uuid:x").is_none());
    assert!(presence.get("b", &Uuid::new_v4().to_string()).is_none());
}

#[test]
fn documents_are_as_the_draft_has_them() {
    let presence = registry(&HistoryLimits::default());
    let selectors = [Selector::exact("https://a.example/{id}")];
    let payload = Some(Arc::from(r#"{"n": 1.50}"#));
    let _guard = presence.pending(HERE, &selectors, payload).begin();
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

/// Opens, lists and closes streams of one client until no more of them are listed; returns how many
/// there were.
fn come_and_go(presence: &Presence, client: IpAddr) -> usize {
    for count in 0..1_000_000 {
        let guard = begin_at(presence, client, &["a"]);
        let listed = presence
            .list(None, guard.number.checked_sub(1), 9)
            .subscriptions;
        if listed.is_empty() {
            return count;
        }
    }
    panic!("ends wait without a bound");
}

fn with_budget(bytes: usize) -> Presence {
    registry(&HistoryLimits {
        budget_bytes: bytes,
        ..HistoryLimits::default()
    })
}

#[test]
fn a_client_that_comes_and_goes_while_it_lists_is_bounded_and_the_others_are_listed() {
    for budget in [0, 8 << 20] {
        let presence = with_budget(budget);
        let guard = begin_at(&presence, THERE, &["first"]);
        let count = come_and_go(&presence, HERE);
        assert!((50..5_000).contains(&count), "{count}");
        assert!(presence.figures().waiting <= 2 * count + 2);
        assert_eq!(presence.figures().untold, 1);
        assert!(presence.figures().unlisted >= 1);
        // Nothing is kept of the next ones.
        let waiting = presence.figures().waiting;
        assert_eq!(come_and_go(&presence, HERE), 0);
        assert_eq!(presence.figures().waiting, waiting);
        assert_eq!(topics(&presence.list(None, None, 9)), ["first"]);
        drop(guard);
        while !self::told(&presence).is_empty() {}
        assert!(presence.0.state.lock().queue.is_bare());
    }
}

#[test]
fn what_many_clients_leave_waiting_is_bounded_together() {
    let presence = with_budget(8 << 20);
    let client = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
    let one = come_and_go(&presence, client(0));
    let all: usize = (1..1_000).map(|n| come_and_go(&presence, client(n))).sum();
    assert!(all < 10 * one, "{all} after {one}");
    // A stream that was announced is listed all the same.
    let _guard = begin_at(&presence, THERE, &["new"]);
    while !self::told(&presence).is_empty() {}
    assert_eq!(topics(&presence.list(None, None, 9)), ["new"]);
}

#[test]
fn addresses_of_one_network_are_one_client() {
    let presence = with_budget(0);
    let address = |n: u128| IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | n));
    assert!(come_and_go(&presence, address(1)) > 0);
    assert_eq!(come_and_go(&presence, address(2)), 0);
    assert!(come_and_go(&presence, address(1 << 64)) > 0);
    assert!(come_and_go(&presence, HERE) > 0);
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    assert_eq!(come_and_go(&presence, mapped), 0);
}

#[test]
fn a_client_with_much_to_tell_does_not_delay_one_with_little() {
    let presence = registry(&HistoryLimits::default());
    let many: Vec<_> = (0..500)
        .map(|_| begin_at(&presence, HERE, &["a"; 50]))
        .collect();
    assert_eq!(self::told(&presence).len(), 2);
    let few = [0; 3].map(|_| begin_at(&presence, THERE, &["b"]));
    let (changes, _) = presence.take(usize::MAX);
    let of_few = changes.iter().filter(|one| one.subscriber.client == THERE);
    assert_eq!(of_few.count(), 3);
    drop((many, few));
}

#[test]
fn a_client_that_has_just_come_has_saved_up_no_turns() {
    let presence = registry(&HistoryLimits::default());
    let old: Vec<_> = (0..40)
        .map(|_| begin_at(&presence, THERE, &["a"; 50]))
        .collect();
    while !self::told(&presence).is_empty() {}
    let new: Vec<_> = (0..40)
        .map(|_| begin_at(&presence, HERE, &["a"; 50]))
        .collect();
    let few = [0; 3].map(|_| begin_at(&presence, THERE, &["b"]));
    let changes = (0..4).flat_map(|_| presence.take(usize::MAX).0);
    let of_old = changes.filter(|one| one.subscriber.client == THERE);
    assert_eq!(of_old.count(), 3);
    drop((old, new, few));
}

#[test]
fn no_more_is_taken_than_may_be_told_but_for_one() {
    let presence = registry(&HistoryLimits::default());
    let _guards = [0; 9].map(|_| begin(&presence, &["a"]));
    assert_eq!(presence.take(0).0.len(), 1);
    assert_eq!(presence.take(1_000).0.len(), 2);
}

#[test]
fn nothing_of_a_subscription_is_in_a_debug() {
    let presence = registry(&HistoryLimits::default());
    let selectors = [Selector::exact("hush")];
    let pending = presence.pending(HERE, &selectors, Some(Arc::from("\"hush\"")));
    let mut shown = format!("{pending:?}");
    let _guard = pending.begin();
    shown += &format!("{:?}", presence.list(None, None, 1));
    assert!(
        shown.contains("selectors: 1") && !shown.contains("hush"),
        "{shown}"
    );
}

/// All changes, in the order of their announcement, and then the lists.
fn all_of(presence: &Presence) -> (Vec<(u128, bool)>, Vec<String>) {
    let mut changes = told(presence);
    loop {
        let more = told(presence);
        if more.is_empty() {
            break;
        }
        changes.extend(more);
    }
    changes.sort_unstable();
    let page = presence.list(None, None, usize::MAX);
    let lists = page.subscriptions.iter().map(Subscription::path);
    (changes, lists.collect())
}

#[test]
fn a_restored_registry_lists_and_tells_what_the_original_would() {
    let history = HistoryLimits::default();
    let presence = registry(&history);
    let told_of = begin(&presence, &["a", "b"]);
    let shown = begin_at(&presence, THERE, &["c"]);
    let gone = begin(&presence, &["d"]);
    while !told(&presence).is_empty() {}
    drop(gone);
    let waits = begin(&presence, &["e"]);
    let (mut records, mut cursor) = (Vec::new(), PresenceCursor::default());
    while cursor != PresenceCursor::End {
        let before = records.len();
        cursor = presence.snapshot(cursor, 2, &mut records);
        assert!(records.len() <= before + 2);
    }
    let restored = Presence::restore(&history, Share::default(), || {}, records);
    assert_eq!(restored.version(), presence.version());
    assert_eq!(restored.figures().waiting, presence.figures().waiting);
    assert_eq!(all_of(&restored), all_of(&presence));
    // Streams end there as they would have ended here.
    let numbers = [&told_of, &shown, &waits].map(Announced::number);
    let again = numbers.map(|number| restored.announced(number).expect("it is open"));
    drop((told_of, shown, waits));
    drop(again);
    assert_eq!(all_of(&restored), all_of(&presence));
    assert!(restored.0.state.lock().queue.is_bare());
    assert!(restored.announced(numbers[0]).is_none());
}

#[test]
fn restored_streams_are_charged_as_those_that_they_were() {
    let limits = HistoryLimits::default();
    let (budget, next) = (Budget::new(1 << 20), Budget::new(1));
    let presence = Presence::new(&limits, Share::default(), || {});
    let selectors = [Selector::exact("topic"), Selector::exact("other")];
    let address = [127, 0, 0, 1].into();
    let streams = [Some("{}"), None].map(|payload| {
        let mut pending = presence.pending(address, &selectors, payload.map(Into::into));
        pending.charge(&budget).expect("room");
        pending.begin()
    });
    let mut records = Vec::new();
    presence.snapshot(PresenceCursor::default(), 100, &mut records);
    let restored = Presence::restore(&limits, Share::default(), || {}, records);
    restored.charge_all(&next);
    restored.charge_all(&next);
    let used = |budget: &Budget| budget.used(Part::Presence);
    assert_eq!(used(&next), used(&budget));
    assert!(used(&next) > 0);
    for stream in &streams {
        drop(restored.announced(stream.number()));
    }
    assert_eq!(used(&next), 0);
}
