//! The faults that a guard refuses.

use hyper::StatusCode;
use thiserror::Error;

/// Bytes that may not pass, and their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    /// They are part of a request head, so that there is no request to answer.
    pub(crate) in_head: bool,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// More empty lines before a request than are passed over.
    #[error("there are too many empty lines before the request")]
    EmptyLines,
    /// RFC 9110 §9.1.
    #[error("the method must be a token")]
    Method,
    /// RFC 9112 §3.2.
    #[error(
        "the request target must not be empty, and must not hold a fragment, `<`, `>`, white space or control characters"
    )]
    Target,
    /// RFC 9112 §2.3, §3.
    #[error("the request line must end with one space and `HTTP/1.1` or `HTTP/1.0`")]
    Version,
    /// RFC 9112 §2.2.
    #[error("every line must end with CRLF, and a CR or LF must stand nowhere else")]
    LineEnd,
    /// RFC 9110 §5.1, RFC 9112 §5.1.
    #[error("a field name must be a token that a colon follows at once")]
    FieldName,
    /// RFC 9112 §5.2, §2.2.
    #[error("a field line must not begin with white space")]
    Folded,
    /// RFC 9110 §5.5.
    #[error("a field value must not hold control characters")]
    FieldValue,
    /// RFC 9110 §8.6.
    #[error("`Content-Length` must be one decimal number")]
    Length,
    /// RFC 9112 §6.3.
    #[error("there must be one `Content-Length`, not several")]
    Lengths,
    /// RFC 9112 §6.1.
    #[error("`Content-Length` and `Transfer-Encoding` must not be in one request")]
    LengthAndCoding,
    /// RFC 9112 §6.1.
    #[error("`Transfer-Encoding` needs HTTP/1.1")]
    CodingInHttp10,
    /// RFC 9112 §6.3, §7.
    #[error("`Transfer-Encoding` must end with `chunked`, once and without parameters")]
    Coding,
    /// RFC 9112 §6.1.
    #[error("no `Transfer-Encoding` but `chunked` is known here")]
    UnknownCoding,
    /// A body in chunks, where no call has a body.
    #[error("the calls of this listener have no body; send none")]
    Coded,
    /// RFC 9112 §7.1.
    #[error("a chunk must begin with its size, 1 to 16 hexadecimal digits")]
    ChunkSize,
    /// RFC 9112 §7.1.1.
    #[error("a chunk extension must be `;name`, `;name=token` or `;name=\"text\"`")]
    ChunkExtension,
    /// RFC 9112 §7.1.1.
    #[error("the chunk extensions of a body are too long")]
    ChunkExtensions,
    /// RFC 9112 §7.1.
    #[error("CRLF must follow the data of a chunk")]
    ChunkEnd,
    /// RFC 9112 §7.1.2.
    #[error("the trailer section is too large (`header_bytes_max`, `header_count_max`)")]
    Trailers,
    /// RFC 9113 §3.4.
    #[error("the first frame must be SETTINGS")]
    NoSettings,
    /// RFC 9113 §10.5.
    #[error("too many frames that ask for nothing")]
    Frames,
    /// RFC 9113 §10.5.
    #[error("too many streams that ended before they were answered")]
    Resets,
    /// Slower than a setting allows.
    #[error("what was begun did not end in time")]
    Slow,
    /// The head is right, as far as it has come.
    #[error(
        "the node has no memory for so long a request head now (`memory_budget`); send a shorter one, or try again"
    )]
    NoMemory,
}

impl Fault {
    /// The error code of a `GOAWAY` (RFC 9113 §7).
    pub(crate) const fn code(self) -> u32 {
        const NO_ERROR: u32 = 0;
        const PROTOCOL_ERROR: u32 = 1;
        const ENHANCE_YOUR_CALM: u32 = 11;
        match self {
            Self::Slow => NO_ERROR,
            Self::Frames | Self::Resets | Self::NoMemory => ENHANCE_YOUR_CALM,
            _ => PROTOCOL_ERROR,
        }
    }

    /// Whether it is the work of an attacker, not of a slow or broken client.
    pub(crate) const fn is_flood(self) -> bool {
        matches!(self, Self::Frames | Self::Resets)
    }

    /// Status of the answer to the client.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::NoMemory => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
