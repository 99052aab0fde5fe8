//! The next process starts beside the one that drains, on the same ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::node::Node;
use crate::support::resp::command;
use crate::support::sse::SseStream;
use crate::support::{DEADLINE, wait_until};

/// What a client saw until it was told to end.
#[derive(Debug, Default)]
struct Seen {
    done: usize,
    failed: Vec<String>,
    /// Connections that the node closed between two requests, with a notice or a proper end.
    moved: usize,
    longest: Duration,
}

impl Seen {
    fn note(&mut self, began: Instant, outcome: Result<(), String>) {
        self.longest = self.longest.max(began.elapsed());
        match outcome {
            Ok(()) => self.done += 1,
            Err(error) => self.failed.push(error),
        }
    }
}

/// Clients that go on until they are told to end.
#[derive(Default)]
struct Clients {
    over: Arc<AtomicBool>,
    threads: Vec<(&'static str, JoinHandle<Seen>)>,
}

impl Clients {
    fn start(&mut self, name: &'static str, mut turn: impl FnMut(&mut Seen) + Send + 'static) {
        let over = Arc::clone(&self.over);
        let client = thread::spawn(move || {
            let mut seen = Seen::default();
            while !over.load(Ordering::SeqCst) {
                turn(&mut seen);
            }
            seen
        });
        self.threads.push((name, client));
    }

    fn end(self) -> Vec<(&'static str, Seen)> {
        self.over.store(true, Ordering::SeqCst);
        let joined = self.threads.into_iter();
        joined
            .map(|(name, client)| (name, client.join().expect("no panic")))
            .collect()
    }
}

type Connection = BufReader<TcpStream>;

fn connect(to: SocketAddr) -> Result<Connection, String> {
    let socket = TcpStream::connect_timeout(&to, DEADLINE);
    let socket = socket.map_err(|error| format!("connect: {error}"))?;
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    Ok(BufReader::new(socket))
}

/// Sends `request`, and reads the head of the answer and a body of known length.
fn call(connection: &mut Connection, request: &[u8]) -> Result<String, String> {
    let sent = connection.get_mut().write_all(request);
    sent.map_err(|error| format!("send: {error}"))?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match connection.read_line(&mut head) {
            Ok(0) => return Err(format!("no answer: {head:?}")),
            Ok(_) => {}
            Err(error) => return Err(format!("receive: {error}")),
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    let read = connection.read_exact(&mut body);
    read.map_err(|error| format!("body: {error}"))?;
    if head.starts_with("HTTP/1.1 200 ") {
        Ok(head)
    } else {
        Err(head)
    }
}

const POST: &[u8] = b"POST /publish/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";

/// A publisher with a connection for each event.
fn publish_once(to: SocketAddr, seen: &mut Seen) {
    let began = Instant::now();
    let outcome = connect(to).and_then(|mut connection| call(&mut connection, POST));
    seen.note(began, outcome.map(drop));
}

/// A publisher that keeps its connection until it is told to leave it.
fn publish_kept(to: SocketAddr, kept: &mut Option<Connection>, seen: &mut Seen) {
    let began = Instant::now();
    let connection = match kept.take() {
        Some(connection) => Ok(connection),
        None => connect(to),
    };
    let outcome = connection.and_then(|mut connection| {
        let head = call(&mut connection, POST)?;
        if head.contains("connection: close") {
            seen.moved += 1;
        } else {
            *kept = Some(connection);
        }
        Ok(())
    });
    seen.note(began, outcome);
}

/// `PUBLISH` on a connection of its own.
fn publish_resp(to: SocketAddr, seen: &mut Seen) {
    let began = Instant::now();
    let outcome = connect(to).and_then(|mut connection| {
        let sent = connection
            .get_mut()
            .write_all(&command(&["PUBLISH", "t", "x"]));
        sent.map_err(|error| format!("send: {error}"))?;
        let mut line = String::new();
        let read = connection.read_line(&mut line);
        read.map_err(|error| format!("receive: {error}"))?;
        line.starts_with(':')
            .then_some(())
            .ok_or(format!("answer {line:?}"))
    });
    seen.note(began, outcome);
}

/// An `EventSource`: it reads its stream to the end and comes back at once.
fn subscribe(to: SocketAddr, seen: &mut Seen) {
    let began = Instant::now();
    let request = b"GET /events/t HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    let opened = connect(to).and_then(|mut connection| {
        call(&mut connection, request)?;
        Ok(connection)
    });
    seen.note(began, opened.as_ref().map(|_| ()).map_err(Clone::clone));
    if let Ok(connection) = opened {
        let socket = connection.get_ref();
        let short = Some(Duration::from_millis(50));
        socket.set_read_timeout(short).expect("a socket");
    }
}

/// Every client is served by the one or the other; none is refused or reset.
#[test]
fn the_next_process_could_not_start_beside_one_that_drains() {
    let drain = ["--reuse-port", "--drain-period", "1s"];
    let mut first = Node::start_with(&drain);
    let (http, ingest) = (first.http, first.ingest);
    let streams: Vec<_> = (0..10)
        .map(|_| SseStream::open(http, "/events/t"))
        .collect();
    let mut clients = Clients::default();
    for _ in 0..2 {
        clients.start("publish once", move |seen| publish_once(http, seen));
        clients.start("publish over RESP", move |seen| publish_resp(ingest, seen));
        clients.start("subscribe", move |seen| subscribe(http, seen));
        let mut kept = None;
        clients.start("publish kept", move |seen| {
            publish_kept(http, &mut kept, seen);
        });
    }
    let next = Node::start_beside(&first, &drain[1..]);
    first.signal(Signal::TERM);
    for mut stream in streams {
        while stream.next().is_some() {}
        assert!(stream.retry.is_some(), "it is told when to come back");
    }
    assert_eq!(first.wait().code(), Some(0), "{}", first.logged());
    // The next one has all clients to itself.
    let published = || -> f64 {
        let page = next.admin_get("/metrics").body;
        let counts = page
            .lines()
            .filter(|line| line.starts_with("fantail_events_in_total"))
            .filter_map(|line| line.rsplit(' ').next());
        counts.map(|count| count.parse::<f64>().expect(count)).sum()
    };
    let before = published();
    wait_until("the next one serves", || published() > before + 50.0);
    for (name, seen) in clients.end() {
        assert!(seen.done > 10, "{name}: {seen:?}");
        assert_eq!(seen.failed, [""; 0], "{name}: {} done", seen.done);
        eprintln!(
            "{name}: {} done, {} moved, longest {:?}",
            seen.done, seen.moved, seen.longest
        );
    }
}

#[test]
fn a_port_is_not_shared_by_default() {
    let first = Node::start();
    let output = std::process::Command::new(crate::support::node::PROGRAM)
        .args(["serve", "--reuse-port", "--listen", &first.http.to_string()])
        .args([
            "--ingest-listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&first.http.to_string()) && said.contains("`listen`"),
        "{said}"
    );
}
