//! Frames of the node itself: the prime, heartbeats, gaps and the end of a stream.

use crate::core::event::MarkedId;
use crate::metrics::GapReason;

use super::encoding::{Encoding, Wrap};
use super::frame::Frame;

/// The last chunk of an HTTP/1.1 body (RFC 9112 §7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The start of a stream: the reconnection delay, if one is configured, the longest silence as a
/// comment, and the cursor from which the stream goes on.
///
/// A block without `data` fires no event in the client but sets its last event id.
#[must_use]
pub fn prime(retry_ms: Option<u64>, heartbeat_ms: u64, cursor: MarkedId) -> Frame {
    let mut text = Vec::with_capacity(96);
    if let Some(ms) = retry_ms {
        put_retry(&mut text, ms);
    }
    put_number(&mut text, b": heartbeat ", heartbeat_ms);
    put_id(&mut text, cursor);
    text.push(b'\n');
    Frame::wrap(&text)
}

/// A heartbeat, which sets the client's last event id to `cursor`.
#[must_use]
pub fn heartbeat(cursor: MarkedId) -> Frame {
    let mut text = Vec::with_capacity(48);
    put_id(&mut text, cursor);
    text.push(b'\n');
    Frame::wrap(&text)
}

/// A heartbeat that a plain `EventSource` can hear (`addEventListener('heartbeat', …)`). Its data
/// is the time of the node's clock, in milliseconds since the Unix epoch.
#[must_use]
pub fn heartbeat_event(cursor: MarkedId, now_unix_ms: u64) -> Frame {
    let mut text = Vec::with_capacity(96);
    put_id(&mut text, cursor);
    text.extend_from_slice(b"event: heartbeat\n");
    put_number(&mut text, b"data: ", now_unix_ms);
    text.push(b'\n');
    Frame::wrap(&text)
}

/// Events that a stream will not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The cursor as the client knows it.
    pub from: String,
    /// The last missing event: every missing event has an id above `from` and up to this one.
    pub to: MarkedId,
    /// The reason.
    pub reason: GapReason,
}

/// Reports a gap in band, so that a plain `EventSource` can receive it (`addEventListener('gap',
/// …)`).
///
/// `safe_cursor` is the furthest id from which the client may resume without losing more: with
/// several topics, kept events older than the gap's end may still follow.
#[must_use]
pub fn gap(gap: &Gap, safe_cursor: MarkedId) -> Frame {
    let data = serde_json::json!({
        "from": gap.from,
        "to": gap.to.to_string(),
        "reason": gap.reason.as_str(),
    });
    let mut text = Vec::with_capacity(160);
    put_id(&mut text, safe_cursor);
    text.extend_from_slice(b"event: gap\ndata: ");
    text.extend_from_slice(data.to_string().as_bytes());
    text.extend_from_slice(b"\n\n");
    Frame::wrap(&text)
}

/// The end of a stream: the delay before reconnecting, and the regular end of the body.
#[must_use]
pub fn end_of_stream(retry_ms: u64, encoding: Encoding) -> Vec<u8> {
    let mut text = Vec::with_capacity(32);
    put_retry(&mut text, retry_ms);
    text.push(b'\n');
    let mut bytes = Frame::wrap(&text).rendition(encoding).to_vec();
    if encoding.wrap() == Wrap::Chunked {
        bytes.extend_from_slice(LAST_CHUNK);
    }
    bytes
}

fn put_retry(text: &mut Vec<u8>, ms: u64) {
    put_number(text, b"retry: ", ms);
}

/// Appends a line that ends with a number.
fn put_number(text: &mut Vec<u8>, start: &[u8], number: u64) {
    text.extend_from_slice(start);
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    text.push(b'\n');
}

fn put_id(text: &mut Vec<u8>, id: MarkedId) {
    text.extend_from_slice(b"id: ");
    id.write_to(text);
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{EventId, OrderMark};

    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.text().to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_prime_moves_the_cursor_and_fires_nothing() {
        let id = EventId::from_parts(5, 1).expect("fits");
        let id = id.marked(OrderMark::new(u64::MAX));
        let primed = "retry: 2000\n: heartbeat 15000\nid: 5-1.zzzzzz\n\n";
        assert_eq!(text(&prime(Some(2_000), 15_000, id)), primed);
        assert_eq!(text(&heartbeat(id)), "id: 5-1.zzzzzz\n\n");
        let heard = "id: 5-1.zzzzzz\nevent: heartbeat\ndata: 1760422818456\n\n";
        assert_eq!(text(&heartbeat_event(id, 1_760_422_818_456)), heard);
    }

    #[test]
    fn a_hostile_cursor_cannot_break_out_of_the_gap() {
        let told = Gap {
            from: "x\"\n\ndata: forged".into(),
            to: EventId::new(1).marked(OrderMark::default()),
            reason: GapReason::Unknown,
        };
        let text = text(&gap(&told, EventId::ZERO.marked(OrderMark::default())));
        assert_eq!(text.matches('\n').count(), 4, "{text:?}");
        assert!(text.contains(r#""reason":"unknown""#));
    }

    #[test]
    fn a_chunked_stream_ends_with_the_last_chunk() {
        assert_eq!(
            end_of_stream(900, Encoding::CHUNKED),
            b"c\r\nretry: 900\n\n\r\n0\r\n\r\n"
        );
        assert_eq!(end_of_stream(900, Encoding::BARE), b"retry: 900\n\n");
    }
}
