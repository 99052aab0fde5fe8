//! Connections that accept as much as the schedule allows: sockets, connections that keep a part of
//! what they accepted, and connections that carry several streams.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use crate::core::delivery::{Io, Key, NotAdopted, Room, Sent, Signal, WireKind};
use crate::metrics::CloseReason;

/// The client is gone.
pub(super) const HUNG_UP: Signal = Signal {
    readable: true,
    writable: false,
    ended: true,
    failed: false,
};

/// The client has read.
const WRITABLE: Signal = Signal {
    readable: false,
    writable: true,
    ended: false,
    failed: false,
};

/// One client's connection to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// A socket of its own.
    Plain,
    /// A socket behind a layer that keeps up to this many unsent bytes, as TLS does.
    Sealed(usize),
    /// One of the streams of a connection, as with HTTP/2.
    Carried(usize),
}

/// The network between the core and one stream's client.
pub(super) struct Wire {
    pub(super) key: Option<Key>,
    /// The shard that has it.
    pub(super) shard: usize,
    pub(super) connection: usize,
    keep_max: usize,
    /// Accepted, and not sent yet.
    kept: Vec<u8>,
    /// The core was told that it is full.
    full: bool,
    pub(super) arrived: Vec<u8>,
    /// The client has gone away.
    hung_up: bool,
    pub(super) closed: bool,
    pub(super) ended: bool,
}

/// The state shared by the wires of one connection.
struct Connection {
    /// Bytes that it accepts before it is full.
    room: usize,
    /// The next write finds it reset.
    broken: bool,
}

/// All wires by number.
#[derive(Default)]
pub(super) struct Network {
    pub(super) wires: BTreeMap<usize, Wire>,
    connections: Vec<Connection>,
    /// Every adoption is refused.
    pub(super) watches_nothing: bool,
    /// Signals of adopted wires, by wire: what a poller reports of a new socket.
    pub(super) reported: Vec<(usize, Signal)>,
    pub(super) cut_frames: usize,
    /// Bytes that were accepted and kept.
    pub(super) kept: usize,
}

impl Network {
    /// Adds a wire. A carried one shares the room of its connection.
    pub(super) fn open(&mut self, wire: usize, shard: usize, transport: Transport, room: usize) {
        let connection = match transport {
            Transport::Carried(connection) => connection,
            Transport::Plain | Transport::Sealed(_) => {
                let broken = false;
                self.connections.push(Connection { room, broken });
                self.connections.len() - 1
            }
        };
        let keep_max = match transport {
            Transport::Sealed(keep_max) => keep_max,
            Transport::Plain | Transport::Carried(_) => 0,
        };
        let wire = self.wires.insert(
            wire,
            Wire {
                key: None,
                shard,
                connection,
                keep_max,
                kept: Vec::new(),
                full: false,
                arrived: Vec::new(),
                hung_up: false,
                closed: false,
                ended: false,
            },
        );
        assert!(wire.is_none(), "a wire's number is its own");
    }

    /// The process ends, with all its connections.
    pub(super) fn end(&mut self) {
        self.wires.clear();
        self.connections.clear();
        self.reported.clear();
    }

    /// Makes the next write to a wire's connection fail with a reset.
    pub(super) fn break_off(&mut self, wire: usize) {
        let connection = self.wires[&wire].connection;
        self.connections[connection].broken = true;
    }

    /// Whether the wire's connection was reset.
    pub(super) fn is_broken(&self, wire: usize) -> bool {
        self.connections[self.wires[&wire].connection].broken
    }

    /// Whether a wire accepts all bytes, and keeps none.
    pub(super) fn accepts_everything(&self, wire: usize) -> bool {
        let wire = &self.wires[&wire];
        let connection = &self.connections[wire.connection];
        let is_free = !wire.full && wire.kept.is_empty() && !connection.broken;
        is_free && connection.room > usize::MAX / 2
    }

    /// Sets the room of a wire's connection; returns the signals that follow, by wire.
    pub(super) fn set_room(&mut self, wire: usize, room: usize) -> Vec<(usize, Signal)> {
        let number = self.wires[&wire].connection;
        let connection = &mut self.connections[number];
        connection.room = room;
        let mut signals = Vec::new();
        for (wire, it) in &mut self.wires {
            if it.connection != number || it.closed {
                continue;
            }
            let sent = it.kept.len().min(connection.room);
            it.arrived.extend(it.kept.drain(..sent));
            connection.room = connection.room.saturating_sub(sent);
            if it.full && (sent > 0 || connection.room > 0) {
                signals.push((*wire, WRITABLE));
            }
        }
        signals
    }

