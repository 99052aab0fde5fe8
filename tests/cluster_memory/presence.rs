use fantail::core::event::EventId;
use fantail::hub::TopicWalk;

use crate::node::{Cluster, Node};
use crate::support::wait_until;

/// The starts and ends that a node has, in order.
fn told(node: &Node) -> Vec<(EventId, Vec<u8>)> {
    let mut walk = TopicWalk::default();
    let mut told = Vec::new();
    loop {
        let topics = node.hub.topics(&mut walk);
        let is_over = walk.next().is_none();
        let names = topics.iter().map(|topic| topic.name.to_string());
        for name in names.filter(|name| name.contains("/subscriptions/")) {
            told.extend(node.kept(&name));
        }
        if is_over {
            told.sort();
            return told;
        }
    }
}

#[test]
fn starts_and_ends_on_two_nodes_have_one_order_and_survive_a_log_that_is_away() {
    let cluster = Cluster::with(2, |settings| settings.mercure_subscriptions = true);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    let target = "/.well-known/mercure?topic=x&topic=y";
    let one = first.subscribe(target);
    let two = second.subscribe(target);
    wait_until("the starts are told", || told(first).len() == 4);
    cluster.log.set_away(true);
    drop(one);
    first.wait_for_streams(0);
    let three = first.subscribe(target);
    drop(two);
    second.wait_for_streams(0);
    cluster.log.lose_answers(true);
    cluster.log.set_away(false);
    wait_until("the ends are appended", || cluster.log.len() >= 8);
    cluster.log.lose_answers(false);
    wait_until("all is told", || told(first).len() == 10);
    drop(three);
    wait_until("the last end is told", || told(first).len() == 12);
    cluster.settle();
    let all = told(first);
    assert_eq!(all, told(second));
    let of = |active: &str| {
        let texts = all.iter().map(|(_, text)| String::from_utf8_lossy(text));
        texts.filter(|text| text.contains(active)).count()
    };
    assert_eq!((of(r#""active":true"#), of(r#""active":false"#)), (6, 6));
}
