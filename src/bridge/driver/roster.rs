//! Keeps this node's roster, and watches those of others.
//!
//! Each node counts its beat up every two seconds, and looks at the beats of all. A beat that stood
//! still for ten seconds, by the clock of the node that looks, is that of a dead node: it is marked as
//! ended, and the ends of its subscribers are told. If looking was interrupted, the ten seconds
//! begin anew: then nobody may have been able to count.
//!
//! A node that was taken for dead learns it from its next beat or announcement, which the server
//! refuses. It begins a new roster, and tells the starts of its open streams again.
//!
//! Ends of others are written only while the tail has applied all of this server's log, as all
//! writes are.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::contact::{pause, pauses};
use super::membership::State;
use super::reader;
use super::shared::Shared;
use super::watching::{DEAD_AFTER, Watching};
use crate::bridge::entry::{self, Token};
use crate::bridge::redis::{Beat, Connection, End, Error, Refusal, beside};
use crate::core::presence::{Allowance, cost};
use crate::hub::Hub;
use crate::once_a_minute::OnceAMinute;

/// Interval of a node's beats and looks.
const BEAT_EVERY: Duration = Duration::from_secs(2);

/// Subscriptions whose ends are written at once (those of one subscriber more or less).
const ENDS_AT_ONCE: usize = 256;

/// Lines that are read to write these ends.
const LINES_AT_ONCE: usize = 64;

/// Lines of the node's own roster that are compared at once.
const OWN_LINES: usize = 500;

/// Longest time for the ends of all nodes that are gone, before the next beat.
const REAP_FOR: Duration = Duration::from_secs(1);

/// Longest time to wait for a batch of announcements in hand.
const IN_HAND_MAX: Duration = Duration::from_secs(1);

/// Longest time to say that the node ends.
const LEAVE_MAX: Duration = Duration::from_millis(400);

/// The number of no batch: nobody waits for these entries.
const NO_BATCH: u64 = u64::MAX;

/// A server's copy of the rosters, and what it has lost, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq)]
struct RosterCopy {
    server: u64,
    reign: u64,
    losses: u64,
}

pub(super) struct Keeper {
    shared: Arc<Shared>,
    hub: Hub,
    watching: Watching,
    /// The copy of the roster that is known to be right.
    proven: Option<RosterCopy>,
    /// How much of the history the ends of other nodes' subscribers may fill.
    allowance: Allowance,
}

/// Says that the node ends, so that others tell the ends of what is left in its roster.
pub(super) async fn leave(shared: &Shared) {
    let name = shared.roster.name();
    shared.roster.leave();
    let left = timeout(LEAVE_MAX, async {
        shared.connect().await?.leave(name).await
    });
    if !matches!(left.await, Ok(Ok(()))) {
        tracing::info!("the other nodes could not be told that this one ends: they find out");
    }
}

