//! The ingest port out of file descriptors. It uses up the whole process's, so it has a process of
//! its own.

#[path = "support/ingest.rs"]
mod support;

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Node, wait_for};

#[test]
fn running_out_of_descriptors_neither_spins_nor_loses_the_listener() {
    let node = Node::start();
    node.connect().check("PING", "+PONG\r\n");
    let open = || node.hub.node_metrics().ingest_connections.get();
    wait_for("the first connection to end", || open() == 0);
    let limit = Rlimit {
        current: Some(256),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).expect("lower limit");
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One for the client's end; none is left for the node's.
    taken.pop();
    let started = Instant::now();
    let mut client = node.connect();
    client.send("PUBLISH t x\r\n");
    let errors = || node.hub.node_metrics().accept_errors();
    wait_for("accept to fail", || errors() >= 6);
    // Pauses of 5, 10, 20, 40 and 80 ms lie between them; a loop that spins is there at once.
    assert!(started.elapsed() >= Duration::from_millis(150));
    drop(taken);
    assert_eq!(client.read_until(b"\r\n"), b":0\r\n");
    node.connect().check("PING", "+PONG\r\n");
}
