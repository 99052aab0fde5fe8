//! Header and pieces: lengths and checksums. Knows no records.

use std::io::{self, Write};

use super::{Section, StateError};

/// The version of the format that is written. It rises with every change.
pub const FORMAT_VERSION: u32 = 5;

/// The oldest version of a reader that understands what is written.
pub const READER_VERSION_MIN: u32 = 1;

/// Bytes after which a piece ends, with the record that reached them.
pub const PIECE_BYTES: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"FANTAIL\0";

/// Magic, version, oldest reader and checksum.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 4 + 4;

/// Section, length and checksum.
pub(super) const PIECE_HEAD_BYTES: usize = 4 + 8 + 4;

/// A piece without its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) section: Option<Section>,
    pub(super) payload: &'a [u8],
}

pub(super) fn write_header(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&header(FORMAT_VERSION, READER_VERSION_MIN))
}

/// A header of these versions.
pub(super) fn header(version: u32, reader: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[12..16].copy_from_slice(&reader.to_le_bytes());
    let checksum = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&checksum.to_le_bytes());
    header
}

pub(super) fn write_piece(out: &mut impl Write, tag: [u8; 4], payload: &[u8]) -> io::Result<()> {
    let length = (payload.len() as u64).to_le_bytes();
    out.write_all(&tag)?;
    out.write_all(&length)?;
    out.write_all(&checksum(tag, length, payload).to_le_bytes())?;
    out.write_all(payload)
}

fn checksum(tag: [u8; 4], length: [u8; 8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&tag);
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// The head of a piece.
pub(super) struct PieceHead {
    tag: [u8; 4],
    length: [u8; 8],
    checksum: u32,
}

impl PieceHead {
    pub(super) fn new(bytes: [u8; PIECE_HEAD_BYTES]) -> Self {
        let (mut tag, mut length, mut checksum) = ([0; 4], [0; 8], [0; 4]);
        tag.copy_from_slice(&bytes[..4]);
        length.copy_from_slice(&bytes[4..12]);
        checksum.copy_from_slice(&bytes[12..]);
        Self {
            tag,
            length,
            checksum: u32::from_le_bytes(checksum),
        }
    }

    /// The length of the payload.
    pub(super) fn length(&self) -> u64 {
        u64::from_le_bytes(self.length)
    }

    /// Checks the payload of the piece, which starts at byte `at`. Returns its section, if it is
    /// known.
    pub(super) fn check(&self, payload: &[u8], at: usize) -> Result<Option<Section>, StateError> {
        if checksum(self.tag, self.length, payload) == self.checksum {
            Ok(Section::of_tag(self.tag))
        } else {
            let section = self.tag.escape_ascii().to_string();
            Err(StateError::Checksum { at, section })
        }
    }
}

/// Checks the payload of the end, which ends at byte `at` behind so many other pieces.
pub(super) fn check_end(
    payload: &[u8],
    pieces: u64,
    at: usize,
    is_last: bool,
) -> Result<(), StateError> {
    let expected = payload.first_chunk().ok_or(StateError::Truncated { at })?;
    let expected = u64::from_le_bytes(*expected);
    if expected != pieces {
        let found = pieces;
        return Err(StateError::Pieces { found, expected });
    }
    if is_last {
        Ok(())
    } else {
        Err(StateError::Trailing { at })
    }
}

/// Reads the pieces of a state one after the other.
#[derive(Clone, Debug)]
pub(super) struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
    pieces: u64,
}

impl<'a> Pieces<'a> {
    /// Reads the header.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, StateError> {
        let magic = bytes.len().min(MAGIC.len());
        if bytes[..magic] != MAGIC[..magic] {
            return Err(StateError::NoMagic);
        }
        let mut pieces = Self {
            bytes,
            at: MAGIC.len().min(bytes.len()),
            pieces: 0,
        };
        let version = u32::from_le_bytes(pieces.array()?);
        let needs = u32::from_le_bytes(pieces.array()?);
        let checksum = u32::from_le_bytes(pieces.array()?);
        if checksum != crc32fast::hash(&bytes[..HEADER_BYTES - 4]) {
            return Err(StateError::Header);
        }
        if needs > FORMAT_VERSION {
            let ours = FORMAT_VERSION;
            return Err(StateError::Newer {
                version,
                needs,
                ours,
            });
        }
        if version == 0 {
            return Err(StateError::Older { version });
        }
        Ok(pieces)
    }

    /// The next piece; `None` at the end, if that is where it should be.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'a>>, StateError> {
        let start = self.at;
        let head = PieceHead::new(self.array()?);
        let payload = usize::try_from(head.length()).ok();
        let payload = payload.and_then(|length| self.take(length));
        let payload = payload.ok_or(StateError::Truncated {
            at: self.bytes.len(),
        })?;
        let section = head.check(payload, start)?;
        if section == Some(Section::End) {
            check_end(payload, self.pieces, self.at, self.at == self.bytes.len())?;
            return Ok(None);
        }
        self.pieces += 1;
        Ok(Some(Piece { section, payload }))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let at = self.bytes.len();
        let taken = self.take(N).and_then(|taken| taken.first_chunk().copied());
        taken.ok_or(StateError::Truncated { at })
    }
}

const _: () = assert!(PIECE_HEAD_BYTES == 16 && READER_VERSION_MIN <= FORMAT_VERSION);
