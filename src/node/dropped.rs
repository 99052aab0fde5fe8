//! A dropped node leaves no thread, no task and no open connection.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// More shards than any other test of this process has, so that the last one's thread has a unique
/// name.
const SHARDS: usize = 31;

fn has_thread(name: &str) -> bool {
    let tasks = fs::read_dir("/proc/self/task").expect("the process's threads");
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .any(|comm| comm.trim_end() == name)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// A connection on which `request` was answered with at least one byte.
fn answered(address: SocketAddr, request: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).expect("it listens");
    connection
        .set_read_timeout(Some(DEADLINE))
        .expect("a timeout");
    connection.write_all(request.as_bytes()).expect("a request");
    connection.read_exact(&mut [0; 1]).expect("an answer");
    connection
}

#[test]
fn the_threads_and_tasks_of_a_node_outlived_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let settings = Settings {
        shards: SHARDS,
        mercure_subscriptions: true,
        ..Settings::on_free_ports()
    };
    let node = runtime.block_on(Node::start(settings)).expect("a node");
    let last_shard = format!("shard-{}", SHARDS - 1);
    wait_until("the shards run", || has_thread(&last_shard));
    let Addresses {
        http,
        ingest,
        admin,
    } = node.addresses();
    let open = [
        answered(http, "GET /events/t HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        answered(http, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        answered(admin, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        answered(ingest, "PING\r\n"),
    ];
    // A publisher whose stream of events has no end.
    let mut publisher = TcpStream::connect(http).expect("it listens");
    let head = "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    publisher.write_all(head.as_bytes()).expect("a request");
    let tasks = || runtime.metrics().num_alive_tasks();
    assert!(tasks() > 0);

    // As in a program that embeds it: outside of the runtime.
    drop(node);
    for mut connection in open {
        // Its end, orderly or not.
        let mut rest = Vec::new();
        if let Err(error) = connection.read_to_end(&mut rest) {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "it stays open");
        }
    }
    drop(publisher);
    wait_until("the shards have ended", || !has_thread(&last_shard));
    wait_until("the tasks have ended", || tasks() == 0);
    for address in [http, ingest, admin] {
        assert!(TcpStream::connect(address).is_err(), "it still listens");
    }
}
