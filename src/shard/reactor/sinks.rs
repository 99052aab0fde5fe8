//! The system calls of a shard: writing to sockets and body queues, watching them, letting them go.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use smallvec::SmallVec;

use crate::metrics::CloseReason;

use super::super::mailbox::Mailbox;
use super::super::sink::{BodyQueue, Sink, Written};
use crate::core::delivery::Key;
use crate::core::delivery::{Io, Room, Sent, Signal};

/// Bytes read and thrown away for one readiness event of a client that goes on sending. What is left stays in the kernel's
/// receive buffer, which is bounded, until more comes.
const DISCARD_BYTES_PER_EVENT: usize = 64 * 1024;

/// Parts of one `sendmsg`; the system's bound is 1,024.
const PARTS_PER_SEND: usize = 64;

/// Sockets and bodies of one shard.
pub(super) struct Sinks {
    registry: Registry,
    mailbox: Mailbox,
    /// Sinks that are no sockets, by slot: few, so that a socket's record need not have room for them.
    bodies: HashMap<u32, Body>,
    scratch: Box<[u8]>,
}

struct Body {
    queue: Arc<BodyQueue>,
    client: Option<IpAddr>,
}

impl Sinks {
    pub(super) fn new(registry: Registry, mailbox: Mailbox) -> Self {
        Self {
            registry,
            mailbox,
            bodies: HashMap::new(),
            scratch: vec![0; 16 * 1024].into(),
        }
    }

    /// Reads and throws away what a client sends beyond its request; returns why the stream is over if the client has ended its side.
    fn discard_input(&mut self, socket: &OwnedFd) -> Option<CloseReason> {
        let mut left = DISCARD_BYTES_PER_EVENT;
        while left > 0 {
            match rustix::net::recv(socket, &mut *self.scratch, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Some(CloseReason::Client),
                Ok((n, _)) => left = left.saturating_sub(n),
                Err(Errno::AGAIN) => return None,
                Err(Errno::INTR) => {}
                Err(error) => return Some(reason(error)),
            }
        }
        None
    }
}

impl Io for Sinks {
    type Incoming = Sink;
    /// `None` = look among the bodies.
    type Sink = Option<OwnedFd>;

    fn adopt(&mut self, key: Key, incoming: Sink) -> io::Result<Option<OwnedFd>> {
        match incoming {
            Sink::Socket(socket) => {
                // Edge-triggered, both ways, once for the stream's whole life: blocking and unblocking cost no further call.
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.registry
                    .register(&mut SourceFd(&socket.as_raw_fd()), token(key), interest)?;
                Ok(Some(socket))
            }
            Sink::Body(queue, client) => {
                let mailbox = self.mailbox.clone();
                queue.on_change(Box::new(move || mailbox.body_changed(key)));
                self.bodies.insert(key.slot, Body { queue, client });
                Ok(None)
            }
        }
    }

    /// Inlined where it is called, up to the system call: see `Core::write_run`.
    #[inline(always)]
    fn send(&mut self, key: Key, sink: &Option<OwnedFd>, parts: &[Bytes]) -> Sent {
        match (sink, parts) {
            (Some(socket), [one]) => send_one(socket, one),
            (Some(socket), parts) => send_several(socket, parts),
            (None, parts) => self
                .bodies
                .get(&key.slot)
                .map_or(Sent::Gone(CloseReason::Client), |body| {
                    send_body(&body.queue, parts)
                }),
        }
    }

    fn heard(&mut self, key: Key, sink: &Option<OwnedFd>, signal: Signal) -> Option<CloseReason> {
        let Some(socket) = sink else {
            let queue = &self.bodies.get(&key.slot)?.queue;
            return queue.is_abandoned().then(|| gone(queue));
        };
        let over = if signal.failed {
            Some(failure(socket))
        } else if signal.ended {
            Some(CloseReason::Client)
        } else {
            self.discard_input(socket)
        };
        if over.is_some() {
            cut(socket);
        }
        over
    }

