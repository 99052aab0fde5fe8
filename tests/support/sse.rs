//! A strict reader of Server-Sent Events, after the event stream interpretation of the WHATWG HTML
//! standard (section 9.2.6).

use std::net::SocketAddr;
use std::time::Instant;

use super::DEADLINE;
use super::http::{Connection, Head};

/// An event as an `EventSource` would fire it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// `lastEventId` at that moment.
    pub(crate) id: String,
    /// Its type; `message` if the stream names none.
    pub(crate) event: String,
    /// Its data.
    pub(crate) data: String,
}

/// One open stream.
pub(crate) struct SseStream {
    connection: Connection,
    chunked: bool,
    /// Bytes to come, if the head has told their number: of a client that was turned away.
    length: Option<usize>,
    ended: bool,
    text: Vec<u8>,
    /// The response head.
    pub(crate) head: Head,
    /// The client's last event id, which it would send to resume.
    pub(crate) cursor: String,
    /// The last `retry`, in milliseconds.
    pub(crate) retry: Option<u64>,
    /// The longest silence that the node has announced, in milliseconds.
    pub(crate) heartbeat_ms: Option<u64>,
    /// The topics of the last block.
    pub(crate) topics: Vec<String>,
}

impl SseStream {
    /// Opens a stream and reads until its first cursor: from then on no published event can be
    /// missed.
    pub(crate) fn open(to: SocketAddr, target: &str) -> Self {
        let mut stream = Self::request(to, target, &[]);
        while stream.cursor.is_empty() {
            let event = stream.step();
            assert_eq!(event, Some(None), "a stream starts with its cursor");
        }
        stream
    }

    /// Opens a stream as a client does that saw everything up to `cursor`; reads only the head.
    pub(crate) fn resume(to: SocketAddr, target: &str, cursor: &str) -> Self {
        Self::request(to, target, &[("Last-Event-ID", cursor)])
    }

    /// Sends the request with these fields and reads the head of a stream.
    pub(crate) fn request(to: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Self {
        let mut text =
            format!("GET {target} HTTP/1.1\r\nHost: {to}\r\nAccept: text/event-stream\r\n");
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut connection = Connection::open(to);
        connection.send(text.as_bytes());
        Self::read(connection)
    }

    /// Reads the head of a stream that was asked for on this connection.
    pub(crate) fn read(mut connection: Connection) -> Self {
        let head = connection.head();
        assert_eq!(head.status, 200, "no stream: {head:?}");
        let kind = head.field("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/event-stream"), "no stream: {head:?}");
        Self {
            chunked: head.field("transfer-encoding") == Some("chunked"),
            length: head
                .field("content-length")
                .map(|length| length.parse().expect("a length")),
            connection,
            ended: false,
            text: Vec::new(),
            head,
            cursor: String::new(),
            retry: None,
            heartbeat_ms: None,
            topics: Vec::new(),
        }
    }

    /// The connection below, for tests that cut it.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The next event; `None` when the stream has ended (with its last chunk, if it is chunked).
    pub(crate) fn next(&mut self) -> Option<SseEvent> {
        let began = Instant::now();
        loop {
            // Heartbeats keep the socket from running into its own deadline.
            assert!(
                began.elapsed() < DEADLINE * 2,
                "waited in vain for an event"
            );
            if let Some(event) = self.step()? {
                return Some(event);
            }
        }
    }

    /// The next `count` events.
    pub(crate) fn take(&mut self, count: usize) -> Vec<SseEvent> {
        (0..count)
            .map(|number| {
                self.next()
                    .unwrap_or_else(|| panic!("the stream ended before event {number} of {count}"))
            })
            .collect()
    }

    /// The data of the next `count` events.
    pub(crate) fn take_data(&mut self, count: usize) -> Vec<String> {
        self.take(count)
            .into_iter()
            .map(|event| event.data)
            .collect()
    }

    /// The topics, joined by `, `, and the data of the next `count` events.
    pub(crate) fn take_told(&mut self, count: usize) -> Vec<(String, String)> {
        let told = |_| {
            let event = self.next().expect("an open stream");
            (self.topics.join(", "), event.data)
        };
        (0..count).map(told).collect()
    }

    /// Reads one block up to its blank line: outer `None` at the end, inner `None` when the block
    /// fires no event.
    pub(crate) fn step(&mut self) -> Option<Option<SseEvent>> {
        let end = loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                break end;
            }
            if !self.fill() {
                let rest = String::from_utf8_lossy(&self.text);
                assert_eq!(rest, "", "the stream ended within a block");
                return None;
            }
        };
        let block: Vec<u8> = self.text.drain(..end + 2).collect();
        let block = String::from_utf8(block).expect("a stream of UTF-8");
        Some(self.interpret(&block))
    }

    fn interpret(&mut self, block: &str) -> Option<SseEvent> {
        let mut data: Option<String> = None;
        let mut event = "message";
        self.topics.clear();
        for (number, line) in block.split_terminator('\n').enumerate() {
            assert!(
                !line.contains('\r'),
                "the node ends lines with LF: {line:?}"
            );
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => match &mut data {
                    None => data = Some(value.to_owned()),
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                },
                "event" => event = value,
                "id" => value.clone_into(&mut self.cursor),
                "retry" => self.retry = Some(value.parse().expect("a retry of digits")),
                "" => {
                    if let Some(ms) = value.strip_prefix("heartbeat ") {
                        self.heartbeat_ms = Some(ms.parse().expect("digits"));
                    }
                }
                "topic" => {
                    assert_eq!(number, self.topics.len(), "topics come first: {block:?}");
                    self.topics.push(value.to_owned());
                }
                other => panic!("no field of an event stream: {other:?}"),
            }
        }
        // One empty `data` line fires an event with empty data; a block without any fires nothing.
        data.map(|data| SseEvent {
            id: self.cursor.clone(),
            event: event.to_owned(),
            data,
        })
    }

    fn fill(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let part = match &mut self.length {
            Some(0) => None,
            Some(length) => Some(self.connection.take(std::mem::take(length))),
            None if self.chunked => self.connection.chunk(),
            None => self.connection.rest(),
        };
        self.ended = part.is_none();
        self.text.extend(part.unwrap_or_default());
        !self.ended
    }
}
