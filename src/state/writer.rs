//! Writes a state.

use std::io::{self, Write};

use minicbor::Encode;

use crate::core::delivery::StreamRecord;
use crate::core::desk::DeskRecord;
use crate::core::history::HistoryRecord;

use super::codec::{
    BytesRow, CounterRow, HistoryRow, HttpRow, KeySetRow, KeysRow, ListenerRow, NodeRow,
    PresenceRow, RespRow, StoreRow, StreamRow,
};
use super::container::{self, PIECE_BYTES};
use super::shared_bytes::SharedBytes;
use super::{HttpRecord, ListenerRecord, NodeRecord, RespRecord, Section};

/// Writes a state as a stream. Only [`Writer::finish`] makes it whole.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    section: Section,
    payload: Vec<u8>,
    pieces: u64,
    /// Number of the next bytes that streams share.
    next_bytes: u32,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        container::write_header(&mut out)?;
        Ok(Self {
            out,
            section: Section::Node,
            payload: Vec::new(),
            pieces: 0,
            next_bytes: 0,
        })
    }

    /// Writes the record of the node.
    ///
    /// # Errors
    /// Those of the output, for this and all other records.
    pub fn node(&mut self, record: &NodeRecord) -> io::Result<()> {
        self.item(Section::Node, &NodeRow::from(record))
    }

    /// Writes a record of a desk. They keep their order.
    ///
    /// # Errors
    /// Those of the output.
    pub fn desk(&mut self, record: &DeskRecord) -> io::Result<()> {
        match record {
            DeskRecord::Store(record) => self.item(Section::Store, &StoreRow::from(record)),
            DeskRecord::Presence(record) => {
                self.item(Section::Presence, &PresenceRow::from(record))
            }
            DeskRecord::Keys(keys) => self.item(Section::Idempotency, &KeysRow::from(&keys[..])),
        }
    }

    /// Writes parked streams. The frames that their remainders are pieces of are written once for
    /// all streams of one call.
    ///
    /// # Errors
    /// Those of the output.
    pub fn streams(&mut self, records: &[StreamRecord]) -> io::Result<()> {
        let shared = self.shared_bytes(records)?;
        for record in records {
            self.item(Section::Streams, &StreamRow::new(record, &shared))?;
        }
        Ok(())
    }

    /// Writes a counter.
    ///
    /// # Errors
    /// Those of the output.
    pub fn counter(&mut self, name: &str, value: u64) -> io::Result<()> {
        self.item(Section::Counters, &CounterRow { name, value })
    }

    /// Writes a key set.
    ///
    /// # Errors
    /// Those of the output.
    pub fn key_set(&mut self, url: &str, text: &[u8]) -> io::Result<()> {
        self.item(Section::Keys, &KeySetRow { url, text })
    }

    /// Writes a listening socket.
    ///
    /// # Errors
    /// Those of the output.
    pub fn listener(&mut self, record: &ListenerRecord) -> io::Result<()> {
        self.item(Section::Listeners, &ListenerRow::from(record))
    }

    /// Writes an HTTP connection.
    ///
    /// # Errors
    /// Those of the output.
    pub fn http(&mut self, record: &HttpRecord) -> io::Result<()> {
        self.item(Section::Http, &HttpRow::from(record))
    }

    /// Writes a connection of the ingest port.
    ///
    /// # Errors
    /// Those of the output.
    pub fn resp(&mut self, record: &RespRecord) -> io::Result<()> {
        self.item(Section::Resp, &RespRow::from(record))
    }

    /// Writes a record of a history. They keep their order.
    ///
    /// # Errors
    /// Those of the output.
    pub fn history(&mut self, record: &HistoryRecord) -> io::Result<()> {
        if let HistoryRecord::Keys(keys) = record {
            return self.item(Section::HistoryIdempotency, &KeysRow::from(&keys[..]));
        }
        match HistoryRow::of(record) {
            Some(row) => self.item(Section::History, &row),
            None => Ok(()),
        }
    }

    /// Writes the end, and returns the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_piece()?;
        let pieces = self.pieces.to_le_bytes();
        container::write_piece(&mut self.out, Section::End.tag(), &pieces)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Appends an item to the piece, which ends before it if it is of another section, and after it
    /// if it is full.
    fn item(&mut self, section: Section, item: &impl Encode<()>) -> io::Result<()> {
        if section != self.section {
            self.end_piece()?;
            self.section = section;
        }
        minicbor::encode(item, &mut self.payload).map_err(io::Error::other)?;
        if self.payload.len() >= PIECE_BYTES {
            self.end_piece()?;
        }
        Ok(())
    }

    fn end_piece(&mut self) -> io::Result<()> {
        if self.payload.is_empty() {
            return Ok(());
        }
        container::write_piece(&mut self.out, self.section.tag(), &self.payload)?;
        self.payload.clear();
        self.payload.shrink_to(2 * PIECE_BYTES);
        self.pieces += 1;
        Ok(())
    }

    /// Writes the longest piece of each frame that remainders are pieces of.
    fn shared_bytes(&mut self, records: &[StreamRecord]) -> io::Result<SharedBytes> {
        let lagging = records.iter().filter_map(|record| record.lagging.as_ref());
        let remainders = lagging.map(|lagging| &lagging.remainder);
        let shared = SharedBytes::new(remainders, self.next_bytes);
        for bytes in shared.longest() {
            self.item(Section::Bytes, &BytesRow { bytes })?;
            self.next_bytes += 1;
        }
        Ok(shared)
    }
}
