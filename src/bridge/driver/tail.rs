//! Reads the log: does what the [follower](crate::bridge::follow) says, and tells the hub.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::contact::{pause, pauses};
use super::shared::{Shared, Standing, unknown};
use super::{Beginning, Contact};
use crate::bridge::entry::Content;
use crate::bridge::follow::{Answer, Entry, Follower, Start, Step};
use crate::bridge::redis::{self, Connection, PageSize};
use crate::core::event::{EventId, OrderMark};
use crate::core::history::{Hole, HoleCause};
use crate::hub::log::Applied;
use crate::hub::{Closed, Hub};
use crate::once_a_minute::OnceAMinute;

/// Time within which the tail must bring what was written. Otherwise it reads the wrong server.
const COMES_WITHIN: Duration = Duration::from_secs(2);

/// Time for another node to begin a stream again that is gone.
const BEGUN_WITHIN: Duration = Duration::from_secs(5);

/// Interval of the log line about a refill.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Why a node cannot follow its log any more.
#[derive(Debug, Error)]
pub enum TailError {
    /// The log has begun anew.
    #[error(
        "the log has another order than before: its stream was deleted, or the node was pointed at another one. A node never follows two orders; started again, it follows the new one"
    )]
    NewOrder,
    /// The hub has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why a connection is given up.
#[derive(Debug, Error)]
enum Stop {
    #[error(transparent)]
    Redis(#[from] redis::Error),
    #[error("what this node wrote to the log did not come back in {} s: another server may have the log", COMES_WITHIN.as_secs())]
    Unseen,
    #[error("Sentinel has made {0} the master")]
    Elsewhere(redis::Host),
    #[error("the log's stream is gone, and no other node has begun it again yet")]
    Missing,
    #[error(transparent)]
    Fatal(TailError),
}

impl From<Closed> for Stop {
    fn from(closed: Closed) -> Self {
        Self::Fatal(closed.into())
    }
}

pub(super) struct Tail {
    shared: Arc<Shared>,
    hub: Hub,
    begin: Beginning,
    page: PageSize,
    /// Entries read before the node was live for the first time.
    refilled: u64,
    /// Entries that the log has kept, by the latest facts.
    kept: u64,
    told_at: Instant,
    /// Since when a node that takes over finds no stream.
    missing: Option<Instant>,
}

impl Tail {
    pub(super) fn new(shared: Arc<Shared>, hub: Hub, begin: Beginning) -> Self {
        Self {
            shared,
            hub,
            begin,
            page: PageSize::default(),
            refilled: 0,
            kept: 0,
            told_at: Instant::now(),
            missing: None,
        }
    }

    /// Runs until the node cannot follow the log any more.
    pub(super) async fn run(mut self) -> TailError {
        let mut follower = match self.begin {
            Beginning::Fresh(Contact { birth, floor }) => {
                Some(Follower::new(birth, Start::Above(floor)))
            }
            Beginning::At { .. } => None,
        };
        let mut backoff = pauses();
        loop {
            let error = match self.follow(&mut follower, &mut backoff).await {
                Stop::Fatal(error) => return error,
                error => error,
            };
            if let Some(follower) = &mut follower {
                follower.disconnected();
            }
            self.shared.live.send_replace(None);
            let was_live = matches!(self.shared.standing(), Standing::Live { .. });
            let is_serving = was_live || matches!(self.begin, Beginning::At { .. });
            self.shared.lose(error.to_string(), is_serving);
            self.shared.metrics.reconnects.add(1);
            // A connection may come and go many times a second.
            static LOST: OnceAMinute = OnceAMinute::new();
            static STILL_LOST: OnceAMinute = OnceAMinute::new();
            if was_live {
                if let Some(left_out) = LOST.due() {
                    tracing::warn!(
                        left_out,
                        "the log is away: {error}; streams stay open, publishers wait for `log_timeout` at most"
                    );
                }
            } else if let Some(left_out) = STILL_LOST.due() {
                tracing::warn!(left_out, "the log is still away: {error}");
            }
            pause(&mut backoff).await;
        }
    }