/// A server that refuses may do so for ever: an operator has to know.
fn refusal(stream_key: &str, refused: &Refusal) {
    static REFUSED: OnceAMinute = OnceAMinute::new();
    if let Some(left_out) = REFUSED.due() {
        tracing::warn!(
            left_out,
            "Redis refuses what this node does to list its subscribers in `{}` and `{}`, so they are neither listed nor announced: {refused}",
            beside(stream_key, "nodes"),
            beside(stream_key, "who:*"),
        );
    }
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, hub: Hub) -> Self {
        let allowance = Allowance::new(hub.history_limits(), Instant::now());
        Self {
            shared,
            hub,
            watching: Watching::default(),
            proven: None,
            allowance,
        }
    }

    /// Runs until the node ends.
    pub(super) async fn run(mut self) {
        let mut backoff = pauses();
        while !matches!(self.shared.roster.state(), State::Left(_)) {
            if let Ok(mut connection) = self.shared.connect().await {
                let error = self.serve(&mut connection, &mut backoff).await;
                match error {
                    Err(Error::Refused(refused)) => {
                        refusal(&self.shared.config.stream.key, &refused)
                    }
                    Err(error) => tracing::debug!("the roster is away: {error}"),
                    Ok(()) => {}
                }
            }
            self.watching.interrupted();
            pause(&mut backoff).await;
        }
    }

    async fn serve(
        &mut self,
        connection: &mut Connection,
        backoff: &mut crate::backoff::Backoff,
    ) -> Result<(), Error> {
        while self.shared.elsewhere(connection).is_none() {
            if self.live(connection).await? {
                self.prove(connection).await?;
            }
            let is_done = self.look(connection).await?;
            backoff.succeeded();
            match self.shared.roster.state() {
                State::Left(_) => return Ok(()),
                State::Dead(_) | State::New(_) => continue,
                _ if !is_done => continue,
                _ => {}
            }
            tokio::select! {
                () = sleep(BEAT_EVERY) => {}
                () = self.shared.roster.is_over() => {}
            }
        }
        Ok(())
    }

    /// Says that this node lives. Returns whether its roster is its own.
    async fn live(&mut self, connection: &mut Connection) -> Result<bool, Error> {
        let roster = &self.shared.roster;
        match roster.state() {
            State::New(name) => {
                connection.join(name).await?;
                if !connection.beat(name).await? {
                    // It was joined before, the answer was lost, and then much time passed.
                    roster.died(name);
                    return Ok(false);
                }
                // Nothing was told in it yet.
                self.proven = Some(self.copy(connection));
                roster.join(name);
            }
            State::Former(name) | State::Joined(name) => {
                if connection.beat(name).await? {
                    roster.join(name);
                } else {
                    roster.died(name);
                    return Ok(false);
                }
            }
            State::Dead(_) => {
                self.begin_again().await;
                return Ok(false);
            }
            State::Left(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Begins a new roster.
    async fn begin_again(&mut self) {
        // A batch in hand is refused: what it tells is told again, or by others.
        let _held = self.hub.hold_announcements().await;
        self.hub.presence().begin_again();
        self.shared.roster.begin_again();
        tracing::warn!(
            "the other nodes took this one for dead, and told the ends of its subscribers; those that are still there are told anew"
        );
    }

    fn copy(&self, connection: &Connection) -> RosterCopy {
        RosterCopy {
            server: connection.server(),
            reign: connection.reign(),
            losses: self.shared.losses.load(Ordering::Relaxed),
        }
    }

    /// Compares the roster with the open streams, if another server has it than before, or the log has
    /// lost something: the newest changes may be lost, too.
    async fn prove(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let copy = Some(self.copy(connection));
        if self.proven == copy || !self.is_read(connection) {
            return Ok(());
        }
        let Ok(_held) = timeout(IN_HAND_MAX, self.hub.hold_announcements()).await else {
            return Ok(());
        };
        let presence = self.hub.presence();
        let name = self.shared.roster.name();
        let mut ids = HashSet::new();
        let mut after = None;
        loop {
            let lines = connection.lines(name, after, OWN_LINES).await?;
            let listed: Vec<_> = lines
                .iter()
                .filter_map(|line| reader::parse(line))
                .collect();
            presence.end_unknown(&listed);
            ids.extend(listed.iter().map(|listed| listed.id()));
            match listed.last() {
                Some(last) if lines.len() == OWN_LINES => after = Some(last.id()),
                _ => break,
            }
        }
        presence.retell_without(&ids);
        self.proven = copy;
        Ok(())
    }

    /// Whether the tail has applied all of this server's log.
    fn is_read(&self, connection: &Connection) -> bool {
        *self.shared.live.borrow() == Some(connection.server())
    }

    /// Looks at the other nodes, and tells the ends of those that are dead. False if more are to be
    /// told.
    async fn look(&mut self, connection: &mut Connection) -> Result<bool, Error> {
        let nodes = connection.nodes().await?;
        let now = Instant::now();
        self.watching.look(&nodes, now);
        let own = self.shared.roster.name();
        let mut is_done = true;
        for (name, beat) in nodes {
            let is_own = name == own && !matches!(self.shared.roster.state(), State::Dead(_));
            if is_own || !self.is_gone(name, beat, connection).await? {
                continue;
            }
            is_done &= self.reap(name, connection, now + REAP_FOR).await?;
        }
        Ok(is_done)
    }

    /// Whether a node is dead, or has left, and everyone knows.
    async fn is_gone(
        &mut self,
        name: u64,
        beat: Beat,
        connection: &mut Connection,
    ) -> Result<bool, Error> {
        let is_read = self.is_read(connection);
        match beat {
            Beat::Ended => Ok(is_read),
            Beat::Counted(beat) if is_read && self.watching.is_silent(name) => {
                let is_deposed = connection.depose(name, &beat).await?;
                if is_deposed {
                    tracing::warn!(
                        roster = format!("{name:016x}"),
                        "a node has given no sign of life for {} s: the ends of its subscribers are told",
                        DEAD_AFTER.as_secs()
                    );
                }
                Ok(is_deposed)
            }
            Beat::Counted(_) => Ok(false),
        }
    }

    /// Tells the ends of the subscribers of a node that is gone. False if there may be more that
    /// can be told now.
    async fn reap(
        &mut self,
        name: u64,
        connection: &mut Connection,
        until: Instant,
    ) -> Result<bool, Error> {
        let mut told = 0;
        let is_done = loop {
            if Instant::now() >= until {
                break false;
            }
            if !self.is_read(connection) || self.allowance.wait(Instant::now()).is_some() {
                break true;
            }
            let lines = connection.lines(name, None, LINES_AT_ONCE).await?;
            let is_empty = lines.is_empty();
            let (ends, bytes) = self.ends(lines);
            let stream = &self.shared.config.stream;
            let (count, last) = connection.reap(stream, name, &ends).await?;
            told += count;
            if let Some(last) = last {
                self.shared.expect(last);
                // Others may have told a part of them.
                self.allowance.spend(bytes * count / ends.len().max(1));
            }
            if is_empty {
                break true;
            }
        };
        if told > 0 {
            self.shared.metrics.reaped.add(told as u64);
            let roster = format!("{name:016x}");
            tracing::info!(
                roster,
                told,
                "told the ends of subscribers of a node that is gone"
            );
        }
        Ok(is_done)
    }

    /// The ends of these subscribers, as many as are told at once, and their bytes in the history.
    fn ends(&self, lines: Vec<Vec<u8>>) -> (Vec<End>, usize) {
        let token = Token {
            node: self.shared.node(),
            number: NO_BATCH,
        };
        let (mut ends, mut count, mut bytes) = (Vec::new(), 0, 0);
        for line in lines {
            let listed = reader::parse(&line);
            let records = listed
                .map(|listed| Hub::ends_of(&listed))
                .unwrap_or_default();
            count += records.len();
            let each = records.iter();
            bytes += each
                .map(|record| {
                    cost(
                        record.topics.first().map_or("", |topic| topic),
                        &record.data,
                    )
                })
                .sum::<usize>();
            let entries = records.into_iter();
            let entries = entries
                .map(|record| entry::of_record(record, token))
                .collect();
            ends.push(End { line, entries });
            if count >= ENDS_AT_ONCE {
                break;
            }
        }
        (ends, bytes)
    }
}
