//! The sections of a state.

use std::fmt;

/// The kind of the records in a piece. A new kind of record gets a new section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Section {
    /// The node as a whole.
    Node,
    /// Topics, events, patterns and grants.
    Store,
    /// Announced streams.
    Presence,
    /// Bytes that several streams share.
    Bytes,
    /// Parked streams.
    Streams,
    /// Counters.
    Counters,
    /// Listening sockets.
    Listeners,
    /// HTTP connections that are no streams.
    Http,
    /// Connections of the ingest port.
    Resp,
    /// Key sets that were fetched.
    Keys,
    /// The history of a file: topics and events by name.
    History,
    /// Idempotency keys of a desk.
    Idempotency,
    /// Idempotency keys of a file.
    HistoryIdempotency,
    /// The end.
    End,
}

impl Section {
    /// All sections, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Node,
        Self::Store,
        Self::Presence,
        Self::Bytes,
        Self::Streams,
        Self::Counters,
        Self::Listeners,
        Self::Http,
        Self::Resp,
        Self::Keys,
        Self::History,
        Self::Idempotency,
        Self::HistoryIdempotency,
        Self::End,
    ];

    /// Its tag as text, four letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "NODE",
            Self::Store => "STOR",
            Self::Presence => "PRES",
            Self::Bytes => "BYTE",
            Self::Streams => "STRM",
            Self::Counters => "CNTR",
            Self::Listeners => "LSTN",
            Self::Http => "HTTP",
            Self::Resp => "RESP",
            Self::Keys => "KEYS",
            Self::History => "HIST",
            Self::Idempotency => "IDEM",
            Self::HistoryIdempotency => "HIDM",
            Self::End => "END ",
        }
    }

    /// Its tag, which reads as its name.
    pub(super) fn tag(self) -> [u8; 4] {
        let mut tag = [0; 4];
        tag.copy_from_slice(self.name().as_bytes());
        tag
    }

    /// The section of a tag, if it is known.
    pub(super) fn of_tag(tag: [u8; 4]) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.tag() == tag)
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().trim_end())
    }
}
