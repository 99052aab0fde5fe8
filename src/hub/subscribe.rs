//! Opening streams.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::core::budget::{Charge, Part};
use crate::core::delivery::{Attach, Identity};
use crate::core::desk::{Arrival, Desk};
use crate::core::history::{Released, Start};
use crate::core::places::{Places, Shed, StreamPermit};
use crate::core::selector::{Selector, without_superfluous};
use crate::core::sse::Encoding;
use crate::shard::mailbox::Message;
use crate::shard::wire::Incoming;

use super::look_up::{self, LookedUp};
use super::{Closed, Hub, PatternShare, Pending, Place};

/// Patterns looked up while the lock is held once: some 200 µs.
const PATTERNS_AT_ONCE: usize = 1_024;

/// What one topic or pattern takes beside its name where no other stream has it, measured: its
/// places in the tables of the desk and of the shard.
const NEW_SELECTOR_BYTES: usize = 160;

/// What one topic or pattern of a stream takes in the lists of the stream and of the topic.
const LISTED_SELECTOR_BYTES: usize = 24;

/// Selectors that take so little are not charged: the number of streams bounds them.
const UNCOUNTED_SELECTORS_BYTES: usize = 1_024;

/// The same where the node's memory is short: a stream with one topic of a short name is let in.
const SMALL_SELECTORS_BYTES: usize = 256;

/// The account learns of topics once they take so much more or less.
const TOPICS_STEP_BYTES: usize = 64 * 1024;

/// A stream's subscription and rights.
#[derive(Default)]
pub struct Interest {
    /// What it subscribes to: at least one, without doubles.
    pub selectors: Vec<Selector>,
    /// Topics whose private events it may hear, sorted and without doubles; empty for an anonymous
    /// stream.
    pub grant: Arc<[Selector]>,
    /// When it ends, in milliseconds since the unix epoch.
    pub ends_unix_ms: Option<u64>,
    /// Its owner, for operators.
    pub identity: Identity,
    /// Announces its start and end.
    pub presence: Option<Pending>,
    /// From [`Hub::share_patterns`].
    pub pattern_share: Option<PatternShare>,
    /// From [`Hub::charge`].
    pub memory: Option<Charge>,
}

impl fmt::Debug for Interest {
    /// `Debug` shows only the number of a token's grants.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest")
            .field("selectors", &self.selectors.len())
            .field("grant", &self.grant.len())
            .field("ends_unix_ms", &self.ends_unix_ms)
            .finish_non_exhaustive()
    }
}

/// A stream to open.
pub struct Subscribe {
    /// The wire of its bytes.
    pub wire: Incoming,
    /// How its frames are wrapped.
    pub encoding: Encoding,
    /// The HTTP response head, written first; empty for bodies, whose head hyper writes.
    pub head: Bytes,
    /// Its subscription and rights.
    pub interest: Interest,
    /// From [`Hub::resolve`].
    pub start: Start,
}

impl Hub {
    /// Takes a place for one stream of the client at `address`.
    ///
    /// # Errors
    /// [`Shed`] when the node is full or draining, or the address has its share.
    pub fn reserve(&self, address: IpAddr) -> Result<StreamPermit, Shed> {
        self.0
            .shared
            .places
            .reserve(address)
            .inspect_err(|_| self.0.node_metrics.streams_shed.add(1))
    }

    /// Whether the node may hold the patterns that a stream asks for, its grant's included. Streams
    /// that ask at the same time are not counted against each other, so that there may be a few
    /// patterns more than the setting says, once.
    ///
    /// # Errors
    /// [`Shed::Patterns`] when it holds as many as `max_patterns` and some of these are not among
    /// them.
    pub fn has_room_for(&self, interest: &Interest) -> Result<(), Shed> {
        let all = interest.selectors.iter().chain(&*interest.grant);
        let mut patterns: Vec<&Selector> = all.filter(|one| !one.is_exact()).collect();
        if patterns.is_empty() {
            return Ok(());
        }
        patterns.sort_unstable();
        patterns.dedup();
        let max = self.0.config.patterns_max;
        let portions = patterns.chunks(PATTERNS_AT_ONCE);
        let new = portions.map(|portion| self.hold(|store| store.new_patterns(portion)));
        let new: usize = new.sum();
        if new > 0 && self.hold(|store| store.held_patterns()) + new > max {
            self.0.node_metrics.streams_shed.add(1);
            return Err(Shed::Patterns(max));
        }
        Ok(())
    }

    /// Charges the node's account with the lists of a stream with many topics and patterns, for as
    /// long as it is open, and sees that there is room for the topics themselves, which are counted
    /// where they are kept. Few and short ones are let in.
    ///
    /// # Errors
    /// [`Shed::Memory`] when the account has no room for them.
    pub fn charge(&self, interest: &mut Interest) -> Result<(), Shed> {
        let all = interest.selectors.iter().chain(&*interest.grant);
        let names = all.map(|selector| NEW_SELECTOR_BYTES + selector.text().len());
        let bytes_max: usize = names.sum();
        let subject = interest.identity.subject.as_ref();
        let subject = subject.map_or(0, |subject| subject.len());
        let budget = &self.0.budget;
        let uncounted = if budget.is_above_mark(Part::Topics) {
            SMALL_SELECTORS_BYTES
        } else {
            UNCOUNTED_SELECTORS_BYTES
        };
        if let Some(pending) = &mut interest.presence
            && pending.charge(budget).is_err()
        {
            self.0.node_metrics.streams_shed.add(1);
            return Err(Shed::Memory);
        }
        if bytes_max + subject <= uncounted {
            return Ok(());
        }
        let mut charge = Charge::new(budget, Part::Subscriptions);
        let room = budget.check(Part::Topics, bytes_max);
        let count = interest.selectors.len() + interest.grant.len();
        let lists = LISTED_SELECTOR_BYTES * count + subject;
        if room.and_then(|()| charge.set(lists)).is_err() {
            self.0.node_metrics.streams_shed.add(1);
            return Err(Shed::Memory);
        }
        interest.memory = Some(charge);
        Ok(())
    }

