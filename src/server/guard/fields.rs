//! The lines of a field section, up to and including the empty line at its end (RFC 9112 §5).

use super::Fault;
use super::framing::{Framing, Kind, Name};
use super::syntax::{is_space, is_token, is_value, run};

/// Where in the section the next byte stands.
#[derive(Debug, Clone, Copy)]
enum State {
    LineStart,
    Name(Name),
    Value(Kind),
    /// After the CR of a field line.
    LineEnd,
    /// After the CR of the empty line.
    SectionEnd,
}

/// A field section that is being read: of a head, or the trailers of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    state: State,
}

impl Fields {
    pub(super) const fn new() -> Self {
        Self {
            state: State::LineStart,
        }
    }

    /// Whether the next byte begins a line.
    pub(super) fn is_at_line_start(&self) -> bool {
        matches!(self.state, State::LineStart)
    }

    /// Reads at least one byte of `bytes`, which must not be empty. Returns the number of bytes
    /// read, and whether the section ended with them. Values of fields about the body are passed to
    /// `framing`.
    ///
    /// # Errors
    /// [`Fault`] of the first byte.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        framing: &mut Framing,
    ) -> Result<(usize, bool), Fault> {
        let byte = bytes[0];
        self.state = match self.state {
            State::LineStart if byte == b'\r' => State::SectionEnd,
            State::LineStart if is_space(byte) => return Err(Fault::Folded),
            State::LineStart if byte == b'\n' => return Err(Fault::LineEnd),
            State::LineStart => name(Name::new(), byte, framing)?,
            State::Name(so_far) => name(so_far, byte, framing)?,
            State::Value(Kind::Other) => {
                let length = run(bytes, is_value);
                if length > 0 {
                    return Ok((length, false));
                }
                end_of_value(byte)?
            }
            State::Value(kind) if is_value(byte) => {
                framing.push(kind, byte)?;
                State::Value(kind)
            }
            State::Value(kind) => {
                let next = end_of_value(byte)?;
                framing.end(kind)?;
                next
            }
            State::LineEnd if byte == b'\n' => State::LineStart,
            State::SectionEnd if byte == b'\n' => return Ok((1, true)),
            State::LineEnd | State::SectionEnd => return Err(Fault::LineEnd),
        };
        Ok((1, false))
    }
}

fn name(mut so_far: Name, byte: u8, framing: &mut Framing) -> Result<State, Fault> {
    match byte {
        b':' if !so_far.is_empty() => {
            let kind = so_far.kind();
            framing.begin(kind)?;
            Ok(State::Value(kind))
        }
        _ if is_token(byte) => {
            so_far.push(byte);
            Ok(State::Name(so_far))
        }
        _ => Err(Fault::FieldName),
    }
}

fn end_of_value(byte: u8) -> Result<State, Fault> {
    match byte {
        b'\r' => Ok(State::LineEnd),
        b'\n' => Err(Fault::LineEnd),
        _ => Err(Fault::FieldValue),
    }
}
