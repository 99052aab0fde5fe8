//! The decisions of a node, without the transport of bytes: events and their frames, the history,
//! which streams hear an event, and which bytes each stream is sent.
//!
//! Sans I/O: no tokio, hyper, mio, rustix or clap, no clock, no file, no settings. Each call passes
//! the time in; bytes are written through a trait.

pub mod budget;
pub mod delivery;
pub mod desk;
pub mod estimate;
pub mod event;
pub mod glob;
pub mod history;
pub mod idempotency;
pub mod limits;
pub mod places;
pub mod presence;
pub mod selector;
pub mod sse;
pub(crate) mod table;
pub mod topic;

#[cfg(test)]
mod simulator;
