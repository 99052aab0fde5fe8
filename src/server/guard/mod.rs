//! Checks on a connection's bytes before hyper reads them.
//!
//! Over HTTP/1 their content is checked, over HTTP/2 the number of frames.
//!
//! hyper and the parsers below it let some requests pass that RFC 9112 forbids. Another server in
//! front may read such a request differently: that is how requests are smuggled. A guard follows
//! the bytes of one connection without holding any of them. It must never let a byte pass after a
//! wrong one, and must reach the same verdict however the bytes are cut.

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

/// The guard of one connection.
pub(crate) enum Guard {
    /// No check: the protocol is not known yet, or checks itself.
    None,
    /// RFC 9112.
    Http1(Http1),
    /// RFC 9113; shared with the clock of the connection.
    Http2(Arc<Mutex<Http2>>),
}

impl Guard {
    /// Follows the received `bytes`; returns how many of them may pass. If fewer pass than were
    /// received, the rest is to be dropped.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::None => bytes.len(),
            Self::Http1(guard) => guard.receive(bytes),
            Self::Http2(guard) => guard.lock().receive(bytes, Instant::now()),
        }
    }

    /// Bytes of the request head, or HTTP/2 header block, that has begun and not ended. hyper holds
    /// them. 0 outside of one.
    pub(crate) fn head_bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Http1(guard) => guard.head_bytes(),
            Self::Http2(guard) => guard.lock().block_bytes(),
        }
    }

    /// Refuses the request head that has begun.
    pub(crate) fn refuse_head(&mut self, fault: Fault) {
        match self {
            Self::None => {}
            Self::Http1(guard) => guard.refuse_head(fault),
            Self::Http2(guard) => guard.lock().refuse(fault),
        }
    }

    /// Follows the sent `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if let Self::Http2(guard) = self {
            guard.lock().send(bytes, Instant::now());
        }
    }

    /// The last bytes before the connection ends with the refusal, if the protocol has a message
    /// that may stand anywhere.
    pub(crate) fn farewell(&self) -> Option<[u8; 17]> {
        match self {
            Self::None | Self::Http1(_) => None,
            Self::Http2(guard) => guard.lock().farewell(),
        }
    }

    /// The reason if no byte passes any more.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::None => None,
            Self::Http1(guard) => guard.refusal(),
            Self::Http2(guard) => guard.lock().refusal(),
        }
    }
}
