//! Reads commands from the bytes of a connection: arrays of bulk strings, and inline commands.
//!
//! It is resumable: bytes of an unfinished command are not read again when more arrive, however
//! small the pieces. It must never allocate for a length that a client merely claims: its memory
//! grows only with bytes that have arrived.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;

use super::error::ProtocolError;
use super::limits::{INLINE_BYTES_MAX, Limits};
use super::{Arg, inline, integer};

/// Longest line that holds a length, without its line end. An `i64` has at most 20 characters, so a
/// longer line can be refused before its end arrives, and each search for that end costs the same.
const LENGTH_LINE_BYTES_MAX: usize = 32;

/// Arguments of a command whose places need no heap allocation; `XADD topic MAXLEN ~ 1000 * data …`
/// has eight.
const ARGS_INLINE: usize = 8;

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
mod tests;
