//! The yardstick: one `send()`.

use std::io;
use std::os::fd::AsFd;

use rustix::net::{SendFlags, send};

/// Sends all of `bytes`, which must find room.
///
/// Inlined into the loop around it, as the shard does too: a loop with a function's return after
/// each system call is some 7 % slower, and would be the easier one to beat.
#[inline(always)]
pub(crate) fn send_whole(socket: impl AsFd, bytes: &[u8]) -> io::Result<()> {
    let sent = send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    if sent < bytes.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}
