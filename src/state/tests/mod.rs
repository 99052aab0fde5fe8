//! Tests of the format.

mod adopt;
mod changes;
mod damage;
mod golden;
mod history;
mod roundtrip;
mod sample;

use crate::core::desk::DeskRecord;
use crate::core::event::EventId;
use crate::core::history::{EvictedRecord, ListenersRecord, Record, SelectorId, ShardSet};
use crate::core::selector::Selector;

use super::container::{PIECE_BYTES, Pieces, header};
use super::{FORMAT_VERSION, Reader, StateError, StateRecord, Writer};

/// All records of a state, or its first error.
fn read(bytes: &[u8]) -> Result<Vec<StateRecord>, StateError> {
    Reader::new(bytes)?.collect()
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let records = sample::records();
    let bytes = sample::written(&records);
    assert_eq!(read(&bytes), Ok(records));
}

#[test]
fn the_empty_state_has_no_records() {
    let bytes = Writer::new(Vec::new()).and_then(Writer::finish);
    assert_eq!(read(&bytes.expect("memory")), Ok(Vec::new()));
}

/// A state with this header and a piece of a section that no version had.
fn foreign(version: u32, reader: u32) -> Vec<u8> {
    let mut bytes = header(version, reader).to_vec();
    super::container::write_piece(&mut bytes, *b"WHAT", b"\xff\xff").expect("memory");
    super::container::write_piece(&mut bytes, *b"END ", &1_u64.to_le_bytes()).expect("memory");
    bytes
}

#[test]
fn a_newer_state_is_read_if_it_says_so_without_its_unknown_sections() {
    let (ours, next) = (FORMAT_VERSION, FORMAT_VERSION + 1);
    assert_eq!(read(&foreign(next, ours)), Ok(Vec::new()));
    let newer = StateError::Newer {
        version: next,
        needs: next,
        ours,
    };
    assert_eq!(read(&foreign(next, next)), Err(newer));
    assert_eq!(read(&foreign(0, 0)), Err(StateError::Older { version: 0 }));
}

#[test]
fn what_is_no_state_is_said_so() {
    assert_eq!(read(b"hello, world"), Err(StateError::NoMagic));
    assert_eq!(read(b"FANTAIM\0"), Err(StateError::NoMagic));
    assert_eq!(read(b""), Err(StateError::Truncated { at: 0 }));
    assert_eq!(read(b"FANT"), Err(StateError::Truncated { at: 4 }));
    let mut trailing = foreign(FORMAT_VERSION, 1);
    let at = trailing.len();
    trailing.push(0);
    assert_eq!(read(&trailing), Err(StateError::Trailing { at }));
}

/// A piece that is lost as a whole leaves the checksums of the others right.
#[test]
fn a_piece_that_is_missing_is_noticed() {
    let bytes = foreign(FORMAT_VERSION, 1);
    let (head, end) = (header(FORMAT_VERSION, 1).len(), bytes.len() - 24);
    let cut = [&bytes[..head], &bytes[end..]].concat();
    let (found, expected) = (0, 1);
    assert_eq!(read(&cut), Err(StateError::Pieces { found, expected }));
}

#[test]
fn a_large_section_comes_in_pieces_of_bounded_size() {
    let mut writer = Writer::new(Vec::new()).expect("memory");
    let name = "x".repeat(1_000);
    let count = 5 * PIECE_BYTES as u64 / 1_000;
    for value in 0..count {
        writer.counter(&name, value).expect("memory");
    }
    let bytes = writer.finish().expect("memory");
    let mut pieces = Pieces::new(&bytes).expect("a header");
    let mut sizes = Vec::new();
    while let Some(piece) = pieces.next().expect("a piece") {
        sizes.push(piece.payload.len());
    }
    assert_eq!(sizes.len(), 6);
    let most = PIECE_BYTES + 1_100;
    assert!(sizes.iter().all(|size| *size <= most), "{sizes:?}");
    let values = read(&bytes).expect("a state").into_iter();
    let values = values.map(|record| match record {
        StateRecord::Counter(counter) => counter.value,
        other => panic!("{other:?}"),
    });
    assert!(values.eq(0..count));
}

/// Ten thousand streams that were cut in one frame would have been written ten thousand frames.
#[test]
fn a_frame_that_many_streams_were_cut_in_is_written_and_held_once() {
    let frame = bytes::Bytes::from(vec![b'x'; 100_000]);
    let streams: Vec<_> = (0..1_000)
        .map(|from| sample::cut_stream(&frame, from))
        .collect();
    let mut writer = Writer::new(Vec::new()).expect("memory");
    writer.streams(&streams[500..]).expect("memory");
    writer.streams(&streams[..500]).expect("memory");
    let bytes = writer.finish().expect("memory");
    assert!(bytes.len() < 400_000, "{}", bytes.len());
    let records = read(&bytes).expect("a state");
    let remainders = records.iter().map(|record| match record {
        StateRecord::Stream(stream) => &stream.lagging.as_ref().expect("it was cut").remainder,
        other => panic!("{other:?}"),
    });
    let ends = remainders.map(|bytes| bytes.as_ptr().addr() + bytes.len());
    let ends: std::collections::HashSet<_> = ends.collect();
    assert_eq!(ends.len(), 2, "one frame for each call");
    let expected = streams[500..].iter().chain(&streams[..500]).cloned();
    assert!(records.into_iter().eq(expected.map(StateRecord::Stream)));
}

/// Each of these would break an invariant of the core.
#[test]
fn records_with_values_that_the_core_never_has_are_refused() {
    let evicted = EvictedRecord {
        any: EventId::ZERO,
        public: EventId::ZERO,
    };
    let listeners = ListenersRecord {
        subscribers: 1,
        granted: 0,
        shards: ShardSet::default(),
    };
    let topic = |slot: u32, name: &str, listeners: ListenersRecord| Record::Topic {
        slot,
        name: name.into(),
        evicted,
        has_evicted: false,
        listeners,
        matches: Vec::new(),
        matched_through: 0,
    };
    let granted = ListenersRecord {
        granted: 2,
        ..listeners
    };
    let ids = |words: [u32; 2]| words.into_iter().map(SelectorId).collect();
    let wrong = [
        topic(1 << 31, "a", listeners),
        topic(0, "", listeners),
        topic(0, "a", granted),
        Record::Pattern {
            slot: 0,
            serial: 1,
            selector: Selector::exact("a"),
            listeners,
            evicted_since: evicted,
            evicted_before: evicted,
            forgotten_before: None,
        },
        Record::Grant {
            ids: ids([2, 1]),
            streams: 1,
        },
        Record::Grant {
            ids: ids([1, 1]),
            streams: 1,
        },
    ];
    let wrong = wrong.map(|record| StateRecord::Desk(DeskRecord::Store(record)));
    let frame = bytes::Bytes::from_static(b"frame");
    let mut streams = [(); 3].map(|()| sample::cut_stream(&frame, 0));
    streams[0].wanted = Box::default();
    streams[1].guard.memory_bytes = usize::MAX;
    streams[2].grant = Some(ids([2, 1]));
    let streams = streams.map(StateRecord::Stream);
    for record in wrong.into_iter().chain(streams) {
        let bytes = sample::written(std::slice::from_ref(&record));
        let error = read(&bytes).expect_err("a wrong record");
        assert!(matches!(error, StateError::Record { .. }), "{record:?}");
    }
}
