//! An event encoded once, for every subscriber.
//!
//! Encoding has two steps so that the hub's lock covers little: [`Draft::new`] checks and writes
//! everything but the id, outside the lock, and leaves room in front; [`Draft::stamp`] writes the
//! id and the chunk header into that room, inside the lock.
//!
//! ```text
//!  unused room │ "5f\r\n" │ "id: 1700000000000-0.k3mq7z\n" │ "event: …\nretry: …\ndata: …\n\n" │ "\r\n"
//!              └─ chunk header (RFC 9112 §7.1)                                          └─ chunk end
//!                         └───────────── SSE text ────────────────────────────────────┘
//! ```

use std::borrow::Cow;

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::core::event::{Event, EventError, IdForm, MarkedId, Topics};
use crate::core::idempotency::{Key, Name};
use crate::core::limits::{
    EVENT_OVERHEAD_BYTES, EventLimits, HELD_TOPIC_BYTES, KeptMax, MORE_OVERHEAD_BYTES,
    TOPIC_OVERHEAD_BYTES, own_id_bytes,
};

use super::encoding::{Encoding, Text, Wrap};

/// Longest chunk header: eight hexadecimal digits and CRLF. Bodies are bounded far below 4 GiB by
/// `data_bytes_max`.
const CHUNK_HEAD_BYTES_MAX: usize = 8 + 2;

/// Longest id line that the node writes in `form`: field name, id, line end.
const fn id_line_bytes_max(form: IdForm) -> usize {
    "id: ".len()
        + match form {
            IdForm::Native => MarkedId::TEXT_BYTES_MAX,
            IdForm::Urn => MarkedId::URN_BYTES,
        }
        + 1
}

const CRLF: &[u8; 2] = b"\r\n";

/// One encoded event, wrapped in its HTTP/1.1 chunk. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    wrapped: Bytes,
    chunk_head_bytes: u8,
    private: bool,
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// They do not begin with the header of a chunk.
    #[error("a frame does not begin with the header of a chunk")]
    ChunkHead,
    /// The chunk has another length than its header says.
    #[error("a frame is not as long as the header of its chunk says")]
    Length,
    /// The text of the chunk is not one event in UTF-8.
    #[error("the text of a frame is not one event")]
    Text,
}

impl Frame {
    /// The frame of bytes from [`Frame::chunked`].
    ///
    /// # Errors
    /// [`FrameError`] if they are not one event in one chunk, as this module writes it.
    pub fn from_chunked(wrapped: Bytes, private: bool) -> Result<Self, FrameError> {
        let (text_start, text_bytes) = chunk_head(&wrapped).ok_or(FrameError::ChunkHead)?;
        let rest = wrapped.get(text_start..).unwrap_or_default();
        let text = rest.strip_suffix(CRLF).ok_or(FrameError::Length)?;
        if text.len() != text_bytes {
            return Err(FrameError::Length);
        }
        let is_event = memchr::memmem::find(text, b"\n\n") == text.len().checked_sub(2)
            && text.first() != Some(&b'\n')
            && memchr::memchr(b'\r', text).is_none()
            && str::from_utf8(text).is_ok();
        if !is_event {
            return Err(FrameError::Text);
        }
        Ok(Self {
            wrapped,
            chunk_head_bytes: text_start as u8,
            private,
        })
    }

    /// Wraps SSE text: complete blocks of the node itself, and lines in front of a frame.
    pub(super) fn wrap(text: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(CHUNK_HEAD_BYTES_MAX + text.len() + CRLF.len());
        buffer.resize(CHUNK_HEAD_BYTES_MAX, 0);
        buffer.extend_from_slice(text);
        buffer.extend_from_slice(CRLF);
        Self::seal(buffer, CHUNK_HEAD_BYTES_MAX, false)
    }

    /// Writes the chunk header right before `text_start` and freezes the buffer.
    fn seal(mut buffer: Vec<u8>, text_start: usize, private: bool) -> Self {
        let text_bytes = buffer.len() - CRLF.len() - text_start;
        let mut at = text_start - CRLF.len();
        buffer[at..text_start].copy_from_slice(CRLF);
        let mut rest = text_bytes;
        loop {
            at -= 1;
            buffer[at] = b"0123456789abcdef"[rest & 0xf];
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        let mut wrapped = Bytes::from(buffer);
        wrapped.advance(at);
        Self {
            wrapped,
            chunk_head_bytes: (text_start - at) as u8,
            private,
        }
    }

    /// The bytes for streams of this encoding, which share them.
    #[must_use]
    pub fn rendition(&self, encoding: Encoding) -> Bytes {
        match (encoding.text(), encoding.wrap()) {
            (Text::Identity, Wrap::Chunked) => self.wrapped.clone(),
            (Text::Identity, Wrap::Bare) => self.text(),
        }
    }

    /// The frame in its HTTP/1.1 chunk.
    #[must_use]
    pub fn chunked(&self) -> &Bytes {
        &self.wrapped
    }

    /// The SSE text without its chunk.
    #[must_use]
    pub fn text(&self) -> Bytes {
        let end = self.wrapped.len() - CRLF.len();
        self.wrapped.slice(usize::from(self.chunk_head_bytes)..end)
    }

    /// Length in bytes, chunk included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wrapped.len()
    }

