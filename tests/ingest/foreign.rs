use crate::OK;
use crate::support::{Node, command, wait_for};
use crate::users::guarded;

/// A browser's request with a command in its body.
const FETCH: &str = "POST / HTTP/1.1\r\nHost: 127.0.0.1:7379\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n\r\nPUBLISH t forged\r\n";

fn published(node: &Node) -> u64 {
    node.hub.node_metrics().events_in[1].get()
}

/// Connections ended for HTTP, and for TLS.
fn ended(node: &Node) -> [u64; 2] {
    let metrics = node.hub.node_metrics();
    [0, 1].map(|protocol| metrics.ingest_foreign[protocol].get())
}

#[test]
fn a_command_in_the_body_of_a_web_pages_request_is_not_run() {
    let node = Node::start();
    let mut client = node.connect();
    client.send(FETCH);
    assert_eq!(client.read_to_end(), "");
    assert_eq!((published(&node), ended(&node)), (0, [1, 0]));
    assert_eq!(node.hub.node_metrics().ingest_commands.get(), 0);
}

#[test]
fn what_comes_before_http_in_a_pipeline_is_answered_and_what_comes_behind_never_runs() {
    let node = Node::start();
    let forged = command(&["PUBLISH", "t", "forged"]);
    for line in [
        &b"POST / HTTP/1.1\r\n"[..],
        b"host:x\r\n",
        b"GET /it's HTTP/1.1\r\n",
        b"*1\r\n$4\r\npost\r\n",
        b"*2\r\n$5\r\nHOST:\r\n$1\r\nx\r\n",
        b"\x16\x03\x01\x00\x05",
    ] {
        let before = published(&node);
        let mut client = node.connect();
        let mut bytes = command(&["PUBLISH", "t", "x"]);
        bytes.extend(b"PING\r\nXADD t * data x\r\nPUBLISH t x\r\n");
        bytes.extend(line);
        bytes.extend(&forged);
        bytes.extend(b"\r\nPUBLISH t forged\r\n");
        client.send(bytes);
        let answers = client.read_to_end();
        assert!(
            answers.starts_with(":0\r\n+PONG\r\n$") && answers.ends_with("\r\n:0\r\n"),
            "{answers}"
        );
        assert_eq!(published(&node), before + 3, "{}", line.escape_ascii());
    }
    assert_eq!(ended(&node), [5, 1]);
}

#[test]
fn http_in_pieces_of_a_byte_is_ended_at_the_same_place() {
    let node = Node::start();
    for start in ["POST / HTTP/1.1\r\n", "\r\nHost: x\r\n", "\x16\x03"] {
        let mut client = node.connect();
        for byte in start.bytes() {
            client.send([byte]);
        }
        assert_eq!(client.read_to_end(), "");
    }
    assert_eq!(ended(&node), [2, 1]);
}

#[test]
fn http_is_ended_before_authentication_as_after_it() {
    let node = guarded();
    let mut stranger = node.connect();
    stranger.send(format!("{FETCH}AUTH secret\r\nPUBLISH t forged\r\n"));
    assert_eq!(stranger.read_to_end(), "");
    let mut friend = node.connect();
    friend.send(format!("AUTH secret\r\n{FETCH}"));
    assert_eq!(friend.read_to_end(), OK);
    let mut bob = node.connect();
    bob.send(format!(
        "AUTH bob pw\r\nHost: x\r\n{}",
        "PUBLISH art forged\r\n"
    ));
    assert_eq!(bob.read_to_end(), OK);
    assert_eq!((published(&node), ended(&node)), (0, [3, 0]));
}

#[test]
fn words_of_http_are_data_where_they_are_no_command() {
    let node = Node::start();
    let mut client = node.connect();
    client.check("PUBLISH POST Host:", ":0\r\n");
    client.check("PUBLISH t 'HTTP/1.1'", ":0\r\n");
    assert_eq!(client.call(&["PUBLISH", "t", "HTTP/1.1"]), ":0\r\n");
    assert_eq!(client.call(&["PUBLISH", "t", FETCH]), ":0\r\n");
    // Redis's commands on keys are unknown here, and only inline commands count as HTTP.
    assert!(client.call(&["GET", "/"]).starts_with("-ERR unknown"));
    assert_eq!(ended(&node), [0, 0]);
    wait_for("nobody to have been ended", || {
        node.hub.node_metrics().ingest_connections.get() == 1
    });
}
