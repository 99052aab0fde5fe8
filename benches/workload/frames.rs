//! Encoding: an event becomes a frame.

use bytes::Bytes;
use fantail::core::event::{Event, EventError, EventId};
use fantail::core::limits::EventLimits;
use fantail::core::sse::{Draft, Frame};
use fantail::shard::bench::stamp;

/// Data of one shape.
pub(crate) struct Payload {
    /// How results name it.
    pub(crate) name: &'static str,
    pub(crate) data: String,
}

/// From a counter's tick to a document, in one line and in many.
pub(crate) fn payloads() -> [Payload; 4] {
    let line = |length: usize| "0123456789abcdef".repeat(length / 16);
    [
        ("16B", line(16)),
        ("128B", line(128)),
        ("4KiB", line(4096)),
        ("4KiB-64-lines", vec![line(64); 64].join("\n")),
    ]
    .map(|(name, data)| Payload { name, data })
}

/// All that publishing one event costs but for the hub: check, encode, stamp.
pub(crate) fn encode(
    payload: &Payload,
    limits: &EventLimits,
    id: EventId,
) -> Result<Frame, EventError> {
    let mut draft = Draft::new(Event::new("bench", payload.data.as_str()), limits)?;
    Ok(stamp(&mut draft, id))
}

/// The least that making a shared frame can cost: a copy of its bytes into a buffer of its own.
pub(crate) fn copy_of(frame: &Frame) -> Bytes {
    Bytes::from(frame.chunked().to_vec())
}
