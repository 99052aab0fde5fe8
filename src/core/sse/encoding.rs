//! The encoding of a stream's bytes.

/// Everything that a stream's bytes depend on. Streams of one encoding share the bytes of an event,
/// and caches use it as their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// Coding of the event stream's text.
    pub text: Text,
    /// Wrapping of the coded text for the connection.
    pub wrap: Wrap,
}

/// Coding of an event stream's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// No coding.
    Identity,
}

/// Wrapping of pieces of text for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrap {
    /// Each in a chunk of HTTP/1.1.
    Chunked,
    /// No wrapping (HTTP/1.0, and bodies, whose transport has frames of its own).
    Bare,
}

impl Encoding {
    /// Plain text in chunks of HTTP/1.1.
    pub const CHUNKED: Self = Self {
        text: Text::Identity,
        wrap: Wrap::Chunked,
    };

    /// Plain text.
    pub const BARE: Self = Self {
        text: Text::Identity,
        wrap: Wrap::Bare,
    };
}

// A stream's record has one byte for it.
const _: () = assert!(size_of::<Encoding>() == 1);
