//! Stopping the hub for a moment: nothing is published, attached or announced, and the shards hand
//! out all their streams.
//!
//! In this state the desk and the streams are plain values that another process can take over. If
//! none does, [`Frozen::thaw`] continues everything as if nothing had happened.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use hashbrown::HashMap;
use thiserror::Error;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::core::delivery::Parked;
use crate::core::desk::{Desk, DeskCursor, DeskRecord, Reseat};
use crate::core::history::{Record, Released, SelectorId};
use crate::shard::mailbox::Message;
use crate::shard::wire::Incoming;
use crate::state::Writer;

use super::{Closed, Hub};

/// A stream that no shard serves at the moment.
pub type ParkedStream = Parked<Incoming>;

/// Streams that are continued in one hold of the lock: some 100 µs.
const SEATED_AT_ONCE: usize = 256;

/// Records that are made at once, before they are written.
const RECORDS_AT_ONCE: usize = 1_024;

/// Pause before a full mailbox is tried again. While the hub is frozen, nobody else posts, so the
/// mailbox empties within a few turns of its shard.
const ROOM_PAUSE: Duration = Duration::from_millis(1);

/// Longest wait for what is being announced through a log.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(3);

/// Pause before it is checked again whether the last body has ended.
const BODIES_PAUSE: Duration = Duration::from_millis(10);

impl ParkedStream {
    /// Its socket. A body is never parked here.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.wire {
            Incoming::Socket(socket) => Some(socket.as_fd()),
            Incoming::Body(..) => None,
        }
    }
}

/// Why a hub cannot be frozen. It goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotFrozen {
    /// The node has shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// Starts or ends of subscriptions that the registry no longer has wait for the log.
    #[error(
        "starts and ends of subscriptions could not be written to the log within {} seconds; try again when the log is back",
        ANNOUNCED_WITHIN.as_secs()
    )]
    Untold,
}

/// A hub that accepts nothing, and its streams. It stays frozen until [`Frozen::thaw`].
#[must_use]
pub struct Frozen {
    hub: Hub,
    /// The streams of each shard.
    streams: Vec<Vec<ParkedStream>>,
    /// Nothing is announced.
    _announcing: OwnedMutexGuard<()>,
}

impl Hub {
    /// Ends the HTTP/2 streams, which cannot move to another process, and waits for their ends to
    /// be sent, but no longer than `longest`. Returns how many were open.
    ///
    /// # Errors
    /// [`Closed`] if the node has shut down.
    pub async fn dismiss_bodies(&self, longest: Duration) -> Result<usize, Closed> {
        let deadline = Instant::now() + longest;
        let open = self.streams_in_bodies();
        for shard in 0..self.0.mailboxes.len() {
            self.post(shard, Message::DismissBodies).await?;
        }
        while self.streams_in_bodies() + self.streams_unsent() > 0 && Instant::now() < deadline {
            sleep(BODIES_PAUSE).await;
        }
        Ok(open)
    }

    fn streams_in_bodies(&self) -> usize {
        let shards = self.0.counters.iter();
        shards.map(|shard| shard.streams_body.get() as usize).sum()
    }

    /// Stops publishing, attaching, announcing and everything else that changes the desk, and takes
    /// all streams from the shards, after these have written all events so far. Callers wait until
    /// the hub is thawed. HTTP/2 streams that are still open are ended.
    ///
    /// # Errors
    /// [`NotFrozen`].
    pub async fn freeze(&self) -> Result<Frozen, NotFrozen> {
        // The batch in hand is published first: the registry no longer has it.
        let announcing = self.0.announcing.clone().lock_owned();
        let announcing = match self.log() {
            None => announcing.await,
            // It waits for the log, and clients must not wait for that.
            Some(_) => timeout(ANNOUNCED_WITHIN, announcing)
                .await
                .map_err(|_| NotFrozen::Untold)?,
        };
        {
            let _order = self.0.shared.desk.lock();
            self.0.gate.freeze();
        }
        let mut answers = Vec::new();
        for shard in 0..self.0.mailboxes.len() {
            let (answer, answered) = oneshot::channel();
            let answer = Box::new(move |streams| _ = answer.send(streams));
            self.post_frozen(shard, Message::ParkAll(answer)).await?;
            answers.push(answered);
        }
        let mut streams = Vec::new();
        for answered in answers {
            // A shard that has ended before it took the message never answers.
            let answered = tokio::select! {
                biased;
                answered = answered => answered.map_err(|_| Closed)?,
                () = self.0.gate.stopped() => return Err(Closed.into()),
            };
            streams.push(answered);
        }
        Ok(Frozen {
            hub: self.clone(),
            streams,
            _announcing: announcing,
        })
    }

