use std::io::{Read, Write};
use std::time::Duration;

use crate::support::{Node, command, command_bytes, wait_for};

#[test]
fn protocol_errors_are_told_and_end_the_connection() {
    let node = Node::start();
    for (bytes, error) in [
        (&b"*x\r\n"[..], "invalid multibulk length"),
        (b"*1025\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$8388609\r\n", "invalid bulk length"),
        (b"*1\r\n$4\r\nPINGxx", "expected CRLF after a bulk string"),
        (b"PING 'a\r\n", "unbalanced quotes in request"),
        (&[b'*'; 40], "too big mbulk count string"),
    ] {
        let mut client = node.connect();
        // Commands before are answered, commands behind are not.
        client.send([b"PUBLISH a b\r\n", bytes, b"\r\nPUBLISH a b\r\n"].concat());
        let expected = format!(":0\r\n-ERR Protocol error: {error}\r\n");
        assert_eq!(client.read_to_end(), expected);
    }
    let mut client = node.connect();
    client.send(vec![b'x'; 70_000]);
    assert_eq!(
        client.read_to_end(),
        "-ERR Protocol error: too big inline request\r\n"
    );
    wait_for("all to leave", || {
        node.hub.node_metrics().ingest_connections.get() == 0
    });
}

#[test]
fn a_stack_of_arrays_is_just_an_error() {
    let node = Node::start();
    let mut client = node.connect();
    client.send("*1\r\n".repeat(100_000));
    assert_eq!(
        client.read_to_end(),
        "-ERR Protocol error: expected '$', got '*'\r\n"
    );
}

#[test]
fn commands_may_come_in_any_pieces() {
    let node = Node::start();
    let mut client = node.connect();
    let mut bytes = command(&["PUBLISH", "t", "one"]);
    bytes.extend_from_slice(b"\r\nPING 'a b'\r\n*0\r\n");
    bytes.extend_from_slice(&command(&["XLEN", "t"]));
    for byte in bytes {
        client.send([byte]);
    }
    assert_eq!(client.ask(""), ":0\r\n$3\r\na b\r\n:1\r\n");
}

#[test]
fn the_largest_bulk_passes() {
    let node = Node::with(|settings| {
        settings.event_limits.data_bytes_max = 8 << 20;
        settings.ingest_bulk_bytes_max = 8 << 20;
        settings.history_bytes = 32 << 20;
    });
    let mut client = node.connect();
    let large = "x".repeat(8 << 20);
    let request = command(&["PUBLISH", "t", &large]);
    for piece in request.chunks(100_000) {
        client.send(piece);
    }
    assert_eq!(client.ask(""), ":0\r\n");
    let stored = client.ask("XRANGE t - +\r\n");
    assert!(stored.contains(&format!("${}\r\n{large}\r\n", large.len())));
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    let node = Node::start();
    let mut client = node.connect();
    let (mut bytes, mut kinds) = (Vec::new(), Vec::new());
    for n in 0..5_000 {
        let (request, kind) = match n % 7 {
            0 => (command(&["XADD", "t", "*", "data", &n.to_string()]), '$'),
            1 => (command_bytes(&[b"PUBLISH", b"t", b"\xff"]), '-'),
            2 => (b"PING\r\n".to_vec(), '+'),
            _ => (command(&["PUBLISH", "t", &n.to_string()]), ':'),
        };
        bytes.extend_from_slice(&request);
        kinds.push(kind);
    }
    let mut writer = client.stream.try_clone().expect("clone");
    let sender = std::thread::spawn(move || writer.write_all(&bytes).expect("sent"));
    let mut replies = Vec::new();
    let mut text = String::new();
    while replies.len() < kinds.len() {
        let mut piece = [0; 4096];
        let count = client.stream.read(&mut piece).expect("read");
        text.push_str(std::str::from_utf8(&piece[..count]).expect("UTF-8"));
        let complete = text.rfind('\n').map_or(0, |at| at + 1);
        let lines: String = text.drain(..complete).collect();
        // The line of an id follows its `$`; it starts with a digit.
        replies.extend(
            lines
                .lines()
                .filter_map(|line| line.chars().next())
                .filter(|c| !c.is_ascii_digit()),
        );
    }
    sender.join().expect("sent");
    assert_eq!(replies, kinds);
    let published = kinds
        .iter()
        .filter(|kind| matches!(kind, '$' | ':'))
        .count();
    assert_eq!(node.hub.node_metrics().events_in[1].get(), published as u64);
}

#[test]
fn a_client_that_does_not_read_is_not_read() {
    let node = Node::start();
    let mut client = node.connect();
    let request = command(&["ECHO", &"x".repeat(100_000)]);
    let answer_bytes = request.len() - "*2\r\n$4\r\nECHO\r\n".len();
    // Far more than the sockets' buffers and one batch of answers hold: sending must stall.
    let stalled = Duration::from_millis(300);
    client
        .stream
        .set_write_timeout(Some(stalled))
        .expect("timeout");
    let mut sent = 0;
    while let Ok(count) = client.stream.write(&request[sent % request.len()..]) {
        sent += count;
        assert!(sent < 512 << 20, "the node reads and reads");
    }
    // Everything is answered once it is read, the rest of the last command included.
    let rest = (request.len() - sent % request.len()) % request.len();
    let rest = request[request.len() - rest..].to_vec();
    let mut writer = client.stream.try_clone().expect("clone");
    writer.set_write_timeout(None).expect("timeout");
    let sender = std::thread::spawn(move || writer.write_all(&rest).expect("sent"));
    let mut answers = vec![0; sent.div_ceil(request.len()) * answer_bytes];
    client.stream.read_exact(&mut answers).expect("all answers");
    sender.join().expect("sent");
    client.check("PING", "+PONG\r\n");
}
