//! All wires of one shard: how the core reaches them, and what a socket's record has no room for.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use bytes::Bytes;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::core::delivery::{Io, Key, Room, Sent, Signal, WireKind};
use crate::core::table::Arena;
use crate::metrics::CloseReason;

use super::super::mailbox::Mailbox;
use super::{BodyQueue, Incoming, Kind, Parts, Wire, Written, plain};

/// Bytes that are read at once of what is thrown away.
const SCRATCH_BYTES: usize = 16 * 1024;

/// The wires of one shard.
pub(in crate::shard) struct Wires {
    registry: Registry,
    mailbox: Mailbox,
    bodies: Arena<Body>,
    scratch: Box<[u8]>,
}

struct Body {
    queue: Arc<BodyQueue>,
    client: Option<IpAddr>,
}

impl Wires {
    pub(in crate::shard) fn new(registry: Registry, mailbox: Mailbox) -> Self {
        Self {
            registry,
            mailbox,
            bodies: Arena::default(),
            scratch: vec![0; SCRATCH_BYTES].into(),
        }
    }
}

impl Io for Wires {
    type Incoming = Incoming;
    type Wire = Wire;

    fn adopt(&mut self, key: Key, incoming: Incoming) -> io::Result<Wire> {
        match incoming {
            Incoming::Socket(socket) => {
                // Edge-triggered, both ways, once for the stream's whole life: blocking and unblocking cost no further call.
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.registry
                    .register(&mut SourceFd(&socket.as_raw_fd()), token(key), interest)?;
                Wire::plain(socket)
            }
            Incoming::Body(queue, client) => {
                let wire = Wire::body(self.bodies.next_slot())?;
                let mailbox = self.mailbox.clone();
                queue.on_change(Box::new(move || mailbox.body_changed(key)));
                self.bodies.insert(Body { queue, client });
                Ok(wire)
            }
        }
    }

    /// Inlined where it is called, up to the system call: see `Core::write_run`.
    #[inline(always)]
    fn send(&mut self, _: Key, wire: &Wire, parts: &[Bytes]) -> Sent {
        match (wire.kind(), parts) {
            (Kind::Plain(socket), [one]) => plain::send_one(&socket, one),
            (Kind::Plain(socket), parts) => plain::send_several(&socket, parts),
            (Kind::Body(slot), parts) => self
                .bodies
                .get(slot)
                .map_or(Sent::Gone(CloseReason::Client), |body| {
                    send_body(&body.queue, parts)
                }),
        }
    }

    fn heard(&mut self, _: Key, wire: &Wire, signal: Signal) -> Option<CloseReason> {
        match wire.kind() {
            Kind::Plain(socket) => plain::heard(&socket, signal, &mut self.scratch),
            Kind::Body(slot) => {
                let queue = &self.bodies.get(slot)?.queue;
                queue.is_abandoned().then(|| gone(queue))
            }
        }
    }

    fn writable(&mut self, _: Key, wire: &Wire) -> Room {
        let slot = match wire.kind() {
            Kind::Plain(_) => return Room::Free,
            Kind::Body(slot) => slot,
        };
        let body = self.bodies.get(slot);
        body.map_or(Room::Gone(CloseReason::Client), |body| {
            match body.queue.room() {
                Written::All => Room::Free,
                Written::Blocked => Room::Full,
                Written::Gone => Room::Gone(gone(&body.queue)),
            }
        })
    }

    fn close(&mut self, _: Key, wire: Wire, ended: bool) {
        match wire.into_parts() {
            // Closing the last descriptor of a socket takes it out of the poller.
            Parts::Plain(socket) if ended => plain::finish(socket.as_fd(), &mut self.scratch),
            Parts::Plain(_) => {}
            Parts::Body(slot) => {
                if let Some(body) = self.bodies.remove(slot) {
                    body.queue.finish(ended);
                }
            }
        }
    }

    fn peer(&self, _: Key, wire: &Wire) -> Option<IpAddr> {
        match wire.kind() {
            Kind::Plain(socket) => plain::peer(&socket),
            Kind::Body(slot) => self.bodies.get(slot)?.client,
        }
    }

    fn kind(wire: &Wire) -> WireKind {
        match wire.kind() {
            Kind::Plain(_) => WireKind::Socket,
            Kind::Body(_) => WireKind::Body,
        }
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

/// A stream's key as the poller's token.
fn token(key: Key) -> Token {
    Token((u64::from(key.serial) << 32 | u64::from(key.slot)) as usize)
}

/// The key that a token stands for.
pub(in crate::shard) fn key(Token(token): Token) -> Key {
    Key {
        slot: token as u32,
        serial: (token as u64 >> 32) as u32,
    }
}

const _: () = assert!(usize::BITS >= 64, "a token holds a slot and a serial");
