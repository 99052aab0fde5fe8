//! What a node decides, and nothing of how its bytes travel: events and their frames, the history,
//! who hears an event, and what is written to whom.
//!
//! Sans I/O: no tokio, hyper, mio, rustix or clap, no clock, no file, no settings. Time comes in
//! with each call, bytes go out through a trait.

pub mod budget;
pub mod delivery;
pub mod desk;
pub mod event;
pub mod glob;
pub mod history;
pub mod limits;
pub mod places;
pub mod presence;
pub mod selector;
pub mod sse;
pub(crate) mod table;
pub mod topic;

#[cfg(test)]
mod simulator;
