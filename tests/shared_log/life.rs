use std::fs;
use std::process::Command;

use fantail::clock::unix_ms;

use crate::server::{Server, add};
use crate::support::node::{Node, PROGRAM};
use crate::support::sse::SseStream;
use crate::support::{http, wait_until};

#[test]
fn an_event_has_the_id_of_its_entry_and_a_new_process_keeps_history_and_cursors() {
    let server = Server::start();
    let mut node = server.node(&[]);
    let mut stream = SseStream::open(node.http, "/events/t");
    let first = add(&node, "t", "1");
    assert_eq!(stream.take_data(1), ["1"]);
    let marked = stream.cursor.clone();
    let second = add(&node, "t", "2");
    let entries: Vec<(String, Vec<String>)> = server.ask(&["XRANGE", "fantail", "-", "+"]);
    let has = |id: &str| entries.iter().any(|(entry, _)| id == entry);
    assert!(has(&first) && has(&second), "{entries:?}");
    assert!(node.stop().success());
    let node = server.node(&[]);
    let mut stream = SseStream::resume(node.http, "/events/t", &marked);
    assert_eq!(stream.take_data(1), ["2"]);
}

#[test]
fn a_new_program_goes_on_where_the_former_one_was() {
    let server = Server::start();
    let node = server.node(&[]);
    let mut stream = SseStream::open(node.http, "/events/t");
    for round in 0..3 {
        let data = format!("before {round}");
        add(&node, "t", &data);
        let status = Command::new(PROGRAM)
            .args(["upgrade", "--admin-listen", &node.admin.to_string()])
            .output()
            .expect("the program");
        assert!(status.status.success(), "{status:?}\n{}", node.logged());
        // Written while the new program may not have found the log yet.
        let id = format!("after {round}");
        server.ask::<String>(&["XADD", "fantail", "*", "topic", "t", "data", &id]);
        assert_eq!(stream.take_data(2), [data, id]);
    }
    add(&node, "t", "the last");
    assert_eq!(stream.take_data(1), ["the last"]);
    assert!(!node.logged().contains("gap"), "{}", node.logged());
}

/// The new program gave events ids of its own, with the mark of the log's ids.
#[test]
fn a_node_with_a_log_is_not_upgraded_to_none() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fantail.toml");
    fs::write(&file, format!("log = \"{}\"\n", server.url())).expect("a file");
    let node = Node::start_with(&["--config", file.to_str().expect("text")]);
    let mut stream = SseStream::open(node.http, "/events/t");
    fs::write(&file, "").expect("a file");
    let said = Command::new(PROGRAM)
        .args(["upgrade", "--admin-listen", &node.admin.to_string()])
        .output()
        .expect("the program");
    let reason = "`log` is not set, and the running node has one";
    let said_so = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        !said.status.success() && said_so.contains(reason),
        "{said:?}"
    );
    let id = add(&node, "t", "1");
    assert_eq!(stream.take_data(1), ["1"]);
    let entries: Vec<(String, Vec<String>)> = server.ask(&["XRANGE", "fantail", &id, &id]);
    assert_eq!(entries.len(), 1, "{id} is in the log");
}

/// All nodes were down for longer than `history_age`.
#[test]
fn a_client_that_had_everything_was_told_a_gap_when_the_log_was_silent_for_long() {
    let server = Server::start();
    let mut node = server.node(&[]);
    let mut stream = SseStream::open(node.http, "/events/t");
    add(&node, "t", "before");
    assert_eq!(stream.take_data(1), ["before"]);
    let cursor = stream.cursor.clone();
    assert!(node.stop().success());
    wait_until("the event is older than that", || {
        let newest: Vec<(String, Vec<String>)> =
            server.ask(&["XREVRANGE", "fantail", "+", "-", "COUNT", "1"]);
        let ms = newest[0]
            .0
            .split('-')
            .next()
            .expect("a time")
            .parse::<u64>();
        unix_ms() > ms.expect("a number") + 1_000
    });
    let node = server.node(&["--history-age", "1s", "--idempotency-window", "1s"]);
    add(&node, "t", "after");
    let mut stream = SseStream::resume(node.http, "/events/t", &cursor);
    assert_eq!(stream.take_data(1), ["after"]);
    let page = node.admin_get("/metrics").body;
    assert!(
        page.contains("\nfantail_log_trims_unread_total 0"),
        "{page}"
    );
}

/// Such a node published the repeat again, to its own streams alone.
#[test]
fn a_node_that_keeps_events_shorter_than_keys_did_not_read_the_keys_when_it_started() {
    let server = Server::start();
    let first = server.node(&[]);
    let publish = |node: &Node| {
        let key = [("Idempotency-Key", "k")];
        http::request(node.http, "POST", "/publish/t", &key, b"1").body
    };
    let receipt = publish(&first);
    let written = unix_ms();
    wait_until("the event is older than that", || {
        unix_ms() > written + 1_000
    });
    // The newest entry is always read.
    add(&first, "t", "2");
    let node = server.node(&["--history-age", "1s"]);
    assert_eq!(publish(&node), receipt);
}

