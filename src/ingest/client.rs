//! The open connections, for `CLIENT LIST`, for the limit on their number, and for counting.
//!
//! A connection writes its own record once a batch. The list is only locked when a connection opens
//! or ends, and when the list is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::command::Commands;

/// The record of one connection.
#[derive(Debug)]
pub(super) struct Client {
    /// Its number, which is never reused.
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    /// Our end of it.
    pub(super) local_address: SocketAddr,
    fd: i32,
    pub(super) connected: Instant,
    /// Time of its last command, in milliseconds after `connected`.
    active_ms: AtomicU64,
    /// Index of its last command in the command table; `usize::MAX` before the first.
    command: AtomicUsize,
    /// Commands that wait for `EXEC`; -1 outside of a transaction.
    queued: AtomicI64,
    /// Wakes the connection when another takes its place, which happens only before it has
    /// authenticated.
    pub(super) displaced: Notify,
    /// What the client set about itself.
    pub(super) about: Mutex<About>,
}

/// What a client may set about itself.
#[derive(Debug, Default)]
pub(super) struct About {
    /// `CLIENT SETNAME`, empty when it has none.
    pub(super) name: String,
    /// `CLIENT SETINFO lib-name`
    pub(super) library: String,
    /// `CLIENT SETINFO lib-ver`
    pub(super) library_version: String,
    /// The user it logged in as, empty before.
    pub(super) user: String,
    /// Whether it chose RESP3.
    pub(super) resp3: bool,
}

impl Client {
    /// Notes that it sent bytes just now.
    pub(super) fn touch(&self) {
        let now_ms = self.connected.elapsed().as_millis() as u64;
        self.active_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Notes its last command.
    pub(super) fn sent(&self, command: usize) {
        self.command.store(command, Ordering::Relaxed);
    }

    /// Notes how many commands wait for `EXEC`; `None` outside of a transaction.
    pub(super) fn queued(&self, commands: Option<usize>) {
        let commands = commands.map_or(-1, |commands| commands as i64);
        self.queued.store(commands, Ordering::Relaxed);
    }

    /// Time since it was accepted, and since it last sent something.
    pub(super) fn ages(&self) -> (Duration, Duration) {
        let age = self.connected.elapsed();
        let active = Duration::from_millis(self.active_ms.load(Ordering::Relaxed));
        (age, age.saturating_sub(active))
    }

    /// Appends its line of `CLIENT LIST`, with the fields of Redis that have a meaning here. The
    /// number of its descriptor shows how many files, and so streams, the node has open, so only
    /// inspectors see it.
    pub(super) fn describe(&self, into: &mut String, commands: Commands, is_inspector: bool) {
        let age_ms = self.connected.elapsed().as_millis() as u64;
        let idle_ms = age_ms.saturating_sub(self.active_ms.load(Ordering::Relaxed));
        let command = self.command.load(Ordering::Relaxed);
        let command = commands.name_of(command).unwrap_or("NULL");
        let about = self.about.lock();
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            into,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags=N db=0 sub=0 psub=0 ssub=0 multi={} cmd={} user={} redir=-1 \
             resp={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local_address,
            if is_inspector { self.fd } else { -1 },
            about.name,
            age_ms / 1_000,
            idle_ms / 1_000,
            self.queued.load(Ordering::Relaxed),
            command,
            about.user,
            if about.resp3 { 3 } else { 2 },
            about.library,
            about.library_version,
        );
    }
}

/// Bounds on open connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// For all connections.
    pub(super) max: usize,
    /// For clients that have yet to authenticate ("strangers").
    pub(super) strangers_max: usize,
}

/// The two ends of an accepted connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) address: SocketAddr,
    pub(super) local_address: SocketAddr,
    pub(super) fd: i32,
}

/// The record of a carried connection, as it was before.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) id: u64,
    /// Time since it was accepted.
    pub(super) age: Duration,
    /// Time since it last sent something.
    pub(super) idle: Duration,
    pub(super) about: About,
}

/// A connection that was added to the list.
pub(super) struct Entered {
    pub(super) client: Arc<Client>,
    /// Another connection was ended for it.
    pub(super) displaced: bool,
}

