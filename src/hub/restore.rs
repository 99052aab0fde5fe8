//! A hub that continues another one: its desk, and its streams.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::Notify;

use crate::core::delivery::{StreamRecord, StreamRestoreError};
use crate::core::desk::{Desk, DeskRecord};
use crate::core::event::OrderMark;
use crate::core::history;
use crate::core::places::Places;
use crate::metrics::Totals;
use crate::shard::StartError;
use crate::shard::wire::Incoming;

use super::freeze::ParkedStream;
use super::{Hub, HubConfig, Room, notifier};

/// Why a hub cannot continue another one.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The records are not those of a desk with these streams.
    #[error(transparent)]
    Desk(#[from] history::RestoreError),
    /// A record is not that of a stream of the desk.
    #[error("stream number {number}: {source}")]
    Stream {
        /// Number of the record.
        number: usize,
        /// Its fault.
        source: StreamRestoreError,
    },
    /// A delivery shard cannot be started.
    #[error(transparent)]
    Shard(#[from] StartError),
}

/// Streams of another hub that no shard serves yet.
#[must_use]
pub struct Seating(Vec<ParkedStream>);

impl Seating {
    /// Number of its streams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Hub {
    /// Starts the shards of a desk made from these records. The number of shards may be another
    /// one than before. Counters go on from `totals`. Streams follow with [`Hub::restore_streams`]
    /// and [`Hub::seat_all`], before anything is published or attached.
    ///
    /// # Errors
    /// [`RestoreError`] if the records are not those of a desk, or a shard cannot be started.
    pub fn start_from(
        config: HubConfig,
        room: impl Into<Room>,
        records: impl IntoIterator<Item = DeskRecord>,
        totals: &Totals,
    ) -> Result<Self, RestoreError> {
        let changed = Arc::new(Notify::new());
        let places = Places::new(room, config.clients.clone());
        // The mark is that of the records.
        let desk_config = config.desk(OrderMark::default());
        let records = records.into_iter().map(DeskRecord::without_shards);
        let desk = Desk::restore(desk_config, places, notifier(&changed), records)?;
        let hub = Self::launch(config, desk, changed, totals)?;
        hub.restore_totals(totals);
        hub.0.presence.charge_all(&hub.0.budget);
        Ok(hub)
    }

    /// Restores the streams of the desk that the hub was started from, with their sockets: all of
    /// them, in one call. They are counted from now on, also above the bounds.
    ///
    /// # Errors
    /// [`RestoreError`] if a stream is none of this desk, or the desk counts others.
    pub fn restore_streams(
        &self,
        streams: impl IntoIterator<Item = (StreamRecord, OwnedFd)>,
    ) -> Result<Seating, RestoreError> {
        let streams: Vec<_> = streams.into_iter().collect();
        let records = streams.iter().map(|(record, _)| record);
        let counted = self.0.shared.desk.lock().check_streams(records);
        let mut seating = Vec::with_capacity(streams.len());
        for (number, (record, socket)) in streams.into_iter().enumerate() {
            let guard = self.restore_guard(record.guard.clone());
            let desk = self.0.shared.desk.lock();
            let parked = record.into_parked(Incoming::Socket(socket), guard, &desk);
            drop(desk);
            seating.push(parked.map_err(|source| RestoreError::Stream { number, source })?);
        }
        // The fault of one stream says more.
        counted?;
        Ok(Seating(seating))
    }

    /// Gives the streams to the shards in turn.
    pub async fn seat_all(&self, Seating(streams): Seating) {
        let shards = self.0.mailboxes.len();
        let mut of_shards: Vec<Vec<ParkedStream>> = (0..shards).map(|_| Vec::new()).collect();
        for (number, stream) in streams.into_iter().enumerate() {
            of_shards[number % shards].push(stream);
        }
        for (shard, streams) in of_shards.into_iter().enumerate() {
            self.seat(shard, streams).await;
        }
    }
}

#[cfg(test)]
mod tests;