/// The key of the first attempt was enough for an answer that says that the event is safe.
#[test]
fn a_repeat_was_answered_for_an_event_that_no_replica_had() {
    let server = Server::start();
    let node = server.node(&["--log-ack-replicas", "1"]);
    let publish = || {
        let key = [("Idempotency-Key", "k")];
        http::request(node.http, "POST", "/publish/t", &key, b"1")
    };
    for _ in 0..2 {
        let refused = publish();
        assert_eq!(refused.status, 503);
        assert!(
            refused.body.contains(r#""published":"unknown""#),
            "{refused:?}"
        );
    }
    let replica = Server::start();
    replica.follow(&server);
    let mut answer = publish();
    wait_until("the replica has the event", || {
        answer = publish();
        answer.status == 200
    });
    assert_eq!(answer.head.field("idempotency-replayed"), Some("true"));
    let entries = || server.ask::<usize>(&["XLEN", "fantail"]);
    let before = entries();
    assert_eq!(publish().body, answer.body);
    assert!(entries() <= before + 1, "at most the node's own marker");
    let page = http::request(node.http, "GET", "/topics/t/events", &[], b"").body;
    assert_eq!(page.matches(r#""data":"1""#).count(), 1, "{page}");
}

#[test]
fn a_node_ends_when_its_log_has_another_order() {
    let server = Server::start();
    let mut node = server.node(&[]);
    // As another cluster's stream, which somebody has put in its place: in one step, else the node
    // begins its own again.
    server.ask::<()>(&["XADD", "new", "*", "topic", "t", "data", "other"]);
    let birth = "fantail:6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    server.ask::<()>(&["XGROUP", "CREATE", "new", birth, "0"]);
    server.ask::<()>(&["RENAME", "new", "fantail"]);
    let status = node.wait();
    assert!(!status.success());
    let logged = node.logged();
    assert!(logged.contains("another order"), "{logged}");
}

/// Number of starts or ends of subscriptions in the log.
fn told(server: &Server, active: bool) -> usize {
    let entries: Vec<(String, Vec<String>)> = server.ask(&["XRANGE", "fantail", "-", "+"]);
    let part = format!("\"active\":{active}");
    let has_part =
        |(_, fields): &&(String, Vec<String>)| fields.iter().any(|it| it.contains(&part));
    entries.iter().filter(has_part).count()
}

#[test]
fn the_ends_of_subscriptions_are_in_the_log_when_a_node_has_drained() {
    let server = Server::start();
    let mut node = server.node(&["--mercure-subscriptions", "--drain-period", "0"]);
    let request = "/.well-known/mercure?topic=t";
    let _stream = SseStream::request(node.http, request, &[]);
    node.wait_for_streams(1);
    wait_until("the start is in the log", || told(&server, true) == 1);
    node.stop();
    assert_eq!(told(&server, false), 1, "{}", node.logged());
}

/// Behind a new connection may be another server, of which nobody knows what its replicas have.
#[test]
fn a_repeat_behind_a_new_connection_waits_for_the_replicas_again() {
    let server = Server::start();
    let replica = Server::start();
    replica.follow(&server);
    let node = server.node(&["--log-ack-replicas", "1"]);
    let publish = |key| {
        let key = [("Idempotency-Key", key)];
        http::request(node.http, "POST", "/publish/t", &key, b"1").status
    };
    wait_until("the replica has the event", || publish("k") == 200);
    drop(replica);
    assert_eq!(publish("k"), 200, "it is known to have it");
    server.ask::<usize>(&["CLIENT", "KILL", "TYPE", "normal"]);
    // This one needs a new connection.
    assert_eq!(publish("other"), 503);
    assert_eq!(publish("k"), 503);
}

/// They were written again every second, as long as replicas were missing.
#[test]
fn starts_of_subscriptions_are_written_once_though_no_replica_has_them() {
    let server = Server::start();
    let node = server.node(&["--mercure-subscriptions", "--log-ack-replicas", "1"]);
    let streams = ["a", "b"].map(|topic| {
        let request = format!("/.well-known/mercure?topic={topic}");
        SseStream::request(node.http, &request, &[])
    });
    wait_until("the starts are in the log", || told(&server, true) >= 2);
    // Each of these has waited for a replica.
    for number in 0..3 {
        let body = format!("{number}");
        let refused = http::request(node.http, "POST", "/publish/t", &[], body.as_bytes());
        assert_eq!(refused.status, 503, "{refused:?}");
    }
    drop(streams);
    node.wait_for_streams(0);
    wait_until("the ends are in the log", || told(&server, false) >= 2);
    assert_eq!([true, false].map(|active| told(&server, active)), [2, 2]);
}

#[test]
fn metrics_and_readiness_say_how_the_node_stands_to_its_log() {
    let server = Server::start();
    let node = server.node(&[]);
    add(&node, "t", "1");
    let page = node.admin_get("/metrics").body;
    for line in [
        "fantail_log_state{state=\"live\"} 1",
        "fantail_log_appends_total{outcome=\"published\"} 1",
        "fantail_log_reconnects_total 0",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    let ready = http::request(node.http, "GET", "/readyz", &[], b"");
    assert_eq!(ready.status, 200);
}

/// It was "refilling" for as long as the log was away, and ready for new clients.
#[test]
fn a_new_program_that_does_not_find_the_log_said_that_it_was_ready() {
    let server = Server::start();
    let node = server.node(&["--log-lost-unready", "1s"]);
    drop(server);
    let is_ready = || node.admin_get("/readyz").status == 200;
    wait_until("the former program is not ready", || !is_ready());
    let upgraded = Command::new(PROGRAM)
        .args(["upgrade", "--admin-listen", &node.admin.to_string()])
        .output()
        .expect("the program");
    assert!(upgraded.status.success(), "{}", node.logged());
    wait_until("the new program is not ready", || !is_ready());
    let page = node.admin_get("/metrics").body;
    assert!(
        page.contains("fantail_log_state{state=\"away\"} 1"),
        "{page}"
    );
}

/// A master whose last replica has been away for `repl-backlog-ttl` gives its history another name.
/// Nodes that had connected before and after it took it for two servers, and each named it again after
/// the other.
#[test]
fn two_nodes_filled_the_log_with_markers_after_the_last_replica_had_gone() {
    let master = Server::with(&["--appendonly", "yes", "--repl-backlog-ttl", "1"]);
    let port = master.address.port().to_string();
    let replica = Server::with(&["--replicaof", "127.0.0.1", &port]);
    let line = |name: &str| {
        let info: String = master.ask(&["INFO", "replication"]);
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a line").to_owned()
    };
    wait_until("it has a replica", || line("connected_slaves:") == "1");
    let before = master.node(&[]);
    let mut stream = SseStream::open(before.http, "/events/t");
    let history = line("master_replid:");
    drop(replica);
    wait_until("it has another name", || line("master_replid:") != history);
    let after = master.node(&[]);
    let data: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    for (number, data) in data.iter().enumerate() {
        add([&before, &after][number % 2], "t", data);
    }
    assert_eq!(stream.take_data(10), data);
    let entries: Vec<(String, Vec<String>)> = master.ask(&["XRANGE", "fantail", "-", "+"]);
    let is_term = |(_, fields): &&(String, Vec<String>)| fields[1] == "term";
    let terms = entries.iter().filter(is_term).count();
    assert!(
        (1..=2).contains(&terms),
        "{terms} of {} entries",
        entries.len()
    );
}

/// A node without its log would not trim it any more, and so would keep the memory full.
#[test]
fn a_server_whose_memory_is_full_is_followed() {
    let server = Server::start();
    let node = server.node(&[]);
    let mut stream = SseStream::open(node.http, "/events/t");
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let answer = http::request(node.http, "POST", "/publish/t", &[], b"refused");
    assert!(
        answer.status == 503 && answer.body.contains("OOM"),
        "{answer:?}"
    );
    let asked = || -> u64 {
        let calls: String = server.ask(&["INFO", "commandstats"]);
        let calls = calls.split("cmdstat_xinfo|stream:calls=").nth(1);
        let calls = calls.and_then(|calls| calls.split(',').next()?.parse().ok());
        calls.expect("the number of the node's questions")
    };
    let before = asked();
    wait_until("the node asks for facts", || asked() > before + 1);
    let page = node.admin_get("/metrics").body;
    for line in [
        "fantail_log_state{state=\"live\"} 1",
        "fantail_log_reconnects_total 0",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    add(&node, "t", "taken");
    assert_eq!(stream.take_data(1), ["taken"]);
}

/// It listened when it had read the last page, and applied it some moments later.
#[test]
fn a_node_listened_before_all_that_the_log_has_was_applied() {
    let server = Server::start();
    for _ in 0..8 {
        let node = server.node(&[]);
        let answer = http::request(node.http, "POST", "/publish/t", &[], b"at once");
        assert_eq!(answer.status, 200, "{answer:?}");
        node.wait_for_log("following it");
        let logged = node.logged();
        let [follows, serves] = ["following it", "serving"].map(|line| logged.find(line));
        assert!(follows < serves, "{logged}");
    }
}
