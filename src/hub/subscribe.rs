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

use super::guard::HubGuard;
use super::look_up::{self, LookedUp};
use super::{Closed, Hub, PatternShare, Pending, Place};

/// Patterns looked up in one hold of the lock: about 200 µs.
const PATTERNS_AT_ONCE: usize = 1_024;

/// Bytes of a topic or pattern that no other stream has, without its name: its entries in the
/// tables of the desk and of the shard. Measured.
const NEW_SELECTOR_BYTES: usize = 160;

/// Bytes of a topic or pattern of a stream in the lists of the stream and of the topic.
const LISTED_SELECTOR_BYTES: usize = 24;

/// Selectors up to this size are not charged, because the number of streams limits them.
const UNCOUNTED_SELECTORS_BYTES: usize = 1_024;

/// The same if the node's memory is short: a stream with one topic of a short name is still
/// admitted.
const SMALL_SELECTORS_BYTES: usize = 256;

/// The account is updated when the topics' bytes have changed by this much.
const TOPICS_STEP_BYTES: usize = 64 * 1024;

/// A stream's subscription and rights.
#[derive(Default)]
pub struct Interest {
    /// Its selectors: at least one, without duplicates.
    pub selectors: Vec<Selector>,
    /// Topics whose private events it may hear, sorted and without duplicates; empty for an
    /// anonymous stream.
    pub grant: Arc<[Selector]>,
    /// When it ends, in milliseconds since the Unix epoch.
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
    /// The encoding of its frames.
    pub encoding: Encoding,
    /// The HTTP response head, which is written first; empty for bodies whose head hyper writes.
    pub head: Bytes,
    /// Its subscription and rights.
    pub interest: Interest,
    /// From [`Hub::resolve`].
    pub start: Start,
}

impl Hub {
    /// Reserves a place for one stream of the client at `address`.
    ///
    /// # Errors
    /// [`Shed`] if the node is full or draining, or the client has as many streams as it may have.
    pub fn reserve(&self, address: IpAddr) -> Result<StreamPermit, Shed> {
        self.0
            .shared
            .places
            .reserve(address)
            .inspect_err(|_| self.0.node_metrics.streams_shed.add(1))
    }

    /// Checks that the node may have the patterns of a stream, including those of its grant.
    /// Concurrent requests are not counted against each other, so the limit may once be exceeded by
    /// a few patterns.
    ///
    /// # Errors
    /// [`Shed::Patterns`] if the stream has new patterns and they would exceed `max_patterns`.
    pub fn has_room_for(&self, interest: &Interest) -> Result<(), Shed> {
        let all = interest.selectors.iter().chain(&*interest.grant);
        let checked = self.check_patterns(all);
        checked.inspect_err(|_| self.0.node_metrics.streams_shed.add(1))
    }

    /// As [`Self::has_room_for`], without counting a refused stream.
    pub(super) fn check_patterns<'s>(
        &self,
        selectors: impl Iterator<Item = &'s Selector>,
    ) -> Result<(), Shed> {
        let mut patterns: Vec<&Selector> = selectors.filter(|one| !one.is_exact()).collect();
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
            return Err(Shed::Patterns(max));
        }
        Ok(())
    }

    /// Charges the node's account for the lists of a stream with many topics and patterns, for as
    /// long as it is open, and for its announcements. Also checks that there is room for the topics
    /// themselves, which are counted where they are stored. Few and short selectors are not
    /// charged.
    ///
    /// # Errors
    /// [`Shed::Memory`] if the account has no room for them.
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

    /// Updates the bytes of the streams' topics in the node's account.
    pub(super) fn note_topics(&self, desk: &Desk) {
        let bytes = desk.store().bare_topic_bytes();
        self.0.budget.set(Part::Topics, bytes);
    }

    /// Updates the bytes of the streams' topics if they have changed by much.
    fn note_more_topics(&self, desk: &Desk) {
        let bytes = desk.store().bare_topic_bytes();
        let noted = self.0.budget.used(Part::Topics);
        if bytes.abs_diff(noted) >= TOPICS_STEP_BYTES {
            self.0.budget.set(Part::Topics, bytes);
        }
    }

    /// Counts the patterns that a stream of the client at `address` chose itself, without
    /// duplicates, until the share is dropped.
    ///
    /// # Errors
    /// [`Shed::AddressPatterns`] if some of the patterns are new and would exceed the client's
    /// share.
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

    /// Finds the position at which a stream starts: after the cursor, or live from now if there is
    /// none. The stream may hear private events of `grant`. Never fails: an unknown or evicted
    /// position becomes a gap, which is reported to the stream.
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

    /// Opens a stream. From now on, its wire belongs to a shard. Waits while that shard's mailbox
    /// is full.
    ///
    /// # Errors
    /// [`Closed`] if the node has shut down. The wire is dropped.
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
        if self.is_frozen() || !self.has_room(place, shard) {
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
        let guard = HubGuard {
            announced: seat.announced.take(),
            patterns: interest.pattern_share,
            memory: interest.memory,
        };
        self.note_more_topics(&desk);
        let attach = Attach {
            identity: interest.identity,
            guard: guard.boxed(),
            head: subscribe.head,
            ends_unix_ms: interest.ends_unix_ms,
            ..Attach::new(seat, subscribe.wire, subscribe.encoding)
        };
        let posted = mailbox.post(Message::Attach(Box::new(attach)));
        drop(desk);
        if let Err(Message::Attach(refused)) = posted {
            // The shard has ended before the stream was opened.
            let mut released = Released::default();
            refused.give_up(&mut released, &self.0.shared.places);
            self.take_back(&mut released);
        }
        Some(())
    }
}
