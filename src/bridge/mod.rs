//! Sources of events outside of the node: the shared log that orders the events of several nodes.
//!
//! [`entry`] says how an event is written in Redis; [`follow`] reads a log in order and proves that
//! nothing is missed; [`redis`] has the connections; [`driver`] has the tasks that follow the log and
//! append to it.
//!
//! Must never stamp an event: ids come from the log.

pub mod driver;
pub mod entry;
pub mod follow;
pub mod redis;