/// All open connections.
///
/// Strangers never use more than their share, so that clients that authenticate always find a
/// place. Within the share, a new stranger displaces the oldest one: a publisher needs its place
/// for one exchange only, and a refusal would let early strangers keep all others out.
#[derive(Debug, Default)]
pub(super) struct Clients {
    open: Mutex<Open>,
    accepted: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    all: BTreeMap<u64, Arc<Client>>,
    /// Numbers of the strangers. The lowest number is the oldest connection.
    strangers: BTreeSet<u64>,
}

impl Open {
    fn add(&mut self, ends: Ends, before: Before, is_stranger: bool) -> Arc<Client> {
        let now = Instant::now();
        let active = before.age.saturating_sub(before.idle);
        let client = Arc::new(Client {
            id: before.id,
            address: ends.address,
            local_address: ends.local_address,
            fd: ends.fd,
            connected: now.checked_sub(before.age).unwrap_or(now),
            active_ms: AtomicU64::new(active.as_millis() as u64),
            command: AtomicUsize::new(usize::MAX),
            queued: AtomicI64::new(-1),
            displaced: Notify::new(),
            about: Mutex::new(before.about),
        });
        self.all.insert(client.id, Arc::clone(&client));
        if is_stranger {
            self.strangers.insert(client.id);
        }
        client
    }
}

impl Clients {
    /// Adds a connection; `None` if there is no room, and no stranger that it could displace.
    pub(super) fn enter(&self, room: Room, ends: Ends, is_stranger: bool) -> Option<Entered> {
        let id = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.lock();
        let full = open.all.len() >= room.max
            || (is_stranger && open.strangers.len() >= room.strangers_max);
        if full {
            let oldest = open.strangers.pop_first()?;
            if let Some(client) = open.all.remove(&oldest) {
                client.displaced.notify_one();
            }
        }
        let before = Before {
            id,
            age: Duration::ZERO,
            idle: Duration::ZERO,
            about: About::default(),
        };
        Some(Entered {
            client: open.add(ends, before, is_stranger),
            displaced: full,
        })
    }

    /// Adds a connection that was carried. It is never refused.
    pub(super) fn adopt(&self, ends: Ends, before: Before, is_stranger: bool) -> Arc<Client> {
        self.accepted.fetch_max(before.id, Ordering::Relaxed);
        self.open.lock().add(ends, before, is_stranger)
    }

    /// Numbers of connections go on behind `accepted`.
    pub(super) fn go_on(&self, accepted: u64) {
        self.accepted.fetch_max(accepted, Ordering::Relaxed);
    }

    /// Notes that a connection has authenticated, or has undone that; false if it was displaced
    /// before.
    pub(super) fn set_stranger(&self, id: u64, is_stranger: bool) -> bool {
        let mut open = self.open.lock();
        if !open.all.contains_key(&id) {
            return false;
        }
        if is_stranger {
            open.strangers.insert(id);
        } else {
            open.strangers.remove(&id);
        }
        true
    }

    /// Removes a connection from the list.
    pub(super) fn leave(&self, id: u64) {
        let mut open = self.open.lock();
        open.all.remove(&id);
        open.strangers.remove(&id);
    }

    /// Connections open now.
    pub(super) fn count(&self) -> usize {
        self.open.lock().all.len()
    }

