//! Errors of the reader, in Redis's words.

use std::fmt;

use thiserror::Error;

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
    /// An inline command does not end within [`INLINE_BYTES_MAX`](super::INLINE_BYTES_MAX) bytes.
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
