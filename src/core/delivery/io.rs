//! The interface of the core to wires.

use std::io;
use std::net::IpAddr;

use bytes::Bytes;

use crate::metrics::CloseReason;

use super::{Key, Signal};

/// The result of a write to a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything was accepted.
    All,
    /// The wire is full after this many bytes, which may be all. A signal reports when it has room.
    Part(usize),
    /// The wire is gone.
    Gone(CloseReason),
}

/// The state of a wire that may have room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It accepts bytes again.
    Free,
    /// Bytes moved, but the wire is still full: bytes that it had accepted before took the room, or
    /// another stream of its connection did. A further signal reports more room.
    Full,
    /// It is gone.
    Gone(CloseReason),
}

/// The kind of a wire, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireKind {
    /// A socket of its own.
    Socket,
    /// A body of a connection that carries others.
    Body,
}

/// A connection that could not be adopted, and the system's reason.
#[derive(Debug)]
pub(crate) struct NotAdopted<T> {
    /// The connection, unchanged.
    pub(crate) incoming: T,
    /// The system's error.
    pub(crate) error: io::Error,
}

/// How streams reach their clients.
///
/// **Contract.** A wire delivers what it accepted, in order, or is gone. After [`Sent::Part`] the
/// core writes nothing until [`Io::writable`] has returned [`Room::Free`], and the implementation
/// owes it a signal for that. A wire that is gone may say so in any call.
pub(crate) trait Io {
    /// A connection on its way to a shard.
    type Incoming;
    /// The wire in a stream's record; 4 bytes in production.
    type Wire;

    /// Adopts a connection and watches it.
    ///
    /// # Errors
    /// [`NotAdopted`] if the system refuses to watch it.
    fn adopt(
        &mut self,
        key: Key,
        incoming: Self::Incoming,
    ) -> Result<Self::Wire, NotAdopted<Self::Incoming>>;
    /// Writes a whole answer to a connection that was not adopted, as far as it is accepted at
    /// once, and closes the connection.
    fn turn_away(&mut self, incoming: Self::Incoming, parts: &[Bytes]);
    /// Writes the parts in order, as much as the wire accepts now.
    fn send(&mut self, key: Key, wire: &Self::Wire, parts: &[Bytes]) -> Sent;
    /// The client has sent bytes, ended its side or failed: returns the reason if the stream is
    /// over.
    fn heard(&mut self, key: Key, wire: &Self::Wire, signal: Signal) -> Option<CloseReason>;
    /// The wire may have room.
    fn writable(&mut self, key: Key, wire: &Self::Wire) -> Room;
    /// Closes the wire; `ended` means that the stream's regular end was accepted.
    fn close(&mut self, key: Key, wire: Self::Wire, ended: bool);
    /// Releases a wire that stays open, in the form in which it arrives at a shard. Pending signals
    /// are not carried along: the core tries to write after the next adoption.
    fn park(&mut self, key: Key, wire: Self::Wire) -> Self::Incoming;
    /// The client's address, while it is known.
    fn peer(&self, key: Key, wire: &Self::Wire) -> Option<IpAddr>;
    /// The kind under which the wire is counted.
    fn kind(wire: &Self::Wire) -> WireKind;
}
