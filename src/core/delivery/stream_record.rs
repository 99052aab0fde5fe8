//! A parked stream as a plain value, and a parked stream restored from it.

use std::net::IpAddr;

use thiserror::Error;

use crate::core::desk::Desk;
use crate::core::event::EventId;
use crate::core::history::{SelectorIds, Wanted};
use crate::core::places::Places;
use crate::core::sse::Encoding;

use super::guard::{Guard, GuardRecord};
use super::replay::{Lagging, LaggingRecord};
use super::{Identity, Parked};

/// A parked stream as a plain value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    /// Number of its wire's descriptor.
    pub descriptor: u32,
    /// Its client, if the streams of clients are counted.
    pub client: Option<IpAddr>,
    /// How its frames are wrapped.
    pub encoding: Encoding,
    /// Its owner, for operators.
    pub identity: Identity,
    /// Its guard.
    pub guard: GuardRecord,
    /// Its topics and patterns: at least one, without duplicates.
    pub wanted: Box<[Wanted]>,
    /// The ids of its grant.
    pub grant: Option<SelectorIds>,
    /// Its end, in milliseconds since the unix epoch.
    pub ends_unix_ms: Option<u64>,
    /// It has seen all its events up to here.
    pub cursor: EventId,
    /// Bytes that its wire accepted.
    pub bytes: u64,
    /// Seconds since it was opened.
    pub age_s: u64,
    /// Its lagging entry. `None` = it was caught up.
    pub lagging: Option<LaggingRecord>,
    /// Milliseconds since its wire last accepted something.
    pub stuck_ms: u64,
}

/// A stream that does not fit its desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StreamRestoreError {
    /// It has no topics.
    #[error("a stream has no topics")]
    NoTopics,
    /// It has the same topic twice.
    #[error("a stream has a topic twice")]
    Twice,
    /// It has a topic or a pattern that the desk does not have.
    #[error("a stream has a topic or a pattern that does not exist")]
    UnknownTopic,
    /// It has a grant that the desk does not have.
    #[error("a stream has a grant that does not exist")]
    UnknownGrant,
}

impl<T> Parked<T> {
    /// The stream as a plain value, with the number of its wire's descriptor. `places` is the count
    /// that it has its place in.
    #[must_use]
    pub fn record(&self, descriptor: u32, places: &Places) -> StreamRecord {
        let grant = self.grant.as_deref();
        StreamRecord {
            descriptor,
            client: places.address_of(self.client),
            encoding: self.encoding,
            identity: self.identity.clone(),
            guard: self
                .guard
                .as_ref()
                .map_or_else(Default::default, |guard| guard.record()),
            wanted: self.wanted.clone(),
            grant: grant.map(|ids| ids.iter().copied().collect()),
            ends_unix_ms: self.ends_unix_ms,
            cursor: self.cursor,
            bytes: self.bytes,
            age_s: self.age_s,
            lagging: self.lagging.as_ref().map(Lagging::record),
            stuck_ms: self.stuck_ms,
        }
    }
}

impl StreamRecord {
    /// The parked stream, with its wire and a guard made from [`StreamRecord::guard`]. Takes its
    /// place in the desk's places, also above their bounds. To be called once for each stream of a
    /// restored desk, which counts its subscriptions already.
    ///
    /// # Errors
    /// [`StreamRestoreError`] if the stream is none of this desk.
    pub fn into_parked<T>(
        self,
        wire: T,
        guard: Option<Guard>,
        desk: &Desk,
    ) -> Result<Parked<T>, StreamRestoreError> {
        self.check(desk)?;
        let grant = self.grant.as_deref().map(|ids| {
            let known = desk.store().grant_of(ids);
            known.ok_or(StreamRestoreError::UnknownGrant)
        });
        Ok(Parked {
            wire,
            grant: grant.transpose()?,
            client: desk.places().restore(self.client),
            encoding: self.encoding,
            identity: self.identity,
            guard,
            wanted: self.wanted,
            ends_unix_ms: self.ends_unix_ms,
            cursor: self.cursor,
            bytes: self.bytes,
            age_s: self.age_s,
            lagging: self.lagging.map(Lagging::restored),
            stuck_ms: self.stuck_ms,
            name_user: self.encoding.has_topics().then(|| desk.store().name_user()),
        })
    }

    /// Whether the stream fits a restored desk.
    ///
    /// # Errors
    /// [`StreamRestoreError`] if it does not.
    pub fn check(&self, desk: &Desk) -> Result<(), StreamRestoreError> {
        let mut ids: SelectorIds = self.wanted.iter().map(|wanted| wanted.selector).collect();
        ids.sort_unstable();
        if ids.is_empty() {
            return Err(StreamRestoreError::NoTopics);
        }
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(StreamRestoreError::Twice);
        }
        let store = desk.store();
        if !ids.iter().all(|id| store.exists(*id)) {
            return Err(StreamRestoreError::UnknownTopic);
        }
        match &self.grant {
            Some(ids) if store.grant_of(ids).is_none() => Err(StreamRestoreError::UnknownGrant),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_lagging_entry_comes_back_as_a_whole() {
        let record = LaggingRecord {
            remainder: Bytes::from_static(b"rest"),
            frame_bytes: 9,
            farewell: Some(Bytes::from_static(b"retry: 1\n\n")),
            told_through: EventId::new(7),
            unknown: Some("cursor".into()),
            resuming: true,
            conflate: true,
        };
        assert_eq!(Lagging::restored(record.clone()).record(), record);
        let others = LaggingRecord::default();
        assert_eq!(Lagging::restored(others.clone()).record(), others);
    }
}
