//! Starts and ends that wait to be announced: a queue for each client, and the turns of the
//! clients.
//!
//! Turns are counted in bytes. A client's next turn comes after other clients had as many bytes as
//! its last change. So a client with a million changes delays a client with a single one by at most
//! one change.
//!
//! The queue is bounded by the open streams and by [`Bounds`]. A waiting start is dropped when its
//! stream ends, unless the stream was listed. When too many ends of a client, or of all clients,
//! wait, further streams are not listed before their start is announced.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;

use crate::core::history::HistoryLimits;

use super::{Change, allowance};

/// One client may cause one part in this many of all waiting ends.
const CLIENT_SHARE: usize = 8;

/// Least bound on the bytes of one client's waiting ends, for nodes with little history or none.
const CLIENT_BYTES_MIN: usize = 64 << 10;

/// Bytes of waiting ends from which on streams are not listed before their start is announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    client: usize,
    all: usize,
}

impl Bounds {
    /// As much as is announced within `history_age`: more could not be announced in time.
    pub(super) fn new(history: &HistoryLimits) -> Self {
        let all = allowance::full_bytes(history);
        let client = (all / CLIENT_SHARE).max(CLIENT_BYTES_MIN);
        Self {
            client,
            all: all.max(client * CLIENT_SHARE),
        }
    }
}

/// One client's changes.
#[derive(Default)]
struct Client {
    /// In the order in which they came.
    changes: BTreeMap<u64, Change>,
    /// When its next change is announced, on a clock of announced bytes.
    turn: u64,
    /// Bytes of the ends among the changes.
    ended_bytes: usize,
    /// Number of its open streams. The client, and its turn, is forgotten only when it has neither
    /// an open stream nor a change.
    streams: usize,
}

impl Client {
    fn is_gone(&self) -> bool {
        self.streams == 0 && self.changes.is_empty()
    }
}

/// Changes of all clients.
pub(super) struct Queue {
    bounds: Bounds,
    clients: BTreeMap<IpAddr, Client>,
    /// Clients with changes, by their turn.
    turns: BTreeSet<(u64, IpAddr)>,
    /// Turn of the client whose change was announced last.
    now: u64,
    len: usize,
    ended_bytes: usize,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            clients: BTreeMap::new(),
            turns: BTreeSet::new(),
            now: 0,
            len: 0,
            ended_bytes: 0,
        }
    }

    /// Number of waiting changes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether this client's streams may be listed before their start is announced. The end of a
    /// listed stream must be kept until it is announced.
    pub(super) fn may_show(&self, client: IpAddr) -> bool {
        let ended = self.clients.get(&client).map_or(0, |one| one.ended_bytes);
        ended < self.bounds.client && self.ended_bytes < self.bounds.all
    }

    /// Queues a stream's start or end under its number in the order.
    pub(super) fn push(&mut self, number: u64, change: Change) {
        let address = change.subscriber.client;
        let cost = change.subscriber.cost;
        let client = self.clients.entry(address).or_default();
        if client.changes.is_empty() {
            client.turn = client.turn.max(self.now);
            self.turns.insert((client.turn, address));
        }
        if change.active {
            client.streams += 1;
        } else {
            client.streams -= 1;
            client.ended_bytes += cost;
            self.ended_bytes += cost;
        }
        client.changes.insert(number, change);
        self.len += 1;
    }

    /// Drops the start of a stream that has ended and was neither announced nor listed.
    pub(super) fn withdraw(&mut self, number: u64, address: IpAddr) {
        let Some(client) = self.clients.get_mut(&address) else {
            return;
        };
        client.streams -= 1;
        if client.changes.remove(&number).is_some() {
            self.len -= 1;
            if client.changes.is_empty() {
                self.turns.remove(&(client.turn, address));
            }
        }
        if client.is_gone() {
            self.clients.remove(&address);
        }
    }

    /// The change after the one at this place (a turn, a client, a number), or the first.
    pub(super) fn next_after(
        &self,
        place: Option<(u64, IpAddr, u64)>,
    ) -> Option<((u64, IpAddr, u64), &Change)> {
        let (from, mut after) = match place {
            Some((turn, client, number)) => (Bound::Included((turn, client)), Some(number)),
            None => (Bound::Unbounded, None),
        };
        for (turn, address) in self.turns.range((from, Bound::Unbounded)) {
            let from = after.take().map_or(Bound::Unbounded, Bound::Excluded);
            let changes = &self.clients.get(address)?.changes;
            if let Some((number, change)) = changes.range((from, Bound::Unbounded)).next() {
                return Some(((*turn, *address, *number), change));
            }
        }
        None
    }

    /// Whether a change of this client waits under this number.
    pub(super) fn has(&self, number: u64, client: IpAddr) -> bool {
        let client = self.clients.get(&client);
        client.is_some_and(|client| client.changes.contains_key(&number))
    }

    /// Drops all ends that wait.
    pub(super) fn drop_ends(&mut self) {
        let dropped: Vec<(IpAddr, u64)> = self
            .clients
            .iter()
            .flat_map(|(address, client)| {
                let changes = client.changes.iter();
                let ends = changes.filter(|(_, change)| !change.active);
                ends.map(|(number, _)| (*address, *number))
            })
            .collect();
        for (address, number) in dropped {
            let Some(client) = self.clients.get_mut(&address) else {
                continue;
            };
            if let Some(change) = client.changes.remove(&number) {
                self.len -= 1;
                client.ended_bytes -= change.subscriber.cost;
                self.ended_bytes -= change.subscriber.cost;
            }
            if client.changes.is_empty() {
                self.turns.remove(&(client.turn, address));
            }
            if client.is_gone() {
                self.clients.remove(&address);
            }
        }
    }

    /// All waiting changes.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        let clients = self.clients.values();
        clients.flat_map(|client| client.changes.values())
    }

    /// Counts an open stream of a snapshot.
    pub(super) fn restore_stream(&mut self, client: IpAddr) {
        self.clients.entry(client).or_default().streams += 1;
    }

    /// Queues a change of a snapshot; its stream is counted if it is open.
    pub(super) fn restore_change(&mut self, number: u64, change: Change) {
        let address = change.subscriber.client;
        let client = self.clients.entry(address).or_default();
        if client.changes.is_empty() {
            self.turns.insert((client.turn, address));
        }
        if !change.active {
            client.ended_bytes += change.subscriber.cost;
            self.ended_bytes += change.subscriber.cost;
        }
        client.changes.insert(number, change);
        self.len += 1;
    }

    /// Removes the next change to announce.
    pub(super) fn pop(&mut self) -> Option<Change> {
        let (turn, address) = self.turns.pop_first()?;
        self.now = turn;
        let client = self.clients.get_mut(&address)?;
        let (_, change) = client.changes.pop_first()?;
        let cost = change.subscriber.cost;
        self.len -= 1;
        if !change.active {
            client.ended_bytes -= cost;
            self.ended_bytes -= cost;
        }
        client.turn = turn + cost as u64;
        if !client.changes.is_empty() {
            self.turns.insert((client.turn, address));
        } else if client.is_gone() {
            self.clients.remove(&address);
        }
        Some(change)
    }

    /// Whether no client and no change is left.
    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.clients.is_empty() && self.turns.is_empty() && self.len == 0 && self.ended_bytes == 0
    }
}
