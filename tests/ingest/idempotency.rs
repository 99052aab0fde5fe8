//! The field `key` of `XADD`: a repeat publishes nothing.

use fantail::settings::{IngestUser, Settings};

use crate::support::{Client, Node};
use crate::{OK, id};

const REUSED: &str = "-KEYREUSED the idempotency key was used for another event";

/// The words of an `XADD` with a key.
fn xadd<'w>(topic: &'w str, data: &'w str, key: &'w str) -> [&'w str; 7] {
    ["XADD", topic, "*", "data", data, "key", key]
}

fn pipeline(client: &mut Client, lines: &[&str]) -> String {
    client.ask(lines.join("\r\n") + "\r\n")
}

fn published(node: &Node) -> u64 {
    node.hub.node_metrics().events_in[1].get()
}

#[test]
fn a_repeat_is_answered_with_the_id_of_the_first() {
    let node = Node::start();
    let mut client = node.connect();
    let first = client.call(&xadd("t", "1", "k"));
    id(&first);
    // Also over another connection, after the first one broke.
    drop(client);
    let mut client = node.connect();
    assert_eq!(client.call(&xadd("t", "1", "k")), first);
    assert_ne!(client.call(&xadd("t", "1", "l")), first);
    assert!(client.call(&xadd("t", "2", "k")).starts_with(REUSED));
    assert!(client.call(&xadd("u", "1", "k")).starts_with(REUSED));
    let info = client.call(&["INFO", "fantail"]);
    assert!(info.contains("\r\nidempotency_keys:2\r\n"), "{info}");
    assert_eq!(client.call(&["XLEN", "t"]), ":2\r\n");
    assert_eq!(client.call(&["XLEN", "u"]), ":0\r\n");
    // It may be meant as a field of the event.
    let fields = client.call(&["XADD", "t", "*", "a", "1", "key", "m", "b", "2"]);
    assert!(fields.starts_with("-ERR field 'key'"), "{fields}");
    assert_eq!(client.call(&["XLEN", "t"]), ":2\r\n");
    for (key, said) in [("", "empty"), ("\u{e4}", "printable ASCII")] {
        let reply = client.call(&xadd("t", "1", key));
        assert!(
            reply.starts_with("-ERR ") && reply.contains(said),
            "{reply}"
        );
    }
    let twice = ["XADD", "t", "*", "data", "1", "key", "a", "key", "b"];
    assert_eq!(client.call(&twice), "-ERR field 'key' is given twice\r\n");
}

#[test]
fn in_a_pipeline_only_the_event_with_a_used_key_is_refused() {
    let node = Node::start();
    let mut client = node.connect();
    id(&client.call(&xadd("t", "1", "used")));
    let reply = pipeline(
        &mut client,
        &[
            "XADD t * data a key a",
            "PUBLISH t b",
            "XADD t * data a key a",
            "XADD t * data other key used",
            "XADD t * data other key a",
            "EVAL \"return redis.call('publish', 't', 'in a script')\" 0",
            "XADD t * data c key c",
            "PING",
        ],
    );
    let lines: Vec<&str> = reply.split("\r\n").collect();
    assert_eq!(lines[1], lines[4], "the id of the first: {reply}");
    assert_eq!(lines[2], ":0");
    assert!(
        lines[5].starts_with(REUSED) && lines[6].starts_with(REUSED),
        "{reply}"
    );
    assert_eq!((lines[7], lines[10]), (":0", "+PONG"), "{reply}");
    assert_eq!(published(&node), 5);
    // Without replies, nothing is answered and all the same is done.
    assert_eq!(
        pipeline(
            &mut client,
            &[
                "CLIENT REPLY OFF",
                "XADD t * data other key used",
                "XADD t * data d key d",
                "CLIENT REPLY ON",
            ]
        ),
        OK
    );
    assert_eq!(published(&node), 6);
    assert_eq!(node.hub.node_metrics().keys_reused.get(), 3, "once each");
}

