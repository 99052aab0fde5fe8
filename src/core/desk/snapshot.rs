//! The whole state of a desk as plain values, and a desk made of them. A process that takes over
//! from another transfers them; their format is its own business.

use std::sync::Arc;

use crate::core::delivery::StreamRecord;
use crate::core::event::EventId;
use crate::core::history::{Record, RestoreError, SnapshotCursor, Store};
use crate::core::idempotency::Remembered;
use crate::core::places::Places;
use crate::core::presence::{Presence, PresenceCursor, PresenceRecord};

use super::{Desk, DeskConfig};

/// Idempotency keys of one record.
const KEYS_A_RECORD: usize = 256;

/// One value of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeskRecord {
    /// Of topics and history.
    Store(Record),
    /// Of the streams that are announced.
    Presence(PresenceRecord),
    /// Idempotency keys, by rising ids of their events.
    Keys(Vec<Remembered>),
}

impl DeskRecord {
    /// See [`Record::without_shards`].
    #[must_use]
    pub fn without_shards(self) -> Self {
        match self {
            Self::Store(record) => Self::Store(record.without_shards()),
            record => record,
        }
    }
}

/// The position at which a snapshot continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeskCursor {
    /// In topics and history.
    Store(SnapshotCursor),
    /// In the streams that are announced.
    Presence(PresenceCursor),
    /// In the idempotency keys, at the one with this number.
    Keys(u64),
    /// The snapshot is complete.
    End,
}

impl Default for DeskCursor {
    /// At the beginning.
    fn default() -> Self {
        Self::Store(SnapshotCursor::default())
    }
}

impl DeskCursor {
    /// Whether the snapshot is complete.
    #[must_use]
    pub fn is_end(self) -> bool {
        self == Self::End
    }
}

impl Desk {
    /// Appends at most `count` records to `out`, from `cursor` on. Returns the position at which to
    /// continue. Nothing may be published, attached or released between two portions.
    pub fn snapshot(
        &self,
        cursor: DeskCursor,
        count: usize,
        out: &mut Vec<DeskRecord>,
    ) -> DeskCursor {
        match cursor {
            DeskCursor::Store(cursor) => {
                let mut records = Vec::new();
                let next = self.store.snapshot(cursor, count, &mut records);
                out.extend(records.into_iter().map(DeskRecord::Store));
                if next == SnapshotCursor::End {
                    DeskCursor::Presence(PresenceCursor::default())
                } else {
                    DeskCursor::Store(next)
                }
            }
            DeskCursor::Presence(cursor) => {
                let mut records = Vec::new();
                let next = self.presence.snapshot(cursor, count, &mut records);
                out.extend(records.into_iter().map(DeskRecord::Presence));
                if next == PresenceCursor::End {
                    DeskCursor::Keys(0)
                } else {
                    DeskCursor::Presence(next)
                }
            }
            DeskCursor::Keys(from) => self.snapshot_keys(from, count, out),
            DeskCursor::End => DeskCursor::End,
        }
    }

    fn snapshot_keys(&self, from: u64, count: usize, out: &mut Vec<DeskRecord>) -> DeskCursor {
        let mut from = from;
        for _ in 0..count {
            let all = EventId::new(u64::MAX);
            let (keys, next) = self.store.keys().portion(from, KEYS_A_RECORD, all);
            if keys.is_empty() {
                return DeskCursor::End;
            }
            out.push(DeskRecord::Keys(keys));
            from = next;
        }
        DeskCursor::Keys(from)
    }

    /// Checks that these are the streams of a restored desk: exactly they are counted in its topics,
    /// patterns and grants.
    ///
    /// # Errors
    /// [`RestoreError::Counts`] if they are not.
    pub fn check_streams<'s>(
        &self,
        streams: impl IntoIterator<Item = &'s StreamRecord>,
    ) -> Result<(), RestoreError> {
        self.store.check_streams(streams.into_iter().map(|stream| {
            let wanted = stream.wanted.iter();
            let ids = wanted.map(|wanted| wanted.selector).collect();
            (ids, stream.grant.as_ref())
        }))
    }

    /// A desk in the state of the records. The mark of its ids is the snapshot's.
    ///
    /// # Errors
    /// [`RestoreError`] for records that are not those of one whole snapshot.
    pub fn restore(
        config: DeskConfig,
        places: Arc<Places>,
        on_change: impl Fn() + Send + Sync + 'static,
        records: impl IntoIterator<Item = DeskRecord>,
    ) -> Result<Self, RestoreError> {
        let (mut store, mut presence, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for record in records {
            match record {
                DeskRecord::Store(record) => store.push(record),
                DeskRecord::Presence(record) => presence.push(record),
                DeskRecord::Keys(record) => keys.push(record),
            }
        }
        let clients = places.share().clone();
        let mut store = Store::restore(config.history, config.hold, store)?;
        keys.into_iter()
            .try_for_each(|keys| store.restore_keys(keys))?;
        store.check_keys()?;
        store.keys_mut().set_limits(config.keys);
        Ok(Self {
            store,
            keys: config.keys,
            presence: Presence::restore(&config.history, clients, on_change, presence),
            slow_consumer: config.slow_consumer,
            history: config.history,
            places,
        })
    }
}
