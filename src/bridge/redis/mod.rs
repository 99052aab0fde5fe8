//! Connections to the Redis or Valkey that has the log: one stream, under one key.
//!
//! [`Address`] is where it is; [`connect`](Connection::connect) finds the server that takes writes to the key, alone, behind
//! Sentinel or in a Cluster; [`Connection`] has a method for each call that a node makes. Every call
//! has a time limit. Reconnecting is the caller's part: after each connect, it must compare what
//! the log has with what it knows.
//!
//! Must never retry: a write whose reply is lost may have been made.

mod address;
mod append;
mod checks;
mod connect;
mod connection;
mod error;
mod facts;
mod lease;
mod page;
mod raw_id;
mod reply;
mod roster;

pub use address::{Address, AddressError, Host, Login};
pub use append::{Batch, Refusal};
pub use checks::Warning;
pub use connect::{Named, masters, newest};
pub use connection::Connection;
pub use error::Error;
pub use lease::lease_key;
pub use page::{PageSize, RawPage};
pub use roster::{Beat, End, REAPED, RosterWrite};

/// The stream and the bounds on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its key.
    pub key: String,
    /// Number of entries above which Redis drops the oldest (`MAXLEN ~`).
    pub events_max: usize,
}
