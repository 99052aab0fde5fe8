//! Open connections and the bounds on them, in all and by client address.
//!
//! A connection holds a [`Place`] from accept until it ends or becomes a stream; streams are
//! counted by [`Places`]. On the public listener, connections and streams share a fixed number of
//! files, so that the other listeners always have theirs. The table of clients exists only if
//! clients are bounded, so that the usual connect costs a few atomics and no lock.
//!
//! A place is *settled* when a freeze need not wait for its connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

use super::seats::{Seat, Seats, Sitting};
use crate::core::places::Places;
use crate::metrics::HttpMetrics;

/// Bound on the connections of a listener, and the handling of connections beyond it.
#[derive(Clone)]
pub(crate) enum Limit {
    /// A connection beyond the bound is refused.
    Refuse {
        /// Streams, which use the same files and belong to the same clients.
        connections_max: usize,
        /// Streams that have files of the same kind, and clients of the same addresses.
        streams: Arc<Places>,
    },
    /// A connection beyond the bound waits until another gives way, or ends.
    GiveWay {
        /// Most connections.
        connections_max: usize,
        /// A connection that has been quiet for this long gives way. A shorter time would cut
        /// connections whose request is on its way.
        quiet_min: Duration,
        /// Time after which a connection is asked to end. Bounds how long a client can keep a
        /// connection by reading its answer byte by byte.
        life_max: Duration,
    },
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// The setting `max_connections` is reached.
    #[error("all {0} connections are taken (`max_connections`)")]
    Full(usize),
    /// Connections and streams use all the files reserved for them.
    #[error("all {0} files for connections and streams are taken (the limit on open files)")]
    Files(usize),
    /// The address has used its share.
    #[error("this address has its {0} connections already (`max_connections_per_address`)")]
    Address(usize),
}

/// The open connections of one listener that are not streams.
pub(crate) struct Connections {
    metrics: Arc<HttpMetrics>,
    open: AtomicUsize,
    /// Places among them that are settled.
    settled: AtomicUsize,
    bound: Bound,
    /// Wakes the listener that waits until all open places are settled.
    all_settled: Notify,
}

enum Bound {
    Refuse(Bounds),
    GiveWay(Seats),
}

/// Bounds of a listener that refuses the connections beyond them.
struct Bounds {
    connections_max: usize,
    streams: Arc<Places>,
    /// Open connections by client (by network for IPv6); `None` if clients are not bounded.
    by_address: Option<Mutex<HashMap<IpAddr, usize>>>,
}

impl Connections {
    /// A listener without connections.
    pub(crate) fn new(limit: Limit, metrics: Arc<HttpMetrics>) -> Self {
        Self {
            metrics,
            open: AtomicUsize::new(0),
            settled: AtomicUsize::new(0),
            bound: match limit {
                Limit::Refuse {
                    connections_max,
                    streams,
                } => Bound::Refuse(Bounds {
                    connections_max,
                    by_address: (streams.share().streams > 0).then(Mutex::default),
                    streams,
                }),
                Limit::GiveWay {
                    connections_max,
                    quiet_min,
                    life_max,
                } => Bound::GiveWay(Seats::new(connections_max, quiet_min, life_max)),
            },
            all_settled: Notify::new(),
        }
    }

    /// Takes a place for a connection from `address`. Waits only if another connection has to give
    /// way. Only the accept loop may call it: two callers could both take the last place.
    ///
    /// # Errors
    /// [`Refused`]: there is none.
    pub(crate) async fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, Refused> {
        let sitting = match &self.bound {
            Bound::Refuse(bounds) => {
                bounds.admit(self.open.load(Ordering::Relaxed), address)?;
                None
            }
            Bound::GiveWay(seats) => Some(seats.enter().await),
        };
        self.metrics.accepted.add(1);
        Ok(self.place(address, sitting))
    }

    /// Takes a place for a connection from `address` that was accepted elsewhere. It is never
    /// refused: its client knows nothing of a new listener with lower bounds.
    pub(super) fn adopt(self: &Arc<Self>, address: IpAddr) -> Place {
        let sitting = match &self.bound {
            Bound::Refuse(bounds) => {
                bounds.adopt(address);
                None
            }
            Bound::GiveWay(seats) => Some(seats.adopt()),
        };
        self.place(address, sitting)
    }

