//! The outside of the core, as far as bytes go.

use std::io;
use std::net::IpAddr;

use bytes::Bytes;

use crate::metrics::CloseReason;

use super::{Key, Signal};

/// How a write to a sink ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything was accepted.
    All,
    /// The sink is full after so many bytes, which may be all. A signal tells when it has room.
    Part(usize),
    /// The sink is gone.
    Gone(CloseReason),
}

/// What a sink that reports room has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It accepts bytes again.
    Free,
    /// Something moved, and a stream that was blocked still is: what its sink had accepted before took the room, or another stream of its
    /// connection. A further signal tells of more room.
    Full,
    /// It is gone.
    Gone(CloseReason),
}

/// How streams reach their clients.
///
/// **Contract.** A sink delivers what it accepted, in order, or is gone. After [`Sent::Part`] the core writes nothing until
/// [`Io::writable`] has returned [`Room::Free`], and the implementation owes it a signal for that. A sink that is gone may say so in any call.
pub(crate) trait Io {
    /// What arrives with a stream.
    type Incoming;
    /// What is kept in a stream's record; 4 bytes in production.
    type Sink;

    /// Takes a sink over and watches it.
    fn adopt(&mut self, key: Key, incoming: Self::Incoming) -> io::Result<Self::Sink>;
    /// Writes the parts in order, as much as the sink accepts now.
    fn send(&mut self, key: Key, sink: &Self::Sink, parts: &[Bytes]) -> Sent;
    /// The client has said something, ended its side or failed: returns why the stream is over, if it is.
    fn heard(&mut self, key: Key, sink: &Self::Sink, signal: Signal) -> Option<CloseReason>;
    /// The sink may have room.
    fn writable(&mut self, key: Key, sink: &Self::Sink) -> Room;
    /// Lets the sink go; `ended` says that the stream's proper end was accepted.
    fn close(&mut self, key: Key, sink: Self::Sink, ended: bool);
    /// The client's address, while it is known.
    fn peer(&self, key: Key, sink: &Self::Sink) -> Option<IpAddr>;
    /// Whether the sink counts as a body sink.
    fn is_body(sink: &Self::Sink) -> bool;
}
