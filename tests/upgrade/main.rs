//! Upgrades: the program of a running node is replaced, and its clients do not notice.

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod changed;
mod http2;
mod leaks;
mod lock;
mod log;
mod moved;
mod node;
mod process;
mod refused;
mod soak;
mod wrong_state;
