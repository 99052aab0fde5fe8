//! Who is connected: the bounds on open connections, in all and by client address.
//!
//! A connection holds a [`Place`] from accept until it ends or becomes a stream; streams are counted by the hub. The table of addresses is
//! kept only when `max_connections_per_address` asks for it, so that the usual connect pays for two atomics and no lock.

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
pub(super) enum Refused {
    /// The setting `max_connections` is reached.
    #[error("all {0} connections are taken (`max_connections`)")]
    Full(usize),
    /// The address has its share.
    #[error("this address has its {0} connections already (`max_connections_per_address`)")]
    Address(usize),
}

/// The open connections of one listener that are not streams.
pub(super) struct Connections {
    hub: Hub,
    open: AtomicUsize,
    /// `None` when addresses are not bounded.
    by_address: Option<Mutex<HashMap<IpAddr, usize>>>,
    emptied: Notify,
}

impl Connections {
    /// No connections, bounded by the settings of `hub`.
    pub(super) fn new(hub: Hub) -> Self {
        let bounded = hub.settings().max_connections_per_address > 0;
        Self {
            hub,
            open: AtomicUsize::new(0),
            by_address: bounded.then(Mutex::default),
            emptied: Notify::new(),
        }
    }

    /// Takes a place for a connection from `address`. Only the accept loop may call it: two callers could both take the last place.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, Refused> {
        let settings = self.hub.settings();
        let full = settings.max_connections;
        if full > 0 && self.open.load(Ordering::Relaxed) >= full {
            return Err(Refused::Full(full));
        }
        if let Some(table) = &self.by_address {
            let share = settings.max_connections_per_address;
            let streams = self.hub.streams_of(address);
            let mut table = table.lock();
            let open = table.entry(address).or_default();
            if *open + streams >= share {
                if *open == 0 {
                    table.remove(&address);
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
    pub(super) async fn emptied(&self) {
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
pub(super) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Place {
    /// Address of the client.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connections = &self.connections;
        if let Some(table) = &connections.by_address {
            let mut table = table.lock();
            if let Some(open) = table.get_mut(&self.address) {
                *open -= 1;
                if *open == 0 {
                    table.remove(&self.address);
                }
            }
        }
        connections.hub.node_metrics().http_connections.sub(1);
        if connections.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            connections.emptied.notify_waiters();
        }
    }
}
