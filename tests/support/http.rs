//! HTTP/1.1 by hand: a test's bytes are exactly those on the wire, and answers are parsed strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::DEADLINE;

/// Smallest receive buffer that a test can ask for; the kernel makes some 2 KiB of it.
const RECEIVE_BYTES_MIN: usize = 1;

/// A connection and the bytes that were read but not used yet.
pub(crate) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// Status and header fields of a response.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub(crate) version: String,
    /// Status code.
    pub(crate) status: u16,
    /// Fields in the order in which they came, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// Status and header fields.
    pub(crate) head: Head,
    /// The body, without its chunks.
    pub(crate) body: String,
}

impl Head {
    /// The value of a field; panics when it is there twice.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        value
    }
}

impl Response {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// One request on a connection of its own.
pub(crate) fn request(
    to: SocketAddr,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut connection = Connection::open(to);
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    if !body.is_empty() || method == "POST" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    connection.send(text.as_bytes());
    connection.send(body);
    connection.response(method)
}

/// A socket with hardly any room for unread bytes. The system enlarges the default buffer as it
/// likes, up to several events of a test.
pub(crate) fn narrow_socket(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
    // Only before it is connected does this bound the window from the first byte on.
    socket
        .set_recv_buffer_size(RECEIVE_BYTES_MIN)
        .expect("a socket");
    socket.connect(&to.into()).expect("the node accepts");
    socket.into()
}

impl Connection {
    /// Connects.
    pub(crate) fn open(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&to, DEADLINE).expect("the node accepts"))
    }

    /// Connects from this address of the machine.
    pub(crate) fn open_from(from: IpAddr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::from((from, 0)).into())
            .expect("an address of this machine");
        socket
            .connect_timeout(&to.into(), DEADLINE)
            .expect("the node accepts");
        Self::over(socket.into())
    }

    /// Wraps a connected socket.
    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    /// The socket itself, for tests that shut it down or shrink its buffers.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends these bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the node reads");
    }

    /// Reads one response to a request of that method, with its body by `Content-Length`, chunks or
    /// the end of the connection.
    pub(crate) fn response(&mut self, method: &str) -> Response {
        let head = self.head();
        let mut body = Vec::new();
        if method == "HEAD" || head.status == 204 || head.status == 304 {
            // No body, whatever the fields say (RFC 9112, section 6.3).
        } else if head.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
        } else if let Some(length) = head.field("content-length") {
            body = self.take(length.parse().expect("a length"));
        } else {
            while let Some(part) = self.rest() {
                body.extend(part);
            }
        }
        Response {
            status: head.status,
            head,
            body: String::from_utf8(body).expect("a body of UTF-8"),
        }
    }

    /// Reads the head of a response; interim ones (1xx) are passed over.
    pub(crate) fn head(&mut self) -> Head {
        loop {
            let line = self.line();
            let mut words = line.splitn(3, ' ');
            let version = words.next().unwrap_or_default().to_owned();
            let status = words.next().and_then(|code| code.parse().ok());
            let status: u16 = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
            let mut fields = Vec::new();
            loop {
                let line = self.line();
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').expect("a header field");
                fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            if status >= 200 {
                return Head {
                    version,
                    status,
                    fields,
                };
            }
        }
    }

    /// The data of the next chunk; `None` at the last one. Panics on anything that is no chunk, and
    /// on an end without the last chunk.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line();
        let size =
            usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
        let data = self.take(size);
        assert_eq!(self.take(2), b"\r\n", "a chunk ends with CRLF");
        (size > 0).then_some(data)
    }

    /// Bytes that have arrived, or arrive next; `None` at the end of the connection.
    pub(crate) fn rest(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() && !self.fill() {
            return None;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    /// True when the node has closed the connection and everything was read; waits for it.
    pub(crate) fn at_end(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }

    fn line(&mut self) -> String {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                break end;
            }
            assert!(
                self.fill(),
                "the connection ended within a line: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        };
        let line = self.take(end);
        self.take(2);
        String::from_utf8(line).expect("a line of UTF-8")
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(
                self.fill(),
                "the connection ended {} bytes early",
                count - self.buffer.len()
            );
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads arrived bytes; false at the end (a reset is an end, too: the node may close while we
    /// still send).
    fn fill(&mut self) -> bool {
        let mut part = [0; 16 * 1024];
        match self.socket.read(&mut part) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&part[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("waited {DEADLINE:?} for bytes: {error}"),
        }
    }
}
