//! Which bytes a stream is sent.

/// What a stream's bytes depend on. All streams of one encoding share the bytes of an event: it is
/// the key of whatever is kept of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// How the event stream's text is coded.
    pub text: Text,
    /// How the coded text is wrapped for the connection.
    pub wrap: Wrap,
}

/// How the text of an event stream is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// As it is.
    Identity,
}

/// How pieces of text are wrapped for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrap {
    /// Each in a chunk of HTTP/1.1.
    Chunked,
    /// Not at all (HTTP/1.0, and bodies, whose transport has frames of its own).
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
