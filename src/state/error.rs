//! The faults of a state.

use thiserror::Error;

use super::Section;

/// Why bytes are not a state that this program reads.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// They do not begin with the magic.
    #[error("it is no state of Fantail: it does not begin with `FANTAIL`")]
    NoMagic,
    /// They were written by a newer program, for newer readers.
    #[error(
        "it has the format {version}, which needs a reader of format {needs} or later; this program reads format {ours}"
    )]
    Newer {
        /// The version of the format.
        version: u32,
        /// The oldest reader that understands it.
        needs: u32,
        /// The version that this program reads.
        ours: u32,
    },
    /// They have a version that never existed, or is no longer read.
    #[error("it has the format {version}, which this program does not read")]
    Older {
        /// The version of the format.
        version: u32,
    },
    /// They end too early.
    #[error("it is truncated at byte {at}")]
    Truncated {
        /// Where they end.
        at: usize,
    },
    /// The header has a wrong checksum.
    #[error("its header has a wrong checksum")]
    Header,
    /// A piece has a wrong checksum.
    #[error("the piece at byte {at}, of section {section}, has a wrong checksum")]
    Checksum {
        /// The start of the piece.
        at: usize,
        /// Its section, as far as that can be read.
        section: String,
    },
    /// The number of pieces is not the one that the end says.
    #[error("it has {found} pieces, and its end says {expected}")]
    Pieces {
        /// Pieces that it has.
        found: u64,
        /// Pieces that it should have.
        expected: u64,
    },
    /// Bytes follow the end.
    #[error("bytes follow its end, at byte {at}")]
    Trailing {
        /// Where they begin.
        at: usize,
    },
    /// A record is wrong.
    #[error("record {number} of section {section} is wrong: {reason}")]
    Record {
        /// The section.
        section: Section,
        /// The number of the record in its section, from 0 on.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
}
