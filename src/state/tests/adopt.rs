//! What a process does with a state that it has read.

use crate::core::delivery::StreamRecord;
use crate::core::desk::{Desk, DeskRecord};
use crate::core::event::EventId;
use crate::core::history::{Ending, HoldLimits, Released, Revival, Work};
use crate::state::StateRecord;

use super::sample;

/// Revives the records of a history file. Returns whether its checks have passed.
pub(super) fn revive(records: &[StateRecord]) -> bool {
    let mut revival = Revival::new(sample::config().history, HoldLimits::default());
    for record in records {
        if let StateRecord::History(record) = record
            && revival.take(record.clone()).is_err()
        {
            return false;
        }
    }
    let Ok((mut store, _)) = revival.finish(Ending::Whole, 0) else {
        return false;
    };
    while !store.expire(EventId::new(u64::MAX), 1_000) {}
    true
}

/// Makes a desk of the records, continues its streams, ends them, and evicts everything. Returns
/// whether the checks of a process that takes over have passed; then nothing else may fail.
pub(super) fn adopt(records: &[StateRecord]) -> bool {
    let (mut desk, mut streams): (Vec<DeskRecord>, Vec<StreamRecord>) = Default::default();
    for record in records {
        match record {
            StateRecord::Desk(record) => desk.push(record.clone().without_shards()),
            StateRecord::Stream(record) => streams.push(record.clone()),
            _ => {}
        }
    }
    let Ok(mut desk) = Desk::restore(sample::config(), sample::places(), || {}, desk) else {
        return false;
    };
    let fits = |stream: &StreamRecord| stream.check(&desk).is_ok();
    if !streams.iter().all(fits) || desk.check_streams(&streams).is_err() {
        return false;
    }
    let mut released = Released::default();
    for (number, stream) in streams.into_iter().enumerate() {
        let announced = stream.guard.announced;
        drop(announced.and_then(|number| desk.presence().announced(number)));
        let parked = stream.into_parked((), None, &desk).expect("it was checked");
        desk.reseat(number % 3, parked.wanted());
        parked.give_up(&mut released, &desk.places().clone());
    }
    while !desk.release(&mut released, &mut Work::default()) {}
    sample::publish_some(&mut desk);
    while !desk.expire(u64::MAX >> 21, 1_000) {}
    assert_eq!(desk.places().open(), 0);
    while !desk.presence().take(usize::MAX).0.is_empty() {}
    true
}
