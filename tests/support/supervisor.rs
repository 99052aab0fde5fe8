//! A supervisor that follows systemd's protocol (`sd_notify(3)`): a socket, and the messages that
//! come.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Instant;

use super::DEADLINE;

/// The socket of a supervisor, in a folder of its own.
pub(crate) struct Supervisor {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

/// A message: lines of the form `NAME=value`.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) text: String,
    pub(crate) at: Instant,
}

impl Message {
    /// The value of a line.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// The same as a number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self
            .value(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {self:?}"))
    }
}

impl Supervisor {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a path");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        Self { socket, folder }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(crate) fn name(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    pub(crate) fn next(&self) -> Message {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a message");
        Message {
            text: String::from_utf8(bytes[..length].to_vec()).expect("text"),
            at: Instant::now(),
        }
    }

    /// The next message with this line.
    pub(crate) fn wait_for(&self, line: &str) -> Message {
        self.wait_for_any(&[line])
    }

    /// The next message with one of these lines.
    pub(crate) fn wait_for_any(&self, lines: &[&str]) -> Message {
        loop {
            let message = self.next();
            if message.text.lines().any(|line| lines.contains(&line)) {
                return message;
            }
        }
    }
}
