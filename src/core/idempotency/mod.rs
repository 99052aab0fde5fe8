//! Idempotency keys: a publisher that repeats an event with the key of before gets the receipt of
//! before, and nothing is published.
//!
//! A key is a publisher's text. The node keeps two digests of it: `name` says whose key it is, and
//! `content` for which event it was used ([`Key`]). The same publisher makes the same digests on
//! every node and after every restart, so a key may travel with its event. [`Keys`] has the keys of
//! the last events, in the order of their ids, bounded by number and age.
//!
//! Sans I/O: whether a key is new is decided under the desk's lock, in the same hold in which its
//! event is published. Of two repeats that come together, one publishes and the other gets its
//! receipt.

mod key;
mod table;

pub use key::{KEY_BYTES_MAX, Key, KeyError, Name, Owner, Place, Scope, check};
pub use table::{KEY_MEMORY_BYTES, KeyLimits, Keys, Recalled, Remembered};
