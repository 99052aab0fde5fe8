//! Finds frames in a run of bytes (RFC 9113 §4.1), however it is cut. Payloads are skipped.

/// Bytes of a frame's head.
const HEAD_BYTES: usize = 9;

/// Bytes of a payload that are kept: the error code of `RST_STREAM`.
const START_BYTES: usize = 4;

/// Type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Extension frames, which are ignored (RFC 9113 §5.5).
    Other,
}

impl Kind {
    const fn of(code: u8) -> Self {
        match code {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Other,
        }
    }
}

/// Head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) length: u32,
    flags: u8,
    pub(super) stream: u32,
}

impl Head {
    fn parse(bytes: [u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        Self {
            kind: Kind::of(kind),
            length: u32::from_be_bytes([0, a, b, c]),
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        }
    }

    /// `END_STREAM`, of `DATA` and `HEADERS`.
    pub(super) const fn ends_stream(self) -> bool {
        self.flags & 0x1 != 0
    }

    /// `END_HEADERS`, of `HEADERS` and `CONTINUATION`.
    pub(super) const fn ends_headers(self) -> bool {
        self.flags & 0x4 != 0
    }
}

/// The next step in a run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The head of a frame is complete.
    Head(Head),
    /// The frame is complete.
    End(Head, [u8; START_BYTES]),
}

/// Finds the frames of one direction.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: [u8; HEAD_BYTES],
    have: usize,
    /// The frame whose payload is being read.
    current: Option<Head>,
    start: [u8; START_BYTES],
    start_have: usize,
    payload_left: usize,
}

impl Frames {
    /// Consumes bytes from the front of `input`, up to the next step; `None` if they were too few
    /// for one. The end of a frame without payload consumes none.
    pub(super) fn step(&mut self, input: &mut &[u8]) -> Option<Step> {
        let Some(head) = self.current else {
            let count = input.len().min(HEAD_BYTES - self.have);
            let (taken, rest) = input.split_at(count);
            self.bytes[self.have..][..count].copy_from_slice(taken);
            self.have += count;
            *input = rest;
            if self.have < HEAD_BYTES {
                return None;
            }
            let head = Head::parse(self.bytes);
            self.current = Some(head);
            self.payload_left = head.length as usize;
            self.start = [0; START_BYTES];
            self.start_have = 0;
            return Some(Step::Head(head));
        };
        let count = input.len().min(self.payload_left);
        let (taken, rest) = input.split_at(count);
        let wanted = count.min(START_BYTES - self.start_have);
        self.start[self.start_have..][..wanted].copy_from_slice(&taken[..wanted]);
        self.start_have += wanted;
        self.payload_left -= count;
        *input = rest;
        if self.payload_left > 0 {
            return None;
        }
        self.current = None;
        self.have = 0;
        Some(Step::End(head, self.start))
    }

    /// Whether the last frame that was begun is complete.
    pub(super) const fn at_boundary(&self) -> bool {
        self.have == 0
    }

    /// Whether the payload of a frame of this kind is being read.
    pub(super) fn is_in(&self, kind: Kind) -> bool {
        self.current.is_some_and(|head| head.kind == kind)
    }
}