#[test]
fn a_transaction_with_a_used_key_publishes_nothing() {
    let node = Node::start();
    let mut client = node.connect();
    let commands = [
        "MULTI",
        "XADD t * data 1 key k1",
        "XADD t * data 2 key k2",
        "EXEC",
    ];
    let first = pipeline(&mut client, &commands);
    assert_eq!(
        pipeline(&mut client, &commands),
        first,
        "it is repeated as a whole"
    );
    let mixed = ["MULTI", "XADD t * data 2 key k2", "PUBLISH t 3", "EXEC"];
    let reply = pipeline(&mut client, &mixed);
    assert!(reply.ends_with(":0\r\n"), "{reply}");
    let other = ["MULTI", "PUBLISH t 4", "XADD t * data 5 key k1", "EXEC"];
    let reply = pipeline(&mut client, &other);
    let aborted = "-EXECABORT Transaction discarded because of: KEYREUSED ";
    assert!(reply.contains(aborted), "{reply}");
    assert_eq!(published(&node), 3);
    assert_eq!(client.ask("PING\r\n"), "+PONG\r\n");
}

#[test]
fn a_script_with_a_used_key_publishes_nothing() {
    let node = Node::start();
    let mut client = node.connect();
    let script = "redis.call('publish', 't', 'first') return redis.call('xadd', 't', '*', 'data', ARGV[1], 'key', ARGV[2])";
    let mut eval = |data: &str, key: &str| client.call(&["EVAL", script, "0", data, key]);
    let first = eval("1", "k");
    id(&first);
    // The event without a key is published again.
    assert_eq!(eval("1", "k"), first);
    assert_eq!(published(&node), 3);
    assert!(eval("2", "k").starts_with(REUSED));
    assert_eq!(published(&node), 3);
    let call = |data| format!("EVAL \"{script}\" 0 {data} k");
    let calls = [&*call("2"), "PUBLISH t x", &*call("1")];
    let reply = pipeline(&mut client, &calls);
    assert!(
        reply.starts_with(REUSED) && reply.ends_with(&format!(":0\r\n{first}")),
        "{reply}"
    );
    assert_eq!(published(&node), 5);
}

#[test]
fn a_repeat_is_a_repeat_though_its_topic_is_unknown_by_now() {
    let node = Node::start();
    let mut client = node.connect();
    id(&client.call(&["XADD", "t", "*", "data", "0"]));
    let xadd = ["XADD", "t", "NOMKSTREAM", "*", "data", "1", "key", "k"];
    let first = client.call(&xadd);
    id(&first);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let erased = node.hub.erase_topic("t");
    assert_eq!(runtime.expect("a runtime").block_on(erased), Ok(2));
    assert_eq!(client.call(&xadd), first);
    let reply = pipeline(&mut client, &["MULTI", &xadd.join(" "), "EXEC"]);
    assert!(reply.ends_with(&first), "{reply}");
    let new = ["XADD", "t", "NOMKSTREAM", "*", "data", "1", "key", "l"];
    assert_eq!(client.call(&new), "$-1\r\n");
    assert_eq!(published(&node), 2);
}

#[test]
fn equal_keys_of_two_users_are_two_keys() {
    let user = |name: &str| IngestUser {
        name: name.to_owned(),
        password: "pw".into(),
        publish: vec!["*".parse().expect("a glob")],
    };
    let node = Node::with(|settings: &mut Settings| {
        settings.ingest_users = vec![user("ann"), user("bob")];
    });
    let publish = |name: &str, data: &str| {
        let mut client = node.connect();
        assert_eq!(client.call(&["AUTH", name, "pw"]), OK);
        client.call(&xadd("t", data, "k"))
    };
    let ann = publish("ann", "1");
    let bob = publish("bob", "1");
    assert_ne!(id(&ann), id(&bob));
    assert_eq!((publish("ann", "1"), publish("bob", "1")), (ann, bob));
    assert_eq!(published(&node), 2);
}

#[test]
fn a_port_that_remembers_no_keys_says_so() {
    let node = Node::with(|settings| settings.idempotency_window = std::time::Duration::ZERO);
    let mut client = node.connect();
    let reply = client.call(&xadd("t", "1", "k"));
    assert!(reply.contains("idempotency_window"), "{reply}");
    id(&client.call(&["XADD", "t", "*", "data", "1"]));
}
