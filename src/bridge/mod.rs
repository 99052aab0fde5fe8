//! Sources of events outside of the node: the shared log that orders the events of several nodes, and
//! channels of Redis.
//!
//! [`entry`] says how an event is written in Redis; [`follow`] reads a log in order and proves that
//! nothing is missed; [`redis`] has the connections; [`driver`] has the tasks that follow the log and
//! append to it. [`pubsub`] subscribes to channels.
//!
//! Must never stamp an event: ids come from the log, or from the hub.

pub mod driver;
pub mod entry;
pub mod follow;
pub mod pubsub;
pub mod redis;
