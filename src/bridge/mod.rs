//! Sources of events outside of the node: the shared log that orders the events of several nodes.

pub mod entry;
pub mod follow;
pub mod redis;
