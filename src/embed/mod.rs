//! The public interface of the crate: a node within another program.
//!
//! Every item that a program may rely on is here or re-exported by `lib.rs`; `tests.rs` has the
//! list. The types wrap those of the layers below, so that these stay free to change.

mod event;
mod hub;
mod node;
#[cfg(test)]
mod tests;

pub use event::Event;
pub use hub::{Hub, PublishError};
pub use node::{Node, NodeError};