    /// Connections since the start, refused ones included.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The connection with this number.
    pub(super) fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.open.lock().all.get(&id).cloned()
    }

    /// At most `count` connections with a number above `id`, the oldest first. The caller describes
    /// them outside the lock.
    pub(super) fn after(&self, id: u64, count: usize) -> Vec<Arc<Client>> {
        let open = self.open.lock();
        let behind = open.all.range((Bound::Excluded(id), Bound::Unbounded));
        behind
            .map(|(_, client)| Arc::clone(client))
            .take(count)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        max: 2,
        strangers_max: 1,
    };

    fn ends(fd: i32) -> Ends {
        let address: SocketAddr = "127.0.0.1:1".parse().expect("address");
        Ends {
            address,
            local_address: address,
            fd,
        }
    }

    fn enter(clients: &Clients, is_stranger: bool) -> Option<(u64, bool)> {
        let entered = clients.enter(ROOM, ends(3), is_stranger)?;
        Some((entered.client.id, entered.displaced))
    }

    #[test]
    fn a_stranger_too_many_displaces_the_oldest_one_and_nobody_else() {
        let clients = Clients::default();
        let known = |id| clients.set_stranger(id, false);
        assert_eq!(enter(&clients, true), Some((1, false)));
        assert_eq!(enter(&clients, true), Some((2, true)));
        assert!(clients.get(1).is_none() && !known(1));
        assert!(known(2));
        assert_eq!(enter(&clients, true), Some((3, false)));
        assert_eq!(enter(&clients, true), Some((4, true)));
        assert!(known(4));
        // Authenticated clients have both places.
        assert_eq!(enter(&clients, true), None);
        assert!(clients.set_stranger(2, true));
        assert_eq!(enter(&clients, true), Some((6, true)));
        assert_eq!(clients.count(), 2);
        for id in [2, 4, 6] {
            clients.leave(id);
        }
        assert_eq!(clients.count(), 0);
        assert!(clients.open.lock().strangers.is_empty());
    }

    #[test]
    fn a_carried_client_keeps_its_number_and_no_number_comes_again() {
        let clients = Clients::default();
        let before = |id| Before {
            id,
            age: Duration::from_secs(9),
            idle: Duration::from_secs(4),
            about: About::default(),
        };
        clients.go_on(40);
        let carried = clients.adopt(ends(3), before(17), false);
        assert_eq!(carried.id, 17);
        let (age, idle) = carried.ages();
        assert!(age >= Duration::from_secs(9) && idle >= Duration::from_secs(4));
        assert!(age - idle <= Duration::from_secs(5));
        // Above the bound, too.
        clients.adopt(ends(4), before(18), true);
        clients.adopt(ends(5), before(19), false);
        assert_eq!(clients.count(), 3);
        for id in 17..=19 {
            clients.leave(id);
        }
        assert_eq!(enter(&clients, false), Some((41, false)));
    }

    /// The whole list was read under one lock, so that no client could connect meanwhile.
    #[test]
    fn the_list_is_taken_in_portions_while_clients_come_and_go() {
        let clients = Clients::default();
        let room = Room {
            max: 100,
            strangers_max: 100,
        };
        for fd in 0..10 {
            assert!(clients.enter(room, ends(fd), false).is_some());
        }
        let ids = |after, count| -> Vec<u64> {
            let portion = clients.after(after, count);
            portion.iter().map(|client| client.id).collect()
        };
        assert_eq!(ids(0, 4), [1, 2, 3, 4]);
        clients.leave(4);
        clients.leave(6);
        assert!(clients.enter(room, ends(10), false).is_some());
        assert_eq!(ids(4, 4), [5, 7, 8, 9]);
        assert_eq!(ids(9, 4), [10, 11]);
        assert!(ids(11, 4).is_empty());
    }

    #[test]
    fn the_list_is_bounded_and_numbers_are_not_reused() {
        let clients = Clients::default();
        let enter = |fd| {
            let entered = clients.enter(ROOM, ends(fd), false);
            entered.map(|entered| entered.client)
        };
        let first = enter(3).expect("room");
        let second = enter(4).expect("room");
        assert!(enter(5).is_none());
        clients.leave(first.id);
        let third = enter(5).expect("room");
        assert!(third.id > second.id);
        assert_eq!((clients.count(), clients.accepted()), (2, 4));
        assert!(clients.get(first.id).is_none());

        second.about.lock().name = "me".to_owned();
        second.touch();
        second.sent(0);
        let mut line = String::new();
        second.describe(&mut line, crate::ingest::command::COMMANDS, true);
        assert!(
            line.starts_with("id=2 addr=127.0.0.1:1 laddr=127.0.0.1:1 fd=4 name=me age=0 idle=0 "),
            "{line}"
        );
        assert!(
            line.contains(" cmd=publish user= ") && line.ends_with('\n'),
            "{line}"
        );
    }
}
