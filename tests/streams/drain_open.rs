//! Clients that connect while a node drains: none is refused before the last stream has ended.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::Signal;

use crate::support::DEADLINE;
use crate::support::node::Node;
use crate::support::resp;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const STREAMS: usize = 40;

/// Clients that knock until the streams are gone.
struct Knocking {
    over: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    client: JoinHandle<Vec<String>>,
}

impl Knocking {
    /// Knocks again and again: `knock` gets the number of the attempt, and returns what failed.
    fn start(knock: impl Fn(usize) -> Result<(), String> + Send + 'static) -> Self {
        let (over, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (is_over, counted) = (Arc::clone(&over), Arc::clone(&count));
        let client = thread::spawn(move || {
            let mut failures = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                let number = counted.load(Ordering::SeqCst);
                failures.extend(knock(number).err());
                counted.store(number + 1, Ordering::SeqCst);
            }
            failures
        });
        Self {
            over,
            count,
            client,
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The failures, once it is over.
    fn end(self) -> Vec<String> {
        self.client.join().expect("no panic")
    }
}

/// One request on a connection of its own; the whole answer.
fn ask(to: SocketAddr, request: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{request:?}: {error}");
    let mut socket = TcpStream::connect_timeout(&to, DEADLINE).map_err(failed)?;
    socket.set_read_timeout(Some(DEADLINE)).map_err(failed)?;
    socket.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).map_err(failed)?;
    Ok(answer)
}

fn expect(to: SocketAddr, request: &str, what: [&str; 2]) -> Result<(), String> {
    let answer = ask(to, request)?;
    let as_expected = what.iter().all(|part| answer.contains(part));
    as_expected.then_some(()).ok_or(answer)
}

/// The public port was closed for the whole of `drain_period`.
#[test]
fn no_connection_is_refused_before_the_last_stream_has_ended() {
    let mut node = Node::start_with(&["--drain-period", "4s", "--shards", "2"]);
    let (http, ingest) = (node.http, node.ingest);
    let open = Arc::new(AtomicUsize::new(STREAMS));
    let readers: Vec<_> = (0..STREAMS)
        .map(|_| SseStream::open(http, "/events/t"))
        .map(|mut stream| {
            let open = Arc::clone(&open);
            thread::spawn(move || {
                let mut heard = 0;
                while stream.next().is_some() {
                    heard += 1;
                }
                open.fetch_sub(1, Ordering::SeqCst);
                assert!(stream.retry.is_some(), "a proper end");
                heard
            })
        })
        .collect();
    let publishers = [
        Knocking::start(move |_| {
            let request = "POST /publish/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
            expect(http, request, ["HTTP/1.1 200 OK\r\n", "\"id\""])
        }),
        Knocking::start(move |_| {
            resp::publish(ingest, "t", "x");
            Ok(())
        }),
    ];
    node.signal(Signal::TERM);
    wait_until("the drain has begun", || {
        let page = node.admin_get("/metrics").body;
        page.contains("\nfantail_draining 1")
    });
    let subscribers = [0, 1].map(|which| {
        Knocking::start(move |_| {
            let target = ["/events/t", "/.well-known/mercure?topic=t"][which];
            let request = format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
            );
            expect(http, &request, ["HTTP/1.1 200 OK\r\n", "\r\n\r\nretry: "])
        })
    });
    let knocking = publishers.into_iter().chain(subscribers);
    let knocking: Vec<_> = knocking.collect();
    wait_until("streams end", || open.load(Ordering::SeqCst) < STREAMS / 2);
    let halfway: Vec<_> = knocking.iter().map(Knocking::count).collect();
    // The last of them stay for another second.
    wait_until("most have ended", || {
        open.load(Ordering::SeqCst) <= STREAMS / 4
    });
    for knocking in &knocking {
        knocking.over.store(true, Ordering::SeqCst);
    }
    for (knocking, halfway) in knocking.into_iter().zip(halfway) {
        assert!(knocking.count() > halfway, "served to the end");
        assert_eq!(knocking.end(), [""; 0]);
    }
    assert_eq!(node.wait().code(), Some(0), "{}", node.logged());
    let heard: Vec<usize> = readers
        .into_iter()
        .map(|reader| reader.join().expect("a proper end"))
        .collect();
    assert!(heard.iter().all(|heard| *heard > 0), "{heard:?}");
}

#[test]
fn a_balancer_is_told_before_the_drain_begins() {
    let mut node = Node::start_with(&["--drain-delay", "2s", "--drain-period", "100ms"]);
    let mut before = SseStream::open(node.http, "/events/t");
    node.signal(Signal::TERM);
    let status = |target: &str| node.admin_get(target).status;
    wait_until("not ready", || status("/readyz") == 503);
    assert_eq!(status("/healthz"), 200);
    // All is served as before: new streams, too, which hear events.
    let mut stream = SseStream::open(node.http, "/events/t");
    assert_eq!(node.publish("t", "news"), 2);
    assert_eq!(stream.next().expect("an event").data, "news");
    assert_eq!(before.next().expect("an event").data, "news");
    let page = node.admin_get("/metrics").body;
    assert!(page.contains("\nfantail_draining 0"), "{page}");
    for mut stream in [before, stream] {
        assert_eq!(stream.next(), None);
        assert!(stream.retry.is_some(), "it is told when to come back");
    }
    assert_eq!(node.wait().code(), Some(0), "{}", node.logged());
}

#[test]
fn a_second_signal_also_ends_the_delay_before_a_drain() {
    let mut node = Node::start_with(&["--drain-delay", "1h"]);
    node.signal(Signal::TERM);
    wait_until("not ready", || node.admin_get("/readyz").status == 503);
    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(1), "{}", node.logged());
}
