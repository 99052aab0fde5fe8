use crate::node::{HUB, Node, subscriber};

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
