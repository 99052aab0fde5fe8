//! Text files of bounded size, with or without a byte order mark.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::bom;

/// Length of a byte order mark.
const BOM_BYTES: usize = 3;

/// Byte order marks of UTF-16, which some editors and shells write.
const UTF16_BOMS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

/// Reads a whole text file of at most `bytes_max` bytes, a byte order mark not counted.
pub(crate) fn read_text(path: &Path, bytes_max: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take((bytes_max + BOM_BYTES) as u64 + 1)
        .read_to_end(&mut bytes)?;
    let text = bom::skip(&bytes);
    if text.len() > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {bytes_max} bytes"),
        ));
    }
    if UTF16_BOMS.iter().any(|mark| text.starts_with(mark)) {
        return Err(not_text("it is UTF-16: save it as UTF-8"));
    }
    let text = std::str::from_utf8(text);
    text.map(str::to_owned)
        .map_err(|_| not_text("it is not a text in UTF-8"))
}

fn not_text(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
