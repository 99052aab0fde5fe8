//! Ports for programs that cannot listen on port 0, because they take no such number, or have to
//! come back on the same.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that the system gives to connections (`net.ipv4.ip_local_port_range`), so that
/// no connection takes one meanwhile.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The next port of this process. None is given twice, since a program that is stopped for a while
/// comes back to its own.
static NEXT: OnceLock<AtomicU16> = OnceLock::new();

/// An address on loopback that nothing listens on.
pub(crate) fn free_address() -> SocketAddr {
    let next = NEXT.get_or_init(|| AtomicU16::new(fastrand::u16(..)));
    std::iter::repeat_with(|| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + number % (PORTS.end - PORTS.start);
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    })
    .find(|address| TcpListener::bind(address).is_ok())
    .expect("a port is free")
}
