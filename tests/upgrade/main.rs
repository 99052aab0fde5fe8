//! Upgrades: the program of a running node is replaced, and its clients do not notice.

#[path = "../support/mod.rs"]
mod support;

mod changed;
mod leaks;
mod moved;
mod node;
mod process;
mod refused;
