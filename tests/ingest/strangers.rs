use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::OK;
use crate::support::{Client, Node, command, wait_for};

const TOO_MANY: &str = "-ERR max number of clients reached\r\n";
/// For events that have to be too late.
const SHORT: Duration = Duration::from_millis(300);
/// For events that have to be in time, also on a busy machine, in a test that waits until it is
/// over.
const LONGER: Duration = Duration::from_secs(2);

fn with_password(change: impl FnOnce(&mut fantail::settings::Settings)) -> Node {
    Node::with(|settings| {
        settings.ingest_password = Some("secret".into());
        change(settings);
    })
}

fn ended(node: &Node, reason: &str) -> u64 {
    let reasons = fantail::metrics::IngestEnd::ALL;
    let place = reasons.iter().position(|known| known.as_str() == reason);
    node.hub.node_metrics().ingest_ended[place.expect("a reason")].get()
}

/// Sends `bytes` again and again, a byte at a time, until the node ends the connection; returns its
/// answer.
fn drip(client: &mut Client, bytes: &[u8]) -> String {
    let pause = Duration::from_millis(10);
    client
        .stream
        .set_read_timeout(Some(pause))
        .expect("timeout");
    let mut answer = Vec::new();
    let mut bytes = bytes.iter().cycle();
    wait_for("the node to end the connection", || {
        let byte = *bytes.next().expect("endless");
        let _ = client.stream.write_all(&[byte]);
        let mut piece = [0; 4096];
        match client.stream.read(&mut piece) {
            Ok(0) => true,
            Ok(count) => {
                answer.extend_from_slice(&piece[..count]);
                false
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
            Err(error) => panic!("{error}"),
        }
    });
    String::from_utf8(answer).expect("UTF-8")
}

#[test]
fn a_stranger_who_drips_commands_is_ended_in_time() {
    let node = with_password(|settings| settings.ingest_authentication_timeout = SHORT);
    for bytes in [
        &b"x"[..],
        b"*1000",
        b" ",
        b"\r\n",
        b"*0\r\n",
        b"PING\r\n",
        b"*2\r\n$4\r\nAUTH\r\n$100\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ] {
        let mut client = node.connect();
        drip(&mut client, bytes);
    }
    let mut silent = node.connect();
    assert_eq!(silent.read_to_end(), "");
    assert_eq!(ended(&node, "unauthenticated"), 8);
}

#[test]
fn who_has_authenticated_is_not_ended_for_having_been_a_stranger() {
    let node = with_password(|settings| settings.ingest_authentication_timeout = LONGER);
    let mut client = node.connect();
    client.check("AUTH secret", OK);
    let mut silent = node.connect();
    assert_eq!(silent.read_to_end(), "");
    client.check("PING", "+PONG\r\n");
    // A client that undoes its authentication is a stranger again, from then on.
    client.send("RESET\r\n");
    assert_eq!(client.read_to_end(), "+RESET\r\n");
    assert_eq!(ended(&node, "unauthenticated"), 2);
}

#[test]
fn a_stranger_who_reads_no_answers_is_ended_in_time() {
    let node = with_password(|settings| settings.ingest_authentication_timeout = SHORT);
    let mut client = node.connect();
    let pipeline = "PING\r\n".repeat(1_000);
    while client.stream.write_all(pipeline.as_bytes()).is_ok() {}
    wait_for("it to leave", || {
        node.hub.node_metrics().ingest_connections.get() == 0
    });
    assert_eq!(ended(&node, "unauthenticated"), 1);
}

#[test]
fn strangers_cannot_take_the_places_of_those_who_authenticate() {
    let node = with_password(|settings| settings.ingest_connections_max = 4);
    let mut first: Vec<Client> = (0..2).map(|_| node.connect()).collect();
    for client in &mut first {
        client.check("AUTH secret", OK);
    }
    let open = || node.hub.node_metrics().ingest_connections.get();
    let mut strangers: Vec<Client> = (0..2)
        .map(|number| {
            let client = node.connect();
            wait_for("it to be accepted", || open() == 3 + number);
            client
        })
        .collect();
    for _ in 0..3 {
        // One more ends the oldest of them, and no other.
        strangers.push(node.connect());
        assert_eq!(strangers.remove(0).read_to_end(), "");
    }
    assert_eq!(ended(&node, "displaced"), 3);
    for client in &mut strangers {
        client.check("AUTH secret", OK);
    }
    // All places are held by publishers now, and none of them is ended for a newcomer.
    assert_eq!(node.connect().read_to_end(), TOO_MANY);
    for client in first.iter_mut().chain(&mut strangers) {
        client.check("PUBLISH t x", ":0\r\n");
    }
    assert_eq!(node.hub.node_metrics().connections_refused(), 1);
    drop(first.pop());
    wait_for("a free place", || open() == 3);
    let mut late = node.connect();
    late.check("AUTH secret", OK);
}

#[test]
fn the_share_of_strangers_is_a_setting() {
    let node = with_password(|settings| {
        settings.ingest_connections_max = 10;
        settings.ingest_unauthenticated_max = 1;
    });
    let mut old = node.connect();
    wait_for("it to be accepted", || {
        node.hub.node_metrics().ingest_connections.get() == 1
    });
    let mut new = node.connect();
    assert_eq!(old.read_to_end(), "");
    new.check("AUTH secret", OK);
}

#[test]
fn a_command_that_never_ends_is_ended_on_an_open_port_too() {
    let node = Node::with(|settings| settings.ingest_command_timeout = SHORT);
    for (start, more) in [
        ("", "x"),
        ("*", "1"),
        ("*3", ""),
        ("*2\r\n$4\r\nECHO\r\n$", ""),
        ("*2\r\n$4\r\nECHO\r\n$1000000\r\n", "x"),
        ("*1000\r\n", "$1\r\nx\r\n"),
        // A whole command before it does not count for the next one.
        ("PING\r\n*2\r\n", ""),
        ("PUBLISH t 'a ", "b"),
    ] {
        let mut client = node.connect();
        client.send(start);
        let answer = if more.is_empty() {
            client.read_to_end()
        } else {
            drip(&mut client, more.as_bytes())
        };
        let told = "-ERR the command took too long to arrive (ingest_command_timeout)\r\n";
        let too_long = answer.ends_with("too big mbulk count string\r\n");
        assert!(answer.ends_with(told) || too_long, "{start:?}: {answer}");
    }
    assert_eq!(
        ended(&node, "command_timeout") + ended(&node, "protocol_error"),
        8
    );
    assert!(ended(&node, "command_timeout") >= 7);
}

#[test]
fn a_publisher_who_pauses_between_and_within_commands_is_not_ended() {
    let node = Node::with(|settings| settings.ingest_command_timeout = LONGER);
    let mut slow = node.connect();
    let bytes = command(&["PUBLISH", "t", "x"]);
    let (start, end) = bytes.split_at(bytes.len() / 2);
    let mut witness = node.connect();
    witness.send("*2\r\n");
    witness
        .stream
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("timeout");
    // For longer than the limit on one command, an unfinished command is always there, but none
    // lasts long.
    let mut sent = 0;
    let mut ended_at = None;
    slow.send(start);
    while ended_at.is_none_or(|ended_at| sent < ended_at + 20) {
        slow.send([end, start].concat());
        assert_eq!(slow.read_until(b"\r\n"), b":0\r\n");
        sent += 1;
        if matches!(witness.stream.read(&mut [0; 1]), Ok(1)) {
            ended_at = Some(sent);
        }
    }
    slow.send(end);
    assert_eq!(slow.read_until(b"\r\n"), b":0\r\n");
    slow.check("PING", "+PONG\r\n");
}

#[test]
fn a_client_that_never_reads_its_answers_is_ended_after_write_timeout() {
    let node = Node::with(|settings| settings.write_timeout = SHORT);
    let mut client = node.connect();
    let request = command(&["ECHO", &"x".repeat(100_000)]);
    let mut sent = 0;
    while client.stream.write_all(&request).is_ok() {
        sent += request.len();
        assert!(sent < 512 << 20, "the node reads and reads");
    }
    wait_for("it to leave", || {
        node.hub.node_metrics().ingest_connections.get() == 0
    });
    assert_eq!(ended(&node, "write_timeout"), 1);
}

#[test]
fn a_client_that_reads_its_answers_slowly_is_not_ended() {
    let node = Node::with(|settings| settings.write_timeout = LONGER);
    let mut client = node.connect();
    let answers = 200;
    let text = "x".repeat(100_000);
    let mut writer = client.stream.try_clone().expect("clone");
    let request = command(&["ECHO", &text]);
    let sender = std::thread::spawn(move || {
        for _ in 0..answers {
            writer.write_all(&request).expect("sent");
        }
    });
    let mut left = answers * (text.len() + "$100000\r\n\r\n".len());
    let mut piece = vec![0; 300_000];
    while left > 0 {
        let count = client.stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "ended {left} bytes early");
        left -= count;
        std::thread::park_timeout(Duration::from_millis(40));
    }
    sender.join().expect("sent");
    client.check("PING", "+PONG\r\n");
    assert_eq!(ended(&node, "write_timeout"), 0);
}
