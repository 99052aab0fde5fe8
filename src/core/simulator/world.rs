//! The world of one seed: a desk, shards with bounded mailboxes, publishers that wait for room,
//! clients with bad networks, and the dice.

mod breaks;
mod checks;
mod crash;
mod draw;
mod ending;
mod keys;
mod past;
mod publishers;
mod questions;
mod restart;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use crate::core::delivery::{Core, GuardRecord, Next, Parked, Shared, StreamGuard};
use crate::core::desk::Line;
use crate::core::event::EventId;
use crate::core::history::Hole;
use crate::core::presence::Announced;
use crate::metrics::{CloseReason, ShardMetrics};

use super::client::Reader;
use super::inbox::{self, Inbox};
use super::network::Network;
use super::oracle::{Published, Rights, Session};

use crash::Saved;
use keys::KeyOracle;
use publishers::{Publisher, Waiter};
use questions::Question;
use restart::Settings;

const STEPS: usize = 160;
const CLIENTS: usize = 8;
const SHARDS_MAX: usize = 4;

/// Counts of the cases that the schedules of a run met.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) events: usize,
    pub(super) gaps: usize,
    pub(super) resumes: usize,
    /// Streams that begin with events of the past, without a cursor.
    pub(super) in_past: usize,
    pub(super) cut_frames: usize,
    pub(super) lagged: usize,
    pub(super) private: usize,
    /// Events with several topics of which a stream was told one.
    pub(super) told: usize,
    pub(super) by_pattern: usize,
    pub(super) expired: usize,
    /// Streams that were parked and continued.
    pub(super) moved: usize,
    /// Those of them that were behind.
    pub(super) moved_behind: usize,
    /// Bytes that a wire accepted and kept.
    pub(super) kept: usize,
    /// Streams that share a connection.
    pub(super) carried: usize,
    /// Waits of publishers for room.
    pub(super) waited: usize,
    /// Publishers that went away while they waited.
    pub(super) gave_up: usize,
    /// Portions of an operator's queries.
    pub(super) portions: usize,
    /// Processes that went on with another's state.
    pub(super) restarts: usize,
    /// Streams that they got.
    pub(super) restored: usize,
    /// Those of them that were cut within an event.
    pub(super) restored_cut: usize,
    /// Processes that ended at once.
    pub(super) crashes: usize,
    /// Processes that saved all of their history, and ended.
    pub(super) stops: usize,
    /// Events that were lost with a process.
    pub(super) lost: usize,
    /// Gaps that cover such a loss.
    pub(super) holes: usize,
    /// Events that were not published because they are repeats.
    pub(super) repeats: usize,
    /// Batches that were refused because a key was that of another event.
    pub(super) reused: usize,
    /// Events that were published again because their keys had been forgotten.
    pub(super) forgotten_keys: usize,
    /// Losses of a log.
    pub(super) breaks: usize,
    /// Gaps that cover one.
    pub(super) broken_off: usize,
    /// Checks that a caught-up stream had every event that its shard has taken, one for each stream
    /// and turn.
    pub(super) live: usize,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.gaps += other.gaps;
        self.resumes += other.resumes;
        self.in_past += other.in_past;
        self.cut_frames += other.cut_frames;
        self.lagged += other.lagged;
        self.private += other.private;
        self.told += other.told;
        self.by_pattern += other.by_pattern;
        self.expired += other.expired;
        self.kept += other.kept;
        self.moved += other.moved;
        self.moved_behind += other.moved_behind;
        self.carried += other.carried;
        self.waited += other.waited;
        self.gave_up += other.gave_up;
        self.portions += other.portions;
        self.restarts += other.restarts;
        self.restored += other.restored;
        self.restored_cut += other.restored_cut;
        self.crashes += other.crashes;
        self.stops += other.stops;
        self.lost += other.lost;
        self.holes += other.holes;
        self.repeats += other.repeats;
        self.reused += other.reused;
        self.forgotten_keys += other.forgotten_keys;
        self.breaks += other.breaks;
        self.broken_off += other.broken_off;
        self.live += other.live;
    }

    /// Adds what a client received over one connection.
    fn add_session(&mut self, session: &Session) {
        self.gaps += session.gaps();
        self.holes += session.holes();
        self.broken_off += session.broken_off();
        self.events += session.events();
        self.private += session.private();
        self.told += session.told();
        if session.has_pattern() {
            self.by_pattern += session.events();
        }
    }
}

