//! The signals that end a node, and the one that makes it read its keys again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, as they arrive.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The log has reached the largest size that a file may have (`ulimit -f`). Without a handler
    /// the signal would kill the process; with one, the write fails, and the line is dropped.
    _file_size: Signal,
}

impl Signals {
    /// From here on these signals no longer kill the process.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, as it arrives.
pub(super) struct Hangups {
    hangup: Signal,
}

impl Hangups {
    /// From here on the signal no longer kills the process.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next SIGHUP.
    pub(super) async fn next(&mut self) {
        // The stream of a signal has no end.
        let _ = self.hangup.recv().await;
    }
}
