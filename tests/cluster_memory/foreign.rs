use fantail::core::event::IdForm;
use fantail::hub::log::{Item, Record, RecordKey};

use crate::node::Cluster;
use crate::support::http::request;

fn record(topic: &str, data: &str) -> Record {
    Record {
        topics: vec![topic.into()],
        data: data.to_owned(),
        ..Record::default()
    }
}

#[test]
fn entries_of_applications_are_delivered_or_counted_and_never_stop_the_tail() {
    let cluster = Cluster::of(2);
    let node = &cluster.nodes[0];
    let mut stream = node.subscribe("/events/a");
    let whole = Record {
        topics: vec!["a".into(), "b".into()],
        data: "two\r\nlines".to_owned(),
        event: Some("named".to_owned()),
        id: Some("own".to_owned()),
        retry: Some(5),
        private: false,
        form: IdForm::Native,
        key: Some(RecordKey::Text("k".to_owned())),
        is_of_node: false,
    };
    cluster.log.write(Item::Event(whole.clone()));
    let bad = [
        record("", "no topic"),
        Record::default(),
        record("/.well-known/mercure/subscriptions/x", "reserved"),
        record("a", &"x".repeat(1 << 20)),
        Record {
            event: Some("gap".to_owned()),
            ..record("a", "x")
        },
        Record {
            key: Some(RecordKey::Text("ä".to_owned())),
            ..record("a", "x")
        },
    ];
    let unreadable = bad.len() as u64 + 1;
    for record in bad {
        cluster.log.write(Item::Event(record));
    }
    cluster
        .log
        .write(Item::Unreadable("no field `data`".to_owned()));
    cluster.log.write(Item::TooLarge {
        topics: vec!["a".into()],
    });
    cluster.log.write(Item::Pass);
    // A repeat, and another event with the same key.
    cluster.log.write(Item::Event(whole.clone()));
    cluster.log.write(Item::Event(Record {
        data: "other".to_owned(),
        ..whole
    }));
    cluster.log.write(Item::Event(record("a", "last")));
    let events = stream.take(2);
    assert_eq!((&*events[0].id, &*events[0].event), ("own", "named"));
    assert_eq!(events[0].data, "two\nlines");
    assert_eq!(events[1].data, "last");
    cluster.settle();
    for node in &cluster.nodes {
        let metrics = node.hub.node_metrics();
        assert_eq!(metrics.log_unreadable.get(), unreadable);
        assert_eq!(metrics.log_too_large.get(), 1);
        assert_eq!(metrics.events_in.iter().map(|n| n.get()).sum::<u64>(), 0);
        assert_eq!((node.kept("a").len(), node.kept("b").len()), (2, 1));
        let page = request(node.admin, "GET", "/metrics", &[], b"").body;
        for line in [
            "fantail_log_events_total 3".to_owned(),
            format!(r#"fantail_log_passed_over_total{{reason="unreadable"}} {unreadable}"#),
            r#"fantail_log_passed_over_total{reason="too_large"} 1"#.to_owned(),
        ] {
            assert!(page.contains(&line), "{line} is not on {page}");
        }
    }
}

/// As while a limit is raised, one node after the other.
#[test]
fn an_event_that_one_node_took_and_another_refused_was_lost_in_silence() {
    let mut cluster = Cluster::of(1);
    cluster.add_with(|settings| settings.event_limits.data_bytes_max = 1_000);
    let [large, small] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    let mut streams = [large.subscribe("/events/a"), small.subscribe("/events/a")];
    let before = large.publish("a", "before");
    let missed = large.publish("a", &"x".repeat(2_000));
    // What no node has taken is told to no stream.
    cluster
        .log
        .write(Item::Event(record("a", &"x".repeat(2_000))));
    large.publish("a", "after");
    let [first, second] = &mut streams;
    assert_eq!(first.take(4).last().expect("events").data, "after");
    for mut events in [second.take(3), small.resume("/events/a", &before).take(2)] {
        assert_eq!(events.pop().expect("an event").data, "after");
        let told = events.pop().expect("an event");
        assert_eq!(told.event, "gap", "{told:?}");
        let told: serde_json::Value = serde_json::from_str(&told.data).expect("JSON");
        let ends = [&told["from"], &told["to"], &told["reason"]];
        assert_eq!(ends, [&*before, &*missed, "upstream"]);
    }
    assert_eq!(large.kept("a").len(), 4);
}

#[test]
fn a_portion_of_many_topics_and_entries_is_applied_in_order() {
    let cluster = Cluster::of(2);
    for n in 0..3_000 {
        let topics = (0..n % 5).map(|topic| format!("t{topic}").into());
        let mut event = record("all", &n.to_string());
        event.topics.extend(topics);
        cluster.log.write(Item::Event(event));
    }
    cluster.settle();
    let kept = cluster.nodes[0].kept("t3");
    assert_eq!(kept.len(), 600);
    assert_eq!(cluster.nodes[1].kept("t3"), kept);
}
