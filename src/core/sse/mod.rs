//! Server-Sent Events on the wire: events become shared frames here, and text becomes events again.
//!
//! Source: WHATWG HTML, section "Server-sent events". This module knows bytes only: no sockets, no
//! topics' meaning.

mod control;
mod encoding;
mod frame;
mod parse;

pub use control::{Gap, end_of_stream, gap, heartbeat, prime};
pub use encoding::{Encoding, Text, Wrap};
pub use frame::{Draft, Frame};
pub use parse::{Parsed, parse};
