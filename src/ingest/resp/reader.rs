//! Reads commands from the bytes of a connection: arrays of bulk strings, and inline commands.
//!
//! It is resumable: bytes of an unfinished command are not read again when more arrive, however
//! small the pieces. It must never allocate for a length that a client merely claims: its memory
//! grows only with bytes that have arrived.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;
use thiserror::Error;

use super::{Arg, inline, integer};

/// Longest inline command, in bytes: Redis's limit. Programs send arrays, and 64 KiB is plenty for
/// a person.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Most elements of a command before authentication: `HELLO 3 AUTH user password SETNAME name` has
/// seven; Redis allows ten.
pub const UNAUTHENTICATED_ARRAY_MAX: usize = 10;

/// Longest line that holds a length, without its line end. An `i64` has at most 20 characters, so a
/// longer line can be refused before its end arrives, and each search for that end costs the same.
const LENGTH_LINE_BYTES_MAX: usize = 32;

/// Arguments of a command whose places need no heap allocation; `XADD topic MAXLEN ~ 1000 * data …`
/// has eight.
const ARGS_INLINE: usize = 8;

/// Bounds on one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most elements of an array.
    pub array_max: usize,
    /// Longest bulk string, in bytes.
    pub bulk_bytes_max: usize,
    /// Largest command, in bytes including its framing.
    pub command_bytes_max: usize,
    /// Whether the client has authenticated. It chooses the words of a refusal only.
    pub authenticated: bool,
}

impl Limits {
    /// Bounds for a client that has not authenticated: small, so that a stranger cannot fill the
    /// node's memory.
    #[must_use]
    pub fn unauthenticated(command_bytes_max: usize) -> Self {
        Self {
            array_max: UNAUTHENTICATED_ARRAY_MAX,
            bulk_bytes_max: command_bytes_max,
            command_bytes_max,
            authenticated: false,
        }
    }
}

/// Why the bytes of a connection are not a command. Reading cannot go on, because the start of the
/// next command is unknown.
///
/// The texts are Redis's own; a reply puts `ERR Protocol error: ` in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The number of elements is not a number, or above the setting `ingest_array_max`.
    #[error("invalid multibulk length")]
    ArrayLength,
    /// The line with the number of elements does not end.
    #[error("too big mbulk count string")]
    ArrayLengthLine,
    /// More elements than a client may send before it authenticates.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedArray,
    /// An element of an array is not a bulk string.
    #[error("expected '$', got '{}'", Shown(*.0))]
    ExpectedBulk(u8),
    /// The length of a bulk string is not a number, negative, or above the setting
    /// `ingest_bulk_bytes_max`.
    #[error("invalid bulk length")]
    BulkLength,
    /// The line with the length of a bulk string does not end.
    #[error("too big bulk count string")]
    BulkLengthLine,
    /// More bytes than a client may send before it authenticates (setting
    /// `ingest_unauthenticated_bytes_max`).
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulk,
    /// A bulk string does not end with CR LF: its length was wrong. (Redis skips two bytes unseen
    /// here, and so swallows data.)
    #[error("expected CRLF after a bulk string")]
    BulkEnd,
    /// All elements together are too large.
    #[error("too big mbulk request: more than {0} bytes")]
    CommandTooBig(usize),
    /// An inline command does not end within [`INLINE_BYTES_MAX`] bytes.
    #[error("too big inline request")]
    InlineTooBig,
    /// The quotes of an inline command do not match.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// A byte in the text of an error: as it is, except that a line end is a space, as in all texts of
/// Redis, and unprintable bytes are escaped.
struct Shown(u8);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\r' | b'\n' => f.write_str(" "),
            byte @ b' '..=b'~' => write!(f, "{}", char::from(byte)),
            byte => write!(f, "{}", byte.escape_ascii()),
        }
    }
}

/// The reader's place within a command.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Before its first byte.
    Start,
    /// In an array, before its next element; `left` elements are to come.
    Element { left: usize },
    /// In a bulk string of `length` bytes; `left` elements are to come, this one included.
    Bulk { left: usize, length: usize },
    /// In an inline command.
    Inline,
}

/// Reads one command after the other; see [`Reader::next`].
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// Bytes of the current command that were read.
    at: usize,
    /// Places of the complete elements, from the start of the command.
    elements: SmallVec<[Range<usize>; ARGS_INLINE]>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            state: State::Start,
            at: 0,
            elements: SmallVec::new(),
        }
    }
}

