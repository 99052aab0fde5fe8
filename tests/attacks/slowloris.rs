use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::innocent::Innocent;
use crate::readings::{log_lines, metric, resident_bytes};
use crate::support::node::Node;
use crate::support::{DEADLINE, resp, wait_until};

const PASSWORD: &str = "secret";

/// More than the strangers' share of `ingest_connections_max` below.
const STRANGERS: usize = 300;

/// Bytes that the node may hold for all of them; they send far less in the end.
const MEMORY_MAX: usize = 32 << 20;

/// One connection that drips.
struct Dripper {
    to: SocketAddr,
    socket: TcpStream,
    bytes: &'static [u8],
    sent: usize,
}

impl Dripper {
    fn new(to: SocketAddr, bytes: &'static [u8]) -> Self {
        Self {
            to,
            socket: Self::open(to),
            bytes,
            sent: 0,
        }
    }

    fn open(to: SocketAddr) -> TcpStream {
        let socket = TcpStream::connect_timeout(&to, DEADLINE).expect("the node accepts");
        socket.set_nonblocking(true).expect("a socket");
        socket
    }

    /// Sends one more byte; reconnects if it was ended.
    fn drip(&mut self) {
        let byte = self.bytes[self.sent % self.bytes.len()];
        self.sent += 1;
        let sent = self.socket.write(&[byte]);
        let ended = sent.is_err() || self.is_ended();
        if ended {
            self.socket = Self::open(self.to);
            self.sent = 0;
        }
    }

    fn is_ended(&mut self) -> bool {
        match self.socket.read(&mut [0; 4096]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Commands that never end, and some that do.
const DRIPS: [&[u8]; 4] = [
    b"x",
    b"*2\r\n$4\r\nAUTH\r\n$16000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    b"*1",
    b"PING\r\n",
];

#[test]
fn strangers_who_drip_into_the_ingest_port_keep_no_publisher_out() {
    let node = Node::start_with(&[
        "--ingest-password",
        PASSWORD,
        "--ingest-connections-max",
        "400",
        "--ingest-authentication-timeout",
        "2s",
    ]);
    let innocent = Innocent::join_as(&node, Some(PASSWORD));
    let before = (log_lines(&node), resident_bytes(&node));
    let mut drippers: Vec<Dripper> = (0..STRANGERS)
        .map(|number| Dripper::new(node.ingest, DRIPS[number % DRIPS.len()]))
        .collect();
    let displaced = r#"fantail_ingest_ended_total{reason="displaced"}"#;
    let late = r#"fantail_ingest_ended_total{reason="unauthenticated"}"#;
    let innocent = innocent.beside(|| {
        let until = |reason: &str, drippers: &mut [Dripper]| {
            let mut newcomers = 0;
            wait_until(
                "strangers are ended, and publishers come all the while",
                || {
                    drippers.iter_mut().for_each(Dripper::drip);
                    let mut publisher = resp::Client::open(node.ingest);
                    publisher.send(&["AUTH", PASSWORD]);
                    assert_eq!(publisher.line(), "+OK");
                    assert_eq!(publisher.publish("news", "x"), 0);
                    newcomers += 1;
                    let held = resident_bytes(&node).saturating_sub(before.1);
                    assert!(held < MEMORY_MAX, "{held} bytes");
                    let open = metric(&node, "fantail_ingest_connections");
                    assert!(open <= 400, "{open} connections");
                    newcomers >= 10 && metric(&node, reason) > 0
                },
            );
        };
        // Too many for their share, then fewer, which are not displaced.
        until(displaced, &mut drippers);
        drippers.truncate(100);
        until(late, &mut drippers);
    });
    drop(drippers);
    wait_until("the strangers are gone", || {
        metric(&node, "fantail_ingest_connections") == 1
    });
    let logged = log_lines(&node) - before.0;
    assert!(logged <= 3, "{logged} lines: {}", node.logged());
    drop(innocent);
}

#[test]
fn a_command_that_drips_for_ever_into_an_open_port_is_ended() {
    let node = Node::start_with(&["--ingest-command-timeout", "1s", "--write-timeout", "1s"]);
    let innocent = Innocent::join(&node);
    let before = log_lines(&node);
    let mut drippers: Vec<Dripper> = (0..50)
        .map(|number| Dripper::new(node.ingest, DRIPS[number % 2]))
        .collect();
    innocent.beside(|| {
        let late = r#"fantail_ingest_ended_total{reason="command_timeout"}"#;
        wait_until("all of them are ended", || {
            drippers.iter_mut().for_each(Dripper::drip);
            metric(&node, late) >= 50
        });
    });
    let logged = log_lines(&node) - before;
    assert_eq!(logged, 0, "{}", node.logged());
}

#[test]
fn a_client_that_never_reads_costs_a_bounded_memory_and_is_ended() {
    let node = Node::start_with(&["--write-timeout", "2s"]);
    let innocent = Innocent::join(&node);
    let before = (log_lines(&node), resident_bytes(&node));
    innocent.beside(|| {
        let mut sockets: Vec<TcpStream> = (0..10).map(|_| Dripper::open(node.ingest)).collect();
        let request = resp::command(&["ECHO", &"x".repeat(500_000)]);
        let unread = r#"fantail_ingest_ended_total{reason="write_timeout"}"#;
        wait_until("all of them are ended", || {
            for socket in &mut sockets {
                // As much as the node accepts. If it cuts a command, the next one becomes its data:
                // it is never answered, and never ends.
                let _ = socket.write(&request);
            }
            let held = resident_bytes(&node).saturating_sub(before.1);
            assert!(held < 4 * MEMORY_MAX, "{held} bytes");
            std::thread::park_timeout(Duration::from_millis(10));
            metric(&node, unread) >= 10
        });
    });
    let logged = log_lines(&node) - before.0;
    assert_eq!(logged, 0, "{}", node.logged());
}
