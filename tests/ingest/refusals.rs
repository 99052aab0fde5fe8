use crate::support::{Node, command, wait_for};
use crate::users::guarded;

/// The request is refused with a line that starts so, and the connection serves on.
fn lives(node: &Node, login: &str, request: &[u8], refusal: &str) {
    let mut client = node.connect();
    if !login.is_empty() {
        client.check(login, crate::OK);
    }
    client.send(request);
    let line = String::from_utf8(client.read_until(b"\r\n")).expect("UTF-8");
    assert!(
        line.starts_with(refusal),
        "{}: {line}",
        request.escape_ascii()
    );
    // Whether it has authenticated or not, `RESET` is answered by a connection that lives.
    client.send("RESET\r\n");
    assert_eq!(client.read_until(b"\r\n"), b"+RESET\r\n", "{refusal}");
}

/// The request is refused with a line that starts so, no command behind it is run, and the
/// connection ends.
fn ends(node: &Node, login: &str, request: &[u8], refusal: &str) {
    let mut client = node.connect();
    if !login.is_empty() {
        client.check(login, crate::OK);
    }
    client.send([request, b"\r\nRESET\r\n"].concat());
    let rest = client.read_to_end();
    assert!(
        rest.starts_with(refusal) && rest.lines().count() == usize::from(!refusal.is_empty()),
        "{}: {rest}",
        request.escape_ascii()
    );
}

#[test]
fn a_command_that_is_refused_leaves_the_connection_open() {
    let node = Node::with(|settings| {
        settings.event_limits.data_bytes_max = 100;
        settings.event_limits.topic_bytes_max = 10;
        settings.ingest_reply_bytes_max = 100;
    });
    let long = "x".repeat(101);
    for (request, refusal) in [
        (
            command(&["NONSENSE", "a"]),
            "-ERR unknown command 'NONSENSE'",
        ),
        (command(&["GET", "a"]), "-ERR unknown command 'GET'"),
        (command(&["CLIENT", "NONSENSE"]), "-ERR unknown subcommand"),
        (command(&["PUBLISH", "a"]), "-ERR wrong number of arguments"),
        (command(&["PUBLISH", "a", &long]), "-ERR "),
        (command(&["PUBLISH", &long, "a"]), "-ERR "),
        (command(&["PUBLISH", "", "a"]), "-ERR "),
        (
            command(&["XADD", "a", "1-1", "data", "x"]),
            "-ERR ids are given by the node",
        ),
        (
            command(&["XADD", "a", "*", "id", "\n", "data", "x"]),
            "-ERR ",
        ),
        (
            command(&["XREAD", "BLOCK", "0", "STREAMS", "a", "$"]),
            "-ERR BLOCK",
        ),
        (command(&["SELECT", "1"]), "-ERR DB index is out of range"),
        (command(&["HELLO", "4"]), "-NOPROTO"),
        (command(&["AUTH", "a", "b"]), "-WRONGPASS"),
        (
            command(&["CLUSTER", "INFO"]),
            "-ERR This instance has cluster",
        ),
        (
            command(&["SUBSCRIBE", "a"]),
            "-ERR unknown command 'SUBSCRIBE'",
        ),
        (command(&["EXEC"]), "-ERR EXEC without MULTI"),
        (
            command(&["PUBSUB", "CHANNELS", &"x".repeat(5_000)]),
            "-ERR a pattern of 5000 bytes",
        ),
    ] {
        lives(&node, "", &request, refusal);
    }
    assert_eq!(node.hub.node_metrics().events_in[1].get(), 0);
}

#[test]
fn a_stranger_who_is_refused_may_try_again() {
    let node = guarded();
    for (request, refusal) in [
        (command(&["PING"]), "-NOAUTH Authentication required."),
        (command(&["PUBLISH", "art", "x"]), "-NOAUTH "),
        (command(&["AUTH", "wrong"]), "-WRONGPASS "),
        (command(&["HELLO", "3"]), "-NOAUTH HELLO must be called"),
        (command(&["NONSENSE"]), "-ERR unknown command"),
    ] {
        lives(&node, "", &request, refusal);
    }
    for (request, refusal) in [
        (command(&["XLEN", "art"]), "-NOPERM "),
        (command(&["PUBLISH", "other", "x"]), "-NOPERM "),
        (command(&["AUTH", "wrong"]), "-WRONGPASS "),
    ] {
        lives(&node, "AUTH bob pw", &request, refusal);
    }
}

#[test]
fn what_is_no_command_ends_the_connection() {
    let node = guarded();
    for (request, refusal) in [
        (
            &b"*x\r\n"[..],
            "-ERR Protocol error: invalid multibulk length",
        ),
        (
            b"*1025\r\n",
            "-ERR Protocol error: invalid multibulk length",
        ),
        (
            b"*1\r\n$1048577\r\n",
            "-ERR Protocol error: invalid bulk length",
        ),
        (b"*1\r\n+PING\r\n", "-ERR Protocol error: expected '$'"),
        (b"PING 'x\r\n", "-ERR Protocol error: unbalanced quotes"),
        (b"GET / HTTP/1.1\r\n", ""),
        (b"\x16\x03\x01\x00\x05hello", ""),
    ] {
        ends(&node, "AUTH secret", request, refusal);
    }
    for (request, refusal) in [
        (
            &b"*11\r\n"[..],
            "-ERR Protocol error: unauthenticated multibulk length",
        ),
        (
            b"*1\r\n$20000\r\n",
            "-ERR Protocol error: unauthenticated bulk length",
        ),
        (b"POST / HTTP/1.1\r\n", ""),
    ] {
        ends(&node, "", request, refusal);
    }
}

#[test]
fn a_connection_too_many_is_told_so_every_time() {
    let node = Node::with(|settings| settings.ingest_connections_max = 1);
    let mut first = node.connect();
    first.check("PING", "+PONG\r\n");
    for _ in 0..20 {
        let mut second = node.connect();
        assert_eq!(
            second.read_to_end(),
            "-ERR max number of clients reached\r\n"
        );
    }
    assert_eq!(node.hub.node_metrics().connections_refused(), 20);
    first.check("PING", "+PONG\r\n");
    drop(first);
    wait_for("a free place", || {
        node.hub.node_metrics().ingest_connections.get() == 0
    });
    node.connect().check("PING", "+PONG\r\n");
}
