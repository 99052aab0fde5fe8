//! One stream as the client sees it, over all its connections: request, response head, body,
//! events.

use std::io::{self, Read, Write};

use hdrhistogram::Histogram;

use super::faults::Faults;
use super::ids::Ids;
use super::ledger::{Ledger, Tally};
use super::reading::Reading;
use crate::layout::Layout;
use crate::stamp;
use crate::transport::{Transport, would_wait};
use crate::wire::body::{Body, ChunkError};
use crate::wire::head::{Head, HeadError};
use crate::wire::sse::{Decoder, LineError};

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Option<Transport>,
    state: State,
    /// The start of a response head that is not whole.
    head: Vec<u8>,
    decoder: Decoder,
    ledger: Ledger,
    silence: Silence,
    /// The last event id; only kept if streams reconnect.
    cursor: Option<Box<str>>,
    /// Number among the streams of all processes whose topics and token it has.
    pub(crate) number: usize,
    /// Number of the node that its connection is to.
    pub(crate) node: usize,
    /// It was opened at the position of another stream, to check the history.
    pub(crate) late: bool,
    /// When it was ended by the server, on the monotonic clock; zero if it was not, or is back.
    pub(crate) cut_at: u64,
    /// When the connection was begun, on the monotonic clock.
    pub(crate) begun: u64,
    /// When the server's head came, on the monotonic clock.
    answered: u64,
    /// Milliseconds that the server asks to wait before coming back.
    pub(crate) retry_ms: Option<u32>,
    heard: Heard,
    /// Has been open once before this connection.
    pub(crate) returned: bool,
    /// Has been open once.
    pub(crate) was_open: bool,
    /// The last request had a cursor.
    pub(crate) gave_cursor: bool,
    /// It does not reconnect.
    pub(crate) finished: bool,
    /// Counted as waited for by the order in hand.
    pub(crate) awaited: bool,
    /// Number of the server's address that the connection is to.
    pub(crate) via: u8,
    /// Addresses that have refused a connection since it was last open.
    pub(crate) turned_away: u8,
}

/// Times between two events of a stream, or of all of them, on the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silence {
    last: u64,
    longest: u64,
}

impl Silence {
    /// Something came.
    pub(crate) fn ends(&mut self, now: u64) {
        if self.last > 0 {
            self.longest = self.longest.max(now.saturating_sub(self.last));
        }
        self.last = now;
    }

    /// The longest one, in nanoseconds; zero before the second event.
    pub(crate) fn longest(self) -> u64 {
        self.longest
    }
}

/// What came over a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    /// More than a block with nothing but a `retry:`, with which a server that ends sends clients
    /// away.
    pub(super) anything: bool,
    /// The block that is being read has one.
    pub(super) retry: bool,
}

/// Where a stream is in what it is due: the position at which another one can begin.
#[derive(Debug)]
pub(crate) struct Position {
    number: usize,
    node: usize,
    cursor: Box<str>,
    ledger: Ledger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The request is not sent.
    Connecting,
    /// The response head is not whole.
    Head,
    /// The response is a stream, whose body is unread.
    Answered(Body),
    /// A first block was read.
    Open(Body),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// A system call failed.
    #[error("{}", describe(.0))]
    Io(#[from] io::Error),
    /// The answer was no stream.
    #[error("answered {0}")]
    Refused(String),
    /// The answer was 200, but no stream.
    #[error("answered 200 with {0:?} instead of text/event-stream")]
    NoStream(String),
    /// The answer is malformed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The body is malformed.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A line has no end.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The last chunk, or the end of the connection.
    #[error("closed by the server")]
    Closed,
    /// No byte for the whole timeout.
    #[error("not open within --timeout")]
    Silent,
    /// The end of the connection before the whole response head.
    #[error("closed by the server before it answered")]
    Unanswered,
}

/// Kinds of errors without the operating system's numbers, so that equal reasons are counted
/// together.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by the server".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => {
            "no source port is free (give more source addresses with --source)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// The state of its process that a stream needs to read.
pub(crate) struct Context<'a> {
    /// Topics.
    pub(crate) layout: &'a Layout,
    /// The run.
    pub(crate) run: u32,
    /// Name of the gap event.
    pub(crate) gap_event: &'a str,
    /// Whether cursors are kept.
    pub(crate) keep_cursor: bool,
    /// Counts.
    pub(crate) tally: &'a mut Tally,
    /// Latencies, in nanoseconds.
    pub(crate) latency: &'a mut Histogram<u64>,
    /// The state of comparing nodes, if they are.
    pub(crate) comparing: Option<Comparing<'a>>,
    /// Buffer for received bytes.
    pub(crate) buffer: &'a mut [u8],
    /// The end of the connection was announced, and will not be again.
    pub(crate) to_the_end: bool,
}

/// What is needed to compare the nodes.
pub(crate) struct Comparing<'a> {
    /// Ids of the events that came.
    pub(crate) ids: &'a mut Ids,
    /// Examples of what is wrong.
    pub(crate) faults: &'a mut Faults,
    /// Latencies of events that were due before the stream was let in.
    pub(crate) replay: &'a mut Histogram<u64>,
}

impl Stream {
    /// A stream without a connection.
    pub(crate) fn new(topics: usize, number: usize) -> Self {
        Self {
            silence: Silence::default(),
            number,
            node: 0,
            late: false,
            cut_at: 0,
            heard: Heard::default(),
            returned: false,
            connection: None,
            state: State::Connecting,
            head: Vec::new(),
            decoder: Decoder::default(),
            ledger: Ledger::new(topics),
            cursor: None,
            begun: 0,
            answered: 0,
            retry_ms: None,
            was_open: false,
            gave_cursor: false,
            finished: false,
            awaited: false,
            via: 0,
            turned_away: 0,
        }
    }

