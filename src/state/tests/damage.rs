//! States that were damaged.

use super::adopt::{adopt, revive};
use super::{StateError, read, sample};
use crate::state::StateRecord;

/// Bytes of a header before its checksum.
const HEADER: usize = 16;

/// Bytes of a piece before its checksum.
const PIECE: usize = 12;

/// Bytes of a piece before its payload.
const PAYLOAD: usize = 16;

/// The same bytes with right checksums, as far as the lengths of pieces lead.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() < HEADER + 4 {
        return bytes;
    }
    let checksum = crc32fast::hash(&bytes[..HEADER]);
    bytes[HEADER..HEADER + 4].copy_from_slice(&checksum.to_le_bytes());
    let mut at = HEADER + 4;
    while let Some(head) = bytes.get(at..at + PAYLOAD) {
        let length = head[4..PIECE]
            .first_chunk()
            .map(|length| u64::from_le_bytes(*length));
        let end = usize::try_from(length.unwrap_or_default()).unwrap_or(usize::MAX);
        let end = (at + PAYLOAD).saturating_add(end);
        if end > bytes.len() {
            break;
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[at..at + PIECE]);
        hasher.update(&bytes[at + PAYLOAD..end]);
        let checksum = hasher.finalize().to_le_bytes();
        bytes[at + PIECE..at + PAYLOAD].copy_from_slice(&checksum);
        at = end;
    }
    bytes
}

/// A state of a hand-over, and one of a history file.
fn states() -> [Vec<u8>; 2] {
    [sample::records(), sample::history()].map(|records| sample::written(&records))
}

/// All bytes of these states.
fn places() -> impl Iterator<Item = (Vec<u8>, usize)> {
    let places = |bytes: Vec<u8>| (0..bytes.len()).map(move |at| (bytes.clone(), at));
    states().into_iter().flat_map(places)
}

#[test]
fn every_truncation_is_an_error() {
    for bytes in states() {
        for at in 0..bytes.len() {
            let cut = &bytes[..at];
            assert_eq!(read(cut), Err(StateError::Truncated { at }));
            assert!(read(&repaired(cut)).is_err(), "{at}");
        }
    }
}

#[test]
fn every_changed_byte_is_an_error() {
    for (bytes, at) in places() {
        for bit in [0, 3, 5, 7] {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let error = read(&changed).expect_err("a changed byte");
            assert!(!error.to_string().is_empty());
        }
    }
}

/// A state whose checksums are right and whose records are wrong is refused, or is one that works.
#[test]
fn every_changed_byte_under_a_right_checksum_is_an_error_or_a_state_that_works() {
    for bytes in states() {
        assert_eq!(repaired(&bytes), bytes);
    }
    let (mut refused, mut unfit, mut works) = (0, 0, 0);
    for (bytes, at) in places() {
        for change in [1, 0x20, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            match read(&repaired(&changed)) {
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
                Ok(records) if adopt(&records) | revive(&records) => works += 1,
                Ok(_) => unfit += 1,
            }
        }
    }
    println!("{refused} refused, {unfit} unfit, {works} work");
    assert!(refused > 1_000 && unfit > 50 && works > 1_000);
}

#[test]
fn records_in_another_order_or_number_are_refused_or_work() {
    let records = sample::records();
    assert!(adopt(&records));
    let is_stored =
        |record: &StateRecord| matches!(record, StateRecord::Desk(_) | StateRecord::Stream(_));
    let places: Vec<usize> = (0..records.len())
        .filter(|at| is_stored(&records[*at]))
        .collect();
    for at in &places {
        let mut fewer = records.clone();
        fewer.remove(*at);
        adopt(&fewer);
        for other in &places {
            let mut changed = records.clone();
            changed.swap(*at, *other);
            adopt(&changed);
            changed[*at] = records[*other].clone();
            adopt(&changed);
        }
    }
}
