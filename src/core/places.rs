//! Places for streams: bounds on open streams, in all and per client, and on the sockets of the
//! public listener.
//!
//! A place is taken before the handshake goes on and released by its last owner: a dropped
//! [`StreamPermit`], or the shard that closes the stream.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hashbrown::HashMap;
use ipnet::IpNet;
use parking_lot::Mutex;
use thiserror::Error;

/// Why no stream can be opened now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Shed {
    /// `max_streams` streams are open.
    #[error("all {0} streams are taken (`max_streams`)")]
    Full(usize),
    /// The client address has used its share.
    #[error("this address has its {0} streams already (`max_connections_per_address`)")]
    Address(usize),
    /// `max_patterns` patterns are in use already, and the stream asks for others.
    #[error("all {0} patterns are taken (`max_patterns`)")]
    Patterns(usize),
    /// The client address has used its share of patterns, and asks for others.
    #[error(
        "this address has its {0} patterns already (`patterns_per_address_max`); those that a token names do not count"
    )]
    AddressPatterns(usize),
    /// The node holds as many bytes for its clients as it may.
    #[error("the node has no memory for so many topics now (`memory_budget`)")]
    Memory,
    /// The log that orders the events of several nodes is away, and the client's cursor is ahead of
    /// what this node has read.
    #[error(
        "the node cannot read its log now, and does not know the events up to this cursor; come back, or ask another node"
    )]
    Behind,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Draining,
}

/// The room of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Most streams.
    pub streams: usize,
    /// Most sockets of the public listener: those of streams with a socket of their own, and of
    /// connections that are not streams.
    pub sockets: usize,
}

impl From<usize> for Room {
    /// Room for `streams` streams, and for any number of sockets.
    fn from(streams: usize) -> Self {
        Self {
            streams,
            sockets: usize::MAX,
        }
    }
}

/// The bound on one client's streams, and the definition of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Most streams of one client; 0 = any number: clients are not counted, and cost nothing.
    pub streams: usize,
    /// Bits of an IPv6 address that identify one client.
    pub ipv6_prefix: u32,
    /// Networks of proxies, which forward the requests of many clients: their addresses identify no
    /// client.
    pub proxies: Vec<IpNet>,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            streams: 0,
            ipv6_prefix: 64,
            proxies: Vec::new(),
        }
    }
}

impl Share {
    /// The client of an address, as the first address of its network. A provider assigns each
    /// customer a whole IPv6 network, so its addresses are one client; `::ffff:192.0.2.1` is
    /// 192.0.2.1.
    #[must_use]
    pub fn client(&self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let host_bits = 128_u32.saturating_sub(self.ipv6_prefix);
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
            address => address,
        }
    }

    /// The client whose share counts for this address; `None` for a proxy, and if clients are not
    /// counted.
    #[must_use]
    pub fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let proxies = || self.proxies.iter();
        let is_proxy = || proxies().any(|proxy| proxy.contains(&address.to_canonical()));
        (self.streams > 0 && !is_proxy()).then(|| self.client(address))
    }
}

/// A client whose streams are counted, or none if the setting is off. A stream's record keeps this
/// of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientKey(u32);

impl ClientKey {
    /// Set if the stream has no socket of its own.
    const BODY: u32 = 1 << 31;
    const UNCOUNTED: Self = Self(!Self::BODY);

    fn is_body(self) -> bool {
        self.0 & Self::BODY != 0
    }

    /// Its index in the table of clients.
    fn index(self) -> Option<usize> {
        let key = Self(self.0 & !Self::BODY);
        (key != Self::UNCOUNTED).then_some(key.0 as usize)
    }
}

/// The count of open streams.
#[derive(Debug)]
pub struct Places {
    room: Room,
    share: Share,
    open: AtomicUsize,
    /// Open streams that have no socket of their own.
    bodies: AtomicUsize,
    draining: AtomicBool,
    addresses: Mutex<Addresses>,
}

#[derive(Debug, Default)]
struct Addresses {
    by_address: HashMap<IpAddr, u32>,
    counts: Vec<(IpAddr, usize)>,
    free: Vec<u32>,
}

impl Places {
    /// All places are free.
    #[must_use]
    pub fn new(room: impl Into<Room>, share: Share) -> Arc<Self> {
        Arc::new(Self {
            room: room.into(),
            share,
            open: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            addresses: Mutex::default(),
        })
    }

