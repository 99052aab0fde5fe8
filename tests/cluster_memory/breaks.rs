use fantail::core::event::EventId;

use crate::node::Cluster;
use crate::support::sse::SseEvent;

/// The first gap of a stream, and its reason.
fn gap(event: &SseEvent) -> serde_json::Value {
    assert_eq!(event.event, "gap", "{event:?}");
    serde_json::from_str(&event.data).expect("JSON")
}

#[test]
fn a_fork_tells_every_stream_of_every_node_one_gap() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    let topics = ["/events/a", "/events/b", "/events?topic=*"];
    let mut streams: Vec<_> = cluster
        .nodes
        .iter()
        .flat_map(|node| topics.map(|topic| node.subscribe(topic)))
        .collect();
    let kept = first.publish("a", "kept");
    cluster.settle();
    let after = cluster.log.last();
    first.publish("a", "lost");
    cluster.settle();
    let through = cluster.log.fork(after);
    cluster.settle();
    second.publish("b", "after");
    let mark = kept.split_once('.').expect("a mark").1;
    for (number, stream) in streams.iter_mut().enumerate() {
        let events: Vec<_> = match number % 3 {
            1 => stream.take(2),
            0 => stream.take(3),
            _ => stream.take(4),
        };
        let at = events.iter().position(|event| event.event == "gap");
        let told = gap(&events[at.expect("a gap")]);
        assert_eq!(told["reason"], "log");
        assert_eq!(told["to"], format!("{through}.{mark}"));
        let gaps = events.iter().filter(|event| event.event == "gap");
        assert_eq!(gaps.count(), 1);
        if number % 3 > 0 {
            assert_eq!(events.last().expect("events").data, "after");
        }
    }
    // A client of a lost event, on any node.
    for node in &cluster.nodes {
        let lost = EventId::new(after.get() + 1);
        let mut stream = node.resume("/events/a", &format!("{lost}.{mark}"));
        let told = stream.take(1).remove(0);
        assert_eq!(gap(&told)["reason"], "log");
        assert_eq!(node.kept("a").len(), 1);
    }
}

#[test]
fn what_the_log_has_dropped_before_a_node_read_it_is_told() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    let mut stream = second.subscribe("/events/a");
    second.log.hold_back(true);
    for n in 0..5 {
        first.publish("a", &n.to_string());
    }
    let through = cluster.log.last();
    cluster.log.trim(through);
    first.publish("a", "after");
    second.log.hold_back(false);
    let events = stream.take(2);
    let told = gap(&events[0]);
    assert_eq!(told["reason"], "lagged");
    assert!(
        told["to"]
            .as_str()
            .expect("an id")
            .starts_with(&through.to_string())
    );
    assert_eq!(events[1].data, "after");
}
