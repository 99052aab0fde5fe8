use crate::node::{HUB, Node, subscriber};
use crate::support::sse::SseStream;

#[test]
fn a_private_event_reaches_whom_one_of_its_topics_was_granted() {
    let node = Node::with(|settings| settings.anonymous = true);
    let target = format!("{HUB}?topic=books/%7Bid%7D");
    let mut granted = node.subscribe(&target, &subscriber(&["user/1"]));
    let mut by_subscription = node.subscribe(&target, &subscriber(&["books/1"]));
    let mut all = node.subscribe(&target, &subscriber(&["*"]));
    let mut other = node.subscribe(&target, &subscriber(&["user/2"]));
    let mut anonymous = node.subscribe_anonymously(&target);
    // The first topic is subscribed to, the second granted.
    node.publish("topic=books/1&topic=user/1&data=1&private=on");
    node.publish("topic=books/2&topic=user/2&data=2&private=");
    node.publish("topic=books/3&data=3");
    // A grant is no subscription.
    node.publish("topic=user/1&data=4&private=on");
    node.publish("topic=books/5&data=end");
    assert_eq!(granted.take_data(3), ["1", "3", "end"]);
    assert_eq!(by_subscription.take_data(3), ["1", "3", "end"]);
    assert_eq!(all.take_data(4), ["1", "2", "3", "end"]);
    assert_eq!(other.take_data(3), ["2", "3", "end"]);
    assert_eq!(anonymous.take_data(2), ["3", "end"]);
}

#[test]
fn the_same_holds_for_what_is_replayed() {
    let node = Node::with(|settings| settings.anonymous = true);
    node.publish("topic=a&topic=user/1&data=1&private=on");
    node.publish("topic=a&topic=user/2&data=2&private=on");
    node.publish("topic=a&data=3");
    for target in [format!("{HUB}?topic=a"), "/events/a".to_owned()] {
        let mut one = node.resume(
            &target,
            &subscriber(&["user/%7Bid%7D", "user/1"]),
            "earliest",
        );
        assert_eq!(one.take_data(2), ["1", "3"]);
        let mut template = node.resume(&target, &subscriber(&["user/{id}"]), "earliest");
        assert_eq!(template.take_data(3), ["1", "2", "3"]);
        let anonymous = format!(
            "{target}{}last_event_id=earliest",
            if target.contains('?') { '&' } else { '?' }
        );
        let mut anonymous = node.subscribe_anonymously(&anonymous);
        assert_eq!(anonymous.take_data(1), ["3"]);
    }
}

/// The other topics of a private event say who else hears it.
#[test]
fn a_stream_is_told_the_topics_that_it_may_know_and_no_others() {
    let node = Node::with(|settings| settings.anonymous = true);
    let all = ["user/1", "user/2", "books/1"];
    let targets = [
        ("topic=*", "user/1", "user/1"),
        ("topic=user/%7Bid%7D", "user/1", "user/1"),
        ("topic=user/%7Bid%7D&topic=books/1", "books/{id}", "books/1"),
        ("topic=*", "books/{id}", "books/1"),
        // The client knows the name.
        ("topic=books/1", "user/1", "books/1"),
        // The pattern matches names that the client may not know.
        ("topic=user/%7Bid%7D", "books/1", ""),
        ("topic=books/%7Bid%7D", "user/1", ""),
    ];
    let targets = targets.map(|(query, grant, told)| {
        let target = format!("{HUB}?{query}&with=topic");
        (target, subscriber(&[grant]), told)
    });
    let live = targets
        .each_ref()
        .map(|(target, token, _)| node.subscribe(target, token));
    let topics = all.map(|topic| format!("topic={topic}")).join("&");
    node.publish(&format!("{topics}&data=1&private=on"));
    node.publish("topic=books/1&topic=user/1&data=2");
    let replayed = targets
        .each_ref()
        .map(|(target, token, _)| node.resume(target, token, "earliest"));
    for streams in [live, replayed] {
        for (mut stream, (target, _, told)) in std::iter::zip(streams, &targets) {
            let event = (told.to_string(), "1".to_owned());
            assert_eq!(stream.take_told(1), [event], "{target}");
            let public = &stream.take_told(1)[0];
            assert_ne!(public.0, "", "a public event hides nothing: {target}");
        }
    }
}

/// A client that guesses the ids of private events must not learn which of them exist.
#[test]
fn a_private_events_id_is_unknown_to_those_who_may_not_hear_it() {
    let node = Node::with(|settings| settings.anonymous = true);
    node.publish("topic=a&data=1");
    node.publish("topic=a&data=secret&private=on&id=urn:x:secret");
    node.publish("topic=a&topic=b&data=secret&private=on&id=urn:x:both");
    node.publish("topic=a&data=2&id=urn:x:public");
    let other = subscriber(&["c"]);
    for target in [
        "/events/a".to_owned(),
        "/events?topic=a&topic=c".to_owned(),
        "/events?topic=*".to_owned(),
        "/events?topic=%7Bx%7D&topic=a".to_owned(),
        format!("{HUB}?topic=a"),
    ] {
        let told = |token: Option<&str>, cursor: &str| {
            let mut stream = match token {
                Some(token) => node.resume(&target, token, cursor),
                None => SseStream::resume(node.address, &target, cursor),
            };
            let head = stream.head.field("last-event-id").map(str::to_owned);
            // Asked first: a stream that goes on from the id would have no more events.
            assert_eq!(head.as_deref(), Some("earliest"), "{target} {cursor}");
            let mut events = stream.take(3);
            let gap = &mut events[0];
            assert_eq!(gap.event, "gap", "{target} {cursor}");
            gap.data = gap.data.replace(cursor, "cursor");
            (head, events)
        };
        for token in [None, Some(&*other)] {
            let nobodys = told(token, "urn:x:nobodys");
            for cursor in ["urn:x:secret", "urn:x:both"] {
                assert_eq!(told(token, cursor), nobodys, "{target} {cursor}");
            }
        }
        // For clients with the right, it stays a valid cursor; a grant of one topic of the event is
        // enough.
        for (selector, cursor) in [
            ("a", "urn:x:secret"),
            ("*", "urn:x:secret"),
            ("b", "urn:x:both"),
            ("{x}", "urn:x:both"),
        ] {
            let mut stream = node.resume(&target, &subscriber(&[selector]), cursor);
            assert_eq!(stream.head.field("last-event-id"), Some(cursor));
            let first = stream.take(1).remove(0);
            assert_ne!(first.event, "gap", "{target} {selector} {cursor}");
        }
        let stream = SseStream::resume(node.address, &target, "urn:x:public");
        let told = stream.head.field("last-event-id");
        assert_eq!(told, Some("urn:x:public"), "{target}");
    }
}