    /// Always false: a frame has at least its chunk.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Only for streams that were granted one of its topics.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }
}

/// Length of the header that [`Frame::seal`] wrote, and the length that it says.
fn chunk_head(bytes: &[u8]) -> Option<(usize, usize)> {
    let digits = memchr::memchr(
        b'\r',
        bytes.get(..bytes.len().min(CHUNK_HEAD_BYTES_MAX - 1))?,
    )?;
    let head = bytes.get(..digits + CRLF.len())?.strip_suffix(CRLF)?;
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if !head.iter().all(is_digit) || head.first() == Some(&b'0') {
        return None;
    }
    let text_bytes = usize::from_str_radix(str::from_utf8(head).ok()?, 16).ok()?;
    Some((digits + CRLF.len(), text_bytes))
}

/// An event that is checked and encoded, without its id.
#[derive(Debug)]
pub struct Draft<'a> {
    topics: Topics<'a>,
    own_id: Option<Cow<'a, str>>,
    id_form: IdForm,
    private: bool,
    is_of_node: bool,
    /// Boxed: most events have none.
    key: Option<Box<Key>>,
    /// Room for chunk header and id line, then the rest of the text and the chunk's end. Exactly
    /// full, so that freezing moves nothing.
    buffer: Vec<u8>,
    text_start: usize,
}

impl<'a> Draft<'a> {
    /// Checks a publisher's event and encodes it.
    ///
    /// # Errors
    /// An error of [`Event::check`], or that the history could not keep the event.
    #[inline]
    pub fn new(event: Event<'a>, limits: &EventLimits) -> Result<Self, EventError> {
        event.check(limits)?;
        let encoded = encode(&event);
        check_size(&event, encoded.0.len(), limits.kept)?;
        Ok(Self::of(event, encoded))
    }

    /// Encodes an event of the node itself, which may have topics that are reserved from
    /// publishers.
    ///
    /// # Errors
    /// An error of [`Event::check_form`].
    pub(crate) fn of_node(event: Event<'a>, limits: &EventLimits) -> Result<Self, EventError> {
        event.check_form(limits)?;
        let encoded = encode(&event);
        let mut draft = Self::of(event, encoded);
        draft.is_of_node = true;
        Ok(draft)
    }

    /// Inlined, so that it is built in its place: a copy of fields that were just written would
    /// stall.
    #[inline]
    fn of(event: Event<'a>, (buffer, text_start): (Vec<u8>, usize)) -> Self {
        Self {
            topics: event.topics,
            own_id: event.id,
            id_form: event.id_form,
            private: event.private,
            is_of_node: false,
            key: None,
            buffer,
            text_start,
        }
    }

    /// Gives it an idempotency key: a repeat with the same name and the same content is the same
    /// event. Its topics count in their order; the form of its id does not count.
    pub fn set_key(&mut self, name: Name) {
        let topics = self.topics.iter().map(|topic| topic.as_bytes());
        let text = [&self.buffer[self.text_start..], &[u8::from(self.private)]];
        self.key = Some(Box::new(Key::new(name, text.into_iter().chain(topics))));
    }

    /// The same with both digests, which another node has made of the same event.
    pub fn set_whole_key(&mut self, key: Key) {
        self.key = Some(Box::new(key));
    }

