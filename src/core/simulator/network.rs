//! Sinks that accept as much as they are told to.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use crate::core::delivery::Key;
use crate::core::delivery::{Io, Room, Sent, Signal};
use crate::metrics::CloseReason;

/// The network between the core and one client.
pub(super) struct Wire {
    pub(super) key: Option<Key>,
    /// Bytes that it accepts before it is full.
    pub(super) room: usize,
    pub(super) full: bool,
    /// The next write finds the connection reset.
    pub(super) broken: bool,
    pub(super) arrived: Vec<u8>,
    pub(super) closed: bool,
    pub(super) ended: bool,
}

impl Wire {
    pub(super) fn new(room: usize, broken: bool) -> Self {
        Self {
            key: None,
            room,
            full: false,
            broken,
            arrived: Vec::new(),
            closed: false,
            ended: false,
        }
    }
}

/// All wires by number.
#[derive(Default)]
pub(super) struct Network {
    pub(super) wires: BTreeMap<usize, Wire>,
    pub(super) cut_frames: usize,
}

/// The client is gone.
pub(super) const HUNG_UP: Signal = Signal {
    readable: true,
    writable: false,
    ended: true,
    failed: false,
};

/// The client has read.
pub(super) const WRITABLE: Signal = Signal {
    readable: false,
    writable: true,
    ended: false,
    failed: false,
};

impl Network {
    /// Gives a wire so much room; returns the signal that follows from it.
    pub(super) fn set_room(&mut self, wire: usize, room: usize) -> Option<(Key, Signal)> {
        let wire = self.wires.get_mut(&wire).expect("a wire");
        wire.room = room;
        let key = wire.key.filter(|_| wire.full && room > 0)?;
        Some((key, WRITABLE))
    }
}

impl Io for Network {
    type Incoming = usize;
    type Sink = usize;

    fn adopt(&mut self, key: Key, wire: usize) -> io::Result<usize> {
        let found = self.wires.get_mut(&wire).expect("a wire");
        if found.broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        found.key = Some(key);
        Ok(wire)
    }

    fn send(&mut self, key: Key, wire: &usize, parts: &[Bytes]) -> Sent {
        let wire = self.wires.get_mut(wire).expect("a wire");
        assert_eq!(wire.key, Some(key));
        assert!(
            !wire.closed && !wire.full,
            "written to while closed or full"
        );
        assert!(parts.iter().all(|part| !part.is_empty()), "an empty part");
        if wire.broken {
            return Sent::Gone(CloseReason::Client);
        }
        let bytes = parts.concat();
        let accepted = bytes.len().min(wire.room);
        wire.arrived.extend_from_slice(&bytes[..accepted]);
        wire.room -= accepted;
        if accepted == bytes.len() {
            return Sent::All;
        }
        wire.full = true;
        self.cut_frames += 1;
        Sent::Part(accepted)
    }

    fn heard(&mut self, key: Key, wire: &usize, signal: Signal) -> Option<CloseReason> {
        assert_eq!(self.wires[wire].key, Some(key));
        (signal.ended || signal.failed).then_some(CloseReason::Client)
    }

    fn writable(&mut self, key: Key, wire: &usize) -> Room {
        let wire = self.wires.get_mut(wire).expect("a wire");
        assert_eq!(wire.key, Some(key));
        wire.full &= wire.room == 0;
        if wire.full { Room::Full } else { Room::Free }
    }

    fn close(&mut self, _: Key, wire: usize, ended: bool) {
        let wire = self.wires.get_mut(&wire).expect("a wire");
        wire.closed = true;
        wire.ended = ended;
    }

    fn peer(&self, _: Key, _: &usize) -> Option<std::net::IpAddr> {
        None
    }

    fn is_body(wire: &usize) -> bool {
        wire.is_multiple_of(2)
    }
}
