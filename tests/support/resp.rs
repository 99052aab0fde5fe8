//! The Redis protocol by hand, for one-liners; whole clients are tested with the real ones.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::DEADLINE;

/// A connection to the ingest port.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub(crate) fn open(to: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&to, DEADLINE).expect("the node accepts");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        Self {
            reader: BufReader::new(socket),
        }
    }

    /// Sends a command without waiting for its reply.
    pub(crate) fn send(&mut self, words: &[&str]) {
        let socket = self.reader.get_mut();
        socket.write_all(&command(words)).expect("the node reads");
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.reader
            .get_mut()
            .write_all(bytes)
            .expect("the node reads");
    }

    /// The next reply line: simple strings, errors and integers with their first byte.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a reply");
        assert!(line.ends_with("\r\n"), "no whole reply: {line:?}");
        line.truncate(line.len() - 2);
        line
    }

    /// `PUBLISH`; the number of streams the event was handed to.
    pub(crate) fn publish(&mut self, topic: &str, data: &str) -> i64 {
        self.send(&["PUBLISH", topic, data]);
        let line = self.line();
        let count = line
            .strip_prefix(':')
            .and_then(|digits| digits.parse().ok());
        count.unwrap_or_else(|| panic!("PUBLISH was answered {line:?}"))
    }
}

/// `PUBLISH` on a connection of its own.
pub(crate) fn publish(to: SocketAddr, topic: &str, data: &str) -> i64 {
    Client::open(to).publish(topic, data)
}

/// A command as clients send it: an array of bulk strings.
pub(crate) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}
