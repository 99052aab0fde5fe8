//! Histories, which are read as a stream.

use bytes::Bytes;

use super::super::container;
use crate::core::event::{EventId, OrderMark};
use crate::core::history::{
    EvictedRecord, HistoryEvent, HistoryHead, HistoryRecord, Hole, HoleCause,
};
use crate::core::sse::Frame;
use crate::state::{
    HistoryFileError, HistoryReader, NodeRecord, Reader, StateError, StateRecord, Writer,
};

fn evicted(any: u64, public: u64) -> EvictedRecord {
    EvictedRecord {
        any: EventId::new(any),
        public: EventId::new(public),
    }
}

fn event(id: u64, private: bool) -> HistoryEvent {
    let bytes = Bytes::from_static(b"9\r\ndata: x\n\n\r\n");
    HistoryEvent {
        id: EventId::new(id),
        frame: Frame::from_chunked(bytes, private).expect("a frame"),
        own_id: private.then(|| "own".into()),
        topics: private.then(|| vec!["a".into(), "é/2".into()]),
    }
}

/// Every kind of record, with every field.
fn records() -> Vec<HistoryRecord> {
    let topic = |name: &str| HistoryRecord::Topic { name: name.into() };
    vec![
        topic("a"),
        HistoryRecord::Event(event(8, false)),
        HistoryRecord::Event(event(9, true)),
        HistoryRecord::TopicEnd {
            evicted: evicted(7, 5),
            has_evicted: true,
        },
        topic("é/2"),
        HistoryRecord::TopicGone,
        HistoryRecord::Head(HistoryHead {
            birth: EventId::new(1),
            head: EventId::new(9),
            mark: OrderMark::new(77),
            forgotten: evicted(4, 3),
            holes: vec![Hole {
                after: EventId::new(2),
                through: EventId::new(3),
                cause: HoleCause::Crash,
            }],
        }),
    ]
}

fn written(records: &[HistoryRecord]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).expect("memory");
    writer.node(&NodeRecord::default()).expect("memory");
    for record in records {
        writer.history(record).expect("memory");
    }
    writer.finish().expect("memory")
}

fn streamed(bytes: &[u8]) -> Result<Vec<HistoryRecord>, HistoryFileError> {
    HistoryReader::new(bytes, bytes.len() as u64)?.collect()
}

#[test]
fn a_history_is_read_as_it_was_written() {
    let records = records();
    let bytes = written(&records);
    assert_eq!(streamed(&bytes).expect("a history"), records);
    let read: Result<Vec<_>, _> = Reader::new(&bytes).expect("a state").collect();
    let histories = records.into_iter().map(StateRecord::History);
    let node = StateRecord::Node(NodeRecord::default());
    assert_eq!(read, Ok(std::iter::once(node).chain(histories).collect()));
}

/// A later version may write sections that this one does not know.
#[test]
fn a_history_passes_over_what_is_none() {
    let bytes = written(&records());
    let header = container::HEADER_BYTES;
    let end = bytes.len() - container::PIECE_HEAD_BYTES - 8;
    let mut longer = bytes[..header].to_vec();
    container::write_piece(&mut longer, *b"WHAT", b"unknown").expect("memory");
    longer.extend_from_slice(&bytes[header..end]);
    // One for the node, one for the history, and the new one.
    container::write_piece(&mut longer, *b"END ", &3_u64.to_le_bytes()).expect("memory");
    assert_eq!(streamed(&longer).expect("a history"), records());
}

#[test]
fn a_history_that_is_cut_is_truncated_and_not_short() {
    let bytes = written(&records());
    for end in 0..bytes.len() {
        let error = streamed(&bytes[..end]).expect_err("cut");
        let is_cut = matches!(
            error,
            HistoryFileError::State(StateError::Truncated { at }) if at == end
        );
        assert!(is_cut, "{end}: {error}");
    }
    // A file that grows or shrinks while it is read.
    let grown = HistoryReader::new(&bytes[..], bytes.len() as u64 + 9).expect("a header");
    assert!(grown.into_iter().any(|record| record.is_err()));
    let shrunk = HistoryReader::new(&bytes[..], bytes.len() as u64 - 1).expect("a header");
    assert!(shrunk.into_iter().any(|record| record.is_err()));
}
