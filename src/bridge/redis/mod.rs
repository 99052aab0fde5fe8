//! Connections to the Redis or Valkey that has the log: one stream, under one key.
//!
//! [`Address`] is where it is; [`connect`](Connection::connect) finds the server that takes writes to the key, alone, behind
//! Sentinel or in a Cluster; [`Connection`] has a method for each call that a node makes. Every call
//! has a time limit. Reconnecting is the caller's part: after each connect, it must compare what
//! the log has with what it knows.
//!
//! Must never retry: a write whose reply is lost may have been made.

mod address;
mod advice;
mod append;
mod checks;
mod connect;
mod connection;
mod error;
mod facts;
mod lease;
mod mark;
mod page;
mod raw_id;
mod reply;
mod rights;
mod roster;

pub use address::{Address, AddressError, Host, Login};
pub use advice::advised;
pub use append::{Batch, Refusal};
pub use checks::Warning;
pub use connect::{Named, masters, newest};
pub use connection::Connection;
pub use error::Error;
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

/// The key of something beside a stream, in the same slot of a Cluster.
#[must_use]
pub fn beside(stream_key: &str, name: &str) -> String {
    if stream_key.contains('{') {
        format!("{stream_key}:{name}")
    } else {
        format!("{{{stream_key}}}:{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_a_stream_is_in_its_slot() {
        assert_eq!(beside("fantail", "channels"), "{fantail}:channels");
        assert_eq!(beside("a{b}c", "channels"), "a{b}c:channels");
    }
}
