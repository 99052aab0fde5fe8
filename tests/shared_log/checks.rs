use std::io::Write;
use std::net::TcpListener;

use tempfile::NamedTempFile;

use crate::server::{Server, add};
use crate::support::node::{Node, Starting};
use crate::support::sse::SseStream;
use crate::support::{http, wait_until};

/// The log of a node that does not start.
fn refused(flags: &[&str]) -> String {
    let starting: Starting = Node::begin(flags);
    let (status, logged) = starting.ended();
    assert!(!status.success(), "{logged}");
    logged
}

#[test]
fn a_key_of_another_type_is_refused_and_kept() {
    let server = Server::start();
    server.ask::<()>(&["SET", "fantail", "mine"]);
    let logged = refused(&["--log", &server.url()]);
    assert!(logged.contains("`fantail` is no stream"), "{logged}");
    assert_eq!(server.ask::<String>(&["GET", "fantail"]), "mine");
    let node = server.node(&["--log-key", "other"]);
    drop(node);
    assert_eq!(server.ask::<String>(&["TYPE", "other"]), "stream");
}

/// The node served, and was without its log from the first loss on: no marker could be written.
#[test]
fn a_foreign_value_beside_the_stream_is_told_at_the_start() {
    let server = Server::start();
    server.ask::<()>(&["SET", "{fantail}:turns", "mine"]);
    let logged = refused(&["--log", &server.url()]);
    assert!(logged.contains("`{fantail}:turns`"), "{logged}");
    assert!(logged.contains("is no hash: delete it"), "{logged}");
}

/// The words of the crate had several lines, or did not say what to do.
#[test]
fn what_stands_in_the_way_of_a_start_is_told_in_one_line() {
    let server = Server::start();
    server.ask::<()>(&["CONFIG", "SET", "requirepass", "right"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let foreign = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let redis = server.address;
    for (log, part) in [
        (format!("redis://{redis}"), "no password is set"),
        (format!("redis://:wrong@{redis}"), "check user and password"),
        (
            format!("redis+sentinel://:right@{redis}/x?sentinel_password=right"),
            "it is no Sentinel",
        ),
        (
            format!("redis://{foreign}"),
            "it does not speak the Redis protocol",
        ),
    ] {
        let logged = refused(&["--log", &log, "--log-start-timeout", "100ms"]);
        let lines = logged.lines().filter(|line| line.contains(part));
        assert_eq!(lines.count(), 2, "{part}: {logged}");
        let is_whole = |line: &str| line.starts_with("20");
        assert!(logged.lines().all(is_whole), "{logged}");
    }
}

#[test]
fn ids_that_are_far_ahead_are_refused_and_ids_of_long_ago_are_not() {
    let server = Server::start();
    for (key, id, part) in [
        ("ahead", "9000000000000-1", "in the future"),
        ("beyond", "17592186044416-1", "2^44"),
    ] {
        server.ask::<()>(&["XADD", key, id, "topic", "t"]);
        let logged = refused(&["--log", &server.url(), "--log-key", key]);
        assert!(logged.contains(part) && logged.contains(id), "{logged}");
    }
    server.ask::<()>(&["XADD", "fantail", "5-1", "topic", "t", "data", "of 1970"]);
    let node = server.node(&[]);
    let mut stream = SseStream::open(node.http, "/events/t");
    add(&node, "t", "of today");
    assert_eq!(stream.take_data(1), ["of today"]);
}

#[test]
fn a_user_with_a_password_from_a_file_and_a_database_are_used() {
    let server = Server::with(&[
        "--appendonly",
        "yes",
        "--databases",
        "3",
        "--user",
        "bob",
        "on",
        ">p w",
        "~fantail",
        "~{fantail}:*",
        "+@all",
    ]);
    let mut file = NamedTempFile::new().expect("a file");
    writeln!(file, "p w").expect("a written file");
    let path = file.path().to_str().expect("a path").to_owned();
    let address = format!("redis://bob@{}/2", server.address);
    let node = Node::start_with(&["--log", &address, "--log-password-file", &path]);
    let mut stream = SseStream::open(node.http, "/events/t");
    add(&node, "t", "hello");
    assert_eq!(stream.take_data(1), ["hello"]);
    assert_eq!(server.ask::<u64>(&["EXISTS", "fantail"]), 0, "database 0");
    assert!(!node.logged().contains("p w"), "a password was logged");
    let wrong = format!("redis://bob:secret-and-wrong@{}", server.address);
    let logged = refused(&["--log", &wrong, "--log-start-timeout", "100ms"]);
    assert!(
        logged.contains("WRONGPASS") || logged.contains("uthentication"),
        "{logged}"
    );
    assert!(!logged.contains("secret-and-wrong"), "{logged}");
}

#[test]
fn a_right_that_the_user_lacks_is_named() {
    let server = Server::start();
    let rights = ["on", ">pw", "~fantail", "~{fantail}:*", "+@all"];
    for lacking in ["hget", "xgroup|create"] {
        let without = format!("-{lacking}");
        let user = [&["ACL", "SETUSER", "bob"], &rights[..], &[&without]].concat();
        server.ask::<()>(&user);
        let log = format!("redis://bob:pw@{}", server.address);
        let logged = refused(&["--log", &log, "--log-start-timeout", "100ms"]);
        let named = format!("'{lacking}'");
        assert!(
            logged.contains("NOPERM") && logged.contains(&named),
            "{logged}"
        );
    }
}

/// They showed with the first event, or with the first loss, from which on the node was without its log.
#[test]
fn rights_that_are_needed_later_than_at_the_start_are_checked_at_the_start() {
    let server = Server::start();
    let rights = ["on", ">pw", "~fantail", "~{fantail}:*", "+@all"];
    for (without, part) in [
        (&["-eval"][..], "'eval'"),
        (
            &[
                "-xadd",
                "-xread",
                "-xrevrange",
                "-xlen",
                "-xtrim",
                "-hincrby",
                "-hset",
            ],
            "may not call XADD, XREAD, XREVRANGE, XLEN, XTRIM, HINCRBY, HSET on",
        ),
        (&["-xtrim"], "may not call XTRIM on"),
    ] {
        let user = [&["ACL", "SETUSER", "bob", "reset"], &rights[..], without].concat();
        server.ask::<()>(&user);
        let log = format!("redis://bob:pw@{}", server.address);
        let logged = refused(&["--log", &log, "--log-start-timeout", "100ms"]);
        assert!(logged.contains(part), "{logged}");
    }
    assert_eq!(server.ask::<u64>(&["EXISTS", "fantail"]), 0);
}

/// It showed when the whole log had been read.
#[test]
fn an_address_that_is_taken_is_told_before_the_log_is_asked() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = other.local_addr().expect("its address").to_string();
    // It accepts, and never answers.
    let log = format!("redis://{taken}");
    for setting in ["listen", "ingest_listen"] {
        let flag = format!("--{}", setting.replace('_', "-"));
        let logged = refused(&["--log", &log, "--log-start-timeout", "1h", &flag, &taken]);
        let said = format!("cannot listen on {taken} (`{setting}`)");
        assert!(logged.contains(&said), "{logged}");
    }
}

#[test]
fn of_several_hosts_the_one_that_takes_writes_is_used() {
    let master = Server::start();
    let (host, port) = ("127.0.0.1", master.address.port().to_string());
    let replica = Server::with(&["--replicaof", host, &port]);
    let log = format!("redis://{},{}", replica.address, master.address);
    let node = Node::start_with(&["--log", &log]);
    let mut stream = SseStream::open(node.http, "/events/t");
    add(&node, "t", "hello");
    assert_eq!(stream.take_data(1), ["hello"]);
    let alone = replica.url();
    let logged = refused(&["--log", &alone, "--log-start-timeout", "100ms"]);
    assert!(logged.contains("is a replica"), "{logged}");
}

/// A Cluster of two, of which the second has all slots.
fn cluster() -> [Server; 2] {
    let servers = [0, 1].map(|_| Server::with(&["--cluster-enabled", "yes"]));
    let [first, second] = &servers;
    second.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let port = second.address.port().to_string();
    first.ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port]);
    let knows = || {
        let answer = first.try_ask::<u64>(&["EXISTS", "fantail"]);
        answer.is_err_and(|error| error.code() == Some("MOVED"))
    };
    wait_until("the first node knows the second", knows);
    servers
}

