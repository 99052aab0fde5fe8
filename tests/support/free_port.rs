//! Ports for programs that cannot listen on port 0, because they take no such number, or have to
//! come back on the same.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Below the ports that the system gives to connections (`net.ipv4.ip_local_port_range`), so that
/// no connection takes one meanwhile.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// An address on loopback that nothing listens on.
pub(crate) fn free_address() -> SocketAddr {
    std::iter::repeat_with(|| SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS))))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a port is free")
}
