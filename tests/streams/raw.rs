use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::source::Wire;
use crate::support::DEADLINE;
use crate::support::http::narrow_socket;
use crate::support::sse::SseEvent;

/// How a stream is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http11,
    Http10,
}

/// A stream over HTTP/1, as bare bytes, read only on demand.
pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
    /// The bytes read.
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire: Wire,
    /// The client's last event id.
    pub(crate) cursor: String,
}

impl Raw {
    pub(crate) fn open(to: SocketAddr, version: Version, target: &str, cursor: &str) -> Self {
        let socket = TcpStream::connect(to).expect("the node accepts");
        Self::request(socket, version, target, cursor)
    }

    /// A stream whose client has hardly any room for unread bytes.
    pub(crate) fn open_narrow(to: SocketAddr, target: &str) -> Self {
        Self::request(narrow_socket(to), Version::Http11, target, "")
    }

    fn request(mut socket: TcpStream, version: Version, target: &str, cursor: &str) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let version = match version {
            Version::Http11 => "HTTP/1.1",
            Version::Http10 => "HTTP/1.0",
        };
        let mut request = format!("GET {target} {version}\r\nHost: localhost\r\n");
        if !cursor.is_empty() {
            request.push_str(&format!("Last-Event-ID: {cursor}\r\n"));
        }
        request.push_str("\r\n");
        socket
            .write_all(request.as_bytes())
            .expect("the node reads");
        Self {
            socket,
            bytes: Vec::new(),
            wire: Wire::http(),
            cursor: String::new(),
        }
    }

    /// Reads exactly `count` bytes.
    pub(crate) fn read(&mut self, count: usize) -> Vec<SseEvent> {
        let mut bytes = vec![0; count];
        self.socket.read_exact(&mut bytes).expect("more bytes");
        self.bytes.extend_from_slice(&bytes);
        self.wire.feed(&bytes, &mut self.cursor)
    }

    /// Reads until an event with this data has arrived.
    pub(crate) fn read_to(&mut self, data: &str) -> Vec<SseEvent> {
        let mut events: Vec<SseEvent> = Vec::new();
        while events.last().is_none_or(|event| event.data != data) {
            let more = self.piece();
            events.extend(more.unwrap_or_else(|| panic!("no {data:?}: {events:#?}")));
        }
        events
    }

    /// Reads until the connection has ended.
    pub(crate) fn read_to_end(&mut self) -> Vec<SseEvent> {
        let mut events = Vec::new();
        while let Some(more) = self.piece() {
            events.extend(more);
        }
        events
    }

    /// Reads bytes that have arrived or arrive next; `None` at the end. A reset is an end, too.
    fn piece(&mut self) -> Option<Vec<SseEvent>> {
        let mut piece = [0; 4096];
        let count = match self.socket.read(&mut piece) {
            Ok(0) => return None,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("waited {DEADLINE:?} for bytes: {error}"),
        };
        self.bytes.extend_from_slice(&piece[..count]);
        Some(self.wire.feed(&piece[..count], &mut self.cursor))
    }
}
