mod held;
mod parts;

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::frames::{INITIAL_WINDOW_SIZE, Peer, get};
use crate::readings::{metric, resident_bytes, try_metric};
use crate::support::http::{Connection, request};
use crate::support::node::Node;
use crate::support::{DEADLINE, resp, wait_until};

/// A budget of which 28 MiB are left beside the history.
const FLAGS: &[&str] = &["--memory-budget", "32MiB", "--history-budget-bytes", "4MiB"];
const BUDGET: usize = 32 << 20;
const BESIDE_HISTORY: u64 = 28 << 20;

/// Bytes that a process may grow by beside its budget for a moment: hundreds of connections, tasks
/// of a build that is not optimised, and blocks that were freed since the node last returned any.
const GROWTH_MAX: usize = 16 << 20;

/// Bytes that it may keep afterwards: tables that shrink in portions, heaps of threads.
const KEPT_MAX: usize = 24 << 20;

/// Connections of an attack: with 900 KB each they would use six times the budget.
const ATTACKERS: usize = 200;

/// A node, and its memory before the attack.
struct Attacked {
    node: Node,
    rest: usize,
}

impl Attacked {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more flags.
    fn start_with(flags: &[&str]) -> Self {
        let node = Node::start_with(&[FLAGS, flags].concat());
        let max = metric(&node, "fantail_memory_budget_bytes");
        assert_eq!(max, BUDGET as u64);
        let rest = resident_bytes(&node);
        Self { node, rest }
    }

    fn held(&self, part: &str) -> u64 {
        metric(
            &self.node,
            &format!("fantail_memory_bytes{{part=\"{part}\"}} "),
        )
    }

    fn refused(&self, part: &str) -> u64 {
        metric(
            &self.node,
            &format!("fantail_memory_refused_total{{part=\"{part}\"}} "),
        )
    }

    /// Whether the attack has been refused something, and the node holds no more than it may.
    fn stays_within_budget(&self, part: &str) {
        wait_until("the attack is refused memory", || self.refused(part) > 0);
        let held = self.held(part);
        assert!(held <= BESIDE_HISTORY + BESIDE_HISTORY / 10, "{held}");
        let grown = resident_bytes(&self.node).saturating_sub(self.rest);
        assert!(
            grown <= BUDGET + BUDGET / 10 + GROWTH_MAX,
            "grown by {grown}"
        );
        // Freed blocks go back.
        wait_until("the process is as large as its budget", || {
            let grown = resident_bytes(&self.node).saturating_sub(self.rest);
            grown <= BUDGET + BUDGET / 10
        });
        // Others publish.
        assert_eq!(self.node.publish("innocent", "x"), 0);
        let answer = request(self.node.http, "POST", "/publish/innocent", &[], b"x");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Whether all of it is returned once the attackers are gone.
    fn gives_back(&self, part: &str) {
        wait_until("everything is given back", || self.held(part) == 0);
        wait_until("the process shrinks", || {
            resident_bytes(&self.node) < self.rest + KEPT_MAX
        });
    }
}

/// A node with a mebibyte beside its history.
fn with_a_mebibyte() -> Node {
    Node::start_with(&[
        "--memory-budget=32MiB",
        "--history-budget-bytes=31MiB",
        "--data-bytes-max=16KiB",
        "--publish-body-bytes-max=64KiB",
        "--ingest-bulk-bytes-max=64KiB",
        "--ingest-transaction-bytes-max=64KiB",
    ])
}

fn connect(node: &Node) -> TcpStream {
    let socket = TcpStream::connect(node.ingest).expect("the node accepts");
    socket.set_write_timeout(Some(DEADLINE)).expect("a socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    socket
}

#[test]
fn commands_that_do_not_end_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start();
    let mut start = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$1000000\r\n".to_vec();
    start.resize(start.len() + 900_000, b'x');
    let mut sockets: Vec<TcpStream> = Vec::new();
    let mut told = 0;
    for _ in 0..ATTACKERS {
        let mut socket = connect(&attacked.node);
        // One that was refused is closed while it sends.
        let _ = socket.write_all(&start);
        sockets.push(socket);
    }
    attacked.stays_within_budget("ingest");
    for socket in &mut sockets {
        let _ = socket.set_nonblocking(true);
        let mut answer = [0; 128];
        let read = socket.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        told += usize::from(answer.starts_with("-OOM") && answer.contains("memory_budget"));
    }
    assert!(told > 0, "nobody was told why");
    let ended = "fantail_ingest_ended_total{reason=\"out_of_memory\"} ";
    assert!(metric(&attacked.node, ended) > 0);
    drop(sockets);
    attacked.gives_back("ingest");
}

#[test]
fn transactions_that_are_not_executed_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start();
    let data = "x".repeat(200 << 10);
    let mut clients = Vec::new();
    let mut refused = 0;
    for _ in 0..ATTACKERS / 5 {
        let mut client = resp::Client::open(attacked.node.ingest);
        client.send(&["MULTI"]);
        assert_eq!(client.line(), "+OK");
        for _ in 0..5 {
            client.send(&["PUBLISH", "a", &data]);
            let line = client.line();
            if line.starts_with("-OOM") {
                refused += 1;
                client.send(&["EXEC"]);
                assert!(client.line().starts_with("-EXECABORT"));
                break;
            }
            assert_eq!(line, "+QUEUED");
        }
        clients.push(client);
    }
    assert!(refused > 0);
    attacked.stays_within_budget("ingest");
    drop(clients);
    attacked.gives_back("ingest");
}