    /// Takes a place for a stream of the client at `address`.
    ///
    /// # Errors
    /// [`Shed`] if there is none.
    pub fn reserve(self: &Arc<Self>, address: IpAddr) -> Result<StreamPermit, Shed> {
        if self.is_draining() {
            return Err(Shed::Draining);
        }
        let taken = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < self.room.streams).then_some(open + 1)
            });
        if taken.is_err() {
            return Err(Shed::Full(self.room.streams));
        }
        let Some(client) = self.count(address) else {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Shed::Address(self.share.streams));
        };
        Ok(StreamPermit {
            places: Some(Arc::clone(self)),
            client,
        })
    }

    /// Frees the place of one stream.
    pub(crate) fn release(&self, client: ClientKey) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if client.is_body() {
            self.bodies.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(index) = client.index() else { return };
        let mut addresses = self.addresses.lock();
        let (address, count) = &mut addresses.counts[index];
        *count -= 1;
        if *count == 0 {
            let address = *address;
            addresses.by_address.remove(&address);
            addresses.free.push(index as u32);
        }
    }

    /// Takes a place for a stream of another process, also above the bounds: they may have been
    /// lowered, and an open stream is not lost for that. `address` is from
    /// [`Places::address_of`].
    pub(crate) fn restore(&self, address: Option<IpAddr>) -> ClientKey {
        self.open.fetch_add(1, Ordering::Relaxed);
        let address = address.and_then(|address| self.share.counted(address));
        let client = address.and_then(|address| self.count_up_to(address, usize::MAX));
        client.unwrap_or(ClientKey::UNCOUNTED)
    }

    /// The client of a stream, as the first address of its network; `None` if it is not counted.
    pub(crate) fn address_of(&self, client: ClientKey) -> Option<IpAddr> {
        let addresses = self.addresses.lock();
        Some(addresses.counts[client.index()?].0)
    }

    /// Streams open now, reserved ones included.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Most streams.
    #[must_use]
    pub fn streams_max(&self) -> usize {
        self.room.streams
    }

    /// Sockets of open streams, reserved ones included.
    #[must_use]
    pub fn stream_sockets(&self) -> usize {
        // Read one after the other: while a stream ends, the result may be one too low or too high.
        let open = self.open.load(Ordering::Relaxed);
        open.saturating_sub(self.bodies.load(Ordering::Relaxed))
    }

    /// Whether the public listener may have one more socket beside `connections`, those of
    /// connections that are not streams.
    ///
    /// # Errors
    /// The bound on its sockets.
    pub fn has_socket_for(&self, connections: usize) -> Result<(), usize> {
        let max = self.room.sockets;
        let open = self.stream_sockets().saturating_add(connections);
        if open < max { Ok(()) } else { Err(max) }
    }

    /// The share of one client.
    #[must_use]
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// Streams of the client at `address`; 0 if clients are not counted.
    #[must_use]
    pub fn open_of(&self, address: IpAddr) -> usize {
        let Some(client) = self.share.counted(address) else {
            return 0;
        };
        let addresses = self.addresses.lock();
        let client = addresses.by_address.get(&client);
        client.map_or(0, |client| addresses.counts[*client as usize].1)
    }

    /// Refuses every reservation from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the node is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn count(&self, address: IpAddr) -> Option<ClientKey> {
        let Some(address) = self.share.counted(address) else {
            return Some(ClientKey::UNCOUNTED);
        };
        self.count_up_to(address, self.share.streams)
    }

    /// Counts a stream of a client that has fewer than `max`.
    fn count_up_to(&self, address: IpAddr, max: usize) -> Option<ClientKey> {
        let mut addresses = self.addresses.lock();
        if let Some(client) = addresses.by_address.get(&address).copied() {
            let count = &mut addresses.counts[client as usize].1;
            if *count >= max {
                return None;
            }
            *count += 1;
            return Some(ClientKey(client));
        }
        let client = addresses
            .free
            .pop()
            .unwrap_or(addresses.counts.len() as u32);
        match addresses.counts.get_mut(client as usize) {
            Some(slot) => *slot = (address, 1),
            None => addresses.counts.push((address, 1)),
        }
        addresses.by_address.insert(address, client);
        Some(ClientKey(client))
    }
}

/// A place for one stream. Dropping it frees the place, unless a stream took it over.
#[derive(Debug)]
pub struct StreamPermit {
    /// `None` once a stream has taken the place over.
    places: Option<Arc<Places>>,
    client: ClientKey,
}

impl StreamPermit {
    /// The same place for a stream that is part of a connection, which owns the socket.
    #[must_use]
    pub fn without_socket(mut self) -> Self {
        if let Some(places) = &self.places
            && !self.client.is_body()
        {
            places.bodies.fetch_add(1, Ordering::Relaxed);
            self.client = ClientKey(self.client.0 | ClientKey::BODY);
        }
        self
    }

