//! Reads a state.

use bytes::Bytes;
use minicbor::{Decode, Decoder};

use crate::core::desk::DeskRecord;
use crate::core::history::HistoryRecord;

use super::codec::{
    BytesRow, CounterRow, HistoryRow, HttpRow, KeySetRow, KeysRow, ListenerRow, NodeRow,
    PresenceRow, RespRow, StoreRow, StreamRow, Wrong,
};
use super::container::{Piece, Pieces};
use super::{Section, StateError, StateRecord};

/// The records of a state, in the order in which they were written. Ends with the first error.
#[derive(Debug)]
pub struct Reader<'a> {
    pieces: Pieces<'a>,
    /// The rest of a piece of this section.
    piece: Option<(Section, Decoder<'a>)>,
    /// Records that were read, by section.
    read: [u64; Section::ALL.len()],
    /// Bytes that streams share, by number.
    shared: Vec<Bytes>,
    is_over: bool,
}

impl<'a> Reader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`StateError`] if the bytes are no state, or one that this program does not read.
    pub fn new(bytes: &'a [u8]) -> Result<Self, StateError> {
        Ok(Self {
            pieces: Pieces::new(bytes)?,
            piece: None,
            read: Default::default(),
            shared: Vec::new(),
            is_over: false,
        })
    }

    fn record(&mut self) -> Result<Option<StateRecord>, StateError> {
        loop {
            match &mut self.piece {
                Some((section, items)) if items.position() < items.input().len() => {
                    let section = *section;
                    let record = item(section, items, &mut self.shared);
                    let number = self.read[section as usize];
                    self.read[section as usize] += 1;
                    let record = record.map_err(|Wrong(reason)| StateError::Record {
                        section,
                        number,
                        reason,
                    })?;
                    if record.is_some() {
                        return Ok(record);
                    }
                }
                _ => match self.pieces.next()? {
                    Some(Piece {
                        section: Some(section),
                        payload,
                    }) => self.piece = Some((section, Decoder::new(payload))),
                    Some(Piece { section: None, .. }) => {}
                    None => return Ok(None),
                },
            }
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<StateRecord, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let record = self.record().transpose();
        self.is_over = !matches!(record, Some(Ok(_)));
        record
    }
}

/// Reads one item. Bytes that streams share are no record of their own.
pub(super) fn item(
    section: Section,
    items: &mut Decoder<'_>,
    shared: &mut Vec<Bytes>,
) -> Result<Option<StateRecord>, Wrong> {
    Ok(Some(match section {
        Section::Node => StateRecord::Node(row::<NodeRow<'_>>(items)?.into()),
        Section::Store => {
            let record = row::<StoreRow<'_>>(items)?.try_into()?;
            StateRecord::Desk(DeskRecord::Store(record))
        }
        Section::Presence => {
            let record = row::<PresenceRow<'_>>(items)?.try_into()?;
            StateRecord::Desk(DeskRecord::Presence(record))
        }
        Section::Bytes => {
            let bytes = row::<BytesRow<'_>>(items)?.bytes;
            shared.push(Bytes::copy_from_slice(bytes));
            return Ok(None);
        }
        Section::Streams => StateRecord::Stream(row::<StreamRow<'_>>(items)?.record(shared)?),
        Section::Counters => StateRecord::Counter(row::<CounterRow<'_>>(items)?.into()),
        Section::Keys => StateRecord::KeySet(row::<KeySetRow<'_>>(items)?.into()),
        Section::Listeners => StateRecord::Listener(row::<ListenerRow>(items)?.try_into()?),
        Section::Http => StateRecord::Http(row::<HttpRow<'_>>(items)?.try_into()?),
        Section::Resp => StateRecord::Resp(row::<RespRow<'_>>(items)?.try_into()?),
        Section::History => StateRecord::History(row::<HistoryRow<'_>>(items)?.try_into()?),
        Section::Idempotency => {
            StateRecord::Desk(DeskRecord::Keys(row::<KeysRow<'_>>(items)?.try_into()?))
        }
        Section::HistoryIdempotency => {
            StateRecord::History(HistoryRecord::Keys(row::<KeysRow<'_>>(items)?.try_into()?))
        }
        Section::End => return Err(Wrong::new("the end has no records")),
    }))
}

fn row<'a, T: Decode<'a, ()>>(items: &mut Decoder<'a>) -> Result<T, Wrong> {
    Ok(items.decode()?)
}
