//! The system's reports on a wire.

/// The system's report on a stream's wire. The core asks [`Io`] for its meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signal {
    /// The client has sent bytes, or its side changed in another way.
    pub(crate) readable: bool,
    /// There may be room.
    pub(crate) writable: bool,
    /// The client has ended its side.
    pub(crate) ended: bool,
    /// The wire has failed.
    pub(crate) failed: bool,
}
