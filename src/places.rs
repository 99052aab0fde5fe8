//! How many streams may be open: in all, and of each client address.
//!
//! A place is taken before the handshake goes on and given back by whoever holds it last: a dropped [`StreamPermit`], or the
//! shard that closes the stream.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use thiserror::Error;

/// Why no stream can be opened now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Shed {
    /// As many streams as `max_streams` are open.
    #[error("all {0} streams are taken (`max_streams`)")]
    Full(usize),
    /// The client address has its share.
    #[error("this address has its {0} streams already (`max_connections_per_address`)")]
    Address(usize),
    /// As many patterns as `max_patterns` are held already, and it asks for others.
    #[error("all {0} patterns are taken (`max_patterns`)")]
    Patterns(usize),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Draining,
}

/// An address whose streams are counted, or nobody where the setting is off; what a stream's record keeps of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientKey(u32);

impl ClientKey {
    const UNCOUNTED: Self = Self(u32::MAX);
}

/// The count of open streams.
#[derive(Debug)]
pub struct Places {
    streams_max: usize,
    /// 0 = addresses are not counted, and cost nothing.
    per_address_max: usize,
    open: AtomicUsize,
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
    /// Room for `streams_max` streams, and for `per_address_max` of each address (0 = any number).
    #[must_use]
    pub fn new(streams_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            streams_max,
            per_address_max,
            open: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            addresses: Mutex::default(),
        })
    }

    /// Takes a place for a stream of the client at `address`.
    ///
    /// # Errors
    /// [`Shed`] when there is none.
    pub fn reserve(self: &Arc<Self>, address: IpAddr) -> Result<StreamPermit, Shed> {
        if self.is_draining() {
            return Err(Shed::Draining);
        }
        let taken = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < self.streams_max).then_some(open + 1)
            });
        if taken.is_err() {
            return Err(Shed::Full(self.streams_max));
        }
        let Some(client) = self.count(address) else {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Shed::Address(self.per_address_max));
        };
        Ok(StreamPermit {
            places: Some(Arc::clone(self)),
            client,
        })
    }

    /// Gives the place of one stream back.
    pub(crate) fn release(&self, client: ClientKey) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if client == ClientKey::UNCOUNTED {
            return;
        }
        let mut addresses = self.addresses.lock();
        let (address, count) = &mut addresses.counts[client.0 as usize];
        *count -= 1;
        if *count == 0 {
            let address = *address;
            addresses.by_address.remove(&address);
            addresses.free.push(client.0);
        }
    }

    /// Streams open now, reserved ones included.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Most streams.
    #[must_use]
    pub fn streams_max(&self) -> usize {
        self.streams_max
    }

    /// Streams of the client at `address`; 0 where addresses are not counted.
    #[must_use]
    pub fn open_of(&self, address: IpAddr) -> usize {
        let addresses = self.addresses.lock();
        let client = addresses.by_address.get(&address.to_canonical());
        client.map_or(0, |client| addresses.counts[*client as usize].1)
    }

    /// From now on every reservation is refused.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the node is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn count(&self, address: IpAddr) -> Option<ClientKey> {
        if self.per_address_max == 0 {
            return Some(ClientKey::UNCOUNTED);
        }
        let address = address.to_canonical();
        let mut addresses = self.addresses.lock();
        if let Some(client) = addresses.by_address.get(&address).copied() {
            let count = &mut addresses.counts[client as usize].1;
            if *count >= self.per_address_max {
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

/// A place for one stream, given back on drop unless a stream took it over.
#[derive(Debug)]
pub struct StreamPermit {
    /// `None` once a stream has taken the place over.
    places: Option<Arc<Places>>,
    client: ClientKey,
}

impl StreamPermit {
    /// Hands the place over to a stream, whose shard releases it.
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
        let places = Places::new(2, 0);
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
        let places = Places::new(10, 1);
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
}