#[test]
fn replies_that_nobody_reads_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start();
    let data = "x".repeat(200 << 10);
    for _ in 0..5 {
        attacked.node.publish("long", &data);
    }
    let range = resp::command(&["XRANGE", "long", "-", "+"]);
    let mut sockets = Vec::new();
    for _ in 0..40 {
        let mut socket = connect(&attacked.node);
        // More than the kernel holds for a client that does not read.
        socket.write_all(&range.repeat(24)).expect("the node reads");
        sockets.push(socket);
    }
    attacked.stays_within_budget("ingest");
    drop(sockets);
    attacked.gives_back("ingest");
}

#[test]
fn streams_of_many_topics_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start();
    let node = &attacked.node;
    let mut streams = Vec::new();
    let refusal = (0..ATTACKERS).find_map(|stream| {
        let topics: Vec<String> = (0..1_000)
            .map(|n| format!("topic={stream:x}.{n:x}"))
            .collect();
        let mut connection = Connection::open(node.http);
        let target = format!("/events?{}", topics.join("&"));
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let head = connection.head();
        if head.status == 200 {
            streams.push(connection);
            return None;
        }
        Some((
            head.status,
            String::from_utf8_lossy(&connection.rest().unwrap_or_default()).into_owned(),
        ))
    });
    let (status, body) = refusal.expect("a stream is refused");
    assert_eq!(status, 503);
    assert!(body.contains("memory_budget"), "{body}");
    assert!(streams.len() > 50, "{} were let in", streams.len());
    // One with few topics still is.
    let mut small = Connection::open(node.http);
    small.send(b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(small.head().status, 200);
    assert!(attacked.held("subscriptions") > 1 << 20);
    attacked.stays_within_budget("topics");
    drop((streams, small));
    attacked.gives_back("topics");
    attacked.gives_back("subscriptions");
}

#[test]
fn request_bodies_that_do_not_end_are_refused_before_the_node_holds_too_much() {
    let attacked = Attacked::start();
    let mut start =
        b"POST /publish/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    start.resize(start.len() + 900_000, b'x');
    let mut connections = Vec::new();
    for _ in 0..ATTACKERS {
        let mut connection = TcpStream::connect(attacked.node.http).expect("the node accepts");
        connection
            .set_write_timeout(Some(DEADLINE))
            .expect("a socket");
        let _ = connection.write_all(&start);
        connections.push(connection);
    }
    attacked.stays_within_budget("request_bodies");
    drop(connections);
    attacked.gives_back("request_bodies");
}

/// Events that streams were handed, over all shards.
fn deliveries(node: &Node) -> u64 {
    let shards = (0..).map_while(|shard| {
        let sample = format!("fantail_deliveries_total{{shard=\"{shard}\"}} ");
        try_metric(node, &sample)
    });
    shards.sum()
}

#[test]
fn http2_streams_that_take_nothing_hold_no_more_than_the_budget() {
    let attacked = Attacked::start();
    let node = &attacked.node;
    let mut peers: Vec<Peer> = Vec::new();
    let mut open: u32 = 0;
    while open < 600 {
        let mut peer = Peer::open(node.http, &[(INITIAL_WINDOW_SIZE, 0)]);
        for n in 0..50 {
            assert!(peer.send(&get(2 * n + 1, "/events/a")));
        }
        open += 50;
        peers.push(peer);
    }
    node.wait_for_streams(open as usize);
    let data = "x".repeat(8 << 10);
    for n in 1..=10 {
        assert_eq!(node.publish("a", &data), i64::from(open));
        // One by one: events of one turn are one piece of memory, which all streams share, and a
        // piece that is alone in its queue is accepted whatever its size.
        wait_until("it is handed over, or refused", || {
            deliveries(node) == n * u64::from(open) || attacked.refused("stream_bodies") > 0
        });
    }
    attacked.stays_within_budget("stream_bodies");
    drop(peers);
    attacked.gives_back("stream_bodies");
}
