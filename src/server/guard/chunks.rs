//! A chunked body, up to and including its trailer section (RFC 9112 §7.1).

use super::Fault;
use super::fields::Fields;
use super::framing::Framing;
use super::limits::Limits;
use super::syntax::{is_quoted, is_space, is_token, is_value};

/// Most digits of a chunk's size, leading zeros included.
const SIZE_DIGITS_MAX: u8 = 16;

/// Most bytes of extensions in one body: hyper accepts no more, and they are ignored here.
const EXTENSION_BYTES_MAX: u32 = 16 * 1024 - 1;

/// Where in the body the next byte stands.
#[derive(Debug, Clone, Copy)]
enum State {
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        at: Extension,
    },
    LineEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailers {
        fields: Fields,
        count: usize,
        bytes: usize,
    },
}

/// Where in a chunk extension.
#[derive(Debug, Clone, Copy)]
enum Extension {
    /// White space before `;`.
    BeforeSemicolon,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Token,
    Quoted,
    /// After a backslash.
    Escaped,
    /// A quoted value has ended.
    AfterQuoted,
}

/// A chunked body that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunks {
    state: State,
    extension_bytes: u32,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self {
            state: NEXT_CHUNK,
            extension_bytes: 0,
        }
    }

    /// Reads at least one byte of `bytes`, which must not be empty. Returns the number of bytes
    /// read, and whether the body ended with them.
    ///
    /// # Errors
    /// [`Fault`] of the first byte.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<(usize, bool), Fault> {
        let byte = bytes[0];
        self.state = match self.state {
            State::Size { size, digits } => size_digit(size, digits, byte)?,
            State::Extension { size, at } => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(Fault::ChunkExtensions);
                }
                match extension(at, byte)? {
                    Some(at) => State::Extension { size, at },
                    None => State::LineEnd { size },
                }
            }
            State::LineEnd { .. } if byte != b'\n' => return Err(Fault::LineEnd),
            State::LineEnd { size: 0 } => State::Trailers {
                fields: Fields::new(),
                count: 0,
                bytes: 0,
            },
            State::LineEnd { size } => State::Data { left: size },
            State::Data { left } => {
                let taken = left.min(bytes.len() as u64);
                self.state = match left - taken {
                    0 => State::DataCr,
                    left => State::Data { left },
                };
                return Ok((taken as usize, false));
            }
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataLf if byte == b'\n' => NEXT_CHUNK,
            State::DataCr | State::DataLf => return Err(Fault::ChunkEnd),
            State::Trailers { .. } => return self.trailers(bytes, limits),
        };
        Ok((1, false))
    }

    fn trailers(&mut self, section: &[u8], limits: &Limits) -> Result<(usize, bool), Fault> {
        let State::Trailers {
            fields,
            count,
            bytes,
        } = &mut self.state
        else {
            return Ok((0, false));
        };
        if fields.is_at_line_start() && section[0] != b'\r' {
            *count += 1;
        }
        let room = limits.trailer_bytes_max.saturating_sub(*bytes);
        if room == 0 || *count > limits.trailer_count_max {
            return Err(Fault::Trailers);
        }
        // Trailers do not affect the length of the body, which has ended.
        let section = &section[..section.len().min(room)];
        let (taken, ended) = fields.advance(section, &mut Framing::default())?;
        *bytes += taken;
        Ok((taken, ended))
    }
}

const NEXT_CHUNK: State = State::Size { size: 0, digits: 0 };

fn size_digit(size: u64, digits: u8, byte: u8) -> Result<State, Fault> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Ok(State::LineEnd { size }),
        _ if digits > 0 && (is_space(byte) || byte == b';') => {
            let at = extension(Extension::BeforeSemicolon, byte)?;
            let at = at.ok_or(Fault::ChunkSize)?;
            return Ok(State::Extension { size, at });
        }
        b'\n' if digits > 0 => return Err(Fault::LineEnd),
        _ => return Err(Fault::ChunkSize),
    };
    // One bit less than fits, as everywhere: no reader in front or behind may mistake the size for
    // a negative one.
    if digits == SIZE_DIGITS_MAX || size >> 59 != 0 {
        return Err(Fault::ChunkSize);
    }
    Ok(State::Size {
        size: size << 4 | u64::from(digit),
        digits: digits + 1,
    })
}

/// The place after `byte`; `None` after the CR that ends the line.
fn extension(at: Extension, byte: u8) -> Result<Option<Extension>, Fault> {
    use Extension::{
        AfterName, AfterQuoted, BeforeName, BeforeSemicolon, BeforeValue, Escaped, Name, Quoted,
        Token,
    };
    Ok(Some(match (at, byte) {
        (_, b'\n') => return Err(Fault::LineEnd),
        (BeforeSemicolon | BeforeName | BeforeValue | AfterName, _) if is_space(byte) => at,
        (Name, _) if is_space(byte) => AfterName,
        // White space may only stand before one more extension.
        (Token | AfterQuoted, _) if is_space(byte) => BeforeSemicolon,
        (BeforeSemicolon | Name | AfterName | Token | AfterQuoted, b';') => BeforeName,
        (Name | Token | AfterQuoted, b'\r') => return Ok(None),
        (BeforeName | Name, _) if is_token(byte) => Name,
        (Name | AfterName, b'=') => BeforeValue,
        (BeforeValue | Token, _) if is_token(byte) => Token,
        (BeforeValue, b'"') => Quoted,
        (Quoted, b'"') => AfterQuoted,
        (Quoted, b'\\') => Escaped,
        (Quoted, _) if is_quoted(byte) => Quoted,
        (Escaped, _) if is_value(byte) => Quoted,
        _ => return Err(Fault::ChunkExtension),
    }))
}
