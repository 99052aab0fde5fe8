//! Who is connected: the bounds on open connections, in all and by client address.
//!
//! A connection holds a [`Place`] from accept until it ends or becomes a stream; streams are counted by the hub. Both together have so many files
//! and no more: what the other listeners need is theirs, whatever happens here. The table of clients is kept only when
//! `max_connections_per_address` asks for it, so that the usual connect pays for a few atomics and no lock.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

use crate::hub::Hub;

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// The setting `max_connections` is reached.
    #[error("all {0} connections are taken (`max_connections`)")]
    Full(usize),
    /// Connections and streams have all the files that are for them.
    #[error("all {0} files for connections and streams are taken (the limit on open files)")]
    Files(usize),
    /// The address has its share.
    #[error("this address has its {0} connections already (`max_connections_per_address`)")]
    Address(usize),
}

/// The open connections of one listener that are not streams.
pub(crate) struct Connections {
    hub: Hub,
    open: AtomicUsize,
    /// By client (its network, where it is of IPv6); `None` when clients are not bounded.
    by_address: Option<Mutex<HashMap<IpAddr, usize>>>,
    emptied: Notify,
}

impl Connections {
    /// No connections, bounded by the settings of `hub`.
    pub(crate) fn new(hub: Hub) -> Self {
        let bounded = hub.settings().max_connections_per_address > 0;
        Self {
            hub,
            open: AtomicUsize::new(0),
            by_address: bounded.then(Mutex::default),
            emptied: Notify::new(),
        }
    }

    /// Takes a place for a connection from `address`. Only the accept loop may call it: two callers could both take the last place.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, Refused> {
        let settings = self.hub.settings();
        let full = settings.max_connections;
        let open = self.open.load(Ordering::Relaxed);
        if full > 0 && open >= full {
            return Err(Refused::Full(full));
        }
        self.hub.has_socket_for(open).map_err(Refused::Files)?;
        if let Some(table) = &self.by_address
            && let Some(client) = self.hub.client_of(address)
        {
            let share = settings.max_connections_per_address;
            let streams = self.hub.streams_of(address);
            let mut table = table.lock();
            let open = table.entry(client).or_default();
            if *open + streams >= share {
                if *open == 0 {
                    table.remove(&client);
                }
                return Err(Refused::Address(share));
            }
            *open += 1;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let metrics = self.hub.node_metrics();
        metrics.http_accepted.add(1);
        metrics.http_connections.add(1);
        Ok(Place {
            connections: Arc::clone(self),
            address,
        })
    }

    /// Waits until no connection is open; no new one may be admitted meanwhile.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// One connection's place, given back on drop.
pub(crate) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Place {
    /// Address of the client.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connections = &self.connections;
        if let Some(table) = &connections.by_address
            && let Some(client) = connections.hub.client_of(self.address)
        {
            let mut table = table.lock();
            if let Some(open) = table.get_mut(&client) {
                *open -= 1;
                if *open == 0 {
                    table.remove(&client);
                }
            }
        }
        connections.hub.node_metrics().http_connections.sub(1);
        if connections.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            connections.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Room;
    use crate::settings::Settings;

    fn connections(room: Room, settings: Settings) -> Arc<Connections> {
        let settings = Settings {
            shards: 1,
            ..settings
        };
        let hub = Hub::start(crate::node::config::hub(&settings), room).expect("a thread");
        Arc::new(Connections::new(hub))
    }

    #[test]
    fn connections_and_streams_share_the_files_that_are_for_them() {
        let room = Room {
            streams: 10,
            sockets: 3,
        };
        let connections = connections(room, Settings::default());
        let here = "192.0.2.1".parse().expect("an address");
        let stream = connections.hub.reserve(here).expect("a place");
        let body = connections.hub.reserve(here).expect("a place");
        let _body = body.without_socket();
        let held = [connections.admit(here), connections.admit(here)];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(connections.admit(here).err(), Some(Refused::Files(3)));
        drop(stream);
        assert!(connections.admit(here).is_ok());
        drop(held);
        connections.hub.stop();
    }

    #[test]
    fn addresses_of_one_ipv6_network_have_one_share_of_connections_and_streams() {
        let settings = Settings {
            max_connections_per_address: 2,
            ..Settings::default()
        };
        let connections = connections(Room::from(10), settings);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let first = connections.admit(address("2001:db8::1")).expect("a place");
        let stream = connections.hub.reserve(address("2001:db8::2"));
        let next = address("2001:db8::3");
        assert_eq!(connections.admit(next).err(), Some(Refused::Address(2)));
        assert!(connections.admit(address("2001:db8:0:1::1")).is_ok());
        drop(stream);
        let second = connections.admit(next).expect("a place");
        assert_eq!(connections.admit(next).err(), Some(Refused::Address(2)));
        drop((first, second));
        assert!(connections.admit(next).is_ok());
        let table = connections.by_address.as_ref().expect("bounded");
        assert!(table.lock().is_empty());
        connections.hub.stop();
    }
}
