//! The text of an event stream (WHATWG HTML §9.2.6), line by line.
//!
//! A process holds hundreds of thousands of these, so an idle one owns no buffer. Bytes are kept
//! only between two reads that cut a line in half, and of a block only the part that its end needs.

use super::event_id::Span;
use crate::stamp::Stamp;

/// Longest line that is believed, in bytes; more is a broken server.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 20;

/// Longest data of a gap event whose range is read, in bytes.
const GAP_BYTES_MAX: usize = 1024;

/// The decoder of one stream.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The start of a line whose end was not read yet.
    carry: Vec<u8>,
    /// A CR was the last byte read: an LF that follows belongs to it.
    after_cr: bool,
    /// The first line was seen: a byte order mark can only stand before it.
    begun: bool,
    block: Block,
}

/// The lines of a block so far.
#[derive(Debug, Default)]
struct Block {
    stamp: Option<Stamp>,
    data: bool,
    gap: bool,
    any: bool,
    /// Data that may be a gap's: one line, an object. Nearly all events have a stamp instead.
    object: Option<Box<[u8]>>,
    /// The id, which counts only once the block has ended: a stream that is cut before resumes in
    /// front of it.
    id: Option<Box<str>>,
}

/// A complete block of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// An event of a run of this program.
    Event(Stamp),
    /// The server reports that it left events out, and where if that can be read.
    Gap(Option<Span>),
    /// An event that is not ours.
    Foreign,
    /// A comment or a block without data, such as a heartbeat.
    Quiet,
}

/// Receives the decoder's items.
pub(crate) trait Sink {
    /// A block has ended.
    fn item(&mut self, item: Item);
    /// The stream's last event id is this from now on; only called if it [keeps
    /// ids](Sink::keeps_ids).
    fn id(&mut self, id: Box<str>);
    /// Whether ids are of interest: to remember one costs an allocation an event.
    fn keeps_ids(&self) -> bool;
    /// The server asks the client to wait this many milliseconds before reconnecting.
    fn retry(&mut self, milliseconds: u64);
}

/// A line without end.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a line of the stream is longer than {LINE_BYTES_MAX} bytes")]
pub(crate) struct LineError;

