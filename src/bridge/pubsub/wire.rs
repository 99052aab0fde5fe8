//! Reads what a Redis server sends to a subscriber: arrays of texts and numbers.
//!
//! No I/O: bytes come in, frames come out. A text longer than the limit is skipped as it arrives and
//! never held, so that one message of half a gigabyte costs neither memory nor the connection. The
//! reader of the crate `redis` holds every text whole, and queues messages without a bound.

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;
use thiserror::Error;

/// Longest line: a number, a status or an error.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// Most elements of an array. A message of a pattern has four.
const ELEMENTS_MAX: i64 = 16;

/// Free space in the buffer before a read.
const READ_BYTES: usize = 16 * 1024;

/// An element of an array, or a reply by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A text.
    Text(Bytes),
    /// A text of this length, which is above the limit.
    TooLong(u64),
    /// A number.
    Number(i64),
    /// A status such as `OK`.
    Status(Bytes),
    /// An error, in the server's words.
    Error(String),
    /// Nothing.
    Null,
}

/// One whole answer or message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A single reply.
    One(Item),
    /// An array.
    Array(SmallVec<[Item; 4]>),
}

/// Bytes that no Redis server sends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the server does not speak the Redis protocol: {0}")]
pub struct NotRedis(&'static str);

/// What the next bytes are.
#[derive(Debug)]
enum State {
    /// The line that begins an element.
    Line,
    /// A text of this length, and its line end.
    Text(usize),
    /// The rest of a text that is not held, and its line end.
    Skip { left: u64, length: u64 },
}

/// Splits a stream of bytes into frames.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    state: State,
    /// The elements of an array that has begun, and their number.
    array: Option<(SmallVec<[Item; 4]>, usize)>,
    text_bytes_max: usize,
}

impl Reader {
    /// A reader that holds no text longer than this.
    pub fn new(text_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            state: State::Line,
            array: None,
            text_bytes_max,
        }
    }

    /// The buffer to read into, with room for more.
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// [`NotRedis`]: nothing that follows can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, NotRedis> {
        while let Some(item) = self.next_item()? {
            let Some((items, count)) = &mut self.array else {
                return Ok(Some(Frame::One(item)));
            };
            items.push(item);
            if items.len() == *count {
                let items = std::mem::take(items);
                self.array = None;
                return Ok(Some(Frame::Array(items)));
            }
        }
        Ok(None)
    }

    /// The next element, or a reply by itself.
    fn next_item(&mut self) -> Result<Option<Item>, NotRedis> {
        loop {
            match self.state {
                State::Line => {
                    let Some(line) = self.line()? else {
                        return Ok(None);
                    };
                    if let Some(item) = self.begin(&line)? {
                        return Ok(Some(item));
                    }
                }
                State::Text(length) => {
                    if self.buffer.len() < length + 2 {
                        self.buffer.reserve(length + 2 - self.buffer.len());
                        return Ok(None);
                    }
                    let text = self.buffer.split_to(length).freeze();
                    self.end_of_text()?;
                    return Ok(Some(Item::Text(text)));
                }
                State::Skip { left, length } => {
                    let here = (self.buffer.len() as u64).min(left);
                    self.buffer.advance(here as usize);
                    let left = left - here;
                    self.state = State::Skip { left, length };
                    if left > 0 || self.buffer.len() < 2 {
                        return Ok(None);
                    }
                    self.end_of_text()?;
                    return Ok(Some(Item::TooLong(length)));
                }
            }
        }
    }

    /// Reads the line end behind a text.
    fn end_of_text(&mut self) -> Result<(), NotRedis> {
        if !self.buffer.starts_with(b"\r\n") {
            return Err(NotRedis("a text does not end where its length says"));
        }
        self.buffer.advance(2);
        self.state = State::Line;
        Ok(())
    }

    /// The next line without its end.
    fn line(&mut self) -> Result<Option<Bytes>, NotRedis> {
        let there = self.buffer.len().min(LINE_BYTES_MAX);
        match memchr::memchr(b'\n', &self.buffer[..there]) {
            Some(end) => {
                let mut line = self.buffer.split_to(end + 1).freeze();
                line.truncate(end.saturating_sub(1));
                Ok(Some(line))
            }
            None if there == LINE_BYTES_MAX => Err(NotRedis("a line does not end")),
            None => Ok(None),
        }
    }

    /// Begins an element with its first line. Returns it if that was all of it.
    fn begin(&mut self, line: &Bytes) -> Result<Option<Item>, NotRedis> {
        let Some(kind) = line.first() else {
            return Err(NotRedis("an empty line"));
        };
        let rest = line.slice(1..);
        Ok(match kind {
            b'$' => match number(&rest)? {
                -1 => Some(Item::Null),
                length => {
                    let length =
                        u64::try_from(length).map_err(|_| NotRedis("a length below zero"))?;
                    self.state = match usize::try_from(length) {
                        Ok(length) if length <= self.text_bytes_max => State::Text(length),
                        _ => State::Skip {
                            left: length,
                            length,
                        },
                    };
                    None
                }
            },
            b'*' if self.array.is_some() => return Err(NotRedis("an array within an array")),
            b'*' => match number(&rest)? {
                -1 => Some(Item::Null),
                count @ 1..=ELEMENTS_MAX => {
                    self.array = Some((SmallVec::new(), count as usize));
                    None
                }
                _ => return Err(NotRedis("an array of no usable length")),
            },
            b':' => Some(Item::Number(number(&rest)?)),
            b'+' => Some(Item::Status(rest)),
            b'-' => Some(Item::Error(String::from_utf8_lossy(&rest).into_owned())),
            _ => return Err(NotRedis("a line of an unknown kind")),
        })
    }
}