/// The guard of a stream. Guards that still exist are counted.
#[derive(Debug)]
struct CountedGuard {
    _counted: Arc<()>,
    announced: Option<Announced>,
}

impl CountedGuard {
    fn new(counted: &Arc<()>, announced: Option<Announced>) -> Self {
        Self {
            _counted: Arc::clone(counted),
            announced,
        }
    }
}

impl StreamGuard for CountedGuard {
    fn record(&self) -> GuardRecord {
        GuardRecord {
            announced: self.announced.as_ref().map(Announced::number),
            ..GuardRecord::default()
        }
    }
}

/// One connection: its shard and wire, its decoder, and the session that it is checked against.
struct Connection {
    shard: usize,
    wire: usize,
    reader: Reader,
    session: Session,
    forgotten: EventId,
    ends_unix_ms: Option<u64>,
    /// Newest id taken by the shards that it left: bytes of theirs may still be under way.
    left_through: EventId,
}

struct Client {
    rights: Rights,
    connection: Option<Connection>,
    /// The last event id it saw, over all its connections.
    cursor: Option<String>,
}

/// One shard: its core, its mailbox, and its request after the last turn.
struct Shard {
    core: Core<Network>,
    inbox: Inbox,
    next: Next,
    counters: Arc<ShardMetrics>,
}

pub(super) struct World {
    dice: Rng,
    settings: Settings,
    shared: Shared,
    shards: Vec<Shard>,
    network: Network,
    clients: Vec<Client>,
    all: Vec<Published>,
    /// Those with idempotency keys.
    keys: KeyOracle,
    /// The last history on disk.
    saved: Option<Saved>,
    /// The losses of processes that crashed, by rising ids.
    holes: Vec<Hole>,
    /// Holes that have become part of others.
    past_holes: Vec<Hole>,
    clock_ms: u64,
    /// When the shards' clocks started.
    started_ms: u64,
    wires: usize,
    /// Events have several topics. One topic may keep an event that another has evicted, so that
    /// gaps may be wider than the loss, but never narrower.
    several: bool,
    /// Some events are private. A gap of a stream with a grant may cover some that are not for it.
    private: bool,
    drain: bool,
    /// Ids are given by a log, which may lose events. Such a node has no history on disk.
    has_log: bool,
    totals: Totals,
    /// One clone for each stream that is not done.
    guards: Arc<()>,
    /// Streams that no shard serves.
    parked: Arc<Mutex<Vec<Parked<usize>>>>,
    /// Most messages of a mailbox.
    mailbox_max: usize,
    line: Line<Waiter>,
    /// Publishers in line, by number.
    waiting: BTreeMap<usize, Publisher>,
    /// Waiters whose turn may have come.
    woken: Vec<Waiter>,
    publishers: usize,
    /// Unfinished queries of operators that end streams.
    questions: Vec<Question>,
}

const WRITE_TIMEOUT_MS: u64 = 5_000;
const BIRTH_MS: u64 = 1_000_000;