impl Reader {
    /// Memory that it holds for the places of the elements of an unfinished command.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        if self.elements.spilled() {
            self.elements.capacity() * size_of::<Range<usize>>()
        } else {
            0
        }
    }

    /// Reads one command from `input`, which must start with its first byte, fills `args` with it
    /// and returns its length in bytes. An empty array or a blank line leaves `args` empty; Redis
    /// clients may send these, and they get no answer.
    ///
    /// `Ok(None)` means that the command is not complete: call again with the same bytes and more
    /// behind them.
    ///
    /// # Errors
    /// [`ProtocolError`]; the connection has to be closed.
    pub fn next<'b>(
        &mut self,
        limits: &Limits,
        input: &'b [u8],
        args: &mut Vec<Arg<'b>>,
    ) -> Result<Option<usize>, ProtocolError> {
        args.clear();
        if matches!(self.state, State::Start) {
            match input.first() {
                None => return Ok(None),
                Some(b'*') => {
                    let Some(left) = self.array_length(limits, input)? else {
                        return Ok(None);
                    };
                    self.state = State::Element { left };
                }
                Some(_) => self.state = State::Inline,
            }
        }
        let complete = match self.state {
            State::Inline => self.inline(limits, input, args)?,
            _ => self.array(limits, input, args)?,
        };
        if !complete {
            return Ok(None);
        }
        let length = self.at;
        self.state = State::Start;
        self.at = 0;
        Ok(Some(length))
    }

    /// Reads `*<elements>\r\n`. Zero or a negative number of elements makes an empty command.
    fn array_length(
        &mut self,
        limits: &Limits,
        input: &[u8],
    ) -> Result<Option<usize>, ProtocolError> {
        let line = length_line(&input[1..]).map_err(|bad| match bad {
            BadLength::Number => ProtocolError::ArrayLength,
            BadLength::Endless => ProtocolError::ArrayLengthLine,
        })?;
        let Some((number, bytes)) = line else {
            return Ok(None);
        };
        let left = usize::try_from(number).unwrap_or(0);
        if left > limits.array_max {
            return Err(if limits.authenticated {
                ProtocolError::ArrayLength
            } else {
                ProtocolError::UnauthenticatedArray
            });
        }
        self.at = 1 + bytes;
        Ok(Some(left))
    }

    /// Reads elements while there are bytes; true after the last one.
    fn array<'b>(
        &mut self,
        limits: &Limits,
        input: &'b [u8],
        args: &mut Vec<Arg<'b>>,
    ) -> Result<bool, ProtocolError> {
        loop {
            match self.state {
                State::Element { left: 0 } => break,
                State::Element { left } => {
                    let Some(length) = self.bulk_length(limits, input)? else {
                        return Ok(false);
                    };
                    self.state = State::Bulk { left, length };
                }
                State::Bulk { left, length } => {
                    let end = self.at + length;
                    match input.get(end..end + 2) {
                        None => return Ok(false),
                        Some(b"\r\n") => {}
                        Some(_) => return Err(ProtocolError::BulkEnd),
                    }
                    self.elements.push(self.at..end);
                    self.at = end + 2;
                    self.state = State::Element { left: left - 1 };
                }
                State::Start | State::Inline => unreachable!("only called within an array"),
            }
        }
        args.extend(
            self.elements
                .drain(..)
                .map(|place| Cow::Borrowed(&input[place])),
        );
        if self.elements.spilled() {
            // One long command must not keep a connection's memory large.
            self.elements = SmallVec::new();
        }
        Ok(true)
    }

    /// Reads `$<length>\r\n`.
    fn bulk_length(
        &mut self,
        limits: &Limits,
        input: &[u8],
    ) -> Result<Option<usize>, ProtocolError> {
        match input.get(self.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
        }
        let line = length_line(&input[self.at + 1..]).map_err(|bad| match bad {
            BadLength::Number => ProtocolError::BulkLength,
            BadLength::Endless => ProtocolError::BulkLengthLine,
        })?;
        let Some((number, bytes)) = line else {
            return Ok(None);
        };
        let length = usize::try_from(number).map_err(|_| ProtocolError::BulkLength)?;
        let start = self.at + 1 + bytes;
        let too_long = length > limits.bulk_bytes_max;
        let too_big = start.saturating_add(length) > limits.command_bytes_max;
        if (too_long || too_big) && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedBulk);
        }
        if too_long {
            return Err(ProtocolError::BulkLength);
        }
        if too_big {
            return Err(ProtocolError::CommandTooBig(limits.command_bytes_max));
        }
        self.at = start;
        Ok(Some(length))
    }

    /// Reads up to LF; true after it.
    fn inline<'b>(
        &mut self,
        limits: &Limits,
        input: &'b [u8],
        args: &mut Vec<Arg<'b>>,
    ) -> Result<bool, ProtocolError> {
        let line_feed = memchr(b'\n', &input[self.at..]).map(|offset| self.at + offset);
        let end = line_feed.unwrap_or(input.len());
        if end > INLINE_BYTES_MAX.min(limits.command_bytes_max) {
            return Err(ProtocolError::InlineTooBig);
        }
        if line_feed.is_none() {
            self.at = end;
            return Ok(false);
        }
        inline::split(&input[..end], args).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        self.at = end + 1;
        Ok(true)
    }
}