    fn place(self: &Arc<Self>, address: IpAddr, sitting: Option<Sitting>) -> Place {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.metrics.connections.add(1);
        Place {
            connections: Arc::clone(self),
            address,
            sitting,
            settled: false,
        }
    }

    /// Connections that may be admitted before any of them is served. An unserved connection looks
    /// like one that can give way.
    pub(super) fn admitted_at_once(&self) -> usize {
        match &self.bound {
            Bound::Refuse(_) => usize::MAX,
            Bound::GiveWay(_) => 1,
        }
    }

    /// Waits until no connection is open. The caller must admit no new one meanwhile.
    pub(crate) async fn emptied(&self) {
        self.until(|| self.open.load(Ordering::SeqCst) == 0).await;
    }

    /// Waits until every open connection is settled. The caller must admit no new one meanwhile.
    pub(super) async fn all_settled(&self) {
        self.until(|| self.unsettled() == 0).await;
    }

    /// Waits for what can only become true when all open connections are settled.
    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let all_settled = self.all_settled.notified();
            if is_so() {
                return;
            }
            all_settled.await;
        }
    }

    /// Open connections that are not settled.
    pub(super) fn unsettled(&self) -> usize {
        // In this order, a settled place that is dropped meanwhile is counted too much, never too
        // little; its end is told.
        let open = self.open.load(Ordering::SeqCst);
        open.saturating_sub(self.settled.load(Ordering::SeqCst))
    }

    /// Wakes the listener if it waits for nothing more.
    fn tell_if_all_settled(&self) {
        if self.unsettled() == 0 {
            self.all_settled.notify_waiters();
        }
    }
}

impl Bounds {
    /// Counts one more connection from `address`; `open` is the number of open ones.
    fn admit(&self, open: usize, address: IpAddr) -> Result<(), Refused> {
        let full = self.connections_max;
        if full > 0 && open >= full {
            return Err(Refused::Full(full));
        }
        self.streams.has_socket_for(open).map_err(Refused::Files)?;
        let share = self.streams.share();
        if let Some(table) = &self.by_address
            && let Some(client) = share.counted(address)
        {
            let streams = self.streams.open_of(address);
            let mut table = table.lock();
            let open = table.entry(client).or_default();
            if *open + streams >= share.streams {
                if *open == 0 {
                    table.remove(&client);
                }
                return Err(Refused::Address(share.streams));
            }
            *open += 1;
        }
        Ok(())
    }

    /// Counts one more connection from `address`, also above its share.
    fn adopt(&self, address: IpAddr) {
        if let Some(table) = &self.by_address
            && let Some(client) = self.streams.share().counted(address)
        {
            *table.lock().entry(client).or_default() += 1;
        }
    }

    /// Uncounts one connection from `address`.
    fn release(&self, address: IpAddr) {
        if let Some(table) = &self.by_address
            && let Some(client) = self.streams.share().counted(address)
        {
            let mut table = table.lock();
            if let Some(open) = table.get_mut(&client) {
                *open -= 1;
                if *open == 0 {
                    table.remove(&client);
                }
            }
        }
    }
}

/// One connection's place. Dropping it frees the place.
pub(crate) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
    sitting: Option<Sitting>,
    settled: bool,
}

impl Place {
    /// Address of the client.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The connection's seat, if connections give way to others.
    pub(super) fn seat(&self) -> Option<&Arc<Seat>> {
        self.sitting.as_ref().map(Sitting::seat)
    }