impl Decoder {
    /// Decodes a piece of the text. `gap` is the name of the event with which the server reports a
    /// gap.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        gap: &str,
        sink: &mut impl Sink,
    ) -> Result<(), LineError> {
        while !input.is_empty() {
            if std::mem::take(&mut self.after_cr) && input[0] == b'\n' {
                input = &input[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', input) else {
                if self.carry.len() + input.len() > LINE_BYTES_MAX {
                    return Err(LineError);
                }
                self.carry.extend_from_slice(input);
                return Ok(());
            };
            self.after_cr = input[end] == b'\r';
            let first = !std::mem::replace(&mut self.begun, true);
            if self.carry.is_empty() {
                self.block.line(unmarked(&input[..end], first), gap, sink);
            } else {
                let mut line = std::mem::take(&mut self.carry);
                line.extend_from_slice(&input[..end]);
                self.block.line(unmarked(&line, first), gap, sink);
            }
            input = &input[end + 1..];
        }
        Ok(())
    }

    /// Drops the block that a closed connection left unfinished, as the specification requires.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// A line without the byte order mark that may stand before the first one.
fn unmarked(line: &[u8], first: bool) -> &[u8] {
    let mark = "\u{feff}".as_bytes();
    match line.strip_prefix(mark) {
        Some(rest) if first => rest,
        _ => line,
    }
}

impl Block {
    fn line(&mut self, line: &[u8], gap: &str, sink: &mut impl Sink) {
        if line.is_empty() {
            let mut block = std::mem::take(self);
            if let Some(id) = block.id.take() {
                sink.id(id);
            }
            if block.any {
                sink.item(block.item());
            }
            return;
        }
        if line[0] == b':' {
            // Some hubs begin a stream with a comment, and no block, to send its head.
            sink.item(Item::Quiet);
            return;
        }
        self.any = true;
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, [].as_slice()),
        };
        match field {
            b"data" => {
                let first = !std::mem::replace(&mut self.data, true);
                self.stamp = self.stamp.or_else(|| Stamp::find(value));
                let is_object = first && self.stamp.is_none() && value.starts_with(b"{");
                self.object = (is_object && value.len() <= GAP_BYTES_MAX).then(|| value.into());
            }
            b"event" => self.gap = value == gap.as_bytes(),
            b"id" if sink.keeps_ids() && !value.contains(&0) => {
                self.id = std::str::from_utf8(value).ok().map(Box::from);
            }
            b"retry" => {
                let number = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                if let Some(milliseconds) = number {
                    sink.retry(milliseconds);
                }
            }
            _ => {}
        }
    }

    fn item(self) -> Item {
        match (self.data, self.gap, self.stamp) {
            (true, true, _) => Item::Gap(self.object.as_deref().and_then(Span::parse)),
            (true, false, Some(stamp)) => Item::Event(stamp),
            (true, false, None) => Item::Foreign,
            (false, ..) => Item::Quiet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Seen(Vec<String>);

    impl Sink for Seen {
        fn item(&mut self, item: Item) {
            self.0.push(match item {
                Item::Event(stamp) => format!("event {}", stamp.number),
                item => format!("{item:?}"),
            });
        }
        fn id(&mut self, id: Box<str>) {
            self.0.push(format!("id {id}"));
        }
        fn keeps_ids(&self) -> bool {
            true
        }
        fn retry(&mut self, milliseconds: u64) {
            self.0.push(format!("retry {milliseconds}"));
        }
    }

    const TEXT: &str = "retry: 2000\nid: 5-0\n\n: comment\n\nid:6-0\nevent: news\ndata: ft:1:0:1:99:xx\ndata: more\n\nevent: gap\ndata: {}\n\ndata: hello\n\n\nid: 7-0\ndata: ft:1:0:2:99:\n\n";

    fn expected() -> Seen {
        let lines = [
            "retry 2000",
            "id 5-0",
            "Quiet",
            "Quiet",
            "id 6-0",
            "event 1",
            "Gap(None)",
            "Foreign",
            "id 7-0",
            "event 2",
        ];
        Seen(lines.map(str::to_owned).to_vec())
    }

    #[test]
    fn a_stream_is_read_the_same_with_every_line_end_and_every_cut() {
        for end in ["\n", "\r\n", "\r"] {
            let text = TEXT.replace('\n', end);
            for cut in 0..text.len() {
                let (mut decoder, mut seen) = (Decoder::default(), Seen::default());
                for piece in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                    decoder.feed(piece, "gap", &mut seen).expect("short lines");
                }
                assert_eq!(seen, expected(), "{end:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn the_range_of_a_gap_is_read_wherever_its_name_stands() {
        let data = r#"data: {"from":"5-0.a","to":"7-1.b","reason":"unknown"}"#;
        let span = Span::parse(&data.as_bytes()[6..]).expect("a range");
        for text in [
            format!("event: gap\n{data}\n\n"),
            format!("{data}\nevent: gap\n\n"),
        ] {
            let (mut decoder, mut seen) = (Decoder::default(), Seen::default());
            decoder
                .feed(text.as_bytes(), "gap", &mut seen)
                .expect("short lines");
            assert_eq!(seen.0, [format!("Gap(Some({span:?}))")]);
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let (mut decoder, mut seen) = (Decoder::default(), Seen::default());
        let text = "\u{feff}data: ft:1:0:1:99:\n\n";
        decoder
            .feed(text.as_bytes(), "gap", &mut seen)
            .expect("short lines");
        assert_eq!(seen.0, ["event 1"]);
    }

    #[test]
    fn a_comment_needs_no_empty_line_to_be_heard() {
        let (mut decoder, mut seen) = (Decoder::default(), Seen::default());
        decoder.feed(b":\n", "gap", &mut seen).expect("short lines");
        assert_eq!(seen.0, ["Quiet"]);
        decoder.feed(b"\n", "gap", &mut seen).expect("short lines");
        assert_eq!(seen.0, ["Quiet"]);
    }

    #[test]
    fn an_unfinished_block_is_forgotten() {
        let (mut decoder, mut seen) = (Decoder::default(), Seen::default());
        decoder
            .feed(b"id: 9\ndata: ft:1:0:1:99:\n", "gap", &mut seen)
            .expect("short lines");
        decoder.reset();
        decoder.feed(b"\n", "gap", &mut seen).expect("short lines");
        assert_eq!(seen, Seen::default());
    }
}
