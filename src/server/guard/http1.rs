//! The requests of an HTTP/1 connection: head, body, head, body (RFC 9112).
//!
//! A byte passes once it is known to be right, and a head passes as a whole with its last byte. So
//! hyper never completes a request whose head is wrong, and answers those before it as usual.

use super::chunks::Chunks;
use super::fields::Fields;
use super::framing::{BodyLength, Framing};
use super::limits::Limits;
use super::syntax::{is_target, is_token, run};
use super::{Fault, Refusal};

/// Most empty lines before a request that are skipped. RFC 9112 §2.2 asks for one: some clients
/// send one after a body.
const EMPTY_LINES_MAX: u8 = 8;

const VERSION: &[u8] = b"HTTP/1.";

/// Follows the requests of one connection.
#[derive(Debug, Clone)]
pub struct Http1 {
    part: Part,
    limits: Limits,
    /// A body may have a transfer coding.
    codings: bool,
    /// Bytes of the request head that has begun and not ended.
    head_bytes: u32,
    refusal: Option<Refusal>,
}

// It is part of every connection that is not a stream.
const _: () = assert!(size_of::<Http1>() <= 96);

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum Part {
    Line(Line),
    Fields {
        fields: Fields,
        framing: Framing,
        is_http_11: bool,
    },
    Body {
        left: u64,
    },
    Chunks(Chunks),
}

/// Where in a request line.
#[derive(Debug, Clone, Copy)]
enum Line {
    Start {
        empty_lines: u8,
    },
    /// After the CR of an empty line.
    EmptyCr {
        empty_lines: u8,
    },
    Method,
    TargetStart,
    Target,
    Version {
        bytes: u8,
    },
    Minor,
    Cr {
        is_http_11: bool,
    },
    Lf {
        is_http_11: bool,
    },
}

const NEXT_REQUEST: Part = Part::Line(Line::Start { empty_lines: 0 });

impl Http1 {
    /// For a connection on which nothing was received.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            part: NEXT_REQUEST,
            limits,
            codings: true,
            head_bytes: 0,
            refusal: None,
        }
    }

    /// The same for a listener whose calls have no body: no transfer coding passes.
    pub(crate) const fn without_codings(mut self) -> Self {
        self.codings = false;
        self
    }

    /// Follows `bytes`; returns how many of them are right. The first wrong byte ends everything:
    /// none passes after it.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let (mut at, mut head_at) = (0, 0);
        while at < bytes.len() && self.refusal.is_none() {
            match self.advance(&bytes[at..]) {
                Ok(taken) => {
                    at += taken;
                    if self.is_between_requests() {
                        self.head_bytes = 0;
                        head_at = at;
                    }
                }
                Err(fault) => {
                    let in_head = matches!(self.part, Part::Line(_) | Part::Fields { .. });
                    self.refusal = Some(Refusal { fault, in_head });
                }
            }
        }
        if self.is_in_head() {
            self.head_bytes = self.head_bytes.saturating_add((at - head_at) as u32);
        } else {
            self.head_bytes = 0;
        }
        at
    }

    /// The fault of the byte that did not pass.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.refusal.map(|refusal| refusal.fault)
    }

    /// Bytes of the request head that has begun and not ended; 0 outside of a head.
    pub(super) fn head_bytes(&self) -> usize {
        self.head_bytes as usize
    }

    fn is_in_head(&self) -> bool {
        matches!(self.part, Part::Line(_) | Part::Fields { .. }) && !self.is_between_requests()
    }

    /// Refuses the head that has begun.
    pub(super) fn refuse_head(&mut self, fault: Fault) {
        self.refusal.get_or_insert(Refusal {
            fault,
            in_head: true,
        });
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Whether the bytes so far are whole requests.
    #[must_use]
    pub fn is_between_requests(&self) -> bool {
        let at_start = matches!(self.part, Part::Line(Line::Start { empty_lines: 0 }));
        at_start && self.refusal.is_none()
    }

    /// Reads at least one byte.
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let (taken, next) = match &mut self.part {
            Part::Line(line) => match *line {
                Line::Target => {
                    let length = run(bytes, is_target);
                    if length == 0 {
                        *line = line.next(bytes[0])?;
                    }
                    (length.max(1), None)
                }
                Line::Lf { is_http_11 } if bytes[0] == b'\n' => {
                    let fields = Part::Fields {
                        fields: Fields::new(),
                        framing: Framing::default(),
                        is_http_11,
                    };
                    (1, Some(fields))
                }
                _ => {
                    *line = line.next(bytes[0])?;
                    (1, None)
                }
            },
            Part::Fields {
                fields,
                framing,
                is_http_11,
            } => {
                let (taken, ended) = fields.advance(bytes, framing)?;
                if ended && !self.codings && framing.is_coded() {
                    return Err(Fault::Coded);
                }
                let next = match ended.then(|| framing.body(*is_http_11)).transpose()? {
                    None => None,
                    Some(BodyLength::Known(0)) => Some(NEXT_REQUEST),
                    Some(BodyLength::Known(left)) => Some(Part::Body { left }),
                    Some(BodyLength::Chunked) => Some(Part::Chunks(Chunks::new())),
                };
                (taken, next)
            }
            Part::Body { left } => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                (taken as usize, (*left == 0).then_some(NEXT_REQUEST))
            }
            Part::Chunks(chunks) => {
                let (taken, ended) = chunks.advance(bytes, &self.limits)?;
                (taken, ended.then_some(NEXT_REQUEST))
            }
        };
        if let Some(next) = next {
            self.part = next;
        }
        Ok(taken)
    }
}