    /// Posts a message to a shard of a frozen hub, as soon as the queue has a place.
    async fn post_frozen(&self, shard: usize, message: Message) -> Result<(), Closed> {
        self.wait_for_place(shard).await;
        let mailbox = self.0.mailboxes.get(shard).ok_or(Closed)?;
        let posted = mailbox.post(message);
        mailbox.wake();
        posted.map_err(|_| Closed)
    }

    async fn wait_for_place(&self, shard: usize) {
        let mailbox = self.0.mailboxes.get(shard);
        while mailbox.is_some_and(|mailbox| !mailbox.has_place()) {
            sleep(ROOM_PAUSE).await;
        }
    }

    /// Continues streams on a shard, a portion for each hold of the lock. Nothing else may be
    /// posted meanwhile: the hub is frozen, or has not begun.
    pub(super) async fn seat(&self, shard: usize, streams: Vec<ParkedStream>) {
        let mut streams = streams.into_iter().peekable();
        while streams.peek().is_some() {
            self.wait_for_place(shard).await;
            let portion = streams.by_ref().take(SEATED_AT_ONCE);
            let refused = {
                let mut desk = self.0.shared.desk.lock();
                let reseat = |stream| reseated(&mut desk, shard, stream);
                let message = Message::UnparkAll(portion.map(reseat).collect());
                self.0.mailboxes[shard].post(message).err()
            };
            self.0.mailboxes[shard].wake();
            if let Some(Message::UnparkAll(streams)) = refused {
                // The shard has ended.
                let mut released = Released::default();
                for (stream, _) in streams {
                    stream.give_up(&mut released, &self.0.shared.places);
                }
                self.take_back(&mut released);
            }
        }
    }
}

fn reseated(desk: &mut Desk, shard: usize, stream: ParkedStream) -> (ParkedStream, Reseat) {
    let reseat = desk.reseat(shard, stream.wanted());
    (stream, reseat)
}

impl Frozen {
    /// Number of its streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.iter().map(Vec::len).sum()
    }

    /// Writes the desk and the streams. `count` is called for each record of the desk.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write<W: Write>(
        &self,
        out: &mut Writer<W>,
        mut count: impl FnMut(&DeskRecord),
    ) -> io::Result<()> {
        let shared = &self.hub.0.shared;
        let shares = self.shares();
        let desk = shared.desk.lock();
        let (mut cursor, mut records) = (DeskCursor::default(), Vec::new());
        while !cursor.is_end() {
            cursor = desk.snapshot(cursor, RECORDS_AT_ONCE, &mut records);
            for mut record in records.drain(..) {
                if let DeskRecord::Store(Record::Grant { ids, streams }) = &mut record {
                    let Some(shares) = shares.get(&ids[..]) else {
                        continue;
                    };
                    *streams = *shares;
                }
                count(&record);
                out.desk(&record)?;
            }
        }
        drop(desk);
        for streams in &self.streams {
            for portion in streams.chunks(RECORDS_AT_ONCE) {
                let records = portion.iter().filter_map(|stream| {
                    let descriptor = u32::try_from(stream.socket()?.as_raw_fd()).ok()?;
                    Some(stream.record(descriptor, &shared.places))
                });
                out.streams(&records.collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }

    /// The streams that share each grant. A subscription that waits at the gate has a share as well,
    /// but it ends with this process.
    fn shares(&self) -> HashMap<&[SelectorId], u32> {
        let mut shares = HashMap::new();
        let streams = self.streams.iter().flatten();
        for grant in streams.filter_map(|stream| stream.grant.as_deref()) {
            *shares.entry(grant).or_default() += 1;
        }
        shares
    }

    /// The sockets of its streams.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.streams.iter().flatten().filter_map(Parked::socket)
    }

    /// Continues all streams on their shards and accepts everything again.
    pub async fn thaw(self) {
        for (shard, streams) in self.streams.into_iter().enumerate() {
            self.hub.seat(shard, streams).await;
        }
        self.hub.0.gate.thaw();
    }
}

#[cfg(test)]
mod tests;