fn number(text: &[u8]) -> Result<i64, NotRedis> {
    let text = std::str::from_utf8(text).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or(NotRedis("a number that is none"))
}

/// A command as Redis reads it.
pub fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut digits = itoa::Buffer::new();
    let mut line = |kind: u8, length: usize, text: Option<&[u8]>| {
        out.push(kind);
        out.extend_from_slice(digits.format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(text) = text {
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
    };
    line(b'*', words.len(), None);
    for word in words {
        line(b'$', word.len(), Some(word));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All frames of these bytes, which arrive in pieces of the given sizes.
    fn read(bytes: &[u8], pieces: &[usize], max: usize) -> Result<Vec<Frame>, NotRedis> {
        let mut reader = Reader::new(max);
        let mut frames = Vec::new();
        let mut rest = bytes;
        let mut pieces = pieces.iter().copied().cycle();
        while !rest.is_empty() {
            let size = pieces.next().unwrap_or(usize::MAX).clamp(1, rest.len());
            let (piece, behind) = rest.split_at(size);
            reader.buffer().extend_from_slice(piece);
            rest = behind;
            while let Some(frame) = reader.next_frame()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    fn text(text: &str) -> Item {
        Item::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn messages_and_replies_are_read() {
        let bytes = b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$0\r\n\r\n-ERR no\r\n$-1\r\n*-1\r\n";
        let frames = read(bytes, &[], 100).expect("the protocol");
        assert_eq!(
            frames,
            [
                Frame::One(Item::Status(Bytes::from_static(b"OK"))),
                Frame::Array(
                    [text("subscribe"), text("a"), Item::Number(1)]
                        .into_iter()
                        .collect()
                ),
                Frame::Array([text("message"), text("a"), text("")].into_iter().collect()),
                Frame::One(Item::Error("ERR no".to_owned())),
                Frame::One(Item::Null),
                Frame::One(Item::Null),
            ]
        );
    }

    #[test]
    fn a_text_that_is_too_long_is_skipped_and_never_held() {
        let mut reader = Reader::new(10);
        reader
            .buffer()
            .extend_from_slice(b"*2\r\n$1\r\na\r\n$1000000000\r\n");
        let piece = vec![b'x'; 100_000];
        for _ in 0..10_000 {
            assert_eq!(reader.next_frame(), Ok(None));
            reader.buffer().extend_from_slice(&piece);
            assert!(reader.buffer.capacity() < 1 << 20);
        }
        reader.buffer().extend_from_slice(b"\r\n:7\r\n");
        let items = [text("a"), Item::TooLong(1_000_000_000)];
        assert_eq!(
            reader.next_frame(),
            Ok(Some(Frame::Array(items.into_iter().collect())))
        );
        assert_eq!(reader.next_frame(), Ok(Some(Frame::One(Item::Number(7)))));
    }

    #[test]
    fn what_no_redis_sends_is_an_error() {
        for bytes in [
            "HTTP/1.1 400 Bad Request\r\n",
            "*0\r\n",
            "*17\r\n",
            "*1\r\n*1\r\n",
            "$-2\r\n",
            "$x\r\n",
            ":\r\n",
            "\r\n",
            "$1\r\nab\r\n",
        ] {
            assert!(read(bytes.as_bytes(), &[], 100).is_err(), "{bytes:?}");
        }
        assert!(read(&[b'+'; LINE_BYTES_MAX], &[], 100).is_err());
    }

    proptest! {
        #[test]
        fn commands_are_read_back_in_any_pieces(
            commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8), 0..6),
            pieces in prop::collection::vec(1_usize..50, 1..5),
            max in 0_usize..40,
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for words in &commands {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                bytes.extend(command(&words));
                let items = words.iter().map(|word| {
                    if word.len() > max {
                        Item::TooLong(word.len() as u64)
                    } else {
                        Item::Text(Bytes::copy_from_slice(word))
                    }
                });
                expected.push(Frame::Array(items.collect()));
            }
            prop_assert_eq!(read(&bytes, &pieces, max), Ok(expected));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, pieces in prop::collection::vec(1_usize..9, 1..5)) {
            let _ = read(&bytes, &pieces, 16);
        }
    }
}
