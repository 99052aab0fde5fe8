//! The length of a request's body, from the fields of its head (RFC 9112 §6).
//!
//! A request is refused if two readers could disagree about the length.

use super::Fault;
use super::syntax::{is_space, is_token};

/// Names of the relevant fields, in lower case.
const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

const CHUNKED: &[u8] = b"chunked";

/// Larger lengths are refused: hyper reserves the few numbers beyond.
const LENGTH_MAX: u64 = i64::MAX as u64;

/// Recognizes a field's name byte by byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    bytes: u32,
    may_be_length: bool,
    may_be_coding: bool,
}

/// The role of a field in the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Length,
    Coding,
    Other,
}

impl Name {
    pub(super) const fn new() -> Self {
        Self {
            bytes: 0,
            may_be_length: true,
            may_be_coding: true,
        }
    }

    pub(super) fn push(&mut self, byte: u8) {
        if self.may_be_length || self.may_be_coding {
            let at = self.bytes as usize;
            let byte = byte.to_ascii_lowercase();
            self.may_be_length &= CONTENT_LENGTH.get(at) == Some(&byte);
            self.may_be_coding &= TRANSFER_ENCODING.get(at) == Some(&byte);
        }
        self.bytes = self.bytes.saturating_add(1);
    }

    pub(super) fn is_empty(self) -> bool {
        self.bytes == 0
    }

    pub(super) fn kind(self) -> Kind {
        let length = self.bytes as usize;
        if self.may_be_length && length == CONTENT_LENGTH.len() {
            Kind::Length
        } else if self.may_be_coding && length == TRANSFER_ENCODING.len() {
            Kind::Coding
        } else {
            Kind::Other
        }
    }
}

/// How the body of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// After so many bytes.
    Known(u64),
    /// With its last chunk.
    Chunked,
}

/// The framing, as far as the fields were read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Framing {
    length: Option<Digits>,
    codings: Option<Codings>,
}

impl Framing {
    /// A field of this kind begins.
    ///
    /// # Errors
    /// [`Fault`]: it must not be there.
    pub(super) fn begin(&mut self, kind: Kind) -> Result<(), Fault> {
        match kind {
            Kind::Length if self.length.is_some() => return Err(Fault::Lengths),
            Kind::Length => self.length = Some(Digits::Before),
            // Several of them are one list.
            Kind::Coding => self.codings.get_or_insert_default().begin_line(),
            Kind::Other => {}
        }
        Ok(())
    }

    /// The next byte of the value of a field of this kind.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) fn push(&mut self, kind: Kind, byte: u8) -> Result<(), Fault> {
        match (kind, &mut self.length, &mut self.codings) {
            (Kind::Length, Some(digits), _) => digits.push(byte),
            (Kind::Coding, _, Some(codings)) => codings.push(byte),
            _ => Ok(()),
        }
    }

    /// The value of a field of this kind is complete.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) fn end(&mut self, kind: Kind) -> Result<(), Fault> {
        match (kind, &self.length, &mut self.codings) {
            (Kind::Length, Some(Digits::Before), _) => Err(Fault::Length),
            (Kind::Coding, _, Some(codings)) => codings.end_coding(),
            _ => Ok(()),
        }
    }

    /// Whether the body has a transfer coding.
    pub(super) const fn is_coded(&self) -> bool {
        self.codings.is_some()
    }

    /// The length of the body, from all fields of the head together.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) fn body(&self, is_http_11: bool) -> Result<BodyLength, Fault> {
        let Some(codings) = &self.codings else {
            let length = self.length.map_or(0, Digits::number);
            return Ok(BodyLength::Known(length));
        };
        if !is_http_11 {
            return Err(Fault::CodingInHttp10);
        }
        if self.length.is_some() {
            return Err(Fault::LengthAndCoding);
        }
        codings.check()?;
        Ok(BodyLength::Chunked)
    }
}

/// The value of `Content-Length`.
#[derive(Debug, Clone, Copy)]
enum Digits {
    Before,
    Within(u64),
    After(u64),
}

impl Digits {
    fn push(&mut self, byte: u8) -> Result<(), Fault> {
        *self = match (*self, byte) {
            (Self::Before, _) if is_space(byte) => Self::Before,
            (Self::Before, b'0'..=b'9') => Self::Within(u64::from(byte - b'0')),
            (Self::Within(number), b'0'..=b'9') => number
                .checked_mul(10)
                .and_then(|number| number.checked_add(u64::from(byte - b'0')))
                .filter(|number| *number <= LENGTH_MAX)
                .map(Self::Within)
                .ok_or(Fault::Length)?,
            (Self::Within(number) | Self::After(number), _) if is_space(byte) => {
                Self::After(number)
            }
            _ => return Err(Fault::Length),
        };
        Ok(())
    }

    const fn number(self) -> u64 {
        match self {
            Self::Before => 0,
            Self::Within(number) | Self::After(number) => number,
        }
    }
}

/// The list in `Transfer-Encoding`.
#[derive(Debug, Clone, Copy, Default)]
struct Codings {
    /// Bytes of the coding that is being read.
    bytes: u8,
    /// They are a prefix of `chunked`.
    may_be_chunked: bool,
    /// White space or a parameter followed them.
    ended: bool,
    has_parameter: bool,
    chunked: u8,
    /// Codings other than `chunked`.
    others: bool,
    last_is_chunked: bool,
}

impl Codings {
    fn begin_line(&mut self) {
        self.bytes = 0;
        self.may_be_chunked = true;
        self.ended = false;
        self.has_parameter = false;
    }

    fn push(&mut self, byte: u8) -> Result<(), Fault> {
        match byte {
            b',' => {
                self.end_coding()?;
                self.begin_line();
            }
            // A parameter's value is ignored: no coding here has parameters.
            _ if self.has_parameter => {}
            b';' if self.bytes > 0 => self.has_parameter = true,
            _ if is_space(byte) => self.ended = self.bytes > 0,
            _ if is_token(byte) && !self.ended => {
                let at = usize::from(self.bytes);
                self.may_be_chunked &= CHUNKED.get(at) == Some(&byte.to_ascii_lowercase());
                self.bytes = self.bytes.saturating_add(1);
            }
            _ => return Err(Fault::Coding),
        }
        Ok(())
    }

    fn end_coding(&mut self) -> Result<(), Fault> {
        if self.bytes == 0 {
            return Err(Fault::Coding);
        }
        let is_chunked = self.may_be_chunked && usize::from(self.bytes) == CHUNKED.len();
        self.last_is_chunked = is_chunked && !self.has_parameter;
        if is_chunked {
            self.chunked = self.chunked.saturating_add(1);
        } else {
            self.others = true;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Fault> {
        match (self.last_is_chunked, self.chunked, self.others) {
            (true, 1, false) => Ok(()),
            (true, 1, true) => Err(Fault::UnknownCoding),
            _ => Err(Fault::Coding),
        }
    }
}
