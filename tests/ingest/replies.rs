use std::io::Write;
use std::time::Duration;

use crate::OK;
use crate::support::{Node, command, wait_for};

fn pipeline(node: &Node, lines: &[&str]) -> String {
    let mut client = node.connect();
    client.send(lines.join("\r\n") + "\r\nQUIT\r\n");
    client.read_to_end()
}

#[test]
fn replies_that_are_not_wanted_are_not_sent() {
    let node = Node::start();
    for (lines, expected) in [
        (&["CLIENT REPLY ON"][..], "+OK\r\n+OK\r\n"),
        (&["CLIENT REPLY OFF", "PING", "foo", "PUBLISH t x"], ""),
        (
            &["client reply off", "PING", "client reply on", "ECHO a"],
            "+OK\r\n$1\r\na\r\n+OK\r\n",
        ),
        (
            &["CLIENT REPLY SKIP", "PING", "ECHO a"],
            "$1\r\na\r\n+OK\r\n",
        ),
        (
            &["CLIENT REPLY SKIP", "foo", "ECHO a"],
            "$1\r\na\r\n+OK\r\n",
        ),
        (
            &[
                "PUBLISH t 1",
                "CLIENT REPLY SKIP",
                "PUBLISH t 2",
                "XADD t NOMKSTREAM * data x topic",
                "PUBLISH t 3",
            ],
            ":0\r\n-ERR wrong number of arguments for 'xadd' command\r\n:0\r\n+OK\r\n",
        ),
        // A blank line uses up the skip, as in Redis.
        (&["CLIENT REPLY SKIP", "", "ECHO a"], "$1\r\na\r\n+OK\r\n"),
        (
            &["CLIENT REPLY SKIP", "CLIENT REPLY SKIP", "ECHO a", "ECHO b"],
            "$1\r\nb\r\n+OK\r\n",
        ),
        (
            &["CLIENT REPLY SKIP", "CLIENT REPLY ON", "PING"],
            "+OK\r\n+PONG\r\n+OK\r\n",
        ),
        (
            &[
                "CLIENT REPLY OFF",
                "CLIENT REPLY SKIP",
                "CLIENT REPLY ON",
                "ECHO a",
            ],
            "+OK\r\n$1\r\na\r\n+OK\r\n",
        ),
        (
            &["CLIENT REPLY OFF", "CLIENT REPLY SKIP", "RESET", "PING"],
            "+RESET\r\n+PONG\r\n+OK\r\n",
        ),
        (
            &["CLIENT REPLY OFF", "RESET", "PING"],
            "+RESET\r\n+PONG\r\n+OK\r\n",
        ),
        (&["CLIENT REPLY SKIP", "RESET", "PING"], "+PONG\r\n+OK\r\n"),
        (&["CLIENT REPLY OFF", "PING 'a"], ""),
        (
            &["CLIENT REPLY SKIP", "MULTI", "PUBLISH t x", "EXEC"],
            "+QUEUED\r\n*1\r\n:0\r\n+OK\r\n",
        ),
        (
            &[
                "MULTI",
                "CLIENT REPLY SKIP",
                "PING",
                "EXEC",
                "PING",
                "ECHO a",
            ],
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n$1\r\na\r\n+OK\r\n",
        ),
        (
            &[
                "CLIENT REPLY OFF",
                "MULTI",
                "PUBLISH t x",
                "CLIENT REPLY ON",
                "PING",
                "EXEC",
            ],
            "+OK\r\n+PONG\r\n+OK\r\n",
        ),
        (&["CLIENT REPLY what"], "-ERR syntax error\r\n+OK\r\n"),
        (
            &["CLIENT REPLY"],
            "-ERR wrong number of arguments for 'client|reply' command\r\n+OK\r\n",
        ),
    ] {
        let got = pipeline(&node, lines);
        let expected = match lines[0] {
            "CLIENT REPLY OFF"
                if !lines
                    .iter()
                    .any(|line| line.contains("ON") || *line == "RESET") =>
            {
                ""
            }
            _ => expected,
        };
        assert_eq!(got, expected, "{lines:?}");
    }
}

#[test]
fn a_publisher_that_never_reads_its_answers_is_never_stuck() {
    let node = Node::start();
    let mut client = node.connect();
    client.send("CLIENT REPLY OFF\r\n");
    // A hundred times the sockets' buffers and one batch of answers, if these were answered.
    let echo = command(&["ECHO", &"x".repeat(100_000)]);
    let round = [&echo[..], &command(&["PUBLISH", "t", "x"]).repeat(100)].concat();
    let mut writer = client.stream.try_clone().expect("clone");
    for _ in 0..500 {
        writer.write_all(&round).expect("the node reads on");
    }
    wait_for("all to be published", || {
        node.hub.node_metrics().events_in[1].get() == 50_000
    });
    client.stream.set_nonblocking(true).expect("a socket");
    let unread = std::io::Read::read(&mut client.stream, &mut [0; 16]);
    assert_eq!(
        unread.expect_err("nothing was sent").kind(),
        std::io::ErrorKind::WouldBlock
    );
    client.stream.set_nonblocking(false).expect("a socket");
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("timeout");
    client.send("CLIENT REPLY ON\r\nPING\r\n");
    let reply = client.read_until(b"+PONG\r\n");
    assert_eq!(String::from_utf8_lossy(&reply), [OK, "+PONG\r\n"].concat());
}

#[test]
fn every_second_reply_can_be_skipped_in_a_long_pipeline() {
    let node = Node::start();
    let mut client = node.connect();
    let mut bytes = Vec::new();
    for n in 0..2_000 {
        bytes.extend_from_slice(b"CLIENT REPLY SKIP\r\n");
        bytes.extend_from_slice(&command(&["PUBLISH", "t", &n.to_string()]));
        bytes.extend_from_slice(&command(&["PUBLISH", "t", &n.to_string()]));
    }
    assert_eq!(client.ask(bytes), ":0\r\n".repeat(2_000));
    assert_eq!(node.hub.node_metrics().events_in[1].get(), 4_000);
}
