//! HTTP/1.1 and Server-Sent Events for many clients at once: as little as they need, and no code of
//! the node.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection. A node that was killed refuses at once.
const CONNECTS: Duration = Duration::from_secs(5);

/// A connection, and what was read of it and not used.
pub(crate) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// Where the unused bytes begin.
    used: usize,
    is_chunked: bool,
    /// Bytes to come of a body that is not chunked.
    length: usize,
    /// Whether the answer says when to come back.
    pub(crate) has_retry_after: bool,
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        let socket = timeout(CONNECTS, TcpStream::connect(to)).await??;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            buffer: Vec::new(),
            used: 0,
            is_chunked: false,
            length: 0,
            has_retry_after: false,
        })
    }

    /// Sends these bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).await
    }

    /// Reads the head of an answer; its status.
    pub(crate) async fn head(&mut self) -> Result<u16> {
        let line = self.line().await?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| broken("no status line"))?;
        (self.is_chunked, self.length) = (false, 0);
        self.has_retry_after = false;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok(status);
            }
            if let Some(length) = line.strip_prefix("content-length:") {
                self.length = length.trim().parse().map_err(|_| broken("no length"))?;
            }
            self.has_retry_after |= line.starts_with("retry-after:");
            self.is_chunked |= line == "transfer-encoding: chunked";
        }
    }

    /// Reads the body of an answer.
    pub(crate) async fn body(&mut self) -> Result<String> {
        let mut body = Vec::new();
        while self.part(&mut body).await? {}
        String::from_utf8(body).map_err(|_| broken("a body that is no UTF-8"))
    }

    /// Appends the next part of a body; false at its proper end. The stream of a client that is turned
    /// away has a length.
    pub(crate) async fn part(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        if self.is_chunked {
            return self.chunk(text).await;
        }
        let length = std::mem::take(&mut self.length);
        self.fill_to(length).await?;
        self.take(length, text);
        Ok(length > 0)
    }

    async fn chunk(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        let line = self.line().await?;
        let size = usize::from_str_radix(&line, 16).map_err(|_| broken("no chunk"))?;
        self.fill_to(size + 2).await?;
        self.take(size, text);
        let mut end = Vec::new();
        self.take(2, &mut end);
        if end != b"\r\n" {
            return Err(broken("a chunk without an end"));
        }
        Ok(size > 0)
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            let rest = &self.buffer[self.used..];
            if let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&rest[..end]).into_owned();
                self.used += end + 2;
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    async fn fill_to(&mut self, count: usize) -> Result<()> {
        while self.buffer.len() - self.used < count {
            self.fill().await?;
        }
        Ok(())
    }

    fn take(&mut self, count: usize, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.buffer[self.used..self.used + count]);
        self.used += count;
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A block of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The id, if it has one.
    pub(crate) id: Option<String>,
    /// The name of the event.
    pub(crate) event: String,
    /// The data, if the block fires an event.
    pub(crate) data: Option<String>,
}

/// Takes the first whole block from the text.
pub(crate) fn block(text: &mut Vec<u8>) -> Option<Block> {
    let end = text.windows(2).position(|pair| pair == b"\n\n")?;
    let whole: Vec<u8> = text.drain(..end + 2).collect();
    let whole = String::from_utf8_lossy(&whole);
    let mut block = Block::default();
    for line in whole.split_terminator('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => block.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut block.event),
            "data" => match &mut block.data {
                Some(data) => *data = format!("{data}\n{value}"),
                none => *none = Some(value.to_owned()),
            },
            _ => {}
        }
    }
    Some(block)
}

#[test]
fn blocks_are_read_one_by_one() {
    let mut text =
        b"retry: 5\n: heartbeat 15000\nid: 1-0.m\n\nid: 2-0.m\nevent: a\ndata: x\ndata: y\n\nid: 3"
            .to_vec();
    let first = block(&mut text).expect("a block");
    assert_eq!((first.id.as_deref(), first.data), (Some("1-0.m"), None));
    let second = block(&mut text).expect("a block");
    assert_eq!(second.event, "a");
    assert_eq!(second.data.as_deref(), Some("x\ny"));
    assert_eq!(block(&mut text), None);
    assert_eq!(text, b"id: 3");
}

#[tokio::test]
async fn a_body_with_a_length_ends_though_its_connection_goes_on() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let to = listener.local_addr().expect("its address");
    let mut connection = Connection::open(to).await.expect("a connection");
    let (mut node, _) = listener.accept().await.expect("a client");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nretry: 50\n\n";
    node.write_all(answer).await.expect("a reader");
    assert_eq!(connection.head().await.expect("a head"), 200);
    let body = connection.body().await.expect("a body");
    assert_eq!(body, "retry: 50\n\n");
    drop(node);
}