/// The fault of a line that should hold a length.
enum BadLength {
    Number,
    Endless,
}

/// Reads a number and CR LF from the start of `input`: the number, and the length of the line.
/// `None` if the line end has not arrived yet.
fn length_line(input: &[u8]) -> Result<Option<(i64, usize)>, BadLength> {
    let window = &input[..input.len().min(LENGTH_LINE_BYTES_MAX)];
    // Lengths have one to seven digits: a plain loop beats a vectored search.
    let Some(end) = window.iter().position(|&byte| byte == b'\r') else {
        return if window.len() == LENGTH_LINE_BYTES_MAX {
            Err(BadLength::Endless)
        } else {
            Ok(None)
        };
    };
    match input.get(end + 1) {
        None => Ok(None),
        Some(b'\n') => match integer(&input[..end]) {
            Some(number) => Ok(Some((number, end + 2))),
            None => Err(BadLength::Number),
        },
        Some(_) => Err(BadLength::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis_protocol::resp2::{self, types::Resp2Frame as _};

    const LIMITS: Limits = Limits {
        array_max: 1_000,
        bulk_bytes_max: 100_000,
        command_bytes_max: 200_000,
        authenticated: true,
    };

    /// All commands of `bytes`, which arrive in pieces of `piece` bytes.
    fn read_in_pieces(
        limits: &Limits,
        bytes: &[u8],
        piece: usize,
    ) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut reader = Reader::default();
        let mut commands = Vec::new();
        let mut from = 0;
        let mut to = 0;
        while to < bytes.len() {
            to = (to + piece).min(bytes.len());
            let mut args = Vec::new();
            while let Some(length) = reader.next(limits, &bytes[from..to], &mut args)? {
                assert!(length > 0 && from + length <= to);
                from += length;
                commands.push(args.iter().map(|arg| arg.to_vec()).collect());
            }
        }
        Ok(commands)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        read_in_pieces(&LIMITS, bytes, usize::MAX / 2)
    }

    #[test]
    fn arrays_inline_commands_and_blank_lines_mix() {
        let bytes = b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\nPING 'a b'\r\n\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nPING\n";
        let expected: Vec<Vec<&[u8]>> = vec![
            vec![b"ECHO", b"\r\n"],
            vec![b"PING", b"a b"],
            vec![],
            vec![],
            vec![],
            vec![b""],
            vec![b"PING"],
        ];
        for piece in 1..=bytes.len() {
            let commands = read_in_pieces(&LIMITS, bytes, piece).expect("valid");
            assert_eq!(commands, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn bad_bytes_are_refused_in_redis_words() {
        let refused = [
            (&b"*x\r\n"[..], "invalid multibulk length"),
            (b"*+1\r\n", "invalid multibulk length"),
            (b"*01\r\n", "invalid multibulk length"),
            (b"*1001\r\n", "invalid multibulk length"),
            (b"*1\rx", "invalid multibulk length"),
            (
                b"*11111111111111111111111111111111",
                "too big mbulk count string",
            ),
            (b"*1\r\n:1\r\n", "expected '$', got ':'"),
            (b"*1\r\n\r\n", "expected '$', got ' '"),
            (b"*1\r\n\x01", "expected '$', got '\\x01'"),
            (b"*1\r\n;", "expected '$', got ';'"),
            (b"*1\r\n*1\r\n*1\r\n", "expected '$', got '*'"),
            (b"*1\r\n$x\r\n", "invalid bulk length"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
            (b"*1\r\n$100001\r\n", "invalid bulk length"),
            (b"*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
            (
                b"*1\r\n$11111111111111111111111111111111",
                "too big bulk count string",
            ),
            (b"*1\r\n$4\r\nPINGxx", "expected CRLF after a bulk string"),
            (b"PING 'a\r\n", "unbalanced quotes in request"),
        ];
        for (bytes, text) in refused {
            let error = read(bytes).expect_err("must be refused");
            assert_eq!(error.to_string(), text, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn limits_hold_at_their_edges() {
        let command = |bulks: &[usize]| {
            let mut bytes = format!("*{}\r\n", bulks.len()).into_bytes();
            for &length in bulks {
                bytes.extend_from_slice(format!("${length}\r\n").as_bytes());
                bytes.resize(bytes.len() + length, b'x');
                bytes.extend_from_slice(b"\r\n");
            }
            bytes
        };
        assert!(read(&command(&[100_000])).is_ok());
        assert_eq!(
            read(&command(&[100_000, 99_990])),
            Err(ProtocolError::CommandTooBig(200_000))
        );
        assert!(read(&command(&[1; 1_000])).is_ok());
        assert!(read(&vec![b'x'; INLINE_BYTES_MAX]).is_ok());
        let endless = vec![b'x'; INLINE_BYTES_MAX + 1];
        assert_eq!(read(&endless), Err(ProtocolError::InlineTooBig));

        let stranger = Limits::unauthenticated(100);
        let read = |bytes: &[u8]| read_in_pieces(&stranger, bytes, 7);
        assert!(read(&command(&[1; UNAUTHENTICATED_ARRAY_MAX])).is_ok());
        assert_eq!(read(b"*11\r\n"), Err(ProtocolError::UnauthenticatedArray));
        assert_eq!(
            read(b"*1\r\n$101\r\n"),
            Err(ProtocolError::UnauthenticatedBulk)
        );
        assert_eq!(
            read(&command(&[40, 50])),
            Err(ProtocolError::UnauthenticatedBulk)
        );
        assert_eq!(read(&[b'x'; 101]), Err(ProtocolError::InlineTooBig));
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let limits = Limits {
            array_max: usize::MAX,
            bulk_bytes_max: usize::MAX / 4,
            command_bytes_max: usize::MAX / 2,
            authenticated: true,
        };
        let mut reader = Reader::default();
        let mut args = Vec::new();
        let claim = b"*1000000000\r\n$2000000000000\r\n";
        assert_eq!(reader.next(&limits, claim, &mut args), Ok(None));
        assert!(!reader.elements.spilled());
        assert_eq!(args.capacity(), 0);
    }

    #[test]
    fn a_long_command_leaves_the_reader_small() {
        let mut bytes = b"*500\r\n".to_vec();
        for _ in 0..500 {
            bytes.extend_from_slice(b"$1\r\nx\r\n");
        }
        let mut reader = Reader::default();
        let mut args = Vec::new();
        let length = reader.next(&LIMITS, &bytes, &mut args);
        assert_eq!(length, Ok(Some(bytes.len())));
        assert_eq!(args.len(), 500);
        assert!(!reader.elements.spilled());
    }

    proptest! {
        /// Commands of another encoder are read correctly, however they are cut into pieces.
        #[test]
        fn any_command_survives_any_cut(
            commands in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..12),
                1..6,
            ),
            piece in 1_usize..200,
        ) {
            let mut bytes = Vec::new();
            for command in &commands {
                let bulks = command
                    .iter()
                    .map(|arg| resp2::types::OwnedFrame::BulkString(arg.clone()))
                    .collect();
                let frame = resp2::types::OwnedFrame::Array(bulks);
                let start = bytes.len();
                bytes.resize(start + frame.encode_len(false), 0);
                resp2::encode::encode(&mut bytes[start..], &frame, false).expect("encodes");
            }
            prop_assert_eq!(read_in_pieces(&LIMITS, &bytes, piece), Ok(commands));
        }

        /// Whole or in pieces, any bytes give the same commands or the same refusal, and never a
        /// panic.
        #[test]
        fn any_bytes_read_the_same_in_pieces(
            bytes in prop::collection::vec(
                prop_oneof![
                    Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'2'), Just(b'"'), Just(b' '), any::<u8>()
                ],
                0..80,
            ),
            piece in 1_usize..20,
        ) {
            prop_assert_eq!(read_in_pieces(&LIMITS, &bytes, piece), read(&bytes));
        }
    }
}