#[test]
fn in_a_cluster_the_node_that_has_the_key_is_followed() {
    let [first, second] = cluster();
    let node = first.node(&["--mercure-subscriptions"]);
    let mut stream = SseStream::open(node.http, "/events/t");
    add(&node, "t", "hello");
    assert_eq!(stream.take_data(1), ["hello"]);
    assert_eq!(second.ask::<u64>(&["EXISTS", "fantail"]), 1);
    // Its roster is there, too.
    let _subscriber = SseStream::open(node.http, "/.well-known/mercure?topic=t");
    wait_until("it is announced", || {
        let keys: Vec<String> = second.ask(&["KEYS", "{fantail}:who:*"]);
        !keys.is_empty()
    });
}

/// While the slot moves, the log is away: its keys may be on both servers.
#[test]
fn a_slot_of_a_cluster_that_moves_to_another_server_is_followed_without_a_gap() {
    let [first, second] = cluster();
    let node = first.node(&["--log-timeout", "1s"]);
    let mut stream = SseStream::open(node.http, "/events/t");
    add(&node, "t", "before");
    let slot = second.ask::<u64>(&["CLUSTER", "KEYSLOT", "fantail"]);
    let slot = slot.to_string();
    let [to, from]: [String; 2] = [&first, &second].map(|server| server.ask(&["CLUSTER", "MYID"]));
    first.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]);
    second.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]);
    let port = first.address.port().to_string();
    let keys: Vec<String> = second.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
    assert!(keys.len() > 1, "{keys:?}");
    let refused = |when: &str| {
        let answer = http::request(node.http, "POST", "/publish/t", &[], b"meanwhile");
        assert_eq!(answer.status, 503, "{when}: {answer:?}");
        assert!(!answer.body.contains("unknown"), "{when}: {answer:?}");
    };
    let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
    second.ask::<()>(&[&migrate[..], &["fantail"]].concat());
    refused("the stream has moved, and what is beside it has not");
    let beside: Vec<&str> = keys.iter().map(String::as_str).collect();
    let beside: Vec<&str> = beside.into_iter().filter(|key| *key != "fantail").collect();
    second.ask::<()>(&[&migrate[..], &beside].concat());
    refused("everything has moved, and the slot has not");
    for server in [&first, &second] {
        server.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]);
    }
    wait_until("the node publishes again", || {
        http::request(node.http, "POST", "/publish/t", &[], b"after").status == 200
    });
    assert_eq!(first.ask::<u64>(&["EXISTS", "fantail"]), 1);
    assert_eq!(stream.take_data(2), ["before", "after"]);
}