    /// From here on a freeze does not wait for the connection.
    pub(super) fn settle(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.connections.settled.fetch_add(1, Ordering::SeqCst);
            self.connections.tell_if_all_settled();
        }
    }

    /// The next freeze waits for the connection again.
    pub(super) fn unsettle(&mut self) {
        if std::mem::replace(&mut self.settled, false) {
            self.connections.settled.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connections = &self.connections;
        if let Bound::Refuse(bounds) = &connections.bound {
            bounds.release(self.address);
        }
        connections.metrics.connections.sub(1);
        self.unsettle();
        self.connections.open.fetch_sub(1, Ordering::SeqCst);
        self.connections.tell_if_all_settled();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::core::places::{Room, Share};

    fn connections(room: Room, share: Share) -> (Arc<Places>, Arc<Connections>) {
        let streams = Places::new(room, share);
        let limit = Limit::Refuse {
            connections_max: 0,
            streams: Arc::clone(&streams),
        };
        let connections = Connections::new(limit, Arc::default());
        (streams, Arc::new(connections))
    }

    #[tokio::test]
    async fn connections_and_streams_share_the_files_that_are_for_them() {
        let room = Room {
            streams: 10,
            sockets: 3,
        };
        let (streams, connections) = connections(room, Share::default());
        let here = "192.0.2.1".parse().expect("an address");
        let stream = streams.reserve(here).expect("a place");
        let body = streams.reserve(here).expect("a place");
        let _body = body.without_socket();
        let held = [connections.admit(here).await, connections.admit(here).await];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(connections.admit(here).await.err(), Some(Refused::Files(3)));
        drop(stream);
        assert!(connections.admit(here).await.is_ok());
    }

    #[tokio::test]
    async fn addresses_of_one_ipv6_network_have_one_share_of_connections_and_streams() {
        let share = Share {
            streams: 2,
            ..Share::default()
        };
        let (streams, connections) = connections(Room::from(10), share);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let first = connections.admit(address("2001:db8::1")).await;
        let first = first.expect("a place");
        let stream = streams.reserve(address("2001:db8::2"));
        let next = address("2001:db8::3");
        let refused = Some(Refused::Address(2));
        assert_eq!(connections.admit(next).await.err(), refused);
        assert!(connections.admit(address("2001:db8:0:1::1")).await.is_ok());
        drop(stream);
        let second = connections.admit(next).await.expect("a place");
        assert_eq!(connections.admit(next).await.err(), refused);
        drop((first, second));
        assert!(connections.admit(next).await.is_ok());
        let Bound::Refuse(bounds) = &connections.bound else {
            panic!("it refuses")
        };
        let table = bounds.by_address.as_ref().expect("bounded");
        assert!(table.lock().is_empty());
    }

    #[tokio::test]
    async fn a_freeze_waits_for_the_connections_that_are_not_settled() {
        let (_, connections) = connections(Room::from(10), Share::default());
        let address = IpAddr::from([127, 0, 0, 1]);
        let mut kept = connections.adopt(address);
        let busy = connections.adopt(address);
        let mut settled = pin!(connections.all_settled());
        let mut context = Context::from_waker(Waker::noop());
        kept.settle();
        kept.settle();
        assert!(settled.as_mut().poll(&mut context).is_pending());
        assert_eq!(connections.unsettled(), 1);
        drop(busy);
        assert!(settled.as_mut().poll(&mut context).is_ready());
        kept.unsettle();
        kept.unsettle();
        assert_eq!(connections.unsettled(), 1);
        kept.settle();
        drop(kept);
        assert_eq!(connections.settled.load(Ordering::SeqCst), 0);
        assert_eq!(connections.unsettled(), 0);
    }

    #[tokio::test]
    async fn a_carried_connection_is_counted_and_never_refused() {
        let share = Share {
            streams: 1,
            ..Share::default()
        };
        let (_, connections) = connections(Room::from(1), share);
        let address = IpAddr::from([192, 0, 2, 1]);
        let carried = [connections.adopt(address), connections.adopt(address)];
        assert_eq!(connections.metrics.connections.get(), 2);
        assert_eq!(connections.metrics.accepted.get(), 0);
        let refused = connections.admit(address).await.err();
        assert_eq!(refused, Some(Refused::Address(1)));
        drop(carried);
        assert!(connections.admit(address).await.is_ok());
    }

    /// A listener that stops waits for its last connection, and must be woken at its end.
    #[tokio::test]
    async fn the_end_of_the_last_connection_is_told_to_the_listener_that_waits() {
        let (_, connections) = connections(Room::from(10), Share::default());
        let address = IpAddr::from([127, 0, 0, 1]);
        let first = connections.admit(address).await.expect("room");
        let last = connections.admit(address).await.expect("room");
        let mut emptied = pin!(connections.emptied());
        let mut context = Context::from_waker(Waker::noop());
        assert!(emptied.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert!(emptied.as_mut().poll(&mut context).is_pending());
        drop(last);
        assert!(emptied.as_mut().poll(&mut context).is_ready());
    }
}
