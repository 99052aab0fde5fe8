//! The signals that a node acts on.
//!
//! They are blocked in all threads and read from a descriptor. So one that comes while the process
//! replaces its own program is not lost, and does not kill it: it waits for the next program.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{self, SignalKind};

use crate::backoff;

/// The meaning of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGTERM or SIGINT: drain and end; again: end at once.
    End,
    /// SIGHUP: read the keys again.
    Reload,
    /// SIGUSR2: let the next version of the program take over.
    Upgrade,
}

/// The signals, as they arrive.
pub(super) struct Signals {
    descriptor: AsyncFd<OwnedFd>,
    /// The log has reached the largest size that a file may have (`ulimit -f`). Without a handler
    /// the signal would kill the process; with one, the write fails, and the line is dropped.
    _file_size: unix::Signal,
}

fn all() -> SigSet {
    [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR2,
    ]
    .into_iter()
    .collect()
}

/// Blocks the signals in this thread and in all threads that it starts. To be called before the
/// first of them is started.
pub fn block() -> io::Result<()> {
    Ok(all().thread_block()?)
}

impl Signals {
    /// Reads the signals. They must be [blocked](block).
    pub(super) fn listen() -> io::Result<Self> {
        backoff::outlast(Self::try_to_listen)
    }

    fn try_to_listen() -> io::Result<Self> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let descriptor = OwnedFd::from(SignalFd::with_flags(&all(), flags)?);
        Ok(Self {
            // SAFETY: an `OwnedFd` owns its descriptor, which is open as long as it lives; nothing
            // replaces or closes it while the `AsyncFd` owns it.
            descriptor: unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)?,
            _file_size: unix::signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Waits for the next signal. Cancelling loses none.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            // The poller of a running node does not fail.
            let Ok(mut ready) = self.descriptor.readable().await else {
                std::future::pending::<()>().await;
                continue;
            };
            // One `signalfd_siginfo`; the signal's number is in front.
            let mut info = [0; size_of::<libc::signalfd_siginfo>()];
            let number = match rustix::io::read(self.descriptor.get_ref(), &mut info) {
                Ok(_) => info.first_chunk().map(|number| u32::from_ne_bytes(*number)),
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                Err(_) => continue,
            };
            let number = number.and_then(|number| i32::try_from(number).ok());
            match number.map(Signal::try_from) {
                Some(Ok(Signal::SIGTERM | Signal::SIGINT)) => return Told::End,
                Some(Ok(Signal::SIGHUP)) => return Told::Reload,
                Some(Ok(Signal::SIGUSR2)) => return Told::Upgrade,
                _ => {}
            }
        }
    }

    /// Waits for the next signal to end.
    pub(super) async fn end(&mut self) {
        while self.next().await != Told::End {}
    }
}
