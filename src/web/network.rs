//! Networks in their text form.

use std::net::IpAddr;

use ipnet::IpNet;

/// A network, whose host bits are ignored, or one address. `::ffff:10.0.0.0/104` is 10.0.0.0/8, the
/// form in which clients appear.
#[must_use]
pub fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().ok()?,
    };
    let mapped = network.addr().to_canonical();
    let network = match network.prefix_len().checked_sub(96) {
        Some(prefix) if mapped.is_ipv4() && network.addr().is_ipv6() => {
            IpNet::new(mapped, prefix).ok()?
        }
        _ => network,
    };
    Some(network.trunc())
}
