//! What the system reports of a wire.

/// What the system reports of a stream's wire. The core asks [`Io`] for its meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signal {
    /// The client has sent something, or its side changed in another way.
    pub(crate) readable: bool,
    /// Room may have come.
    pub(crate) writable: bool,
    /// The client has ended its side.
    pub(crate) ended: bool,
    /// The wire has failed.
    pub(crate) failed: bool,
}
