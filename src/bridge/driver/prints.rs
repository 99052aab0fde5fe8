//! The digest of the entry that the hub has applied last, for a program that takes over: see
//! [`NodeRecord::log_print`](crate::state::NodeRecord).
//!
//! A node may be frozen in the middle of a page, when the hub has applied a part of its entries.

use parking_lot::Mutex;

use crate::bridge::follow::Entry;
use crate::core::event::EventId;

/// Digests of the newest entry that was applied, and of the page that is being applied. Their ids rise.
#[derive(Debug, Default)]
pub(super) struct Prints(Mutex<Vec<(EventId, u64)>>);

impl Prints {
    /// A page is applied from now on.
    pub(super) fn begin<T>(&self, page: &[Entry<T>]) {
        let prints = page.iter().map(|entry| (entry.id, entry.print));
        self.0.lock().extend(prints);
    }

    /// All that was read is applied. The digest of the newest entry, if it has one.
    pub(super) fn settle(&self, newest: EventId, print: Option<u64>) {
        let mut prints = self.0.lock();
        prints.clear();
        prints.extend(print.map(|print| (newest, print)));
    }

    /// The digest of an entry.
    pub(super) fn of(&self, id: EventId) -> Option<u64> {
        let prints = self.0.lock();
        let mut prints = prints.iter().rev();
        prints.find(|one| one.0 == id).map(|one| one.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ms: u64) -> Entry<()> {
        Entry {
            id: EventId::from_parts(ms, 0).expect("an id"),
            print: 10 * ms,
            marker: None,
            payload: (),
        }
    }

    /// The program that took over had no digest of its newest entry, and took an entry of another
    /// master's log for it.
    #[test]
    fn a_node_that_is_frozen_within_a_page_hands_over_the_digest_of_its_newest_entry() {
        let prints = Prints::default();
        prints.settle(entry(1).id, Some(10));
        prints.begin(&[entry(2), entry(3)]);
        for ms in 1..=3 {
            assert_eq!(prints.of(entry(ms).id), Some(10 * ms));
        }
        assert_eq!(prints.of(entry(4).id), None);
        prints.settle(entry(3).id, Some(30));
        assert_eq!(prints.of(entry(2).id), None);
        assert_eq!(prints.of(entry(3).id), Some(30));
        // A loss ends where there is no entry.
        prints.settle(entry(5).id, None);
        assert_eq!(prints.of(entry(3).id), None);
    }
}
