//! Values that belong to a stream and are dropped with it.

use std::fmt;
use std::net::IpAddr;

use crate::core::selector::Selector;

/// A value that is dropped with its stream, and that can be made again from its record.
pub trait StreamGuard: fmt::Debug + Send {
    /// What a new guard has to restore.
    fn record(&self) -> GuardRecord;
}

/// See [`StreamGuard`].
pub type Guard = Box<dyn StreamGuard>;

/// A stream's guard as a plain value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardRecord {
    /// Number of its announcement in the registry of announced streams.
    pub announced: Option<u64>,
    /// The patterns that its client chose, if they are counted.
    pub patterns: Option<PatternsRecord>,
    /// Bytes of its subscription in the account of memory.
    pub memory_bytes: usize,
}

/// The patterns that a client chose for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternsRecord {
    /// The client.
    pub client: IpAddr,
    /// Its patterns.
    pub patterns: Box<[Selector]>,
}

impl GuardRecord {
    /// Whether there is nothing to restore.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
