//! A shard's thread: sockets, body queues, the poller and the mailbox around the
//! [core](crate::core::delivery).
//!
//! One thread per shard, each with its own streams, topic table and poller. Shards share no state,
//! so they need no locks. The rest of the process reaches a shard through its [`mailbox`] only.
//!
//! This layer must never know hyper or tokio, nor any protocol beyond bytes.

mod flags;
pub mod mailbox;
mod reactor;
pub mod wire;

#[cfg(test)]
mod model;

/// The atomics of [`flags`]; the model uses others.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

#[doc(hidden)]
pub mod bench;

pub use reactor::{Shard, StartError};
