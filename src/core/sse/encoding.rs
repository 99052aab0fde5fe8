//! The encoding of a stream's bytes.

use std::num::NonZeroU8;

/// Everything that a stream's bytes depend on, in one byte of its record. Streams of one encoding
/// share the bytes of an event, and caches use it as their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding(NonZeroU8);

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
    pub const CHUNKED: Self = Self::of(0);

    /// Plain text.
    pub const BARE: Self = Self::of(Self::IS_BARE);

    /// The encoding of no stream.
    pub(crate) const NONE: Self = Self::of(u8::MAX);

    const IS_BARE: u8 = 1;
    const HAS_TOPICS: u8 = 1 << 1;
    const HAS_HEARTBEAT_EVENTS: u8 = 1 << 2;
    /// Always set, so that no encoding is zero: an empty place in a table of streams needs no byte.
    const EXISTS: u8 = 1 << 7;

    const fn of(bits: u8) -> Self {
        match NonZeroU8::new(bits | Self::EXISTS) {
            Some(bits) => Self(bits),
            None => unreachable!(),
        }
    }

    const fn bits(self) -> u8 {
        self.0.get()
    }

    /// The same, where each event begins with lines that name its topics.
    #[must_use]
    pub const fn with_topics(self) -> Self {
        Self::of(self.bits() | Self::HAS_TOPICS)
    }

    /// The same, where heartbeats are events that a client can hear.
    #[must_use]
    pub const fn with_heartbeat_events(self) -> Self {
        Self::of(self.bits() | Self::HAS_HEARTBEAT_EVENTS)
    }

    /// Coding of the text.
    #[must_use]
    pub const fn text(self) -> Text {
        Text::Identity
    }

    /// Wrapping of the coded text.
    #[must_use]
    pub const fn wrap(self) -> Wrap {
        if self.bits() & Self::IS_BARE == 0 {
            Wrap::Chunked
        } else {
            Wrap::Bare
        }
    }

    /// Whether each event begins with lines that name its topics.
    #[must_use]
    pub const fn has_topics(self) -> bool {
        self.bits() & Self::HAS_TOPICS != 0
    }

    /// Whether heartbeats are events that a client can hear.
    #[must_use]
    pub const fn has_heartbeat_events(self) -> bool {
        self.bits() & Self::HAS_HEARTBEAT_EVENTS != 0
    }

    /// The part that the bytes of an event depend on.
    #[inline]
    pub(crate) const fn of_events(self) -> Self {
        Self::of(self.bits() & !Self::HAS_HEARTBEAT_EVENTS)
    }

    /// The part that the bytes of a frame depend on.
    pub(crate) const fn of_frames(self) -> Self {
        Self::of(self.bits() & Self::IS_BARE)
    }
}

// A stream's record has one byte for it.
const _: () = assert!(size_of::<Encoding>() == 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stream_asked_for_is_independent_of_its_wrapping() {
        for (plain, wrap) in [
            (Encoding::CHUNKED, Wrap::Chunked),
            (Encoding::BARE, Wrap::Bare),
        ] {
            let all = plain.with_topics().with_heartbeat_events();
            assert_eq!(all.wrap(), wrap);
            assert!(all.has_topics() && all.has_heartbeat_events());
            assert_eq!(all.of_events(), plain.with_topics());
            assert_eq!(all.of_frames(), plain);
            assert!(!plain.has_topics() && !plain.has_heartbeat_events());
            assert!(![plain, all].contains(&Encoding::NONE));
        }
    }
}
