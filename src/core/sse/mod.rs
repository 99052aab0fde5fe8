//! Server-Sent Events on the wire: encodes events into shared frames, and parses text into events.
//!
//! Source: WHATWG HTML, section "Server-sent events". This module knows bytes only: no sockets, no
//! meaning of topics.

mod control;
mod encoding;
mod frame;
mod parse;
mod topic_lines;

pub use control::{Gap, end_of_stream, gap, heartbeat, heartbeat_event, prime};
pub use encoding::{Encoding, Text, Wrap};
pub use frame::{Draft, Frame, FrameError};
pub use parse::{Parsed, parse};
pub use topic_lines::topic_lines;
