//! Idempotency keys: what a publisher is told whose key was used before, and their memory in the
//! node's account.

use hashbrown::HashMap;

use super::{Hub, Reused};
use crate::core::budget::Part;
use crate::core::desk::Desk;
use crate::core::event::EventId;
use crate::core::idempotency::{Key, Recalled};
use crate::core::sse::Draft;

/// Keys that are looked up in one hold of the lock: some 100 µs.
const KEYS_AT_ONCE: usize = 1_024;

/// The account follows the memory of the keys in steps of this.
const STEP_BYTES: usize = 16 * 1024;

/// The remembered keys, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFigures {
    /// Their number.
    pub count: usize,
    /// Their memory.
    pub bytes: usize,
    /// The oldest event with a key that is remembered.
    pub oldest: Option<EventId>,
}

impl Hub {
    /// Number, memory and age of the remembered keys.
    #[must_use]
    pub fn key_figures(&self) -> KeyFigures {
        let store = self.0.shared.store();
        let keys = store.keys();
        KeyFigures {
            count: keys.len(),
            bytes: keys.bytes(),
            oldest: keys.oldest(),
        }
    }

    /// Whether the event of this draft was published before.
    #[must_use]
    pub fn is_repeat(&self, draft: &Draft<'_>) -> bool {
        draft.key().is_some_and(|key| {
            let store = self.0.shared.store();
            matches!(store.keys().recall(key), Recalled::Repeat(_))
        })
    }

    /// Checks the keys of a batch that is published in several portions, before the first one.
    pub(super) async fn check_keys(&self, drafts: &[Draft<'_>]) -> Result<(), Reused> {
        let mut earlier: HashMap<_, &Key> = HashMap::new();
        for (start, portion) in (0..).step_by(KEYS_AT_ONCE).zip(drafts.chunks(KEYS_AT_ONCE)) {
            if portion.iter().all(|draft| draft.key().is_none()) {
                continue;
            }
            let among_them = portion.iter().position(|draft| {
                let key = draft.key();
                key.is_some_and(|key| *earlier.entry(key.name).or_insert(key) != key)
            });
            let reused = among_them.or_else(|| self.first_reused(portion));
            if let Some(number) = reused {
                self.0.node_metrics.keys_reused.add(1);
                return Err(Reused::at(start + number));
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The first of these drafts that has the key of another event.
    fn first_reused(&self, drafts: &[Draft<'_>]) -> Option<usize> {
        let store = self.0.shared.store();
        let is_reused = |draft: &Draft<'_>| {
            let key = draft.key();
            key.is_some_and(|key| store.keys().recall(key) == Recalled::Reused)
        };
        drafts.iter().position(is_reused)
    }

    /// Updates the memory of the keys in the node's account, counts those that were forgotten early,
    /// and tells the keys whether there is memory for more. Called under the lock, after events with
    /// keys were published.
    pub(super) fn note_keys(&self, desk: &mut Desk) {
        let keys = desk.keys_mut();
        let dropped = keys.take_dropped();
        if dropped > 0 {
            self.0.node_metrics.keys_dropped.add(dropped);
        }
        let (bytes, noted) = (keys.bytes(), self.0.budget.used(Part::Keys));
        if bytes.abs_diff(noted) >= STEP_BYTES || (bytes == 0) != (noted == 0) {
            self.0.budget.set(Part::Keys, bytes);
        }
        let is_short = self.0.budget.is_above_mark(Part::Keys);
        if is_short && dropped > 0 {
            self.0.budget.note_refusal(Part::Keys);
        }
        keys.set_short(is_short);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Event;
    use crate::core::idempotency::{Name, Owner, Place, Scope};
    use crate::core::limits::EventLimits;
    use crate::hub::HubConfig;
    use crate::metrics::Source;

    fn keyed(number: usize) -> Draft<'static> {
        let event = Event::new("a", number.to_string());
        let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
        let owner = Owner::new(Scope::Program);
        draft.set_key(Name::new(owner, &number.to_string(), Place::ONLY));
        draft
    }

    fn hub_of_one_mebibyte() -> (Hub, tokio::runtime::Runtime) {
        let config = HubConfig {
            memory_bytes: 1 << 20,
            ..HubConfig::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let hub = Hub::start(config, 1).expect("a hub");
        (hub, runtime.expect("a runtime"))
    }

    #[test]
    fn keys_leave_room_for_publish_calls() {
        let (hub, runtime) = hub_of_one_mebibyte();
        for start in (0..20_000).step_by(100) {
            let mut drafts: Vec<_> = (start..start + 100).map(keyed).collect();
            let receipts = runtime.block_on(hub.publish(Source::Http, &mut drafts));
            assert_eq!(receipts.expect("published").len(), drafts.len());
        }
        assert_eq!(hub.budget().check(Part::Bodies, 3 << 17), Ok(()));
        assert!(hub.key_figures().bytes > 1 << 17);
        hub.stop();
    }

    #[test]
    fn while_memory_is_short_old_keys_go_and_events_are_published() {
        let (hub, runtime) = hub_of_one_mebibyte();
        let publish = |number| {
            let mut drafts = [keyed(number)];
            let receipts = runtime.block_on(hub.publish(Source::Http, &mut drafts));
            receipts.expect("published")[0]
        };
        let first: Vec<_> = (0..1_000).map(publish).collect();
        assert_eq!(hub.key_figures().count, 1_000);
        let used = hub.budget().used(Part::Keys);
        assert!(
            used.abs_diff(hub.key_figures().bytes) < STEP_BYTES,
            "{used}"
        );
        hub.budget().take_anyway(Part::Bodies, 1 << 20);
        for number in 1_000..1_100 {
            assert!(!publish(number).is_repeat);
        }
        // The first one notes that memory is short.
        assert_eq!(hub.key_figures().count, 902);
        assert_eq!(hub.node_metrics().keys_dropped.get(), 198);
        assert_eq!(hub.budget().refused(Part::Keys), 99);
        assert_eq!(publish(500).id, first[500].id);
        assert!(hub.is_repeat(&keyed(999)) && !hub.is_repeat(&keyed(0)));
        hub.budget().give_back(Part::Bodies, 1 << 20);
        runtime.block_on(hub.expire());
        assert!(!publish(0).is_repeat);
        assert_eq!(hub.key_figures().count, 903);
        hub.stop();
    }
}