    /// Its idempotency key.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.key.as_deref()
    }

    /// The same, independent of the buffer that it was read from.
    #[must_use]
    pub fn into_owned(self) -> Draft<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Draft {
            topics: self.topics.into_iter().map(owned).collect(),
            own_id: self.own_id.map(owned),
            id_form: self.id_form,
            private: self.private,
            is_of_node: self.is_of_node,
            key: self.key,
            buffer: self.buffer,
            text_start: self.text_start,
        }
    }

    /// Topics of the event.
    #[must_use]
    pub fn topics(&self) -> &[Cow<'a, str>] {
        &self.topics
    }

    /// The publisher's own id.
    #[must_use]
    pub fn own_id(&self) -> Option<&str> {
        self.own_id.as_deref()
    }

    /// Only for streams that were granted one of its topics.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The form of the node's own id, if the publisher gave none.
    #[must_use]
    pub fn id_form(&self) -> IdForm {
        self.id_form
    }

    /// Whether it is an event of the node itself.
    #[must_use]
    pub fn is_of_node(&self) -> bool {
        self.is_of_node
    }

    /// Its SSE text, without the id that the node gives it. Empty once it is stamped.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        let end = self.buffer.len().saturating_sub(CRLF.len());
        self.buffer.get(self.text_start..end).unwrap_or_default()
    }

    /// The memory that it takes, names of topics and idempotency key included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let names = self.topics.iter();
        let names: usize = names.map(|name| size_of_val(name) + name.len()).sum();
        size_of::<Self>() + self.buffer.capacity() + names + self.key_bytes()
    }

    /// The memory of its idempotency key.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        self.key.as_deref().map_or(0, size_of_val)
    }

    /// Largest size of its frame in bytes.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        self.buffer.len()
    }

    /// Writes the event's id, with the mark of its order, and takes the frame out. A draft can be
    /// stamped once.
    pub(crate) fn stamp(&mut self, id: MarkedId) -> Frame {
        let mut buffer = std::mem::take(&mut self.buffer);
        debug_assert!(!buffer.is_empty(), "a draft is stamped once");
        let mut text_start = self.text_start;
        if self.own_id.is_none() {
            let mut prepend = |bytes: &[u8]| {
                text_start -= bytes.len();
                buffer[text_start..text_start + bytes.len()].copy_from_slice(bytes);
            };
            prepend(b"\n");
            match self.id_form {
                IdForm::Native => id.each_piece_backwards(&mut prepend),
                IdForm::Urn => prepend(id.urn().as_bytes()),
            }
            prepend(b"id: ");
        }
        Frame::seal(buffer, text_start, self.private)
    }
}

/// In its frame, a payload of line breaks is seven times as long.
fn check_size(event: &Event<'_>, frame_bytes: usize, max: KeptMax) -> Result<(), EventError> {
    if frame_bytes > max.frame_bytes {
        return Err(EventError::FrameTooLong {
            length: frame_bytes,
            max: max.frame_bytes,
        });
    }
    let length = kept_bytes_max(event, frame_bytes);
    if length > max.bytes {
        return Err(EventError::BeyondBudget {
            length,
            topics: event.topics.len(),
            max: max.bytes,
        });
    }
    Ok(())
}

/// Most bytes that an event takes in the histories of all its topics.
fn kept_bytes_max(event: &Event<'_>, frame_bytes: usize) -> usize {
    let topics = event.topics.len();
    let pinned = if event.private && topics > 1 {
        topics
    } else {
        0
    };
    let own_id = event.id.as_deref().map_or(0, |id| own_id_bytes(id.len()));
    let more = if own_id + pinned > 0 {
        MORE_OVERHEAD_BYTES + own_id + pinned * HELD_TOPIC_BYTES
    } else {
        0
    };
    let kept = frame_bytes + EVENT_OVERHEAD_BYTES + more;
    let names: usize = event.topics.iter().map(|name| name.len()).sum();
    topics * (kept + TOPIC_OVERHEAD_BYTES) + names
}

/// Writes everything but the id. Returns the buffer, and the start of its text without an id line.
fn encode(event: &Event<'_>) -> (Vec<u8>, usize) {
    let text_start = CHUNK_HEAD_BYTES_MAX
        + match event.id {
            Some(_) => 0,
            None => id_line_bytes_max(event.id_form),
        };
    let mut retry_digits = itoa::Buffer::new();
    let retry = event.retry.map(|ms| retry_digits.format(ms));
    let name = event.event.as_deref().filter(|name| !name.is_empty());
    let data = event.data.as_bytes();
    let lines = line_count(data);
    let field = |value: Option<&str>, name: &str| value.map_or(0, |v| name.len() + v.len() + 3);
    let capacity = text_start
        + field(event.id.as_deref(), "id")
        + field(name, "event")
        + field(retry, "retry")
        + lines.count * "data: \n".len()
        + (data.len() - lines.break_bytes)
        + "\n".len()
        + CRLF.len();

    let mut buffer = Vec::with_capacity(capacity);
    buffer.resize(text_start, 0);
    put(&mut buffer, "id: ", event.id.as_deref());
    put(&mut buffer, "event: ", name);
    put(&mut buffer, "retry: ", retry);
    put_data(&mut buffer, data, &lines);
    buffer.push(b'\n');
    buffer.extend_from_slice(CRLF);
    debug_assert_eq!(buffer.len(), capacity);
    (buffer, text_start)
}

