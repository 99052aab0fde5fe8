//! How a connection is detached from the listener.

use std::os::fd::OwnedFd;
use std::pin::Pin;

/// Attaches a socket to the writer of its stream. Dropped unused, it releases everything reserved
/// for the stream.
type Attach = Box<dyn FnOnce(OwnedFd) -> Attaching + Send>;

/// The attachment of a socket, under way.
pub(crate) type Attaching = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The answer "a stream on the connection's own socket". The listener takes the socket from hyper
/// and passes it on.
pub(crate) struct Detach(Attach);

impl Detach {
    /// `attach` receives the socket, before any byte of the answer is written.
    pub(crate) fn new<F>(attach: impl FnOnce(OwnedFd) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(|socket| Box::pin(attach(socket))))
    }

    /// Passes the socket on.
    pub(super) fn attach(self, socket: OwnedFd) -> Attaching {
        (self.0)(socket)
    }
}
