//! A node with only its ingest port, and a client that speaks raw bytes.
#![allow(dead_code)] // Each test binary uses its own part of this.

pub(crate) mod frozen;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fantail::core::selector::Selector;
use fantail::hub::{Encoding, Hub, Interest, Subscribe};
use fantail::ingest::{self, IngestConfig, Listening, ServeError};
use fantail::node;
use fantail::orders::{Control, control};
use fantail::settings::Settings;
use fantail::shard::wire::{BodyQueue, Incoming, Next};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use frozen::Freezing;

/// Longest time for any step before a test fails; far beyond its time on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A running node.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Hub,
    runtime: Option<Runtime>,
    shutdown: Control<Listening>,
    served: Option<JoinHandle<Result<(), ServeError>>>,
    config: IngestConfig,
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on_threads(2, change)
    }

    /// A node with this many threads for connections.
    pub(crate) fn on_threads(threads: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            shards: 1,
            ..Settings::on_free_ports()
        };
        change(&mut settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .expect("runtime");
        let listen = settings.ingest_listen;
        let config = node::config::ingest(&settings);
        let hub = Hub::start(node::config::hub(&settings), 1_000).expect("hub");
        let listener = TcpListener::bind(listen).expect("port");
        let address = listener.local_addr().expect("address");
        let (shutdown, follower) = control();
        let served = runtime.spawn(ingest::serve(
            listener,
            config.clone(),
            hub.clone(),
            follower,
        ));
        Self {
            address,
            hub,
            runtime: Some(runtime),
            shutdown,
            served: Some(served),
            config,
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Makes the port shut down.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.stop();
    }

    /// A new port, with a config that differs by `change`, goes on with what the frozen one
    /// released.
    pub(crate) fn hand_over_with(&mut self, change: impl FnOnce(&mut IngestConfig)) {
        let released = self.shutdown.release().expect("it is frozen");
        change(&mut self.config);
        let (shutdown, follower) = control();
        let serving = ingest::serve(released, self.config.clone(), self.hub.clone(), follower);
        let runtime = self.runtime.as_ref().expect("running");
        self.served = Some(runtime.spawn(serving));
        self.shutdown = shutdown;
    }

    /// Waits until the port has shut down.
    pub(crate) fn end_shutdown(&mut self) {
        let served = self.served.take().expect("ends once");
        let runtime = self.runtime.as_ref().expect("running");
        let outcome = runtime.block_on(async { tokio::time::timeout(DEADLINE, served).await });
        let served = outcome.expect("in time").expect("no panic");
        served.expect("a listener");
    }

    /// Opens a stream on `topics`.
    pub(crate) fn subscribe(&self, topics: &[&'static str]) -> Stream {
        self.subscribe_to(topics.iter().map(|topic| Selector::exact(topic)).collect())
    }

    /// Opens a stream on topics and patterns.
    pub(crate) fn subscribe_to(&self, selectors: Vec<Selector>) -> Stream {
        let queue = BodyQueue::new();
        let permit = self.hub.reserve(self.address.ip()).expect("a place");
        let subscribe = Subscribe {
            wire: Incoming::Body(Arc::clone(&queue), None),
            encoding: Encoding::BARE,
            head: Bytes::new(),
            start: self.hub.resolve(&selectors, &[], None),
            interest: Interest {
                selectors,
                ..Interest::default()
            },
        };
        let runtime = self.runtime.as_ref().expect("running");
        runtime
            .block_on(self.hub.subscribe(permit, subscribe))
            .expect("open");
        Stream {
            queue,
            text: String::new(),
        }
    }
}

impl Freezing for Node {
    type Listening = Listening;

    fn control(&mut self) -> (&mut Control<Listening>, &Runtime) {
        let runtime = self.runtime.as_ref().expect("running");
        (&mut self.shutdown, runtime)
    }

    fn hand_over(&mut self) {
        self.hand_over_with(|_| {});
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.begin_shutdown();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.hub.stop();
    }
}

/// An open stream.
pub(crate) struct Stream {
    queue: Arc<BodyQueue>,
    text: String,
}

impl Stream {
    /// Reads until `wanted` has arrived; returns everything so far.
    pub(crate) fn read_until(&mut self, wanted: &str) -> &str {
        wait_for(&format!("{wanted:?} on the stream"), || {
            while let Next::Chunk(chunk) = self.queue.poll_next(Waker::noop()) {
                self.text
                    .push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
            }
            self.text.contains(wanted)
        });
        &self.text
    }
}

/// Polls for a condition.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A connection that speaks raw bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    asked: usize,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("timeout");
        Self { stream, asked: 0 }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sent");
    }

    /// Sends `request`, and returns the whole answer: a `PING` with a text of its own marks the
    /// end.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> String {
        self.asked += 1;
        let mark = format!("mark-{}", self.asked);
        self.send(request);
        self.send(command(&["PING", &mark]));
        let end = format!("${}\r\n{mark}\r\n", mark.len());
        let mut answer = self.read_until(end.as_bytes());
        answer.truncate(answer.len() - end.len());
        String::from_utf8(answer).expect("UTF-8")
    }

    /// Asks in words.
    pub(crate) fn call(&mut self, words: &[&str]) -> String {
        self.ask(command(words))
    }

    /// Asks for `line` as an inline command and compares.
    pub(crate) fn check(&mut self, line: &str, expected: &str) {
        assert_eq!(self.ask(format!("{line}\r\n")), expected, "{line}");
    }

    /// Reads up to and with `end`.
    pub(crate) fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut piece = [0; 64 * 1024];
        while !bytes.ends_with(end) {
            match self.stream.read(&mut piece) {
                Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
                ended => panic!("{ended:?} after {:?}", String::from_utf8_lossy(&bytes)),
            }
        }
        bytes
    }

    /// Reads until the node closes the connection.
    pub(crate) fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        }
        String::from_utf8(bytes).expect("UTF-8")
    }
}

/// A command as a client library sends it.
pub(crate) fn command(words: &[&str]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    command_bytes(&words)
}

pub(crate) fn command_bytes(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
