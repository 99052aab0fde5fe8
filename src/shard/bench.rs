//! Internals for the benches in `benches/`; not part of the public interface.
//!
//! [`BenchShard`] is a shard without its thread: the same reactor, core, mailbox and sockets, but
//! its caller makes the turns. So a bench measures the shard's own code and nothing of the
//! scheduler. Must never be used by the program itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Events;

use crate::core::delivery::{Attach, Counters, ShardConfig, Shared, TurnBudget};
use crate::core::desk::{Arrival, Desk, DeskConfig, Publication, Stamps, Untraced};
use crate::core::event::{EventId, OrderMark};
use crate::core::history::{HistoryLimits, SelectorIds, ShardSet};
use crate::core::places::{Places, Share};
use crate::core::presence::Presence;
use crate::core::selector::Selector;
use crate::core::sse::{Draft, Encoding, Frame};

use super::mailbox::{Mailbox, Message};
use super::reactor::Reactor;
use super::wire::Incoming;

/// The wall clock stands still: ids differ by their counter, and no event of the history ages.
const NOW_UNIX_MS: u64 = 1_700_000_000_000;

/// Longer than any bench: heartbeats would be counted among the events' bytes.
pub const NEVER_MS: u64 = 24 * 3_600_000;

/// Capacity of the mailbox in messages; most are attaches posted before the first turn.
const MAILBOX_BATCHES: usize = 1 << 13;

/// Capacity of the mailbox in bytes.
const MAILBOX_BYTES: usize = 1 << 30;

/// Readiness events read from the poller at once.
const POLL_EVENTS: usize = 1_024;

/// Gives a draft its id, as the store does when it appends the event.
#[must_use]
pub fn stamp(draft: &mut Draft<'_>, id: EventId) -> Frame {
    draft.stamp(id.marked(OrderMark::default()))
}

/// A shard whose caller makes its turns.
pub struct BenchShard {
    reactor: Reactor,
    mailbox: Mailbox,
    shared: Shared,
    events: Events,
    counters: Counters,
}

impl BenchShard {
    /// A shard without streams, and an empty store.
    ///
    /// # Errors
    /// If the system gives no poller.
    pub fn new(history: HistoryLimits) -> io::Result<Self> {
        let config = ShardConfig {
            index: 0,
            heartbeat_ms: NEVER_MS,
            write_timeout_ms: NEVER_MS,
            gap_spread_ms: 0,
            retry_ms: None,
            mailbox_batches: MAILBOX_BATCHES,
            mailbox_bytes: MAILBOX_BYTES,
            budget: TurnBudget::default(),
        };
        let desk = DeskConfig {
            history,
            ..DeskConfig::default()
        };
        let places = Places::new(usize::MAX, Share::default());
        let presence = Presence::new(&history, Share::default(), || {});
        let shared = Shared::new(Desk::new(desk, places, presence, NOW_UNIX_MS));
        let (reactor, mailbox) = Reactor::new(config, shared.clone(), Counters::default())?;
        Ok(Self {
            counters: reactor.counters(),
            reactor,
            mailbox,
            shared,
            events: Events::with_capacity(POLL_EVENTS),
        })
    }

    /// Posts a stream on `topics`, live or from a cursor on. No response head is written.
    ///
    /// # Errors
    /// If the store has no room for it, which does not happen here.
    pub fn attach(&self, socket: OwnedFd, topics: &[&str], cursor: Option<&str>) -> io::Result<()> {
        self.attach_as(Encoding::CHUNKED, socket, topics, cursor)
    }

    /// The same in an encoding.
    ///
    /// # Errors
    /// As for [`BenchShard::attach`].
    pub fn attach_as(
        &self,
        encoding: Encoding,
        socket: OwnedFd,
        topics: &[&str],
        cursor: Option<&str>,
    ) -> io::Result<()> {
        let selectors: Vec<_> = topics.iter().map(|topic| Selector::exact(topic)).collect();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let permit = self.shared.places.reserve(here).map_err(io::Error::other)?;
        let mut desk = self.shared.desk.lock();
        let start = desk.resolve(&selectors, &[], cursor);
        let seat = desk.attach(Arrival {
            shard: 0,
            permit,
            selectors: &selectors,
            grant: &[],
            start,
            pinned: None,
            announce: None,
        });
        let attach = Attach::new(seat, Incoming::Socket(socket), encoding);
        self.mailbox
            .post(Message::Attach(Box::new(attach)))
            .map_err(|_| io::Error::other("the mailbox is full"))
    }

    /// Publishes all drafts as one batch; returns the bytes of their frames that go to a listener.
    ///
    /// # Errors
    /// If the mailbox is full.
    pub fn publish(&self, drafts: &mut [Draft<'_>]) -> io::Result<usize> {
        let mut desk = self.shared.desk.lock();
        let publication = Publication {
            drafts,
            stamps: Stamps::Local(NOW_UNIX_MS),
            watched: &[],
            pinned: &mut SelectorIds::new(),
            full: ShardSet::default(),
            stamped_at: Instant::now(),
        };
        let published = desk.publish(publication, &mut Untraced);
        let published = published.map_err(|_| io::Error::other("patterns are left to match"))?;
        let Some(batch) = published.batch else {
            return Ok(0);
        };
        let bytes = batch.events.iter().map(|event| event.frame.len()).sum();
        let posted = self.mailbox.post(Message::Deliver(Arc::new(batch)));
        posted.map_err(|_| io::Error::other("the mailbox is full"))?;
        Ok(bytes)
    }

    /// Polls the sockets without waiting and makes one turn; returns whether the next one has work
    /// without waiting for it.
    ///
    /// # Errors
    /// If the poller fails.
    pub fn turn(&mut self) -> io::Result<bool> {
        let timeout = Some(Duration::ZERO);
        self.reactor.step(&mut self.events, timeout, &|| {})?;
        Ok(self.reactor.has_work())
    }

    /// The newest id of its store.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.shared.desk.lock().head()
    }

    /// The shard's counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
