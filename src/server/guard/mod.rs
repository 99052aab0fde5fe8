//! What is checked of a connection's bytes before hyper sees them.
//!
//! Over HTTP/1 that is what they say, over HTTP/2 how many frames there are.
//!
//! hyper and the parsers below it let some requests pass that RFC 9112 forbids, and another server
//! in front may read such a request differently: that is how requests are smuggled. A guard follows
//! the bytes of one connection without holding any of them. It must never let a byte pass after one
//! that is wrong, and must come to the same verdict however the bytes are cut.

mod chunks;
mod fault;
mod fields;
mod framing;
pub(crate) mod http1;
pub(crate) mod http2;
mod limits;
mod syntax;

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

pub use self::fault::Fault;
pub(crate) use self::fault::Refusal;
use self::http1::Http1;
use self::http2::Http2;
pub use self::limits::Limits;

/// What watches the bytes of one connection.
pub(crate) enum Guard {
    /// Nothing: the protocol is not known yet, or checks itself.
    None,
    /// RFC 9112.
    Http1(Http1),
    /// RFC 9113; shared with what keeps the connection's time.
    Http2(Arc<Mutex<Http2>>),
}

impl Guard {
    /// Follows `bytes`, which were received next; returns how many of them may pass. If these are
    /// not all, the rest is to be thrown away.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::None => bytes.len(),
            Self::Http1(guard) => guard.receive(bytes),
            Self::Http2(guard) => guard.lock().receive(bytes, Instant::now()),
        }
    }

    /// Follows `bytes`, which were sent next.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if let Self::Http2(guard) = self {
            guard.lock().send(bytes, Instant::now());
        }
    }

    /// What is to be sent before the connection ends because of the refusal, where the protocol has
    /// a word for it that may stand anywhere.
    pub(crate) fn farewell(&self) -> Option<[u8; 17]> {
        match self {
            Self::None | Self::Http1(_) => None,
            Self::Http2(guard) => guard.lock().farewell(),
        }
    }

    /// Why nothing passes any more.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::None => None,
            Self::Http1(guard) => guard.refusal(),
            Self::Http2(guard) => guard.lock().refusal(),
        }
    }
}
