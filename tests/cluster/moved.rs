//! From a node that stands alone to several: `examples/cluster/move.py`, as docs/CLUSTER.md shows it.

use std::process::{Child, Command, Stdio};

use crate::course::{KEY, entries, field};
use crate::nodes::{Nodes, publish};
use crate::server::{Keeps, Server};
use crate::support::http;
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::support::wait_until;

fn mover(old: &Node, server: &Server) -> Child {
    Command::new("tests/python/.venv/bin/python")
        .args(["examples/cluster/move.py", &old.url(""), &server.url()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("`cargo xtask tools` installs it")
}

/// Waits until the log has an event with this data.
fn wait_for(server: &Server, data: &str) {
    wait_until("the event is copied", || {
        let all = entries(server, "-");
        all.iter()
            .any(|(_, fields)| field(fields, "data") == Some(data))
    });
}

#[test]
fn a_client_of_a_node_that_stood_alone_goes_on_in_the_cluster() {
    let mut old = Node::start_with(&["--drain-period", "100ms"]);
    let mut stream = SseStream::open(old.http, "/events?topic=orders&topic=audit");
    assert_eq!(
        publish(&old, "orders?event=created&retry=5000", "1\nand").status,
        200
    );
    assert_eq!(publish(&old, "audit?id=own", "2").status, 200);
    assert_eq!(publish(&old, "orders", "3").status, 200);
    assert_eq!(stream.take_data(1), ["1\nand"]);
    // Two clients: one has the first event, the other the first two.
    let first = stream.cursor.clone();
    assert_eq!(stream.take_data(1), ["2"]);
    let second = stream.cursor.clone();
    assert_eq!(second, "own");

    let server = Server::start(Keeps::Always, &[]);
    let mut copies = mover(&old, &server);
    wait_for(&server, "3");
    // It goes on where it was.
    copies.kill().expect("ours");
    copies.wait().expect("a child");
    assert_eq!(publish(&old, "orders", "4").status, 200);
    let mut copies = mover(&old, &server);
    wait_for(&server, "4");
    // An operator sends the clients away, and publishers stay.
    let ended = http::request(old.admin, "DELETE", "/streams?topic=*", &[], b"").json();
    assert_ne!(ended["ended"], 0, "{ended}");

    let nodes = Nodes::start(&vec![server.url(); 2], &[]);
    // Events of the old node still arrive.
    assert_eq!(publish(&old, "orders", "5").status, 200);
    wait_for(&server, "5");
    for (index, cursor, rest) in [(0, &first, 2), (1, &second, 3)] {
        let target = "/events?topic=orders&topic=audit";
        let mut stream = SseStream::resume(nodes.at(index).http, target, cursor);
        let expected: Vec<String> = (rest..=5).map(|number| number.to_string()).collect();
        assert_eq!(stream.take_data(expected.len()), expected, "{cursor}");
    }
    assert!(old.stop().success());
    assert!(copies.wait().expect("a child").success());
    let all = entries(&server, "-");
    let events = all
        .iter()
        .filter(|(_, fields)| field(fields, "data").is_some());
    assert_eq!(events.count(), 5, "{KEY} has {all:?}");
}
