//! A socket: the system calls of a stream over HTTP/1.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use smallvec::SmallVec;

use crate::core::delivery::{Sent, Signal};
use crate::metrics::CloseReason;

use super::Socket;

/// Bytes read and dropped per readiness event of a client that goes on sending. The rest stays in
/// the kernel's receive buffer, which is bounded, until more arrives.
const DISCARD_BYTES_PER_EVENT: usize = 64 * 1024;

/// Parts of one `sendmsg`; the system's bound is 1,024.
const PARTS_PER_SEND: usize = 64;

const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

#[inline(always)]
pub(super) fn send_one(socket: &Socket<'_>, part: &Bytes) -> Sent {
    loop {
        match rustix::net::send(socket, part, SEND_FLAGS) {
            Ok(n) if n == part.len() => return Sent::All,
            Err(Errno::INTR) => {}
            other => return not_all(other, 0),
        }
    }
}

pub(super) fn send_several(socket: &Socket<'_>, parts: &[Bytes]) -> Sent {
    let mut accepted = 0;
    for parts in parts.chunks(PARTS_PER_SEND) {
        let total: usize = parts.iter().map(Bytes::len).sum();
        let slices: SmallVec<[IoSlice<'_>; PARTS_PER_SEND]> =
            parts.iter().map(|part| IoSlice::new(part)).collect();
        let sent = loop {
            let mut control = SendAncillaryBuffer::default();
            let sent = rustix::net::sendmsg(socket, &slices, &mut control, SEND_FLAGS);
            if sent != Err(Errno::INTR) {
                break sent;
            }
        };
        if sent != Ok(total) {
            return not_all(sent, accepted);
        }
        accepted += total;
    }
    Sent::All
}

/// The result of a system call that did not accept everything, after calls that accepted `accepted`
/// bytes.
#[cold]
fn not_all(sent: rustix::io::Result<usize>, accepted: usize) -> Sent {
    match sent {
        // The kernel accepted only a part because its buffer is full, and has noted that we wait
        // for room.
        Ok(n) => Sent::Part(accepted + n),
        Err(Errno::AGAIN) => Sent::Part(accepted),
        Err(error) => Sent::Gone(reason(error)),
    }
}

/// The reason for closing in a signal, if it has one.
pub(super) fn heard(
    socket: &Socket<'_>,
    signal: Signal,
    scratch: &mut [u8],
) -> Option<CloseReason> {
    let over = if signal.failed {
        Some(failure(socket))
    } else if signal.ended {
        Some(CloseReason::Client)
    } else {
        discard_input(socket, scratch)
    };
    if over.is_some() {
        cut(socket);
    }
    over
}

/// Reads and drops bytes that a client sends beyond its request; returns the reason for closing if
/// the client has ended its side.
fn discard_input(socket: impl AsFd, scratch: &mut [u8]) -> Option<CloseReason> {
    let mut left = DISCARD_BYTES_PER_EVENT;
    while left > 0 {
        match rustix::net::recv(&socket, &mut *scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Some(CloseReason::Client),
            Ok((n, _)) => left = left.saturating_sub(n),
            Err(Errno::AGAIN) => return None,
            Err(Errno::INTR) => {}
            Err(error) => return Some(reason(error)),
        }
    }
    None
}

/// Ends the node's side after the stream's regular end was written.
pub(super) fn finish(socket: impl AsFd, scratch: &mut [u8]) {
    // Closing with unread input would reset the connection and may destroy the bytes just written.
    let _ = rustix::net::shutdown(&socket, Shutdown::Write);
    let _ = discard_input(&socket, scratch);
}

/// Writes a whole answer, as far as the socket accepts it at once, and ends our side.
pub(super) fn answer(socket: BorrowedFd<'_>, parts: &[Bytes], scratch: &mut [u8]) {
    // A client that receives only a part of it sees a cut connection.
    let _ = rustix::net::send(socket, &parts.concat(), SEND_FLAGS);
    finish(socket, scratch);
}

/// Makes the coming close reset the connection of a client that ended its side. The client may
/// still read: an orderly close in the middle would look like the regular end of the stream, for
/// certain over HTTP/1.0.
fn cut(socket: &Socket<'_>) {
    // If the system refuses, the connection is gone already.
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// The reason of a socket that reports an error.
fn failure(socket: &Socket<'_>) -> CloseReason {
    match rustix::net::sockopt::socket_error(socket) {
        Ok(Err(error)) => reason(error),
        _ => CloseReason::Client,
    }
}

/// The address of the other side.
pub(super) fn peer(socket: &Socket<'_>) -> Option<IpAddr> {
    let address = rustix::net::getpeername(socket).ok()??;
    let address = SocketAddr::try_from(address).ok()?;
    Some(address.ip().to_canonical())
}

fn reason(error: Errno) -> CloseReason {
    match error {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => CloseReason::Client,
        // No acknowledgement for `write_timeout`: the kernel sees it first if the send buffer has
        // room.
        Errno::TIMEDOUT => CloseReason::WriteTimeout,
        _ => CloseReason::Error,
    }
}
