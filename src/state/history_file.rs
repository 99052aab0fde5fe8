//! Reads a history as a stream: it may be larger than what the node should hold twice.

use std::io::{self, Read};

use minicbor::Decoder;
use thiserror::Error;

use crate::core::history::HistoryRecord;

use super::codec::Wrong;
use super::container::{HEADER_BYTES, PIECE_HEAD_BYTES, PieceHead, Pieces, check_end};
use super::reader::item;
use super::{Section, StateError, StateRecord};

/// Why a history cannot be read.
#[derive(Debug, Error)]
pub enum HistoryFileError {
    /// The system does not read it.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no history that this program reads.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The records of a history, in their order. Records of other kinds are passed over. Ends with the
/// first error.
#[derive(Debug)]
pub struct HistoryReader<R> {
    input: R,
    /// Bytes that the input has beside those that were read.
    left: u64,
    at: u64,
    /// The piece that is being read, and how much of it was.
    section: Option<Section>,
    payload: Vec<u8>,
    used: usize,
    pieces: u64,
    records: u64,
    is_over: bool,
}

impl<R: Read> HistoryReader<R> {
    /// Reads the header of an input of so many bytes.
    ///
    /// # Errors
    /// [`HistoryFileError`] if it is no state, or one that this program does not read.
    pub fn new(mut input: R, bytes: u64) -> Result<Self, HistoryFileError> {
        let mut header = Vec::new();
        input
            .by_ref()
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut header)?;
        Pieces::new(&header)?;
        Ok(Self {
            input,
            left: bytes.saturating_sub(header.len() as u64),
            at: header.len() as u64,
            section: None,
            payload: Vec::new(),
            used: 0,
            pieces: 0,
            records: 0,
            is_over: false,
        })
    }

    fn record(&mut self) -> Result<Option<HistoryRecord>, HistoryFileError> {
        loop {
            while self.used == self.payload.len() || self.section.is_none() {
                if !self.next_piece()? {
                    return Ok(None);
                }
            }
            let section = self.section.unwrap_or(Section::End);
            let mut items = Decoder::new(&self.payload[self.used..]);
            let record = item(section, &mut items, &mut Vec::new());
            self.used += items.position();
            let number = self.records;
            self.records += 1;
            let record = record.map_err(|Wrong(reason)| StateError::Record {
                section,
                number,
                reason,
            })?;
            if let Some(StateRecord::History(record)) = record {
                return Ok(Some(record));
            }
        }
    }

    /// Reads the next piece; `false` at the end, if that is where it should be.
    fn next_piece(&mut self) -> Result<bool, HistoryFileError> {
        let start = self.at;
        self.read(PIECE_HEAD_BYTES as u64)?;
        let mut head = [0; PIECE_HEAD_BYTES];
        head.copy_from_slice(&self.payload);
        let head = PieceHead::new(head);
        self.read(head.length())?;
        self.section = head.check(&self.payload, place(start))?;
        self.used = 0;
        if self.section == Some(Section::End) {
            check_end(&self.payload, self.pieces, place(self.at), self.left == 0)?;
            return Ok(false);
        }
        self.pieces += 1;
        Ok(true)
    }

    /// Reads so many bytes into the payload.
    fn read(&mut self, count: u64) -> Result<(), HistoryFileError> {
        self.payload.clear();
        if count <= self.left {
            let mut input = self.input.by_ref().take(count);
            let read = input.read_to_end(&mut self.payload)? as u64;
            self.left -= count;
            self.at += count;
            if read == count {
                return Ok(());
            }
        }
        let at = place(self.at.saturating_add(self.left));
        Err(StateError::Truncated { at }.into())
    }
}

/// A place in a file, for an error.
fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl<R: Read> Iterator for HistoryReader<R> {
    type Item = Result<HistoryRecord, HistoryFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let record = self.record().transpose();
        self.is_over = !matches!(record, Some(Ok(_)));
        record
    }
}
