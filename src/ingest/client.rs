//! The open connections, for `CLIENT LIST`, for the limit on their number, and for counting.
//!
//! A connection writes its own record once a batch; the list is only locked when connections come and go and when someone looks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::command;

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Client {
    /// Its number; never used again.
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    /// Our end of it.
    pub(super) local_address: SocketAddr,
    fd: i32,
    connected: Instant,
    /// Milliseconds between `connected` and its last command.
    active_ms: AtomicU64,
    /// Its last command, as a place in the command table; `usize::MAX` before the first.
    command: AtomicUsize,
    /// Commands that wait for `EXEC`; -1 outside of a transaction.
    queued: AtomicI64,
    /// What it said about itself.
    pub(super) about: Mutex<About>,
}

/// What a client may say about itself.
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
    /// Notes that it sent something just now.
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

    /// Appends its line of `CLIENT LIST`, with the fields of Redis that mean something here.
    pub(super) fn describe(&self, into: &mut String) {
        let age_ms = self.connected.elapsed().as_millis() as u64;
        let idle_ms = age_ms.saturating_sub(self.active_ms.load(Ordering::Relaxed));
        let command = command::name_of(self.command.load(Ordering::Relaxed)).unwrap_or("NULL");
        let about = self.about.lock();
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            into,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags=N db=0 sub=0 psub=0 ssub=0 multi={} cmd={} user={} redir=-1 \
             resp={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local_address,
            self.fd,
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

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Clients {
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
    accepted: AtomicU64,
}

impl Clients {
    /// Enters a connection; `None` when `max` are open.
    pub(super) fn enter(
        &self,
        max: usize,
        address: SocketAddr,
        local_address: SocketAddr,
        fd: i32,
    ) -> Option<Arc<Client>> {
        let id = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.lock();
        if open.len() >= max {
            return None;
        }
        let client = Arc::new(Client {
            id,
            address,
            local_address,
            fd,
            connected: Instant::now(),
            active_ms: AtomicU64::new(0),
            command: AtomicUsize::new(usize::MAX),
            queued: AtomicI64::new(-1),
            about: Mutex::default(),
        });
        open.insert(id, Arc::clone(&client));
        Some(client)
    }

    /// Takes a connection off the list.
    pub(super) fn leave(&self, id: u64) {
        self.open.lock().remove(&id);
    }

    /// Connections open now.
    pub(super) fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// Connections since the start, refused ones included.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The connection with this number.
    pub(super) fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.open.lock().get(&id).cloned()
    }

    /// All connections, the oldest first. They are described outside the lock: the list may be long.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.open.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_numbers_are_not_reused() {
        let clients = Clients::default();
        let address: SocketAddr = "127.0.0.1:1".parse().expect("address");
        let first = clients.enter(2, address, address, 3).expect("room");
        let second = clients.enter(2, address, address, 4).expect("room");
        assert!(clients.enter(2, address, address, 5).is_none());
        clients.leave(first.id);
        let third = clients.enter(2, address, address, 5).expect("room");
        assert!(third.id > second.id);
        assert_eq!((clients.count(), clients.accepted()), (2, 4));
        assert!(clients.get(first.id).is_none());

        second.about.lock().name = "me".to_owned();
        second.touch();
        second.sent(0);
        let mut line = String::new();
        second.describe(&mut line);
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