impl Line {
    /// The place after `byte`.
    fn next(self, byte: u8) -> Result<Self, Fault> {
        match (self, byte) {
            (Self::Start { empty_lines }, b'\r') if empty_lines < EMPTY_LINES_MAX => {
                Ok(Self::EmptyCr { empty_lines })
            }
            (Self::Start { .. }, b'\r') => Err(Fault::EmptyLines),
            (Self::EmptyCr { empty_lines }, b'\n') => Ok(Self::Start {
                empty_lines: empty_lines + 1,
            }),
            (Self::Start { .. }, b'\n') | (Self::EmptyCr { .. }, _) => Err(Fault::LineEnd),
            (Self::Start { .. } | Self::Method, _) if is_token(byte) => Ok(Self::Method),
            (Self::Method, b' ') => Ok(Self::TargetStart),
            (Self::Start { .. } | Self::Method, _) => Err(Fault::Method),
            (Self::TargetStart | Self::Target, _) if is_target(byte) => Ok(Self::Target),
            (Self::Target, b' ') => Ok(Self::Version { bytes: 0 }),
            (Self::Target, b'\r' | b'\n') => Err(Fault::Version),
            (Self::TargetStart | Self::Target, _) => Err(Fault::Target),
            (Self::Version { bytes }, _) if VERSION.get(usize::from(bytes)) == Some(&byte) => {
                let bytes = bytes + 1;
                if usize::from(bytes) == VERSION.len() {
                    return Ok(Self::Minor);
                }
                Ok(Self::Version { bytes })
            }
            (Self::Minor, b'0' | b'1') => Ok(Self::Cr {
                is_http_11: byte == b'1',
            }),
            (Self::Version { .. } | Self::Minor, _) => Err(Fault::Version),
            (Self::Cr { is_http_11 }, b'\r') => Ok(Self::Lf { is_http_11 }),
            (Self::Cr { .. }, b'\n') | (Self::Lf { .. }, _) => Err(Fault::LineEnd),
            (Self::Cr { .. }, _) => Err(Fault::Version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads of several requests were added up where each read ended within one.
    #[test]
    fn only_the_head_that_has_begun_counts() {
        let mut guard = Http1::new(Limits {
            trailer_bytes_max: 0,
            trailer_count_max: 0,
        });
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut receive = |bytes: &[u8]| {
            assert_eq!(guard.receive(bytes), bytes.len());
            guard.head_bytes()
        };
        for _ in 0..100 {
            assert_eq!(receive(&request[..10]), 10);
            assert_eq!(receive(&request[10..12]), 12);
            assert_eq!(receive(&[&request[12..], &request[..5]].concat()), 5);
            assert_eq!(receive(&request[5..]), 0);
        }
    }
}