    fn writable(&mut self, key: Key, sink: &Option<OwnedFd>) -> Room {
        if sink.is_some() {
            return Room::Free;
        }
        let body = self.bodies.get(&key.slot);
        body.map_or(Room::Gone(CloseReason::Client), |body| {
            match body.queue.room() {
                Written::All => Room::Free,
                Written::Blocked => Room::Full,
                Written::Gone => Room::Gone(gone(&body.queue)),
            }
        })
    }

    fn close(&mut self, key: Key, sink: Option<OwnedFd>, ended: bool) {
        let Some(socket) = sink else {
            if let Some(body) = self.bodies.remove(&key.slot) {
                body.queue.finish(ended);
            }
            return;
        };
        if ended {
            // Closing with unread input would reset the connection and may destroy what was just written.
            let _ = rustix::net::shutdown(&socket, Shutdown::Write);
            let _ = self.discard_input(&socket);
        }
        // Closing the last descriptor of a socket takes it out of the poller.
    }

    fn peer(&self, key: Key, sink: &Option<OwnedFd>) -> Option<IpAddr> {
        let Some(socket) = sink else {
            return self.bodies.get(&key.slot)?.client;
        };
        let address = rustix::net::getpeername(socket).ok()??;
        let address = std::net::SocketAddr::try_from(address).ok()?;
        Some(address.ip().to_canonical())
    }

    fn is_body(sink: &Option<OwnedFd>) -> bool {
        sink.is_none()
    }
}

/// Has the coming close reset the connection of a client that ended its side. It may have ended one side only and still read: an orderly close in the middle of
/// what it asked for would look like the end of it, for certain over HTTP/1.0.
fn cut(socket: &OwnedFd) {
    // Where the system refuses, the connection is gone already.
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Why a socket that reports an error is gone.
fn failure(socket: &OwnedFd) -> CloseReason {
    match rustix::net::sockopt::socket_error(socket) {
        Ok(Err(error)) => reason(error),
        _ => CloseReason::Client,
    }
}

const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

#[inline(always)]
fn send_one(socket: &OwnedFd, part: &Bytes) -> Sent {
    loop {
        match rustix::net::send(socket, part, SEND_FLAGS) {
            Ok(n) if n == part.len() => return Sent::All,
            Err(Errno::INTR) => {}
            other => return not_all(other, 0),
        }
    }
}

fn send_several(socket: &OwnedFd, parts: &[Bytes]) -> Sent {
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

/// What it means that a system call did not take everything, after calls that took so many bytes.
#[cold]
fn not_all(sent: rustix::io::Result<usize>, accepted: usize) -> Sent {
    match sent {
        // The kernel took less than it was given because its buffer is full, and has noted that we wait for room.
        Ok(n) => Sent::Part(accepted + n),
        Err(Errno::AGAIN) => Sent::Part(accepted),
        Err(error) => Sent::Gone(reason(error)),
    }
}

fn send_body(queue: &BodyQueue, parts: &[Bytes]) -> Sent {
    let mut accepted = 0;
    for part in parts {
        match queue.write(part.clone()) {
            Written::All => accepted += part.len(),
            Written::Blocked => return Sent::Part(accepted),
            Written::Gone => return Sent::Gone(gone(queue)),
        }
    }
    Sent::All
}

/// Why a body was dropped.
fn gone(queue: &BodyQueue) -> CloseReason {
    if queue.is_given_up() {
        CloseReason::WriteTimeout
    } else {
        CloseReason::Client
    }
}

fn reason(error: Errno) -> CloseReason {
    match error {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => CloseReason::Client,
        // Nothing that was sent was acknowledged for `write_timeout`: the kernel sees it first where the send buffer has room.
        Errno::TIMEDOUT => CloseReason::WriteTimeout,
        _ => CloseReason::Error,
    }
}

/// A stream's key as the poller's token.
fn token(key: Key) -> Token {
    Token((u64::from(key.serial) << 32 | u64::from(key.slot)) as usize)
}

/// The key that a token stands for.
pub(super) fn key(Token(token): Token) -> Key {
    Key {
        slot: token as u32,
        serial: (token as u64 >> 32) as u32,
    }
}

const _: () = assert!(usize::BITS >= 64, "a token holds a slot and a serial");
