//! `floor`: the least that a server can do to deliver events, as the yardstick of those that do
//! more.
//!
//! It parses no HTTP and knows no topics, no history and no slow clients. Every connection is sent
//! a fixed response head. Every published event (`PUBLISH` in Redis protocol) is sent to every
//! stream through a bare loop of `send()` in a few threads; each event is encoded once, and events
//! that wait at the same time are sent as one. The features of a real server cost more than this.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};

use crate::cli::FloorArgs;
use crate::console;
use crate::crew;

/// Connections that may wait to be accepted; the standard library's 128 would make a client that
/// opens many wait a second.
const BACKLOG: i32 = 4096;

/// Most bytes of one request, and of one element of a command.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// The first bytes of every stream: a response head and one event that only sets the client's
/// cursor.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-cache\r\n\
    transfer-encoding: chunked\r\n\
    \r\n\
    9\r\nid: 0-0\n\n\r\n";

/// The shared state of one sending thread. A new stream wakes no thread: it is only put into the
/// list.
struct Sender {
    streams: Mutex<Vec<TcpStream>>,
    events: mpsc::Sender<Arc<[u8]>>,
}

/// The sending threads and their shared state.
struct Floor {
    senders: Vec<Sender>,
    streams: AtomicUsize,
    events: AtomicUsize,
}

/// Serves until the process is ended.
pub(crate) fn run(args: &FloorArgs) -> anyhow::Result<()> {
    crew::streams_per_process()?;
    let public = bind(args.listen)?;
    let internal = bind(args.ingest_listen)?;
    console::out(format_args!("streams {}", public.local_addr()?));
    console::out(format_args!("ingest {}", internal.local_addr()?));

    let (senders, queues): (Vec<_>, Vec<_>) = (0..args.threads).map(|_| Sender::new()).unzip();
    let floor = Arc::new(Floor {
        senders,
        streams: AtomicUsize::new(0),
        events: AtomicUsize::new(0),
    });
    for (number, queue) in queues.into_iter().enumerate() {
        let floor = Arc::clone(&floor);
        thread::spawn(move || floor.senders[number].run(&queue));
    }
    let publishers = Arc::clone(&floor);
    thread::spawn(move || {
        for connection in internal.incoming().flatten() {
            let publishers = Arc::clone(&publishers);
            thread::spawn(move || publish_from(connection, &publishers));
        }
    });
    for connection in public.incoming() {
        match connection.and_then(greet) {
            Ok(stream) => floor.attach(stream),
            Err(error) => console::err(format_args!("a stream was not opened: {error}")),
        }
    }
    Ok(())
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket
        .bind(&address.into())
        .and_then(|()| socket.listen(BACKLOG))
        .with_context(|| format!("listening on {address}"))?;
    Ok(socket.into())
}

/// Reads the request without parsing it, and answers it.
fn greet(mut connection: TcpStream) -> io::Result<TcpStream> {
    connection.set_nodelay(true)?;
    let mut request = [0; 4096];
    if connection.read(&mut request)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    connection.write_all(HEAD)?;
    Ok(connection)
}

impl Floor {
    fn attach(&self, stream: TcpStream) {
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        self.senders[number % self.senders.len()]
            .streams
            .lock()
            .push(stream);
    }

    /// Hands an event to all sending threads; returns the number of streams.
    fn publish(&self, data: &[u8]) -> usize {
        let id = self.events.fetch_add(1, Ordering::Relaxed) + 1;
        let mut text = format!("id: 1700000000000-{id}\ndata: ").into_bytes();
        text.extend_from_slice(data);
        text.extend_from_slice(b"\n\n");
        let mut frame = format!("{:x}\r\n", text.len()).into_bytes();
        frame.extend_from_slice(&text);
        frame.extend_from_slice(b"\r\n");
        let frame: Arc<[u8]> = frame.into();
        for sender in &self.senders {
            // A sending thread ends with the process only.
            let _ = sender.events.send(Arc::clone(&frame));
        }
        self.streams.load(Ordering::Relaxed)
    }
}

impl Sender {
    fn new() -> (Self, mpsc::Receiver<Arc<[u8]>>) {
        let (events, queue) = mpsc::channel();
        let streams = Mutex::default();
        (Self { streams, events }, queue)
    }

    /// Sends all that waits, joined, to every stream, for ever.
    fn run(&self, queue: &mpsc::Receiver<Arc<[u8]>>) {
        let mut joined = Vec::new();
        while let Ok(first) = queue.recv() {
            joined.clear();
            joined.extend_from_slice(&first);
            for frame in queue.try_iter() {
                joined.extend_from_slice(&frame);
            }
            self.streams
                .lock()
                .retain_mut(|stream| stream.write_all(&joined).is_ok());
        }
    }
}

/// Serves one publisher: `PUBLISH topic data`, as many at once as it likes.
fn publish_from(connection: TcpStream, floor: &Floor) -> anyhow::Result<()> {
    connection.set_nodelay(true)?;
    let mut input = BufReader::new(connection);
    let mut answers = Vec::new();
    loop {
        let arguments = number(&mut input, '*')?;
        ensure!(arguments == 3, "expected PUBLISH topic data");
        let [command, _topic, data] = [bulk(&mut input)?, bulk(&mut input)?, bulk(&mut input)?];
        ensure!(
            command.eq_ignore_ascii_case(b"PUBLISH"),
            "expected PUBLISH topic data"
        );
        write!(answers, ":{}\r\n", floor.publish(&data))?;
        if input.buffer().is_empty() {
            input.get_mut().write_all(&answers)?;
            answers.clear();
        }
    }
}

fn number(input: &mut impl BufRead, kind: char) -> anyhow::Result<usize> {
    let mut line = String::new();
    input.take(32).read_line(&mut line)?;
    match line.trim_end().strip_prefix(kind).map(str::parse) {
        Some(Ok(number)) if number <= INPUT_BYTES_MAX => Ok(number),
        _ => bail!("expected {kind} and a number, not {line:?}"),
    }
}

fn bulk(input: &mut impl BufRead) -> anyhow::Result<Vec<u8>> {
    let length = number(input, '$')?;
    let mut bytes = vec![0; length + 2];
    input.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}