    /// A stream without a connection that begins at this position.
    pub(crate) fn at(position: Position) -> Self {
        let mut stream = Self::new(0, position.number);
        stream.node = position.node;
        stream.ledger = position.ledger;
        stream.cursor = Some(position.cursor);
        stream.late = true;
        stream
    }

    /// Whether more than a `retry:` came over this connection.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard.anything
    }

    /// Its position, if it has a cursor and the events that it received tell where it is.
    pub(crate) fn position(&self) -> Option<Position> {
        if !self.ledger.is_settled() {
            return None;
        }
        Some(Position {
            number: self.number,
            node: self.node,
            cursor: self.cursor()?.into(),
            ledger: self.ledger.begun_here(),
        })
    }

    /// The times between its events.
    pub(crate) fn silence(&mut self) -> &mut Silence {
        &mut self.silence
    }

    /// Continues over this connection.
    pub(crate) fn begin(&mut self, connection: Transport) {
        self.connection = Some(connection);
        self.state = State::Connecting;
        self.head = Vec::new();
        self.decoder.reset();
        self.heard = Heard::default();
        self.returned = false;
        self.begun = stamp::now();
    }

    /// Drops the connection; returns it so that its end can be chosen.
    pub(crate) fn end(&mut self) -> Option<Transport> {
        self.head = Vec::new();
        self.connection.take()
    }

    /// Whether it has a connection.
    pub(crate) fn connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether it has a connection and its request is still to be sent.
    pub(crate) fn connecting(&self) -> bool {
        self.connected() && self.state == State::Connecting
    }

    /// Whether it is open: answered, and unless `no_prime` with a first block.
    pub(crate) fn open(&self, no_prime: bool) -> bool {
        self.connected()
            && match self.state {
                State::Open(_) => true,
                State::Answered(_) => no_prime,
                State::Connecting | State::Head => false,
            }
    }

    /// The last event id, once there is one that is not empty.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref().filter(|cursor| !cursor.is_empty())
    }

    /// Its received events.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Sends the request if the connection is ready for it.
    pub(crate) fn request(&mut self, head: &[u8]) -> Result<(), End> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if let Some(error) = connection.socket().take_error()? {
            return Err(error.into());
        }
        match connection.write(head) {
            // A new socket's buffer accepts any request of this tool.
            Ok(sent) if sent == head.len() => self.state = State::Head,
            Ok(_) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Err(error) if would_wait(&error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reads until the socket has no more, or `most` bytes; whether there may be more.
    pub(crate) fn read(&mut self, most: usize, context: &mut Context<'_>) -> Result<bool, End> {
        let mut left = most;
        while left > 0 {
            let Some(connection) = &mut self.connection else {
                return Ok(false);
            };
            let room = context.buffer.len().min(left);
            let buffer = &mut context.buffer[..room];
            match connection.read(buffer) {
                Ok(0) if matches!(self.state, State::Connecting | State::Head) => {
                    return Err(End::Unanswered);
                }
                Ok(0) => return Err(End::Closed),
                Ok(size) => {
                    let all = size < room && connection.short_read_is_all() && !context.to_the_end;
                    left -= size;
                    self.take(size, context)?;
                    // Later bytes raise a new readiness event, and so does the end of the stream.
                    if all {
                        return Ok(false);
                    }
                }
                Err(error) if would_wait(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Processes the first `size` bytes of the buffer.
    fn take(&mut self, size: usize, context: &mut Context<'_>) -> Result<(), End> {
        let buffer = std::mem::take(&mut context.buffer);
        let result = self.decode(&buffer[..size], context);
        context.buffer = buffer;
        result
    }

    fn decode(&mut self, input: &[u8], context: &mut Context<'_>) -> Result<(), End> {
        match self.state {
            State::Connecting | State::Head => {
                let carried = std::mem::take(&mut self.head);
                let mut whole = if carried.is_empty() {
                    input
                } else {
                    &[&carried, input].concat()
                };
                let (head, size) = loop {
                    let Some((head, size)) = Head::parse(whole)? else {
                        self.head = whole.to_vec();
                        return Ok(());
                    };
                    if !head.is_interim() {
                        break (head, size);
                    }
                    whole = &whole[size..];
                };
                if head.status != 200 {
                    return Err(End::Refused(head.text));
                }
                if !head.is_event_stream() {
                    return Err(End::NoStream(head.media_type));
                }
                self.state = State::Answered(head.length.into());
                self.answered = stamp::now();
                self.body(&whole[size..], context)
            }
            State::Answered(_) | State::Open(_) => self.body(input, context),
        }
    }

    fn body(&mut self, mut input: &[u8], context: &mut Context<'_>) -> Result<(), End> {
        let (mut body, was_open) = match self.state {
            State::Answered(body) => (body, false),
            State::Open(body) => (body, true),
            State::Connecting | State::Head => return Ok(()),
        };
        let mut reading = Reading {
            number: self.number,
            node: self.node,
            answered: self.answered,
            now: stamp::now(),
            context,
            ledger: &mut self.ledger,
            silence: &mut self.silence,
            heard: &mut self.heard,
            id: None,
            has_id: false,
            cursor: &mut self.cursor,
            retry_ms: &mut self.retry_ms,
            blocks: was_open,
        };
        let gap = reading.context.gap_event;
        while let Some(piece) = body.next(&mut input)? {
            self.decoder.feed(piece, gap, &mut reading)?;
        }
        self.state = if reading.blocks {
            State::Open(body)
        } else {
            State::Answered(body)
        };
        if body.ended() {
            return Err(End::Closed);
        }
        Ok(())
    }
}