    /// The client goes away; returns the signal that follows.
    pub(super) fn hang_up(&mut self, wire: usize) -> (usize, Signal) {
        self.wires.get_mut(&wire).expect("a wire").hung_up = true;
        (wire, HUNG_UP)
    }

    /// The client resets a wire's connection: all its streams are gone. Returns the signals that
    /// follow, by wire.
    pub(super) fn reset(&mut self, wire: usize) -> Vec<(usize, Signal)> {
        self.break_off(wire);
        let connection = self.wires[&wire].connection;
        let wires = self.wires.iter();
        let gone = wires.filter(|(_, it)| it.connection == connection && !it.closed);
        gone.map(|(wire, _)| (*wire, HUNG_UP)).collect()
    }

    fn wire(&mut self, key: Key, wire: usize) -> (&mut Wire, &mut Connection) {
        let wire = self.wires.get_mut(&wire).expect("a wire");
        assert_eq!(wire.key, Some(key));
        assert!(!wire.closed, "a wire that was closed");
        let connection = &mut self.connections[wire.connection];
        (wire, connection)
    }
}

impl Io for Network {
    type Incoming = usize;
    type Wire = usize;

    fn adopt(&mut self, key: Key, wire: usize) -> Result<usize, NotAdopted<usize>> {
        if self.is_broken(wire) || self.watches_nothing {
            return Err(NotAdopted {
                incoming: wire,
                error: io::ErrorKind::NotConnected.into(),
            });
        }
        let it = self.wires.get_mut(&wire).expect("a wire");
        assert!(it.key.is_none() && !it.closed, "a wire is adopted once");
        it.key = Some(key);
        it.full = false;
        if it.hung_up {
            self.reported.push((wire, HUNG_UP));
        }
        Ok(wire)
    }

    fn turn_away(&mut self, wire: usize, parts: &[Bytes]) {
        let broken = self.is_broken(wire);
        let it = self.wires.get_mut(&wire).expect("a wire");
        assert!(it.key.is_none(), "a wire that was adopted");
        if !broken {
            it.arrived.extend_from_slice(&parts.concat());
            it.ended = true;
        }
        it.closed = true;
    }

    fn send(&mut self, key: Key, wire: &usize, parts: &[Bytes]) -> Sent {
        let (wire, connection) = self.wire(key, *wire);
        assert!(!wire.full, "written to while full");
        assert!(parts.iter().all(|part| !part.is_empty()), "an empty part");
        if connection.broken {
            return Sent::Gone(CloseReason::Client);
        }
        let bytes = parts.concat();
        let sent = if wire.kept.is_empty() {
            bytes.len().min(connection.room)
        } else {
            0
        };
        wire.arrived.extend_from_slice(&bytes[..sent]);
        connection.room -= sent;
        if sent == bytes.len() {
            return Sent::All;
        }
        let kept = (bytes.len() - sent).min(wire.keep_max - wire.kept.len());
        wire.kept.extend_from_slice(&bytes[sent..sent + kept]);
        wire.full = true;
        self.cut_frames += 1;
        self.kept += kept;
        Sent::Part(sent + kept)
    }

    fn heard(&mut self, key: Key, wire: &usize, signal: Signal) -> Option<CloseReason> {
        self.wire(key, *wire);
        (signal.ended || signal.failed).then_some(CloseReason::Client)
    }

    fn writable(&mut self, key: Key, wire: &usize) -> Room {
        let (wire, connection) = self.wire(key, *wire);
        if connection.broken {
            return Room::Gone(CloseReason::Client);
        }
        wire.full &= connection.room == 0 || !wire.kept.is_empty();
        if wire.full { Room::Full } else { Room::Free }
    }

    fn close(&mut self, key: Key, wire: usize, ended: bool) {
        let (wire, connection) = self.wire(key, wire);
        wire.closed = true;
        wire.ended = ended;
        // After the regular end, kept bytes are sent before the connection is closed. Otherwise the
        // client sees a cut connection.
        if ended && !connection.broken {
            wire.arrived.append(&mut wire.kept);
        }
    }

    fn park(&mut self, key: Key, wire: usize) -> usize {
        let (it, _) = self.wire(key, wire);
        it.key = None;
        wire
    }

    fn peer(&self, _: Key, _: &usize) -> Option<std::net::IpAddr> {
        None
    }

    fn kind(wire: &usize) -> WireKind {
        if wire.is_multiple_of(2) {
            WireKind::Body
        } else {
            WireKind::Socket
        }
    }
}
