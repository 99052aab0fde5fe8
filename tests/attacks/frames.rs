//! HTTP/2 frame by frame: an attack's bytes are exactly those on the wire, right or wrong (RFC 9113
//! §4.1).
#![allow(dead_code)] // Each attack uses its own part of this.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::support::DEADLINE;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame with these fields, valid or not.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A `SETTINGS` frame with these values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A literal field that no table stores (RFC 7541 §6.2.2).
pub(crate) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        // Longer ones need more bytes (RFC 7541 §5.1).
        if text.len() < 127 {
            block.push(text.len() as u8);
        } else {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            block.push(rest as u8);
        }
        block.extend(text);
    }
    block
}

/// The header block of a request.
pub(crate) fn block(method: &str, path: &str) -> Vec<u8> {
    let fields = [
        (":method", method),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
    ];
    let fields = fields.iter();
    fields
        .flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes()))
        .collect()
}

/// A whole `GET`.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let flags = END_STREAM | END_HEADERS;
    frame(HEADERS, flags, stream, &block("GET", path))
}

/// The head of a `POST` whose body follows.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    let mut block = block("POST", path);
    block.extend(literal(b"content-type", b"application/x-ndjson"));
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A frame that the node sent.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a `RST_STREAM` or `GOAWAY`.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let code = self.payload[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(code)
    }
}

/// A connection that sends given bytes, and reads frames.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    /// Connects without sending.
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&to, DEADLINE).expect("the node accepts");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        socket.set_write_timeout(Some(DEADLINE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    /// Connects, and opens HTTP/2 with these settings.
    pub(crate) fn open(to: SocketAddr, values: &[(u16, u32)]) -> Self {
        let mut peer = Self::connect(to);
        let mut hello = PREFACE.to_vec();
        hello.extend(settings(values));
        hello.extend(frame(SETTINGS, ACK, 0, &[]));
        assert!(peer.send(&hello), "a new connection lives");
        peer
    }

    /// The same connection, to read on it elsewhere.
    pub(crate) fn again(&self) -> Self {
        Self {
            socket: self.socket.try_clone().expect("a socket"),
            buffer: self.buffer.clone(),
        }
    }

    /// Sends; false when the node has ended the connection.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// Sends `bytes` up to `times` times, and reads the node's answers meanwhile; true when the
    /// node ended the connection.
    pub(crate) fn flood(&mut self, bytes: &[u8], times: usize) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        let mut ended = false;
        'all: for _ in 0..times {
            let mut at = 0;
            let begun = Instant::now();
            while at < bytes.len() {
                match self.socket.write(&bytes[at..]) {
                    Ok(sent) => at += sent,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        assert!(begun.elapsed() < DEADLINE, "the node stopped reading");
                        std::thread::yield_now();
                    }
                    Err(_) => {
                        ended = true;
                        break 'all;
                    }
                }
                if self.fill_now() {
                    ended = true;
                    break 'all;
                }
            }
        }
        self.socket.set_nonblocking(false).expect("a socket");
        ended
    }

    /// Reads arrived bytes; true at the end.
    fn fill_now(&mut self) -> bool {
        let mut part = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut part) {
                Ok(0) => return true,
                Ok(count) => self.buffer.extend_from_slice(&part[..count]),
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        while self.buffer.len() < 9 || self.buffer.len() < 9 + self.length() {
            let mut part = [0; 16 * 1024];
            match self.socket.read(&mut part) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("waited {DEADLINE:?} for a frame: {error}"),
            }
        }
        let length = self.length();
        let bytes: Vec<u8> = self.buffer.drain(..9 + length).collect();
        let stream = bytes[5..9].try_into().expect("four bytes");
        Some(Frame {
            kind: bytes[3],
            flags: bytes[4],
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            payload: bytes[9..].to_vec(),
        })
    }

    /// The next frame, if it has arrived already.
    pub(crate) fn next_now(&mut self) -> Option<Frame> {
        self.socket.set_nonblocking(true).expect("a socket");
        self.fill_now();
        self.socket.set_nonblocking(false).expect("a socket");
        let is_whole = self.buffer.len() >= 9 && self.buffer.len() >= 9 + self.length();
        is_whole.then(|| self.next()).flatten()
    }

    fn length(&self) -> usize {
        u32::from_be_bytes([0, self.buffer[0], self.buffer[1], self.buffer[2]]) as usize
    }

    /// Reads up to a frame for which `wanted` holds.
    pub(crate) fn until(&mut self, what: &str, mut wanted: impl FnMut(&Frame) -> bool) -> Frame {
        let begun = Instant::now();
        while let Some(frame) = self.next() {
            if wanted(&frame) {
                return frame;
            }
            assert!(begun.elapsed() < DEADLINE, "waited in vain for {what}");
        }
        panic!("the connection ended before {what}");
    }

    /// Reads to the end of the connection; the error code of the last `GOAWAY`, if one came.
    pub(crate) fn last_word(&mut self) -> Option<u32> {
        let mut code = None;
        let begun = Instant::now();
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
            assert!(begun.elapsed() < DEADLINE, "the connection lives on");
        }
        code
    }
}
