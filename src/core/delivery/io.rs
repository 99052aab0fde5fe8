//! The outside of the core, as far as bytes go.

use std::io;
use std::net::IpAddr;

use bytes::Bytes;

use crate::metrics::CloseReason;

use super::{Key, Signal};

/// How a write to a wire ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything was accepted.
    All,
    /// The wire is full after so many bytes, which may be all. A signal tells when it has room.
    Part(usize),
    /// The wire is gone.
    Gone(CloseReason),
}

/// What a wire that reports room has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It accepts bytes again.
    Free,
    /// Something moved, and a stream that was blocked still is: what its wire had accepted before took the room, or another stream of its
    /// connection. A further signal tells of more room.
    Full,
    /// It is gone.
    Gone(CloseReason),
}

/// What an operator tells wires apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireKind {
    /// A socket of its own.
    Socket,
    /// A body of a connection that has others.
    Body,
}

/// A connection that could not be taken over, and the system's reason.
#[derive(Debug)]
pub(crate) struct NotAdopted<T> {
    /// The connection, unchanged.
    pub(crate) incoming: T,
    /// What the system says.
    pub(crate) error: io::Error,
}

/// How streams reach their clients.
///
/// **Contract.** A wire delivers what it accepted, in order, or is gone. After [`Sent::Part`] the core writes nothing until
/// [`Io::writable`] has returned [`Room::Free`], and the implementation owes it a signal for that. A wire that is gone may say so in any call.
pub(crate) trait Io {
    /// What arrives with a stream.
    type Incoming;
    /// What is kept in a stream's record; 4 bytes in production.
    type Wire;

    /// Takes a wire over and watches it.
    ///
    /// # Errors
    /// [`NotAdopted`] if the system refuses to watch it.
    fn adopt(
        &mut self,
        key: Key,
        incoming: Self::Incoming,
    ) -> Result<Self::Wire, NotAdopted<Self::Incoming>>;
    /// Writes a whole answer to a connection that was not adopted, as far as it is accepted at
    /// once, and lets the connection go.
    fn turn_away(&mut self, incoming: Self::Incoming, parts: &[Bytes]);
    /// Writes the parts in order, as much as the wire accepts now.
    fn send(&mut self, key: Key, wire: &Self::Wire, parts: &[Bytes]) -> Sent;
    /// The client has said something, ended its side or failed: returns why the stream is over, if it is.
    fn heard(&mut self, key: Key, wire: &Self::Wire, signal: Signal) -> Option<CloseReason>;
    /// The wire may have room.
    fn writable(&mut self, key: Key, wire: &Self::Wire) -> Room;
    /// Lets the wire go; `ended` says that the stream's proper end was accepted.
    fn close(&mut self, key: Key, wire: Self::Wire, ended: bool);
    /// Lets go of a wire that stays open, in the form in which it arrives at a shard. What it is owed of signals is not carried along: where
    /// it is adopted again, the core tries to write.
    fn park(&mut self, key: Key, wire: Self::Wire) -> Self::Incoming;
    /// The client's address, while it is known.
    fn peer(&self, key: Key, wire: &Self::Wire) -> Option<IpAddr>;
    /// What the wire is counted as.
    fn kind(wire: &Self::Wire) -> WireKind;
}
