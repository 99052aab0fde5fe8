//! A listener at rest: its socket, and connections that were taken out of hyper.
//!
//! A connection is carried as a descriptor and the bytes that were read from it and belong to no
//! finished request. Another listener, of this process or of the next one, serves it as if it had
//! accepted it then. What hyper keeps of a request in hand must never be carried: only a
//! connection between two requests, or within a head, is.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;

use super::connections::Place;

/// All that a frozen listener consists of, and all that a listener starts from.
pub struct Listening {
    /// The listening socket.
    pub socket: TcpListener,
    /// Accepted connections that wait for their next request.
    pub connections: Vec<Carried>,
    /// Connections that could not be put aside in time. They end with the listener, unless it
    /// thaws.
    pub left: usize,
}

impl From<TcpListener> for Listening {
    fn from(socket: TcpListener) -> Self {
        Self {
            socket,
            connections: Vec::new(),
            left: 0,
        }
    }
}

/// A connection that waits for its next request.
pub struct Carried {
    /// The connected socket.
    pub socket: OwnedFd,
    /// Bytes that were read from it: the start of a request, or nothing.
    pub unread: Bytes,
    /// A request was answered on it, so its protocol is HTTP/1.
    pub asked: bool,
    /// Time that it has waited for the rest of a head, or for the next request.
    pub waited: Duration,
    /// Its place in the listener that it was taken from.
    pub(super) place: Option<Place>,
}

impl Carried {
    /// A connection that comes from elsewhere.
    #[must_use]
    pub fn new(socket: OwnedFd, unread: impl Into<Bytes>, asked: bool, waited: Duration) -> Self {
        Self {
            socket,
            unread: unread.into(),
            asked,
            waited,
            place: None,
        }
    }

    /// A freeze need not wait for it.
    pub(super) fn settle(&mut self) {
        if let Some(place) = &mut self.place {
            place.settle();
        }
    }

    /// The same with its place.
    pub(super) fn with_place(self, place: Place) -> Self {
        Self {
            place: Some(place),
            ..self
        }
    }
}
