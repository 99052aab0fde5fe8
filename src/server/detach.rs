//! How a connection is let go of.

use std::os::fd::OwnedFd;
use std::pin::Pin;

/// Attaches a socket to whatever writes the stream. Dropped unused, it gives back all that was
/// reserved for the stream.
type Attach = Box<dyn FnOnce(OwnedFd) -> Attaching + Send>;

/// The attachment of a socket, under way.
pub(crate) type Attaching = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request that is answered with a stream on the connection's own socket. The listener takes the
/// socket from hyper and lets go of it.
pub(crate) struct Detach(Attach);

impl Detach {
    /// `attach` gets the socket, on which nothing of the answer was written yet.
    pub(crate) fn new<F>(attach: impl FnOnce(OwnedFd) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(|socket| Box::pin(attach(socket))))
    }

    /// Gives the socket away.
    pub(super) fn attach(self, socket: OwnedFd) -> Attaching {
        (self.0)(socket)
    }
}
