//! Parking: a stream is removed from a shard as a whole, and continued at the same position by
//! another shard, or by a new instance of the same one.

use std::fmt;

use crate::core::desk::Reseat;
use crate::core::event::EventId;
use crate::core::history::{Grant, NameUser, Released, Start, Wanted};
use crate::core::places::{ClientKey, Places};
use crate::core::sse::Encoding;
use crate::metrics::CloseReason;

use super::replay::Lagging;
use super::subscriber::Key;
use super::tickets::Ticket;
use super::{Core, Guard, Identity, Io, NotAdopted};

/// A stream that no shard serves at the moment.
///
/// It keeps its place, its subscriptions and its share of a grant: none of them is released while
/// it is parked, and none is acquired again when it continues.
/// [`Desk::reseat`](crate::core::desk::Desk::reseat) directs its events to the shard that continues
/// it.
pub struct Parked<T> {
    pub(crate) wire: T,
    pub(crate) client: ClientKey,
    pub(crate) encoding: Encoding,
    pub(crate) identity: Identity,
    pub(crate) guard: Option<Guard>,
    pub(crate) wanted: Box<[Wanted]>,
    pub(crate) grant: Option<Grant>,
    pub(crate) ends_unix_ms: Option<u64>,
    /// It has seen all its events up to here; bytes of the last one may be in the remainder of
    /// `lagging`.
    pub(crate) cursor: EventId,
    /// Bytes that its wire accepted.
    pub(crate) bytes: u64,
    /// Seconds since it was opened.
    pub(crate) age_s: u64,
    /// Its lagging entry. `None` = it was caught up.
    pub(crate) lagging: Option<Lagging>,
    /// Milliseconds since its wire last accepted something; 0 if it is caught up.
    pub(crate) stuck_ms: u64,
    /// If it is told topics: events are posted with their names.
    pub(crate) name_user: Option<NameUser>,
}

impl<T> fmt::Debug for Parked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked")
            .field("cursor", &self.cursor)
            .field("wanted", &self.wanted.len())
            .field("is_behind", &self.lagging.is_some())
            .finish_non_exhaustive()
    }
}

impl<T> Parked<T> {
    /// Its topics and patterns.
    #[must_use]
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Frees the place of a stream that no shard continues, and adds its references to `released`.
    /// Dropping its wire closes it.
    pub fn give_up(self, released: &mut Released, places: &Places) {
        released.add_stream(&self.wanted, self.grant);
        places.release(self.client);
    }
}

impl<I: Io> Core<I> {
    /// Removes a stream, if it is open. The caller flushes first, because events published before
    /// are still for the stream.
    pub(super) fn park(&mut self, key: Key, io: &mut I) -> Option<Parked<I::Incoming>> {
        if !self.is_open(key) {
            return None;
        }
        let subscriber = self.subscribers.remove(key.slot)?;
        let name_user = self.naming.remove(subscriber.encoding);
        let wanted = self.leave_topics(&subscriber);
        let beside = self.take_beside(key.slot, subscriber.flags);
        let lagging = self.take_lagging(key.slot);
        self.open_streams(I::kind(&subscriber.wire)).sub(1);
        let cursor = match lagging {
            Some(_) => subscriber.cursor,
            // A stream that is caught up has seen all that the shard has taken.
            None => subscriber.cursor.max(self.last_id),
        };
        let progress_ms = lagging.as_ref().map(|lagging| lagging.progress_ms);
        let opened_s = u64::from(subscriber.opened_s);
        Some(Parked {
            client: subscriber.client,
            encoding: subscriber.encoding,
            identity: beside.identity,
            guard: beside.guard,
            wanted: wanted.into_vec().into(),
            grant: beside.grant,
            ends_unix_ms: beside.ends_unix_ms,
            cursor,
            bytes: subscriber.bytes(),
            age_s: (self.now_ms / 1_000).saturating_sub(opened_s),
            stuck_ms: self.now_ms - progress_ms.unwrap_or(self.now_ms),
            lagging,
            name_user,
            wire: io.park(key, subscriber.wire),
        })
    }

    /// Continues a stream: it reads on from its cursor, after its remainder, and is caught up when
    /// nothing is left. The first write shows again whether its wire is full.
    pub(super) fn unpark(&mut self, parked: Parked<I::Incoming>, reseat: &Reseat, io: &mut I) {
        self.serial = self.serial.wrapping_add(1);
        // As with a new stream: everything posted before has been taken already.
        self.last_id = self.last_id.max(reseat.live_from);
        let opened_s = (self.now_ms / 1_000).saturating_sub(parked.age_s) as u32;
        let key = match self.adopt(parked.wire, parked.client, parked.encoding, opened_s, io) {
            Ok(key) => key,
            Err(NotAdopted { incoming, error }) => {
                self.released.add_stream(&parked.wanted, parked.grant);
                self.shared.places.release(parked.client);
                self.counters.closed[CloseReason::Error as usize].add(1);
                let owed = parked.lagging.map(|lagging| lagging.remainder);
                let owed = owed.unwrap_or_default();
                self.turn_away(incoming, owed, parked.encoding, &error, io);
                return;
            }
        };
        self.naming.add(parked.name_user);
        self.join(key.slot, &parked.wanted);
        let ticket = Ticket::new(parked.grant, parked.ends_unix_ms);
        self.give_ticket(key, ticket, parked.guard);
        self.give_identity(key.slot, parked.identity);
        if let Some(subscriber) = self.subscribers.get_mut(key.slot) {
            subscriber.cursor = parked.cursor;
            subscriber.set_bytes(parked.bytes);
        }
        for (wanted, newest) in std::iter::zip(&parked.wanted, &reseat.newest) {
            self.taken.note(wanted.selector, *newest);
        }
        // A stream that was caught up was not too slow: its losses are reported as to a stream that
        // resumes.
        let caught_up = || Lagging::resuming(Default::default(), Start::default(), self.now_ms);
        let mut lagging = parked.lagging.unwrap_or_else(caught_up);
        lagging.progress_ms = self.now_ms.saturating_sub(parked.stuck_ms);
        self.leaving += usize::from(lagging.farewell.is_some());
        self.fall_behind(key.slot, lagging);
        self.make_ready(key.slot);
    }
}
