//! Tests of the format.

mod sample;

use super::{Reader, StateError, StateRecord};

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
