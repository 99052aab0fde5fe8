//! A client that reads bytes without interpreting them.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// Most bytes received by one call. TCP drops them without a copy.
const TAKE_BYTES: usize = 1 << 20;

/// Empties a socket; keeps only the number of bytes.
pub(crate) struct Swallow {
    scratch: Box<[u8]>,
}

impl Swallow {
    pub(crate) fn new() -> Self {
        Self {
            scratch: vec![0; TAKE_BYTES].into(),
        }
    }

    /// Empties `socket` as it is now; returns the number of bytes, and whether its other end is
    /// closed.
    pub(crate) fn all_of(&mut self, socket: impl AsFd) -> io::Result<(usize, bool)> {
        let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
        let mut taken = 0;
        loop {
            match recv(&socket, &mut *self.scratch, flags) {
                Ok((_, 0)) => return Ok((taken, true)),
                Ok((_, bytes)) => taken += bytes,
                Err(Errno::AGAIN) => return Ok((taken, false)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
