//! Attacks on the parts of the budget that were not counted at first.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{ATTACKERS, Attacked, connect, with_a_mebibyte};
use crate::frames::{Peer, get};
use crate::readings::metric;
use crate::support::http::{Connection, narrow_socket, request};
use crate::support::{DEADLINE, resp, wait_until};

/// A command of a hundred thousand empty elements takes 600 KB of input, and three times as much
/// for their places.
#[test]
fn the_places_of_a_commands_elements_were_counted_by_nothing() {
    let attacked = Attacked::start_with(&["--ingest-array-max", "1048576"]);
    let mut start = b"*1000000\r\n".to_vec();
    start.extend_from_slice(&b"$0\r\n\r\n".repeat(100_000));
    let mut first = connect(&attacked.node);
    first.write_all(&start).expect("the node reads");
    wait_until("the places are counted beside the input", || {
        attacked.held("ingest") > 2_200_000
    });
    let mut sockets = vec![first];
    for _ in 0..ATTACKERS / 2 {
        let mut socket = connect(&attacked.node);
        // One that was refused is closed while it sends.
        let _ = socket.write_all(&start);
        sockets.push(socket);
    }
    attacked.stays_within_budget("ingest");
    drop(sockets);
    attacked.gives_back("ingest");
}

/// 16 KiB of text become a mebibyte of terms, and 128 scripts were kept.
#[test]
fn scripts_that_are_kept_take_a_small_part_of_the_budget() {
    let attacked = Attacked::start();
    let mut client = resp::Client::open(attacked.node.ingest);
    let mut newest = String::new();
    for n in 0..128 {
        let script = format!("local n = {n} local m = n{}", "..n".repeat(5_000));
        client.send(&["SCRIPT", "LOAD", &script]);
        assert_eq!(client.line(), "$40");
        newest = client.line();
        assert!(attacked.held("scripts") <= 4 << 20);
    }
    assert!(attacked.held("scripts") > 1 << 20);
    client.send(&["EVALSHA", &newest, "0"]);
    assert_eq!(client.line(), "$-1");
    client.send(&["SCRIPT", "FLUSH"]);
    assert_eq!(client.line(), "+OK");
    attacked.gives_back("scripts");
}

#[test]
fn watched_topics_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start();
    let mut clients = Vec::new();
    let mut refused = false;
    for _ in 0..ATTACKERS / 4 {
        let mut client = resp::Client::open(attacked.node.ingest);
        // Each command is so short that it is never refused as an unfinished one.
        for part in 0..45 {
            let names: Vec<String> = (0..20).map(|n| format!("{part}.{n:01000}")).collect();
            let mut command = vec!["WATCH"];
            command.extend(names.iter().map(String::as_str));
            client.send(&command);
            let line = client.line();
            refused |= line.starts_with("-OOM");
            assert!(refused || line == "+OK", "{line}");
        }
        clients.push(client);
    }
    assert!(refused);
    attacked.stays_within_budget("ingest");
    drop(clients);
    attacked.gives_back("ingest");
}

/// An array takes little, and its events twenty times as much.
#[test]
fn a_large_array_of_small_events_is_refused_before_it_takes_too_much() {
    let attacked = Attacked::start_with(&["--publish-batch-max", "100000"]);
    let array = |count: usize| {
        let events = vec![r#"{"topic":"a","data":""}"#; count];
        format!("[{}]", events.join(","))
    };
    let publish = |count| {
        let fields = [("Content-Type", "application/json")];
        let body = array(count);
        request(
            attacked.node.http,
            "POST",
            "/publish",
            &fields,
            body.as_bytes(),
        )
    };
    let answer = publish(100_000);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("memory_budget"), "{}", answer.body);
    assert_eq!(attacked.node.publish("a", "x"), 0, "none was published");
    assert_eq!(publish(5_000).status, 200);
    attacked.stays_within_budget("events");
    attacked.gives_back("events");
}