fn put(buffer: &mut Vec<u8>, field: &str, value: Option<&str>) {
    if let Some(value) = value {
        buffer.extend_from_slice(field.as_bytes());
        buffer.extend_from_slice(value.as_bytes());
        buffer.push(b'\n');
    }
}

struct Lines {
    count: usize,
    /// Bytes that are line breaks (CRLF counts two).
    break_bytes: usize,
}

fn line_count(data: &[u8]) -> Lines {
    let mut lines = Lines {
        count: 1,
        break_bytes: 0,
    };
    for at in memchr::memchr2_iter(b'\n', b'\r', data) {
        lines.break_bytes += 1;
        let ends_crlf = data[at] == b'\n' && at > 0 && data[at - 1] == b'\r';
        lines.count += usize::from(!ends_crlf);
    }
    lines
}

/// One `data:` line for each line of the payload: LF, CR and CRLF all end one, as in the client's
/// parser.
fn put_data(buffer: &mut Vec<u8>, data: &[u8], lines: &Lines) {
    let mut line = |bytes: &[u8]| {
        buffer.extend_from_slice(b"data: ");
        buffer.extend_from_slice(bytes);
        buffer.push(b'\n');
    };
    if lines.count == 1 {
        return line(data);
    }
    let mut start = 0;
    while let Some(length) = memchr::memchr2(b'\n', b'\r', &data[start..]) {
        let end = start + length;
        line(&data[start..end]);
        start = if data[end..].starts_with(CRLF) {
            end + 2
        } else {
            end + 1
        };
    }
    line(&data[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{EventId, OrderMark};
    use crate::core::idempotency::{Owner, Place, Scope};
    use crate::core::sse::parse;
    use eventsource_stream::Eventsource;
    use futures_util::{StreamExt, stream};
    use proptest::prelude::*;

    fn encode(event: Event<'_>, id: EventId) -> Frame {
        Draft::new(event, &EventLimits::default())
            .expect("valid")
            .stamp(id.marked(OrderMark::default()))
    }

    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.text().to_vec()).expect("UTF-8")
    }

    #[test]
    fn the_fields_come_in_order_and_the_chunk_says_their_length() {
        let id = EventId::from_parts(1_700_000_000_000, 3).expect("fits");
        let frame = encode(
            Event {
                event: Some("tick".into()),
                retry: Some(1_500),
                ..Event::new("t", "a\nb")
            },
            id,
        );
        let expected = "id: 1700000000000-3.000000\nevent: tick\nretry: 1500\ndata: a\ndata: b\n\n";
        assert_eq!(text(&frame), expected);
        let wrapped = format!("{:x}\r\n{expected}\r\n", expected.len());
        assert_eq!(frame.chunked(), wrapped.as_bytes());
        assert_eq!(frame.len(), wrapped.len());
    }

    #[test]
    fn a_publishers_id_takes_the_place_of_ours() {
        let event = Event {
            id: Some("urn:x".into()),
            ..Event::new("t", "")
        };
        assert_eq!(
            text(&encode(event, EventId::new(9))),
            "id: urn:x\ndata: \n\n"
        );
    }

    #[test]
    fn the_longest_id_fits_in_its_room() {
        let frame = encode(Event::new("t", "x"), EventId::new(u64::MAX));
        assert_eq!(
            text(&frame),
            "id: 17592186044415-1048575.000000\ndata: x\n\n"
        );
    }

    #[test]
    fn the_memory_of_a_draft_includes_its_key() {
        let event = Event::new("t", "x");
        let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
        let without = draft.memory_bytes();
        let owner = Owner::new(Scope::Program);
        draft.set_key(Name::new(owner, "k", Place::ONLY));
        assert_eq!(draft.memory_bytes(), without + size_of::<Key>());
    }

    /// The reported size is the one that the history counts.
    #[test]
    fn an_event_that_the_history_cannot_keep_is_refused() {
        let data = "\n".repeat(1_000);
        let event = Event::new("t", data.as_str());
        let with = |frame_bytes, bytes| EventLimits {
            kept: KeptMax { frame_bytes, bytes },
            ..EventLimits::default()
        };
        let draft = |limits| Draft::new(event.clone(), &limits).map(|draft| draft.buffer.len());
        let length = draft(EventLimits::default()).expect("no history");
        assert!(length > 7_000);
        assert_eq!(draft(with(length, usize::MAX)), Ok(length));
        let max = length - 1;
        let refused = EventError::FrameTooLong { length, max };
        assert_eq!(draft(with(max, usize::MAX)), Err(refused.clone()));
        assert!(refused.to_string().contains("history_bytes") && refused.field() == "data");
        let kept = length + EVENT_OVERHEAD_BYTES + TOPIC_OVERHEAD_BYTES + 1;
        assert_eq!(draft(with(length, kept)), Ok(length));
        let refused = draft(with(length, kept - 1)).expect_err("too small a budget");
        assert!(
            refused.to_string().contains("history_budget_bytes"),
            "{refused}"
        );
    }

    fn normalised(data: &str) -> String {
        data.replace("\r\n", "\n").replace('\r', "\n")
    }

    /// The result of an independent client library for the frame.
    fn by_library(frame: &Frame) -> eventsource_stream::Event {
        let bytes = Ok::<_, std::io::Error>(frame.text());
        let mut events = Box::pin(stream::iter([bytes]).eventsource());
        futures_util::FutureExt::now_or_never(events.next())
            .expect("ready")
            .expect("one event")
            .expect("parses")
    }

    proptest! {
        #[test]
        fn any_event_reads_back_as_itself(
            data in "(\\PC|[\r\n\u{feff} :\0])*",
            name in proptest::option::of("[^\r\n]{1,20}"),
            own_id in proptest::option::of("[^\\pC\\pZ#$*+>-]([^\\pC]{0,18}[^\\pC\\pZ])?"),
            retry in proptest::option::of(0..10_000_000_u64),
            word: u64,
        ) {
            let event = Event {
                event: name.clone().map(Into::into),
                id: own_id.clone().map(Into::into),
                retry,
                ..Event::new("t", data.as_str())
            };
            let id = EventId::new(word);
            let frame = encode(event, id);
            let wire_id = own_id.unwrap_or_else(|| id.marked(OrderMark::default()).to_string());

            let ours = parse(&frame.text());
            prop_assert_eq!(&ours.data, &normalised(&data));
            prop_assert_eq!(&ours.event, &name);
            prop_assert_eq!(ours.id.as_deref(), Some(wire_id.as_str()));
            prop_assert_eq!(ours.retry, retry);

            let theirs = by_library(&frame);
            prop_assert_eq!(theirs.data, normalised(&data));
            prop_assert_eq!(theirs.event, name.unwrap_or_else(|| "message".into()));
            prop_assert_eq!(theirs.id, wire_id);

            let chunk = frame.chunked();
            let head = chunk.iter().position(|b| *b == b'\n').expect("chunk head") + 1;
            let digits = std::str::from_utf8(&chunk[..head - 2]).expect("ASCII");
            prop_assert_eq!(usize::from_str_radix(digits, 16), Ok(frame.text().len()));
            prop_assert_eq!(chunk.len(), head + frame.text().len() + 2);
        }
    }
    #[test]
    fn bytes_that_are_no_event_in_a_chunk_are_no_frame() {
        let read =
            |bytes: &'static [u8]| Frame::from_chunked(Bytes::from_static(bytes), false).err();
        for (bytes, error) in [
            (&b""[..], FrameError::ChunkHead),
            (b"9", FrameError::ChunkHead),
            (b"9\r", FrameError::ChunkHead),
            (b"\r\ndata: x\n\n\r\n", FrameError::ChunkHead),
            (b"09\r\ndata: x\n\n\r\n", FrameError::ChunkHead),
            (b"+9\r\ndata: x\n\n\r\n", FrameError::ChunkHead),
            (b"9\rXdata: x\n\n\r\n", FrameError::ChunkHead),
            (b"123456789\r\ndata: x\n\n\r\n", FrameError::ChunkHead),
            (b"8\r\ndata: x\n\n\r\n", FrameError::Length),
            (b"a\r\ndata: x\n\n\r\n", FrameError::Length),
            (b"9\r\ndata: x\n\n\r\n\r\n", FrameError::Length),
            (b"9\r\ndata: x\n\n", FrameError::Length),
            (b"9\r\ndata: xy\n\r\n", FrameError::Text),
            (b"9\r\nda:\n\nxxx\n\r\n", FrameError::Text),
            (b"9\r\n\ndata:x\n\n\r\n", FrameError::Text),
            (b"9\r\ndata: \r\n\n\r\n", FrameError::Text),
            (b"9\r\ndata: \xff\n\n\r\n", FrameError::Text),
            (b"1\r\n\n\r\n", FrameError::Text),
        ] {
            assert_eq!(read(bytes), Some(error), "{}", bytes.escape_ascii());
        }
        assert_eq!(read(b"9\r\ndata: x\n\n\r\n"), None);
    }
}