impl World {
    pub(super) fn run(mut self) -> Totals {
        for _ in 0..STEPS {
            if self.dice.bool() {
                self.serve_one();
            }
            if self.dice.u8(..16) == 0 {
                self.give_up();
            }
            match self.dice.u8(..240) {
                0..3 => self.restart(),
                3..9 if !self.has_log => self.save(true),
                9..13 if !self.has_log => self.crash(),
                3..8 => self.break_off(),
                _ => {}
            }
            match self.dice.u8(..100) {
                0..30 => self.publish(),
                30..45 => self.connect(),
                45..50 => {
                    let client = self.dice.usize(..CLIENTS);
                    self.hang_up(client);
                }
                50..65 => self.change_network(),
                65..84 => {
                    let shard = self.dice.usize(..self.shards.len());
                    self.turn(shard);
                }
                84..88 => {
                    let client = self.dice.usize(..CLIENTS);
                    self.park(client);
                }
                88..92 => self.unpark(),
                92..97 => self.pass_time(),
                97 => self.end_one(),
                98 => self.end_some(),
                _ => self.expire(),
            }
        }
        self.settle();
        self.totals.cut_frames = self.network.cut_frames;
        self.totals.kept = self.network.kept;
        self.totals.repeats = self.keys.repeats;
        self.totals.reused = self.keys.reused;
        self.totals.forgotten_keys = self.keys.forgotten;
        self.count_closed();
        self.totals
    }

    /// Adds the streams that the process has ended.
    fn count_closed(&mut self) {
        let closed = |reason: CloseReason| {
            let shards = self.shards.iter();
            let closed = shards.map(|shard| shard.counters.closed[reason as usize].get());
            closed.sum::<u64>() as usize
        };
        self.totals.lagged += closed(CloseReason::Lagged);
        self.totals.expired += closed(CloseReason::Expired);
    }

    fn turn(&mut self, shard: usize) {
        let took_ms = if self.dice.u8(..4) == 0 {
            self.dice.u64(..200)
        } else {
            0
        };
        let now = inbox::clock(self.clock_ms - self.started_ms, self.clock_ms, took_ms);
        let mut live = self.live_streams(shard);
        let breaks = self.shards[shard].inbox.breaks();
        let Shard {
            core, inbox, next, ..
        } = &mut self.shards[shard];
        let waiting = inbox.waiting();
        let is_breaking_off = core.is_breaking_off();
        *next = core.turn(inbox, now, &mut self.network);
        for (before, after) in std::iter::zip(waiting, inbox.waiting()) {
            let is_taken = before == 0 || after < before || is_breaking_off;
            assert!(is_taken, "what has come in waits while streams read on");
        }
        self.clock_ms += took_ms;
        if inbox.messages.is_empty() {
            inbox.taken_through = self.shared.desk.lock().head();
        }
        if is_breaking_off || self.shards[shard].inbox.breaks() < breaks {
            // They are to be told of a loss first.
            live.clear();
        }
        self.tell_of_room(shard);
        let reported = std::mem::take(&mut self.network.reported);
        self.signal(reported);
        self.check_ends(shard);
        self.collect();
        self.check_live(shard, &live);
        self.ask_on();
    }

    /// One turn of each shard.
    fn turn_all(&mut self) {
        for shard in 0..self.shards.len() {
            self.turn(shard);
        }
    }

    fn turn_until_idle(&mut self) {
        self.turn_all();
        while self.shards.iter().any(|shard| shard.next.has_work) {
            self.turn_all();
        }
    }

    fn pass_time(&mut self) {
        let most = if self.dice.u8(..10) == 0 { 8_000 } else { 300 };
        self.clock_ms += self.dice.u64(..most);
    }

    fn expire(&mut self) {
        assert!(self.shared.desk.lock().keys_mut().len() <= self.settings.desk.keys.count);
        let limits = self.settings.desk.keys;
        let mut desk = self.shared.desk.lock();
        let keys_ms = if self.has_log {
            desk.expire_with_log(self.clock_ms, 1_000);
            desk.head().unix_ms()
        } else {
            desk.expire(self.clock_ms, 1_000);
            self.clock_ms
        };
        self.keys.expire(limits.cut_off(keys_ms));
    }
}