    /// Follows the log on one connection.
    async fn follow(
        &mut self,
        follower: &mut Option<Follower<Content>>,
        backoff: &mut crate::backoff::Backoff,
    ) -> Stop {
        let mut connection = match self.shared.connect().await {
            Ok(connection) => connection,
            Err(error) => return error.into(),
        };
        let follower = match follower {
            Some(follower) => follower,
            None => match self.begin_again(&mut connection).await {
                Ok(new) => follower.insert(new),
                Err(stop) => return stop,
            },
        };
        loop {
            if let Some(host) = self.shared.elsewhere(&connection) {
                return Stop::Elsewhere(host);
            }
            let step = follower.next(Instant::now(), connection.unix_ms());
            let is_live = matches!(step, Step::Live { .. });
            match self.take(step, &mut connection).await {
                Ok(answer) => follower.answer(answer),
                Err(stop) => return stop,
            }
            let head = *self.shared.head.borrow();
            self.shared.prints.settle(head, follower.print_of(head));
            if is_live {
                backoff.succeeded();
            }
            // The follower is so far with the answer to the last question. What it has read is yet to be
            // applied, up to `Step::Live`.
            let is_standing = matches!(self.shared.standing(), Standing::Live { .. });
            let live = follower.live_on().filter(|_| is_standing);
            self.shared.live.send_if_modified(|current| {
                let is_other = *current != live;
                *current = live;
                is_other
            });
        }
    }

