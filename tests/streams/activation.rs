//! Listening sockets that a node is started with, as systemd does it.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::support::DEADLINE;
use crate::support::activation::{launcher, listener};
use crate::support::http::{Connection, request};
use crate::support::node::{Node, PROGRAM};
use crate::support::resp;
use crate::support::sse::SseStream;

/// The end of a node that does not start.
fn refused(sockets: &[&dyn AsRawFd], names: Option<&str>) -> String {
    let mut child = launcher(sockets, names)
        .args([
            "serve",
            "--ingest-listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let end = Instant::now() + DEADLINE;
    while child.try_wait().expect("a child").is_none() && Instant::now() < end {
        std::thread::yield_now();
    }
    // One that started all the same.
    let _ended = child.kill();
    let Output { status, stderr, .. } = child.wait_with_output().expect("a child");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(2), "{said}");
    said
}

#[test]
fn each_inherited_socket_is_of_the_listener_that_its_name_says() {
    let ((http, to_http), (ingest, to_ingest), (admin, to_admin)) =
        (listener(), listener(), listener());
    let sockets: [&dyn AsRawFd; 3] = [&admin, &http, &ingest];
    let launcher = launcher(&sockets, Some("admin:http:ingest"));
    let node = Node::start_as(launcher, &[]);
    assert_eq!(
        [node.http, node.ingest, node.admin],
        [to_http, to_ingest, to_admin]
    );
    let mut stream = SseStream::open(to_http, "/events/t");
    resp::publish(to_ingest, "t", "news");
    assert_eq!(stream.next().expect("an event").data, "news");
    assert_eq!(node.admin_get("/readyz").status, 200);
}

/// As with `systemctl restart`: the supervisor keeps the socket.
#[test]
fn a_connection_that_comes_while_no_node_runs_waits_for_the_next() {
    let (socket, address) = listener();
    // The name that systemd gives by default is that of the unit.
    let start = || Node::start_as(launcher(&[&socket], Some("fantail.socket")), &[]);
    let mut first = start();
    assert_eq!(first.http, address);
    let stream = SseStream::open(address, "/events/t");
    assert!(first.stop().success(), "{}", first.logged());
    drop(stream);
    let mut waiting = Connection::open(address);
    waiting.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let next = start();
    assert_eq!(waiting.response("GET").status, 200);
    assert_eq!(request(next.http, "GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn a_socket_without_a_name_is_the_public_listeners() {
    let (socket, address) = listener();
    let node = Node::start_as(launcher(&[&socket], None), &[]);
    assert_eq!(node.http, address);
}

#[test]
fn sockets_that_cannot_be_used_are_named() {
    let ((one, address), (other, _)) = (listener(), listener());
    let said = refused(&[&one, &other], Some("http:web"));
    assert!(
        said.contains("\"web\"") && said.contains("`ingest`"),
        "{said}"
    );
    let said = refused(&[&one, &other], Some("http:http"));
    assert!(
        said.contains("two inherited sockets are called `http`"),
        "{said}"
    );
    let said = refused(&[&one, &other], Some("http"));
    assert!(said.contains("LISTEN_FDNAMES"), "{said}");
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let said = refused(&[&udp], Some("http"));
    assert!(
        said.contains("descriptor 3 (http) is a datagram socket"),
        "{said}"
    );
    let client = OwnedFd::from(TcpStream::connect(address).expect("it listens"));
    let said = refused(&[&client], Some("http"));
    assert!(
        said.contains("connected") && said.contains("Accept=yes"),
        "{said}"
    );
}

/// The rules hold for the address of the socket, whatever the settings say.
#[test]
fn an_inherited_socket_beyond_loopback_was_open_to_anyone() {
    let socket = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a free port");
    let said = refused(&[&socket], None);
    assert!(said.contains("allow_open_http"), "{said}");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let (_socket, address) = listener();
    // A child of the activated process: the number is its parent's.
    let mut child = Command::new(PROGRAM);
    child.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let node = Node::start_as(child, &[]);
    assert_ne!(node.http, address);
}

fn upgrade(node: &Node) -> Output {
    let mut command = Command::new(PROGRAM);
    let admin = node.admin.to_string();
    let asked = command.args(["upgrade", "--admin-listen", &admin]).output();
    asked.expect("the program runs")
}

/// The socket takes the place of `listen`, which is never bound: another program may be there.
#[test]
fn an_upgrade_was_refused_because_of_an_address_that_the_inherited_socket_takes_the_place_of() {
    let ((socket, address), (_other, taken)) = (listener(), listener());
    let mut launcher = launcher(&[&socket], None);
    launcher.args(["serve", "--listen", &taken.to_string()]);
    launcher.args(["--ingest-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"]);
    let node = Node::start_exactly(launcher);
    let mut stream = SseStream::open(address, "/events/t");
    for round in ["one", "two"] {
        let asked = upgrade(&node);
        assert!(asked.status.success(), "{asked:?}");
        resp::publish(node.ingest, "t", round);
        assert_eq!(stream.next().expect("an event").data, round);
    }
    assert_eq!(request(address, "GET", "/healthz", &[], b"").status, 200);
}

/// The rules hold for the address of the socket after an upgrade as well.
#[test]
fn an_upgrade_opened_an_inherited_socket_beyond_loopback_to_anyone() {
    let socket = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fantail.toml");
    let flags = ["--config", file.to_str().expect("text")];
    std::fs::write(&file, "allow_open_http = true\n").expect("a file");
    let node = Node::start_as(launcher(&[&socket], None), &flags);
    let asked = upgrade(&node);
    assert!(asked.status.success(), "{asked:?}");
    std::fs::write(&file, "").expect("a file");
    let asked = upgrade(&node);
    let said = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(asked.status.code(), Some(1), "{said}");
    assert!(said.contains("allow_open_http"), "{said}");
}
