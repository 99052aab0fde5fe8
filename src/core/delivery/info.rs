//! Streams as an operator sees them.

use std::time::Duration;

use crate::core::event::EventId;

use super::subscriber::Flags;
use super::{Core, Io, StreamInfo, StreamKey};

/// Topics of a stream that are named to an operator.
const TOPICS_SHOWN: usize = 20;

impl<I: Io> Core<I> {
    /// The streams furthest behind, at most `count`; if fewer are behind, others fill up.
    pub(super) fn slowest(&self, count: usize, io: &I) -> Vec<StreamInfo> {
        let mut behind: Vec<(EventId, u32)> = self
            .lagging
            .keys()
            .filter_map(|slot| Some((self.subscribers.get(*slot)?.cursor, *slot)))
            .collect();
        behind.sort_unstable();
        let others = (0..self.subscribers.end()).filter(|slot| !self.lagging.contains_key(slot));
        let slots = behind.into_iter().map(|(_, slot)| slot).chain(others);
        slots
            .filter_map(|slot| self.info(slot, io))
            .take(count)
            .collect()
    }

    pub(super) fn info(&self, slot: u32, io: &I) -> Option<StreamInfo> {
        let subscriber = self.subscribers.get(slot)?;
        let key = self.key_of(slot)?;
        let local: Vec<u32> = if subscriber.flags.has(Flags::MULTI) {
            self.topics
                .set(subscriber.topic)
                .iter()
                .map(|membership| membership.topic)
                .collect()
        } else {
            vec![subscriber.topic]
        };
        // Asks the system, so not under the store's lock.
        let client = self.client(slot, io);
        let store = self.shared.store();
        let names = local
            .iter()
            .take(TOPICS_SHOWN)
            .filter_map(|index| self.topics.get(*index));
        let topics = names.map(|topic| store.name(topic.id).to_owned()).collect();
        drop(store);
        let behind = subscriber.flags.has(Flags::BEHIND);
        let lag_ms = self
            .last_id
            .unix_ms()
            .saturating_sub(subscriber.cursor.unix_ms());
        let cursor = if behind {
            subscriber.cursor
        } else {
            self.last_id
        };
        let stream = StreamKey {
            shard: self.config.index as u32,
            key,
        };
        let age_s = (self.now_ms / 1_000).saturating_sub(u64::from(subscriber.opened_s));
        Some(StreamInfo {
            id: stream.to_string(),
            client,
            subject: self.identities.subject(slot).cloned(),
            topics,
            topic_count: local.len(),
            age: Duration::from_secs(age_s),
            cursor: cursor.marked(self.mark),
            lag: Duration::from_millis(if behind { lag_ms } else { 0 }),
            bytes: subscriber.bytes(),
        })
    }
}