    /// The follower of a node whose former program has read up to its newest id. The mark of its
    /// order says whether the log is still the same.
    async fn begin_again(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Follower<Content>, Stop> {
        let birth = connection.facts().await?.birth;
        // Another node begins it again: this one knows only a part of the birth.
        let Some(birth) = birth else {
            let since = *self.missing.get_or_insert_with(Instant::now);
            return Err(if since.elapsed() < BEGUN_WITHIN {
                Stop::Missing
            } else {
                Stop::Fatal(TailError::NewOrder)
            });
        };
        if OrderMark::of_birth(birth) != self.hub.mark() {
            return Err(Stop::Fatal(TailError::NewOrder));
        }
        let print = match self.begin {
            Beginning::At { print, .. } => print,
            Beginning::Fresh(_) => None,
        };
        Ok(Follower::new(birth, Start::At(self.hub.head(), print)))
    }

    async fn take(
        &mut self,
        step: Step<Content>,
        connection: &mut Connection,
    ) -> Result<Answer<Content>, Stop> {
        Ok(match step {
            Step::AskFacts => {
                let facts = connection.facts().await?;
                self.kept = facts.length;
                Answer::Facts(facts)
            }
            Step::AskPage { from } => {
                self.busy();
                let page = connection.page(from, &mut self.page).await?;
                self.shared.metrics.passed_over.add(page.passed_over as u64);
                Answer::Page {
                    entries: page.entries,
                    is_end: page.is_end,
                }
            }
            Step::Wait { after } => {
                if self.shared.unseen_above(after) >= Some(COMES_WITHIN) {
                    return Err(Stop::Unseen);
                }
                self.at_end();
                connection.wait(after).await?;
                Answer::Woken
            }
            Step::Append { id, marker } => {
                connection.mark(id, marker).await?;
                Answer::Appended
            }
            Step::Create { birth } => {
                tracing::error!(
                    "the log's stream is gone: it was deleted, or Redis has lost its data. This node begins it again, and tells every stream a gap"
                );
                connection.create(birth).await?;
                Answer::Created
            }
            Step::Apply(entries) => {
                self.apply(entries).await?;
                Answer::Done
            }
            Step::Break(hole) => {
                self.break_off(hole).await?;
                Answer::Done
            }
            Step::Doubt { after, before } => {
                self.hub.doubt(after, before);
                Answer::Done
            }
            Step::Live { .. } => {
                self.live(connection);
                Answer::Done
            }
            Step::NewOrder { .. } => return Err(Stop::Fatal(TailError::NewOrder)),
        })
    }

    async fn apply(&mut self, entries: Vec<Entry<Content>>) -> Result<(), Closed> {
        let Some(newest) = entries.last().map(|entry| entry.id) else {
            return Ok(());
        };
        let count = entries.len() as u64;
        self.shared.prints.begin(&entries);
        let (mut applied, mut tokens) = (Vec::new(), Vec::new());
        for entry in entries {
            tokens.push(entry.payload.token);
            applied.push(Applied {
                id: entry.id,
                what: entry.payload.item,
                is_promised: entry.payload.token.is_some(),
            });
        }
        let outcomes = self.hub.apply(applied).await?;
        for (token, outcome) in tokens.into_iter().zip(outcomes) {
            self.shared.came(token, outcome);
        }
        *self.shared.last_entry.lock() = Instant::now();
        self.shared.head.send_replace(newest);
        self.tell_of_refill(count);
        Ok(())
    }

    async fn break_off(&mut self, hole: Hole) -> Result<(), Closed> {
        let (after, through) = (hole.after, hole.through);
        match hole.cause {
            HoleCause::Forked => {
                self.shared.metrics.forks.add(1);
                tracing::error!(%after, %through, "the log has lost entries above `after`, or a part of it was removed before it was read; every stream is told a gap");
            }
            HoleCause::Upstream => {
                // A refill may bring many.
                static DOUBTS: OnceAMinute = OnceAMinute::new();
                if let Some(left_out) = DOUBTS.due() {
                    tracing::info!(%after, %through, left_out, "messages of Redis channels may have been missed before this entry of the log; every stream is told a gap");
                }
            }
            _ => {
                self.shared.metrics.trimmed.add(1);
                // A node that is too slow may find one in every page.
                static TRIMMED: OnceAMinute = OnceAMinute::new();
                if let Some(left_out) = TRIMMED.due() {
                    tracing::warn!(%after, %through, left_out, "the log was trimmed before this node had read it; every stream is told a gap");
                }
            }
        }
        self.hub.break_off(hole).await?;
        self.shared.head.send_replace(through);
        if hole.cause != HoleCause::Upstream {
            self.shared.losses.fetch_add(1, Ordering::Relaxed);
        }
        // Other nodes may have read what was cut off here. So what is not found may have been written,
        // unlike after a loss.
        let was_cut = hole.cause == HoleCause::Trimmed || after == EventId::ZERO;
        let why = if was_cut {
            "the log was trimmed before this node had read it"
        } else {
            "the log has lost its newest entries"
        };
        self.shared.queue(|queue| {
            let mut lost = queue.lost(after, through);
            if was_cut {
                lost.extend(queue.in_doubt());
            }
            lost.into_iter()
                .for_each(|number| queue.give_up(number, unknown(why)));
        });
        Ok(())
    }

    /// Pages are read: the tail may be behind.
    fn busy(&self) {
        if let Standing::Live { at_end, .. } = self.shared.standing() {
            let waits = false;
            self.shared.stand(Standing::Live { at_end, waits });
        }
    }

    /// All pages were read.
    fn at_end(&self) {
        if let Standing::Live { .. } = self.shared.standing() {
            let (at_end, waits) = (Instant::now(), true);
            self.shared.stand(Standing::Live { at_end, waits });
        }
    }

    fn live(&mut self, connection: &Connection) {
        let server = connection.host().to_string();
        match self.shared.standing() {
            Standing::Refilling { .. } => {
                tracing::info!(
                    server,
                    entries = self.refilled,
                    "the log is read; following it"
                );
            }
            Standing::Away { since } => {
                let for_ms = since.elapsed().as_millis();
                static BACK: OnceAMinute = OnceAMinute::new();
                if let Some(left_out) = BACK.due() {
                    tracing::info!(server, for_ms, left_out, "the log is back; following it");
                }
            }
            Standing::Live { .. } => tracing::info!(server, "following the log"),
        }
        // All that the log has was applied: what did not come is not in it.
        self.shared.expect_nothing();
        self.shared.note(String::new());
        let (at_end, waits) = (Instant::now(), false);
        self.shared.stand(Standing::Live { at_end, waits });
    }

    fn tell_of_refill(&mut self, count: u64) {
        if !matches!(self.shared.standing(), Standing::Refilling { .. }) {
            return;
        }
        self.refilled += count;
        let behind = self.kept.saturating_sub(self.refilled);
        self.shared.stand(Standing::Refilling { behind });
        if self.told_at.elapsed() >= TELL_EVERY {
            self.told_at = Instant::now();
            tracing::info!(entries = self.refilled, behind, "reading the log");
        }
    }
}
