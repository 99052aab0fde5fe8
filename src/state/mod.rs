//! The state of a node as bytes: for a new process that takes over, and for the history file.
//!
//! ```text
//! header:  "FANTAIL\0" · version u32 · oldest reader u32 · checksum of these 16 bytes u32
//! piece:   section u32 · length u64 · checksum u32 · payload        any number of them
//! end:     a piece of the section "END ", whose payload is the number of pieces before it, u64
//! ```
//!
//! All numbers are little-endian; checksums are CRC-32. The checksum of a piece covers its section,
//! its length and its payload: a changed section must not make a piece an unknown one, which is
//! skipped.
//!
//! **A section comes in pieces** of about [`PIECE_BYTES`], each with its own length and checksum. So
//! it is written as a stream, without a seek and without a count beforehand, and the writer holds
//! one piece in memory, whatever the size of the history. A payload is a sequence of CBOR items, one
//! for each record; no record is in two pieces.
//!
//! **Invariant:** reading never panics, and never allocates by a length that it has not compared
//! with the bytes that exist.
//!
//! The rules for changes stand in `docs/ARCHITECTURE.md`, "State".

mod codec;
mod container;
mod error;
mod history_file;
mod reader;
mod record;
mod section;
mod shared_bytes;
mod writer;

#[cfg(test)]
mod tests;

pub use container::{FORMAT_VERSION, PIECE_BYTES, READER_VERSION_MIN};
pub use error::StateError;
pub use history_file::{HistoryFileError, HistoryReader};
pub use reader::Reader;
pub use record::{
    CounterRecord, HttpRecord, KeySetRecord, ListenerRecord, MutedReplies, NodeRecord, Port,
    RespRecord, RespUserRecord, StateRecord,
};
pub use section::Section;
pub use writer::Writer;