/// A stream that takes a part of an event holds the whole of it, also when the history has evicted
/// it.
#[test]
fn slow_streams_with_an_event_each_hold_no_more_than_the_budget() {
    let attacked = Attacked::start_with(&["--send-buffer-bytes", "8KiB"]);
    let node = &attacked.node;
    let data = "x".repeat(250 << 10);
    let mut streams = Vec::new();
    let refused = (0..ATTACKERS).any(|number| {
        let mut stream = Connection::over(narrow_socket(node.http));
        let head = format!("GET /events/a{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.send(head.as_bytes());
        assert_eq!(stream.head().status, 200);
        // The client reads nothing; its socket's buffers hold a small part.
        for _ in 0..4 {
            node.publish(&format!("a{number}"), &data);
        }
        streams.push(stream);
        attacked.refused("stream_remainders") > 0
    });
    assert!(refused, "{}", attacked.held("stream_remainders"));
    attacked.stays_within_budget("stream_remainders");
    let ended = "fantail_streams_closed_total{";
    let page = node.admin_get("/metrics").body;
    let ended = page.lines().any(|line| {
        line.starts_with(ended) && line.contains("out_of_memory") && !line.ends_with(" 0")
    });
    assert!(ended, "none was ended for want of memory");
    drop(streams);
    attacked.gives_back("stream_remainders");
}

/// Streams with one topic each were always let in, however long its name.
#[test]
fn streams_of_one_long_name_are_refused_before_the_node_holds_too_much() {
    // A thousand names fill it.
    let node = with_a_mebibyte();
    let topics = "fantail_memory_bytes{part=\"topics\"} ";
    let refused = "fantail_memory_refused_total{part=\"topics\"} ";
    let mut peers: Vec<Peer> = Vec::new();
    while metric(&node, refused) == 0 {
        assert!(peers.len() < 60, "held {}", metric(&node, topics));
        let mut peer = Peer::open(node.http, &[]);
        for n in 0..50 {
            let name = format!("{:04}{n:0800}", peers.len());
            assert!(peer.send(&get(2 * n + 1, &format!("/events/{name}"))));
        }
        peers.push(peer);
    }
    assert!(metric(&node, topics) <= (1 << 20) + (1 << 20) / 10);
    let stream = |topic: &str| {
        let mut stream = Connection::open(node.http);
        let head = format!("GET /events/{topic} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.send(head.as_bytes());
        (stream.head().status, stream)
    };
    assert_eq!(stream(&"x".repeat(800)).0, 503);
    assert_eq!(stream("a").0, 200, "a short one is let in");
    drop(peers);
    wait_until("the names are given back", || {
        metric(&node, topics) < 64 << 10
    });
}

/// What is told of streams was held beside the account: a hundred names each, also after their end.
#[test]
fn announced_streams_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start_with(&["--mercure-subscriptions=true"]);
    let mut streams = Vec::new();
    let refused = (0..2_000).any(|number| {
        let names = (0..100).map(|n| format!("topic={number}.{n}.{}", "x".repeat(80)));
        let names: Vec<String> = names.collect();
        let mut stream = Connection::open(attacked.node.http);
        let target = format!("/.well-known/mercure?{}", names.join("&"));
        stream.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let status = stream.head().status;
        streams.push(stream);
        assert!(status == 200 || status == 503, "{status}");
        status == 503
    });
    assert!(refused);
    assert!(attacked.held("presence") > 1 << 20);
    let held: u64 = ["presence", "topics", "subscriptions"]
        .map(|part| attacked.held(part))
        .iter()
        .sum();
    assert!(
        held <= super::BESIDE_HISTORY + super::BESIDE_HISTORY / 10,
        "{held}"
    );
    drop(streams);
    // Ends that wait to be told are bounded by a quarter of the history.
    wait_until("starts that nobody was told of are given back", || {
        attacked.held("presence") < 2 << 20
    });
}

/// Heads that did not end were held by nothing but the number of connections.
#[test]
fn request_heads_that_do_not_end_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start_with(&["--header-bytes-max", "1MiB"]);
    let mut start = b"GET /events/a HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec();
    start.resize(900_000, b'x');
    let mut connections: Vec<TcpStream> = (0..ATTACKERS / 2)
        .map(|_| {
            let mut connection = TcpStream::connect(attacked.node.http).expect("it accepts");
            let timeout = Some(DEADLINE);
            connection.set_write_timeout(timeout).expect("a socket");
            connection.set_read_timeout(timeout).expect("a socket");
            let _ = connection.write_all(&start);
            connection
        })
        .collect();
    attacked.stays_within_budget("request_bodies");
    let mut answer = [0; 1024];
    let told = connections.iter_mut().any(|connection| {
        let _ = connection.set_nonblocking(true);
        let read = connection.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..read]);
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("memory_budget")
    });
    assert!(told, "no client was told why");
    drop(connections);
    attacked.gives_back("request_bodies");
}
