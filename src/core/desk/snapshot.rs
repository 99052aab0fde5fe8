//! The whole state of a desk as plain values, and a desk made of them. A process that takes over
//! from another transfers them; their format is its own business.

use std::sync::Arc;

use crate::core::delivery::StreamRecord;
use crate::core::history::{Record, RestoreError, SnapshotCursor, Store};
use crate::core::places::Places;
use crate::core::presence::{Presence, PresenceCursor, PresenceRecord};

use super::{Desk, DeskConfig};

/// One value of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeskRecord {
    /// Of topics and history.
    Store(Record),
    /// Of the streams that are announced.
    Presence(PresenceRecord),
}

impl DeskRecord {
    /// See [`Record::without_shards`].
    #[must_use]
    pub fn without_shards(self) -> Self {
        match self {
            Self::Store(record) => Self::Store(record.without_shards()),
            Self::Presence(record) => Self::Presence(record),
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
        self == Self::Presence(PresenceCursor::End)
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
                DeskCursor::Presence(next)
            }
        }
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
        let (mut store, mut presence) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                DeskRecord::Store(record) => store.push(record),
                DeskRecord::Presence(record) => presence.push(record),
            }
        }
        let clients = places.share().clone();
        Ok(Self {
            store: Store::restore(config.history, config.hold, store)?,
            presence: Presence::restore(&config.history, clients, on_change, presence),
            slow_consumer: config.slow_consumer,
            history: config.history,
            places,
        })
    }
}