    /// Notes the bytes of streams' topics in the node's account.
    pub(super) fn note_topics(&self, desk: &Desk) {
        let bytes = desk.store().bare_topic_bytes();
        self.0.budget.set(Part::Topics, bytes);
    }

    /// The same where it has changed by much.
    fn note_more_topics(&self, desk: &Desk) {
        let bytes = desk.store().bare_topic_bytes();
        let noted = self.0.budget.used(Part::Topics);
        if bytes.abs_diff(noted) >= TOPICS_STEP_BYTES {
            self.0.budget.set(Part::Topics, bytes);
        }
    }

    /// Counts the patterns that a stream of the client at `address` chose itself, without doubles,
    /// for as long as the share is kept.
    ///
    /// # Errors
    /// [`Shed::AddressPatterns`] when the client has its share and some of these are not among it.
    pub fn share_patterns<'s>(
        &self,
        address: IpAddr,
        patterns: impl Iterator<Item = &'s Selector>,
    ) -> Result<Option<PatternShare>, Shed> {
        let share = self.0.pattern_shares.take(address, patterns);
        share.inspect_err(|_| self.0.node_metrics.streams_shed.add(1))
    }

    /// The count of open streams.
    #[must_use]
    pub fn places(&self) -> &Arc<Places> {
        &self.0.shared.places
    }

    /// Finds where a stream starts that may hear private events of `grant`: live from now without a
    /// cursor, else after it. Never fails: what is unknown or gone becomes a gap that the stream is
    /// told.
    #[must_use]
    pub fn resolve(
        &self,
        selectors: &[Selector],
        grant: &[Selector],
        cursor: Option<&str>,
    ) -> Start {
        let Some(text) = cursor else {
            return Start::default();
        };
        if look_up::is_wide(selectors, grant) {
            return LookedUp::selectors(self, selectors).resolve(grant, text);
        }
        let mut desk = self.0.shared.desk.lock();
        desk.resolve(selectors, grant, cursor)
    }

    /// Opens a stream: from here on its wire belongs to a shard. Waits while that shard's mailbox
    /// is full.
    ///
    /// # Errors
    /// [`Closed`] when the node has shut down; the wire is dropped.
    pub async fn subscribe(
        &self,
        permit: StreamPermit,
        subscribe: Subscribe,
    ) -> Result<(), Closed> {
        let shard = self.0.next_shard.fetch_add(1, Ordering::Relaxed) % self.0.mailboxes.len();
        let mut subscribe = subscribe;
        let interest = &mut subscribe.interest;
        interest.selectors = without_superfluous(std::mem::take(&mut interest.selectors));
        let is_wide = look_up::is_wide(&interest.selectors, &interest.grant);
        let mut looked_up = is_wide.then(|| {
            let selectors = LookedUp::selectors(self, &interest.selectors);
            selectors.with_grant(&interest.grant)
        });
        let mut waiting = Some((permit, subscribe));
        let mut place = self.place();
        let attempt = |place: &mut Place<'_>| {
            self.try_subscribe(shard, &mut waiting, looked_up.as_mut(), place)
        };
        self.when_room(&mut place, attempt).await?;
        self.0.mailboxes[shard].wake();
        Ok(())
    }

    fn try_subscribe(
        &self,
        shard: usize,
        waiting: &mut Option<(StreamPermit, Subscribe)>,
        looked_up: Option<&mut LookedUp<'_>>,
        place: &mut Place<'_>,
    ) -> Option<()> {
        let mailbox = &self.0.mailboxes[shard];
        let mut desk = self.0.shared.desk.lock();
        if !self.has_room(place, shard) {
            return None;
        }
        let (permit, subscribe) = waiting.take()?;
        let interest = subscribe.interest;
        let mut seat = desk.attach(Arrival {
            shard,
            permit,
            selectors: &interest.selectors,
            grant: &interest.grant,
            pinned: looked_up.map(LookedUp::take),
            start: subscribe.start,
            announce: interest.presence,
        });
        let guard = (
            seat.announced.take(),
            interest.pattern_share,
            interest.memory,
        );
        self.note_more_topics(&desk);
        let is_guarded = guard.0.is_some() || guard.1.is_some() || guard.2.is_some();
        let attach = Attach {
            identity: interest.identity,
            guard: is_guarded.then(|| Box::new(guard) as _),
            head: subscribe.head,
            ends_unix_ms: interest.ends_unix_ms,
            ..Attach::new(seat, subscribe.wire, subscribe.encoding)
        };
        let posted = mailbox.post(Message::Attach(Box::new(attach)));
        drop(desk);
        if let Err(Message::Attach(refused)) = posted {
            // The shard has ended: the stream is gone before it was one.
            let mut released = Released::default();
            refused.give_up(&mut released, &self.0.shared.places);
            self.take_back(&mut released);
        }
        Some(())
    }
}
