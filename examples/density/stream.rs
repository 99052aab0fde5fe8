//! One stream as the client sees it: undoes the chunks, splits the lines, checks the numbers in the data.
//!
//! A process holds hundreds of thousands of these, so an idle one owns no buffer: bytes are kept only between two reads
//! that cut a line in half.

use mio::net::TcpStream;

/// Longest response head or line that is believed, in bytes; more is a broken server.
const LINE_BYTES_MAX: usize = 1 << 20;

/// How far the reading of the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The request is not sent yet.
    Connecting,
    /// Within the response head.
    Head,
    /// Within a chunk-size line; the digits so far.
    ChunkSize(u32),
    /// Within chunk data; bytes to come.
    ChunkData(u32),
    /// Between chunk data and the next chunk-size line.
    ChunkEnd,
    /// The body is not chunked.
    Plain,
    /// The last chunk came.
    Ended,
}

/// What one read brought, added to what the process counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Events received for the first time.
    pub(crate) deliveries: u64,
    /// Events received again, or after a later one.
    pub(crate) doubled: u64,
    /// Data that is not one of this run's events: gaps, most of all.
    pub(crate) other: u64,
}

/// A stream that cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The answer was not a stream.
    #[error("the server answered: {0}")]
    Refused(String),
    /// The body's chunks do not add up.
    #[error("the chunked body is malformed")]
    Chunk,
    /// A line or head has no end.
    #[error("a line is longer than {LINE_BYTES_MAX} bytes")]
    Line,
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The connection.
    pub(crate) socket: TcpStream,
    state: State,
    primed: bool,
    /// Number of the newest event; numbers start at 1.
    last: u32,
    got: u32,
    /// The start of a line (or the head) whose end was not read yet.
    carry: Vec<u8>,
}

impl Stream {
    /// A stream whose socket is still connecting.
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            state: State::Connecting,
            primed: false,
            last: 0,
            got: 0,
            carry: Vec::new(),
        }
    }

    /// Whether its request is still to be sent.
    pub(crate) fn connecting(&self) -> bool {
        self.state == State::Connecting
    }

    /// The request was sent.
    pub(crate) fn sent(&mut self) {
        self.state = State::Head;
    }

    /// Whether the response head is complete.
    pub(crate) fn answered(&self) -> bool {
        !matches!(self.state, State::Connecting | State::Head)
    }

    /// Whether the server has sent a first block of the body.
    pub(crate) fn primed(&self) -> bool {
        self.primed
    }

    /// Events received, each counted once.
    pub(crate) fn got(&self) -> u32 {
        self.got
    }

    /// Takes in what one read returned.
    pub(crate) fn feed(&mut self, mut input: &[u8], tally: &mut Tally) -> Result<(), Broken> {
        if self.state == State::Head {
            input = match self.head(input)? {
                Some(rest) => rest,
                None => return Ok(()),
            };
        }
        while let Some(&byte) = input.first() {
            match self.state {
                State::Plain => {
                    self.text(input, tally)?;
                    return Ok(());
                }
                State::ChunkData(left) => {
                    let take = input.len().min(left as usize);
                    self.text(&input[..take], tally)?;
                    input = &input[take..];
                    self.state = match left - take as u32 {
                        0 => State::ChunkEnd,
                        left => State::ChunkData(left),
                    };
                    continue;
                }
                State::ChunkSize(size) => self.state = chunk_size(size, byte)?,
                State::ChunkEnd => match byte {
                    b'\r' => {}
                    b'\n' => self.state = State::ChunkSize(0),
                    _ => return Err(Broken::Chunk),
                },
                State::Ended => return Ok(()),
                State::Connecting | State::Head => return Err(Broken::Chunk),
            }
            input = &input[1..];
        }
        Ok(())
    }

    /// Collects the response head; returns what follows it once it is whole.
    fn head<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, Broken> {
        let mut head = std::mem::take(&mut self.carry);
        let before = head.len();
        head.extend_from_slice(input);
        let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") else {
            if head.len() > LINE_BYTES_MAX {
                return Err(Broken::Line);
            }
            self.carry = head;
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let field = |name: &str, value: &str| {
            text.split("\r\n")
                .filter_map(|line| line.split_once(':'))
                .any(|(n, v)| n == name && v.trim().starts_with(value))
        };
        if status.split(' ').nth(1) != Some("200") || !field("content-type", "text/event-stream") {
            return Err(Broken::Refused(status.to_owned()));
        }
        self.state = if field("transfer-encoding", "chunked") {
            State::ChunkSize(0)
        } else {
            State::Plain
        };
        Ok(Some(&input[end + 4 - before..]))
    }

    /// Takes in a piece of SSE text.
    fn text(&mut self, mut input: &[u8], tally: &mut Tally) -> Result<(), Broken> {
        while let Some(end) = memchr::memchr(b'\n', input) {
            if self.carry.is_empty() {
                self.line(&input[..end], tally);
            } else {
                let mut line = std::mem::take(&mut self.carry);
                line.extend_from_slice(&input[..end]);
                self.line(&line, tally);
            }
            input = &input[end + 1..];
        }
        if !input.is_empty() {
            if self.carry.len() + input.len() > LINE_BYTES_MAX {
                return Err(Broken::Line);
            }
            self.carry.extend_from_slice(input);
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], tally: &mut Tally) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            self.primed = true;
        }
        let Some(data) = line.strip_prefix(b"data:") else {
            return;
        };
        match number(data) {
            None => tally.other += 1,
            Some(number) if number > self.last => {
                self.last = number;
                self.got += 1;
                tally.deliveries += 1;
            }
            Some(_) => tally.doubled += 1,
        }
    }
}

/// The state after one more byte of a chunk-size line.
fn chunk_size(size: u32, byte: u8) -> Result<State, Broken> {
    match byte {
        b'\n' if size == 0 => Ok(State::Ended),
        b'\n' => Ok(State::ChunkData(size)),
        b'\r' => Ok(State::ChunkSize(size)),
        _ => {
            let digit = (byte as char).to_digit(16).ok_or(Broken::Chunk)?;
            size.checked_mul(16)
                .and_then(|size| size.checked_add(digit))
                .map(State::ChunkSize)
                .ok_or(Broken::Chunk)
        }
    }
}

/// The number at the start of an event's data.
fn number(data: &[u8]) -> Option<u32> {
    let data = data.strip_prefix(b" ").unwrap_or(data);
    let digits = data.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&data[..digits]).ok()?.parse().ok()
}
