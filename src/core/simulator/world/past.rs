//! Streams that begin with events of the past: the last ones, or those since a time.

use fastrand::Rng;

use crate::core::event::EventId;
use crate::core::history::{Released, Start, Work};
use crate::core::selector::Selector;

use super::super::names::name;
use super::super::oracle::Rights;
use super::World;

/// The events that a stream asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Past {
    Last(usize),
    /// Since a time so many milliseconds ago.
    Since(u64),
}

impl Past {
    /// One stream in six asks for events of the past.
    pub(super) fn draw(dice: &mut Rng) -> Option<Self> {
        match dice.u8(..12) {
            0 => Some(Self::Last(dice.usize(1..20))),
            1 => Some(Self::Since(dice.u64(..20_000))),
            _ => None,
        }
    }
}

impl World {
    /// The start of such a stream, as the hub finds it.
    pub(super) fn start_in_past(
        &mut self,
        past: Past,
        selectors: &[Selector],
        grant: &[Selector],
        rights: &Rights,
    ) -> Start {
        self.totals.in_past += 1;
        match past {
            Past::Since(ms) => {
                let since_ms = self.clock_ms.saturating_sub(ms);
                let store = self.shared.store();
                let head = store.head();
                let start = store.start_since(since_ms);
                let cursor = start.cursor.expect("a place");
                assert!(cursor <= head && (cursor == head || cursor.unix_ms() < since_ms));
                start
            }
            Past::Last(count) => self.start_at_last(count, selectors, grant, rights),
        }
    }

    /// Searches in portions. If nothing changes meanwhile, the stream starts at exactly so many of
    /// the kept events that it may hear.
    fn start_at_last(
        &mut self,
        count: usize,
        selectors: &[Selector],
        grant: &[Selector],
        rights: &Rights,
    ) -> Start {
        let (ids, grant) = self.look_up(selectors, grant);
        let record = grant.as_deref();
        let expected = self.nth_last(count, rights);
        let mut search = self.shared.store().begin_last(count);
        let (mut portions, mut is_disturbed) = (0, false);
        while !self.shared.store().search_last(&ids, record, &mut search) {
            portions += 1;
            assert!(portions < 10_000, "the search gets on: {search:?}");
            if self.dice.u8(..4) == 0 {
                is_disturbed = true;
                self.publish();
            }
        }
        let mut store = self.shared.store();
        let start = store.start_at_last(&ids, record.is_some(), &search);
        let mut released = Released::default();
        released.add_pins(ids);
        if let Some(grant) = grant {
            released.add_grant(grant);
        }
        while !store.release(&mut released, &mut Work::default()) {}
        drop(store);
        if !is_disturbed {
            assert_eq!(start.cursor, Some(expected), "the last {count}: {rights:?}");
        }
        start
    }

    /// The place before the oldest of so many kept events, by the list of published events.
    fn nth_last(&self, count: usize, rights: &Rights) -> EventId {
        let store = self.shared.store();
        let heard = self.all.iter().rev().filter(|event| {
            let is_kept = event.topics.iter().any(|topic| {
                let mut selectors = rights.selectors.iter();
                let kept = || store.range(&name(*topic), (event.id, event.id), 1, false);
                selectors.any(|one| one.matches(*topic)) && !kept().is_empty()
            });
            rights.cover(event) && is_kept
        });
        let oldest = heard.take(count).last();
        oldest.map_or(store.head(), |event| event.id.before())
    }
}
