//! All wires of one shard: the core's access to them, and the data that a socket's record has no
//! room for.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use bytes::Bytes;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::core::delivery::{Counters, Io, Key, NotAdopted, Room, Sent, Signal, WireKind};
use crate::core::table::Arena;
use crate::metrics::CloseReason;

use super::super::mailbox::Mailbox;
use super::{BodyQueue, Incoming, Kind, Parts, Wire, Written, plain};

/// Bytes that are read at once and dropped.
const SCRATCH_BYTES: usize = 16 * 1024;

/// The wires of one shard.
pub(in crate::shard) struct Wires {
    registry: Registry,
    mailbox: Mailbox,
    counters: Counters,
    bodies: Arena<Body>,
    scratch: Box<[u8]>,
}

#[derive(Default)]
struct Body {
    queue: Arc<BodyQueue>,
    client: Option<IpAddr>,
}

impl Wires {
    pub(in crate::shard) fn new(registry: Registry, mailbox: Mailbox, counters: Counters) -> Self {
        Self {
            registry,
            mailbox,
            counters,
            bodies: Arena::default(),
            scratch: vec![0; SCRATCH_BYTES].into(),
        }
    }
}

impl Io for Wires {
    type Incoming = Incoming;
    type Wire = Wire;

    fn adopt(&mut self, key: Key, incoming: Incoming) -> Result<Wire, NotAdopted<Incoming>> {
        match incoming {
            Incoming::Socket(socket) => {
                // Edge-triggered, both ways, once for the stream's whole life: blocking and
                // unblocking cost no further call.
                let interest = Interest::READABLE | Interest::WRITABLE;
                let mut source = SourceFd(&socket.as_raw_fd());
                match self.registry.register(&mut source, token(key), interest) {
                    Ok(()) => Wire::plain(socket).map_err(|(socket, error)| NotAdopted {
                        incoming: Incoming::Socket(socket),
                        error,
                    }),
                    Err(error) => Err(NotAdopted {
                        incoming: Incoming::Socket(socket),
                        error,
                    }),
                }
            }
            Incoming::Body(queue, client) => {
                let wire = match Wire::body(self.bodies.next_slot()) {
                    Ok(wire) => wire,
                    Err(error) => {
                        let incoming = Incoming::Body(queue, client);
                        return Err(NotAdopted { incoming, error });
                    }
                };
                let mailbox = self.mailbox.clone();
                queue.on_change(Box::new(move || mailbox.body_changed(key)));
                self.bodies.insert(Body { queue, client });
                Ok(wire)
            }
        }
    }

    fn turn_away(&mut self, incoming: Incoming, parts: &[Bytes]) {
        match incoming {
            Incoming::Socket(socket) => plain::answer(socket.as_fd(), parts, &mut self.scratch),
            Incoming::Body(queue, _) => {
                let sent = send_body(&queue, parts);
                queue.finish(sent == Sent::All);
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
                    if ended {
                        body.queue.count_unsent(&self.counters);
                    }
                    body.queue.finish(ended);
                }
            }
        }
    }

    fn park(&mut self, _: Key, wire: Wire) -> Incoming {
        match wire.into_parts() {
            Parts::Plain(socket) => {
                // If it fails, the poller reports events that no stream listens to.
                let _ = self.registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
                Incoming::Socket(socket)
            }
            Parts::Body(slot) => {
                // A slot is freed together with its wire, so there is a body.
                let body = self.bodies.remove(slot).unwrap_or_default();
                body.queue.forget_signal();
                Incoming::Body(body.queue, body.client)
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

/// The reason of a dropped body.
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

/// The key of a token.
pub(in crate::shard) fn key(Token(token): Token) -> Key {
    Key {
        slot: token as u32,
        serial: (token as u64 >> 32) as u32,
    }
}

const _: () = assert!(usize::BITS >= 64, "a token holds a slot and a serial");

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use mio::{Poll, Waker};

    use super::*;
    use crate::shard::mailbox::mailbox;

    #[test]
    fn a_socket_that_the_poller_refuses_was_closed_without_an_answer() {
        let poll = Poll::new().expect("a poller");
        let waker = Waker::new(poll.registry(), Token(usize::MAX)).expect("a waker");
        let (mailbox, _inbox) = mailbox(1, 1, crate::core::budget::Budget::new(1), waker);
        let registry = poll.registry().try_clone().expect("a registry");
        let mut wires = Wires::new(registry, mailbox, Counters::default());
        let (socket, mut client) = UnixStream::pair().expect("a pair");
        // A source that is registered already is refused.
        let mut source = SourceFd(&socket.as_raw_fd());
        poll.registry()
            .register(&mut source, Token(1), Interest::READABLE)
            .expect("a place");
        let key = Key { slot: 0, serial: 1 };
        let refused = wires.adopt(key, Incoming::Socket(socket.into()));
        let refused = refused.expect_err("it is watched already");
        assert_eq!(refused.error.kind(), std::io::ErrorKind::AlreadyExists);
        let parts = [Bytes::from_static(b"head "), Bytes::from_static(b"end")];
        wires.turn_away(refused.incoming, &parts);
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("no reset");
        assert_eq!(answer, "head end");
    }
}
