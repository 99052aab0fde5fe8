//! The data within an HTTP body (RFC 9112 §7.1): removes the chunk framing, without a buffer.

use super::head::Length;

/// How far the reading of a body is; starts from its [`Length`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Bytes to come.
    Bytes(u64),
    /// Everything until the end of the connection.
    Close,
    /// At the start of a chunk-size line.
    ChunkStart,
    /// Within a chunk-size line; the size so far.
    ChunkSize(u32),
    /// Within the rest of a chunk-size line, which is no digit.
    ChunkExtension(u32),
    /// Within chunk data; bytes to come.
    ChunkData(u32),
    /// Between chunk data and the next chunk-size line.
    ChunkEnd,
    /// After the last chunk: within a line of trailers; whether it is empty until now.
    Trailer(bool),
    /// The body is over.
    Ended,
}

/// Chunks that do not add up.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the chunked body is malformed")]
pub(crate) struct ChunkError;

impl From<Length> for Body {
    fn from(length: Length) -> Self {
        match length {
            Length::Chunked => Self::ChunkStart,
            Length::Bytes(0) => Self::Ended,
            Length::Bytes(bytes) => Self::Bytes(bytes),
            Length::Close => Self::Close,
        }
    }
}

impl Body {
    /// Takes the next piece of data from the front of `input`; `None` when `input` is used up or
    /// the body is over.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<&'a [u8]>, ChunkError> {
        while let Some(&byte) = input.first() {
            match *self {
                Self::Close => return Ok(Some(split(input, usize::MAX))),
                Self::Bytes(left) => {
                    let piece = split(input, usize::try_from(left).unwrap_or(usize::MAX));
                    *self = match left - piece.len() as u64 {
                        0 => Self::Ended,
                        left => Self::Bytes(left),
                    };
                    return Ok(Some(piece));
                }
                Self::ChunkData(left) => {
                    let piece = split(input, left as usize);
                    *self = match left - piece.len() as u32 {
                        0 => Self::ChunkEnd,
                        left => Self::ChunkData(left),
                    };
                    return Ok(Some(piece));
                }
                Self::Ended => return Ok(None),
                _ => self.framing(byte)?,
            }
            *input = &input[1..];
        }
        Ok(None)
    }

    /// The state after one more byte that is no data.
    fn framing(&mut self, byte: u8) -> Result<(), ChunkError> {
        *self = match (*self, byte) {
            (Self::ChunkSize(size) | Self::ChunkExtension(size), b'\n') => match size {
                0 => Self::Trailer(true),
                size => Self::ChunkData(size),
            },
            (Self::ChunkExtension(size), _) | (Self::ChunkSize(size), b'\r' | b';' | b' ') => {
                Self::ChunkExtension(size)
            }
            (Self::ChunkStart | Self::ChunkSize(_), digit) => {
                let size = match *self {
                    Self::ChunkSize(size) => size,
                    _ => 0,
                };
                let digit = (digit as char).to_digit(16).ok_or(ChunkError)?;
                let size = size
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(digit));
                Self::ChunkSize(size.ok_or(ChunkError)?)
            }
            (Self::ChunkEnd, b'\r') => Self::ChunkEnd,
            (Self::ChunkEnd, b'\n') => Self::ChunkStart,
            (Self::Trailer(true), b'\n') => Self::Ended,
            (Self::Trailer(false), b'\n') => Self::Trailer(true),
            (Self::Trailer(empty), b'\r') => Self::Trailer(empty),
            (Self::Trailer(_), _) => Self::Trailer(false),
            _ => return Err(ChunkError),
        };
        Ok(())
    }

    /// Whether the body is over.
    pub(crate) fn ended(&self) -> bool {
        *self == Self::Ended
    }
}

fn split<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (piece, rest) = input.split_at(input.len().min(most));
    *input = rest;
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(length: Length, pieces: &[&[u8]]) -> Result<(Vec<u8>, Body), ChunkError> {
        let (mut body, mut data) = (Body::from(length), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            while let Some(part) = body.next(&mut input)? {
                data.extend_from_slice(part);
            }
        }
        Ok((data, body))
    }

    #[test]
    fn chunks_are_undone_wherever_they_are_cut() {
        let text = b"5\r\nhello\r\n00B;x=y\r\n, world wid\r\n1\r\ne\r\n0\r\nTrailer: t\r\n\r\n";
        for cut in 0..text.len() {
            let (front, back) = text.split_at(cut);
            let decoded = decode(Length::Chunked, &[front, back]);
            assert_eq!(
                decoded,
                Ok((b"hello, world wide".to_vec(), Body::Ended)),
                "{cut}"
            );
        }
    }

    #[test]
    fn other_bodies_end_by_length_or_with_the_connection() {
        let decoded = decode(Length::Bytes(4), &[b"ab", b"cdef"]);
        assert_eq!(decoded, Ok((b"abcd".to_vec(), Body::Ended)));
        let decoded = decode(Length::Close, &[b"ab", b"cd"]);
        assert_eq!(decoded, Ok((b"abcd".to_vec(), Body::Close)));
    }

    #[test]
    fn chunks_that_do_not_add_up_are_refused() {
        for text in ["x\r\n", "\r\n", "2\r\nabc\r\n", "fffffffff\r\n"] {
            assert_eq!(
                decode(Length::Chunked, &[text.as_bytes()]),
                Err(ChunkError),
                "{text}"
            );
        }
    }
}
