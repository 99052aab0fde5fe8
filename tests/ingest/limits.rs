use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use crate::OK;
use crate::support::{Node, command, wait_for};

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let node = Node::with(|settings| settings.ingest_connections_max = 2);
    let mut first = node.connect();
    first.check("PING", "+PONG\r\n");
    let mut second = node.connect();
    second.check("PING", "+PONG\r\n");
    assert_eq!(
        node.connect().read_to_end(),
        "-ERR max number of clients reached\r\n"
    );
    assert_eq!(node.hub.node_metrics().connections_refused(), 1);
    second.send("QUIT\r\n");
    assert_eq!(second.read_to_end(), OK);
    wait_for("a free place", || {
        let mut client = node.connect();
        // A refused connection is answered before it sends anything.
        client.send("PING\r\n");
        client.read_until(b"\r\n") == b"+PONG\r\n"
    });
    first.check("PING", "+PONG\r\n");
}

#[test]
fn idle_connections_are_closed_and_busy_ones_are_not() {
    let node = Node::with(|settings| settings.ingest_idle_timeout = Duration::from_millis(400));
    let mut idle = node.connect();
    let mut busy = node.connect();
    let mut closed = false;
    idle.stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("timeout");
    wait_for("the idle one to be closed", || {
        busy.check("PING", "+PONG\r\n");
        closed = matches!(idle.stream.read(&mut [0; 1]), Ok(0));
        closed
    });
    busy.check("PING", "+PONG\r\n");
}

#[test]
fn shutdown_closes_everything_in_order() {
    let mut node = Node::start();
    let mut idle = node.connect();
    idle.check("PUBLISH t x", ":0\r\n");
    let mut half = node.connect();
    half.check("PING", "+PONG\r\n");
    half.send("*2\r\n$4\r\nEC");
    node.begin_shutdown();
    assert_eq!(idle.read_to_end(), "");
    assert_eq!(half.read_to_end(), "");
    node.end_shutdown();
    assert!(
        TcpStream::connect(node.address).is_err(),
        "the listener is gone"
    );
    assert_eq!(node.hub.node_metrics().ingest_connections.get(), 0);
}

/// A second descriptor kept it open, and new clients waited in vain for an answer of the kernel.
#[test]
fn a_closed_listener_was_open_until_its_last_connection_had_ended() {
    let mut node = Node::start();
    let mut stuck = node.connect();
    // Its answers are not read, so it ends with the grace of the shutdown.
    let text = "x".repeat(1_000_000);
    let asked = command(&["ECHO", &text]).repeat(20);
    let writer = std::thread::spawn(move || {
        let _ = stuck.stream.write_all(&asked);
        stuck
    });
    let commands = || node.hub.node_metrics().ingest_commands.get();
    wait_for("a command was read", || commands() > 0);
    node.begin_shutdown();
    wait_for("new clients are refused", || {
        let attempt = TcpStream::connect_timeout(&node.address, Duration::from_millis(100));
        attempt.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    assert_eq!(node.hub.node_metrics().ingest_connections.get(), 1);
    node.end_shutdown();
    drop(writer.join().expect("no panic"));
}

/// What had come when the node shut down was dropped behind the batch in hand.
#[test]
fn commands_that_came_before_a_shutdown_are_answered() {
    const COUNT: usize = 3_000;
    let mut node = Node::start();
    let mut client = node.connect();
    let pipeline = command(&["PUBLISH", "t", "x"]).repeat(COUNT);
    client
        .stream
        .write_all(&pipeline)
        .expect("room in the kernel");
    let published = || node.hub.node_metrics().events_in[1].get();
    wait_for("the first batch", || published() > 0);
    // Others wait in the kernel's queue, or are about to be read.
    let mut others: Vec<_> = (0..20).map(|_| node.connect()).collect();
    for other in &mut others {
        other.send(String::from_utf8(command(&["PUBLISH", "t", "x"])).expect("text"));
    }
    node.begin_shutdown();
    assert_eq!(client.read_to_end(), ":0\r\n".repeat(COUNT));
    for mut other in others {
        assert_eq!(other.read_to_end(), ":0\r\n");
    }
    node.end_shutdown();
    assert_eq!(node.hub.history_len("t"), 1_000);
}

#[test]
fn shutdown_does_not_wait_for_a_publisher_that_never_pauses() {
    let mut node = Node::start();
    let mut client = node.connect();
    let mut writer = client.stream.try_clone().expect("clone");
    let flood = std::thread::spawn(move || {
        let pipeline = command(&["PUBLISH", "t", "x"]).repeat(1_000);
        while writer.write_all(&pipeline).is_ok() {}
    });
    let reader = std::thread::spawn(move || {
        let mut replies = [0; 64 * 1024];
        while matches!(client.stream.read(&mut replies), Ok(1..)) {}
    });
    let published = || node.hub.node_metrics().events_in[1].get();
    wait_for("events to flow", || published() > 5_000);
    let started = Instant::now();
    node.begin_shutdown();
    node.end_shutdown();
    // Well within the grace after which it would have been cut off.
    assert!(started.elapsed() < Duration::from_secs(4));
    flood.join().expect("ended");
    reader.join().expect("ended");
}

#[test]
fn a_stopped_hub_is_told_to_publishers() {
    let node = Node::start();
    let mut client = node.connect();
    client.check("PING", "+PONG\r\n");
    node.hub.stop();
    client.check("PUBLISH t x", "-ERR the node is shutting down\r\n");
    assert!(
        client
            .ask("XADD t * data x\r\n")
            .starts_with("-ERR the node is shutting down")
    );
}

#[test]
fn a_publisher_behind_a_cut_cable_is_found_out_by_the_kernel() {
    let node = Node::with(|settings| settings.write_timeout = Duration::from_secs(12));
    let mut client = node.connect();
    let about = client.ask("CLIENT INFO\r\n");
    let fd = about
        .split(" fd=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let fd: i32 = fd.and_then(|fd| fd.parse().ok()).expect("a descriptor");
    // SAFETY: the node runs in this process, and its end is open as long as `client` is.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    assert_eq!(sockopt::tcp_user_timeout(socket), Ok(12_000));
    assert_eq!(sockopt::socket_keepalive(socket), Ok(true));
    assert_eq!(sockopt::tcp_keepidle(socket), Ok(Duration::from_secs(12)));
    assert_eq!(sockopt::tcp_keepintvl(socket), Ok(Duration::from_secs(4)));
    assert_eq!(sockopt::tcp_keepcnt(socket), Ok(3));
    client.check("PING", "+PONG\r\n");
}