    /// Passes the place to a stream, whose shard releases it.
    pub(crate) fn into_client(mut self) -> ClientKey {
        self.places = None;
        self.client
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        if let Some(places) = &self.places {
            places.release(self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_place_comes_back_however_it_was_held() {
        let places = Places::new(2, Share::default());
        let first = places.reserve(HERE).expect("room");
        let second = places.reserve(HERE).expect("room");
        assert_eq!(places.reserve(HERE).err(), Some(Shed::Full(2)));
        drop(first);
        assert_eq!(places.open(), 1);
        // The permit's share of the count moves to the stream, and leaks no reference.
        places.release(second.into_client());
        assert_eq!(places.open(), 0);
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let one = Share {
            streams: 1,
            ..Share::default()
        };
        let places = Places::new(10, one);
        let mapped = "::ffff:127.0.0.1".parse().expect("address");
        let other = "127.0.0.2".parse().expect("address");
        let held = places.reserve(HERE).expect("room");
        assert_eq!(places.reserve(mapped).err(), Some(Shed::Address(1)));
        assert_eq!(places.open(), 1, "a refusal takes no place");
        let _other = places.reserve(other).expect("room");
        drop(held);
        assert_eq!(places.open_of(HERE), 0);
        assert!(places.reserve(mapped).is_ok());
    }

    #[test]
    fn five_addresses_of_one_ipv6_network_had_five_shares() {
        let of = |ipv6_prefix| {
            let share = Share {
                streams: 2,
                ipv6_prefix,
                ..Share::default()
            };
            let places = Places::new(100, share);
            let addresses = [
                "2001:db8:1:2::1",
                "2001:db8:1:2:3:4:5:6",
                "2001:db8:1:2:ffff::",
                "2001:db8:1:3::1",
                "2001:db8:2:2::1",
            ];
            let addresses = addresses.map(|text| text.parse::<IpAddr>().expect("an address"));
            let held: Vec<_> = addresses
                .iter()
                .filter_map(|address| places.reserve(*address).ok())
                .collect();
            let first = places.open_of(addresses[0]);
            assert_eq!(places.open_of(addresses[1]), first.max(1));
            (held.len(), first)
        };
        assert_eq!(of(64), (4, 2));
        assert_eq!(of(48), (3, 2));
        assert_eq!(of(1), (2, 2));
        assert_eq!(of(0), (2, 2));
        assert_eq!(of(128), (5, 1));
        assert_eq!(of(200), (5, 1));
    }

    #[test]
    fn an_ipv4_client_is_its_whole_address_also_when_it_is_mapped() {
        let share = Share {
            streams: 1,
            ipv6_prefix: 1,
            proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        };
        let of = |text: &str| share.counted(text.parse().expect("an address"));
        let client = |text| of(text).expect("counted").to_string();
        assert_eq!(of("10.1.2.3"), None);
        assert_eq!(of("::ffff:10.1.2.3"), None);
        assert_eq!(client("192.0.2.7"), "192.0.2.7");
        assert_eq!(client("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(client("fe80::7"), "8000::");
    }

    #[test]
    fn a_stream_without_a_socket_of_its_own_is_not_counted_as_one() {
        for share in [
            Share::default(),
            Share {
                streams: 5,
                ..Share::default()
            },
        ] {
            let places = Places::new(10, share);
            let socket = places.reserve(HERE).expect("room");
            let body = places.reserve(HERE).expect("room").without_socket();
            let body = body.without_socket();
            assert_eq!((places.open(), places.stream_sockets()), (2, 1));
            places.release(body.into_client());
            assert_eq!((places.open(), places.stream_sockets()), (1, 1));
            drop(places.reserve(HERE).expect("room").without_socket());
            drop(socket);
            assert_eq!((places.open(), places.stream_sockets()), (0, 0));
            assert_eq!(places.open_of(HERE), 0);
        }
    }
    /// An upgrade with a lower bound would have ended streams.
    #[test]
    fn a_restored_stream_has_its_place_also_above_a_bound_that_was_lowered() {
        let share = |streams| Share {
            streams,
            ..Share::default()
        };
        let before = Places::new(10, share(3));
        let streams: Vec<_> = (0..3)
            .map(|_| before.reserve(HERE).expect("room").into_client())
            .collect();
        let after = Places::new(1, share(1));
        let restored: Vec<_> = streams
            .iter()
            .map(|client| after.restore(before.address_of(*client)))
            .collect();
        assert_eq!((after.open(), after.open_of(HERE)), (3, 3));
        assert_eq!(after.reserve(HERE).err(), Some(Shed::Full(1)));
        for client in restored {
            after.release(client);
        }
        assert_eq!((after.open(), after.open_of(HERE)), (0, 0));
        let uncounted = Places::new(1, share(0));
        let client = uncounted.restore(before.address_of(streams[0]));
        assert_eq!(uncounted.address_of(client), None);
        uncounted.release(client);
        assert_eq!(uncounted.open(), 0);
    }
}
