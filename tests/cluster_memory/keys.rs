use crate::node::Cluster;
use crate::support::wait_until;

const EVENT: &str = r#"{"topic":"a","data":"x"}"#;
const OTHER: &str = r#"{"topic":"a","data":"y"}"#;

#[test]
fn a_repeat_on_another_node_returns_the_first_receipt() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    let receipt = first.post_keyed("/publish", "k", EVENT);
    cluster.settle();
    let appended = cluster.log.len();
    let repeat = second.post_keyed("/publish", "k", EVENT);
    assert_eq!(receipt.body, repeat.body);
    assert_eq!(repeat.head.field("idempotency-replayed"), Some("true"));
    assert_eq!(second.post_keyed("/publish", "k", OTHER).status, 422);
    assert_eq!(cluster.log.len(), appended, "a known key needs no log");
    assert_eq!(second.kept("a").len(), 1);
}

/// A node that is behind does not know a key yet, and appends its event again.
#[test]
fn a_repeat_is_found_at_its_place_in_the_log() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    second.log.hold_back(true);
    let receipt = first.post_keyed("/publish", "k", EVENT);
    let others = [("repeat", EVENT), ("reused", OTHER)].map(|(what, event)| {
        let (to, appended) = (second.http, cluster.log.len());
        let asking = std::thread::spawn(move || {
            let fields = [
                ("Content-Type", "application/json"),
                ("Idempotency-Key", "k"),
            ];
            crate::support::http::request(to, "POST", "/publish", &fields, event.as_bytes())
        });
        wait_until(what, || cluster.log.len() > appended);
        asking
    });
    second.log.hold_back(false);
    let [repeat, reused] = others.map(|asking| asking.join().expect("an answer"));
    assert_eq!(
        receipt.body.replace("\"subscribers\":0", ""),
        repeat.body.replace("\"subscribers\":0", "")
    );
    assert_eq!(repeat.head.field("idempotency-replayed"), Some("true"));
    assert_eq!(reused.status, 422, "{reused:?}");
    cluster.settle();
    for node in &cluster.nodes {
        assert_eq!(node.kept("a").len(), 1);
    }
}

/// A publisher that sends the rest of its lines again must know that some were published.
#[test]
fn what_was_published_behind_a_used_key_was_not_said_or_said_to_be_before_it() {
    let line = |data: &str, key: &str| format!(r#"{{"topic":"a","data":"{data}"{key}}}"#);
    let lines = [
        line("1", ""),
        line("2", r#","key":"k""#),
        line("3", ""),
        line("4", ""),
    ];
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    second.log.hold_back(true);
    first.post(
        "/publish",
        &[("Content-Type", crate::node::JSON)],
        &lines[1].replace('2', "x"),
    );
    let both = [
        ("application/x-ndjson", lines.join("\n") + "\n"),
        (crate::node::JSON, format!("[{}]", lines.join(","))),
    ];
    let answers = both.map(|(kind, body)| {
        let (to, appended) = (second.http, cluster.log.len());
        let asking = std::thread::spawn(move || {
            let fields = [("Content-Type", kind)];
            crate::support::http::request(to, "POST", "/publish", &fields, body.as_bytes())
        });
        wait_until("it is appended", || cluster.log.len() >= appended + 4);
        asking
    });
    second.log.hold_back(false);
    let [stream, array] = answers.map(|asking| asking.join().expect("an answer"));
    assert_eq!((stream.status, array.status), (422, 422));
    let said = "(2 events behind it were published) (1 event before it was published)";
    assert!(stream.body.contains(said), "{stream:?}");
    let said = "(1 event before it and 2 events behind it were published)";
    assert!(array.body.contains(said), "{array:?}");
}

#[test]
fn in_a_pipeline_only_the_command_with_a_used_key_is_refused() {
    let cluster = Cluster::of(2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    second.log.hold_back(true);
    let xadd = |key, data| ["XADD", "a", "*", "data", data, "key", key];
    assert!(first.command(&xadd("k", "x")).starts_with('$'));
    let appended = cluster.log.len();
    let mut client = crate::support::resp::Client::open(second.ingest);
    let socket: Vec<u8> = [xadd("j", "1"), xadd("k", "2"), xadd("l", "3")]
        .iter()
        .flat_map(|words| crate::support::resp::command(words))
        .collect();
    client.send_raw(&socket);
    wait_until("they are appended", || cluster.log.len() >= appended + 3);
    second.log.hold_back(false);
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..5 {
        lines.push(client.line());
    }
    assert!(
        lines[0].starts_with('$') && lines[3].starts_with('$'),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("-KEYREUSED"), "{lines:?}");
    cluster.settle();
    assert_eq!(second.kept("a").len(), 3);
    assert_eq!(first.kept("a"), second.kept("a"));
}
